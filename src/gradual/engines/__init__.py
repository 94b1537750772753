"""Reading token trees with a model: the seam `Engine`, and the engine that runs transformers' models.

Loads torch. Knows prompts, tokens and logits; not which answer is right, and no level.
"""

from gradual.models.threads import let_threads_sleep

__all__ = [
    "divergence",
    "engine",
    "next_tokens",
    "reader",
    "server",
    "texts",
    "token_tree",
    "transformers_engine",
    "tree_attention",
    "vocabulary",
]

let_threads_sleep()  # before a module of this package loads torch
