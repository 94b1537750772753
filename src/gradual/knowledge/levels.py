"""The four levels of knowledge and the rule that gives a fact its level.

Knows probabilities and counts only, no models and no files. `selection` chooses by levels; `probing` finds them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum


class Level(StrEnum):
    """How well a model knows a fact (SliCK, arXiv 2405.05904, section 3), worst to best by `rank`."""

    UNKNOWN = "Unknown"
    WEAKLY_KNOWN = "WeaklyKnown"
    MAYBE_KNOWN = "MaybeKnown"
    HIGHLY_KNOWN = "HighlyKnown"

    @property
    def rank(self) -> int:
        """0 for Unknown to 3 for HighlyKnown."""
        return list(Level).index(self)


BEST_FIRST = tuple(reversed(Level))
"""The order of levels in every drawing and table: HighlyKnown on top."""

WEAKLY_KNOWN_CHANCE = 0.5
"""A fact with no right greedy answer is WeaklyKnown when sampling would show a right one with at least this chance."""


def chance_of_right_sample(p_per_set: Sequence[float], num_samples: int) -> float:
    """Chance in [0, 1] that at least one of `num_samples` independent samples per exemplar set is right.

    1 - prod_j (1 - p_j)^n, with p_j the probability of a right sampled answer under exemplar set j. This is what
    SliCK's protocol (n = 16) draws at random; computed, it makes the level reproducible.
    """
    none_right = 1.0
    for p in p_per_set:
        none_right *= (1.0 - p) ** num_samples
    return 1.0 - none_right


def classify(p_greedy: float, p_any_sample: float) -> Level:
    """Level of a fact (SliCK, table 1).

    Args:
        p_greedy: share of exemplar sets whose greedy answer is right, P_correct(T=0).
        p_any_sample: chance that the sampling protocol shows a right answer. In sampling mode it is 1.0 or 0.0
            (seen or not); in exact mode it comes from `chance_of_right_sample` and the rule is >= 1/2.
    """
    if p_greedy >= 1.0:
        return Level.HIGHLY_KNOWN
    if p_greedy > 0.0:
        return Level.MAYBE_KNOWN
    if p_any_sample >= WEAKLY_KNOWN_CHANCE:
        return Level.WEAKLY_KNOWN
    return Level.UNKNOWN


def possible_levels(
    p_greedy: float, p_lower: Sequence[float], p_upper: Sequence[float], num_samples: int
) -> tuple[Level, ...]:
    """The levels that bounds leave possible, worst first: one where they settle it.

    Args:
        p_greedy: share of exemplar sets whose greedy answer is right.
        p_lower: by exemplar set, a lower bound of the probability that a sampled answer is right.
        p_upper: the same, an upper bound.
        num_samples: sampled answers of the protocol under each set.
    """
    low, high = (classify(p_greedy, chance_of_right_sample(bound, num_samples)) for bound in (p_lower, p_upper))
    return (low,) if low is high else (low, high)


def level_probability(p_greedy: float, p_any_sample: float) -> float:
    """Probability in [0, 1] that SliCK's random protocol gives the level of `classify`; 1.0 if nothing is random."""
    if p_greedy > 0.0:
        return 1.0
    return max(p_any_sample, 1.0 - p_any_sample)
