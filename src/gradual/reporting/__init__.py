"""Pages, charts and tables of runs and comparisons.

Draws what `run` and `findings` have worked out; works out no number of its own.
"""

__all__ = [
    "cells",
    "comparison",
    "level_tables",
    "run_page",
    "run_story",
    "run_tables",
    "run_transfer",
    "table",
    "tuning",
]
