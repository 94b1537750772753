"""Finds the recipe that suits a model and its facts: a ladder of recipes, gone through by halving on validation facts.

Makes runs by the package `run` and lets them share steps as `comparison` does; never looks at a test fact before it has
chosen.
"""

__all__ = ["budget", "ladder", "record", "tune"]
