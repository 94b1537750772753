"""When a further round of looking and training is not worth while.

Knows counts only; `comparison.compare` takes them from the runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gradual.statistics.intervals import Interval, PairedCounts, wilson
from gradual.text import interval


@dataclass(frozen=True, slots=True)
class Round:
    """What a round came to."""

    num_promoted: int
    """Facts that came within reach in the round (`transitions.came_within_reach`)."""
    num_promotable: int
    """Facts that were out of reach before it."""
    validation: PairedCounts
    """What became of the validation facts in it."""


@dataclass(frozen=True, slots=True)
class RetestNull:
    """How many facts come within reach by nothing but asking the same model again."""

    num_promoted: int
    num_promotable: int


def stop_reason(result: Round, null: RetestNull) -> str | None:
    """Why no further round is worth while, in words; None where one is.

    It is not when the round brought no more facts within reach than the upper end of the retest null's 95 % interval
    would, or when the 95 % interval of its gain in validation accuracy covers 0.
    """
    most = wilson(null.num_promoted, null.num_promotable).high * result.num_promotable
    if result.num_promoted <= most:
        return f"{result.num_promoted} facts came within reach, no more than the {most:.1f} that may in a retest"
    gain = paired_gain(result.validation)
    if gain.low <= 0.0:
        points = interval(100 * gain.low, 100 * gain.high, signed=True)
        return f"the gain on the validation facts, {points} points, may be none"
    return None


def paired_gain(counts: PairedCounts) -> Interval:
    """95 % interval of the difference of two accuracies on the same facts, after minus before, in [-1, 1].

    From the Wilson intervals (l, u) of both, p1 before and p2 after, and the correlation r of the verdicts:
    p2 - p1 - sqrt((p2 - l2)^2 - 2 r (p2 - l2) (u1 - p1) + (u1 - p1)^2), and likewise above.
    Newcombe (1998), "Improved confidence intervals for the difference between binomial proportions based on paired
    data", Statistics in Medicine 17, method 10. No facts: (-1, 1), for nothing is known.
    """
    total = counts.total
    if not total:
        return Interval(-1.0, 1.0)
    before, after = counts.kept + counts.lost, counts.kept + counts.gained
    one, two = before / total, after / total
    low_1, high_1 = wilson(before, total)
    low_2, high_2 = wilson(after, total)
    correlation = _correlation(counts)

    def width(down: float, up: float) -> float:
        return math.sqrt(max(0.0, down * down - 2 * correlation * down * up + up * up))

    return Interval(two - one - width(two - low_2, high_1 - one), two - one + width(high_2 - two, one - low_1))


def _correlation(counts: PairedCounts) -> float:
    """Of the verdicts before and after; a positive one is corrected for continuity, as the method has it."""
    gained, lost, kept, missed = counts
    product = (kept + gained) * (missed + lost) * (kept + lost) * (missed + gained)
    if not product:
        return 0.0
    top = kept * missed - gained * lost
    return (max(top - counts.total / 2, 0.0) if top > 0 else top) / math.sqrt(product)
