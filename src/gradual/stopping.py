"""When a further round of looking and training is not worth while.

Knows counts only; `comparison` takes them from the runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gradual.statistics import Interval, wilson


@dataclass(frozen=True, slots=True)
class Round:
    """What a round came to."""

    num_promoted: int
    """Facts that came within reach in the round (`statistics.came_within_reach`)."""
    num_promotable: int
    """Facts that were out of reach before it."""
    right_before: int
    """Validation facts answered rightly before the round."""
    right_after: int
    num_validation: int


@dataclass(frozen=True, slots=True)
class RetestNull:
    """How many facts come within reach by nothing but asking the same model again."""

    num_promoted: int
    num_promotable: int


def stop_reason(made: Round, null: RetestNull) -> str | None:
    """Why no further round is worth while, in words; None where one is.

    It is not when the round brought no more facts within reach than the upper end of the retest null's 95 % interval
    would, or when the 95 % interval of its gain in validation accuracy covers 0. The two accuracies are taken as
    independent, which makes the interval wider than a paired one and stops sooner rather than later.
    """
    most = wilson(null.num_promoted, null.num_promotable).high * made.num_promotable
    if made.num_promoted <= most:
        return f"{made.num_promoted} facts came within reach, no more than the {most:.1f} that may in a retest"
    gain = difference(made.right_before, made.right_after, made.num_validation)
    if gain.low <= 0.0:
        return f"the gain on the validation facts, from {gain.low:+.1%} to {gain.high:+.1%}, may be none"
    return None


def difference(before: int, after: int, total: int) -> Interval:
    """95 % interval of the difference of two shares of `total`, after minus before, taken as independent.

    From the Wilson intervals (l, u) of both: p2 - p1 - sqrt((p2 - l2)^2 + (u1 - p1)^2), and likewise above.
    Newcombe (1998), "Interval estimation for the difference between independent proportions", Statistics in Medicine
    17, method 10.
    """
    one, two = before / total, after / total
    low_1, high_1 = wilson(before, total)
    low_2, high_2 = wilson(after, total)
    return Interval(
        two - one - math.hypot(two - low_2, high_1 - one), two - one + math.hypot(high_2 - two, one - low_1)
    )
