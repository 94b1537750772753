"""Reading token trees with a model: the seam `Engine`, and the engine that runs transformers' models.

Loads torch. Knows tokens and logits; no fact, answer or level.
"""

__all__ = ["engine", "next_tokens", "token_tree", "transformers_engine", "tree_attention", "vocabulary"]
