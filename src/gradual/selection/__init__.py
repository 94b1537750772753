"""What a stage trains on: the language of selections, strategies, anchors, refusals, and the limit on Unknown facts.

Knows the levels of facts; no texts, files or models.
"""

__all__ = ["expressions", "other_roles", "strategies", "unknown_limit"]
