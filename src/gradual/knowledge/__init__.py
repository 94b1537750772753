"""What a model knows: the four levels, the knowledge map, the difference of two maps.

Knows no model: how a map comes about is for `probing`.
"""

__all__ = ["answer_quality", "diff", "levels", "map", "replies", "transitions"]
