"""Any question to a model, before and after training: what it answers, and how sure it is.

Knows runs and models; how a question is searched for its answer is known below, in `probing`.
"""

__all__ = ["asker", "opening", "shots"]
