"""How sure a share or a difference is: intervals of one measurement and paired tests.

Knows counts only, no facts and no files. Every function names its source.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple, TypeVar

_Value = TypeVar("_Value")


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


class Accuracy(NamedTuple):
    """A share of right answers with its Wilson interval."""

    correct: int
    total: int
    accuracy: float | None
    """correct / total in [0, 1]; None where nothing was asked."""
    low: float
    high: float


class PairedCounts(NamedTuple):
    """What became of the same facts between two measurements."""

    gained: int
    """Wrong, then right."""
    lost: int
    """Right, then wrong."""
    kept: int
    """Right both times."""
    missed: int
    """Wrong both times."""

    @property
    def total(self) -> int:
        """All facts."""
        return self.gained + self.lost + self.kept + self.missed


def wilson(correct: int, total: int, *, confidence: float = 0.95) -> Interval:
    """Wilson score interval of a share, within [0, 1]; (0, 1) when `total` is 0.

    (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n), without continuity correction.
    Wilson (1927), "Probable inference, the law of succession, and statistical inference", JASA 22.

    Raises:
        ValueError: not 0 <= correct <= total.
    """
    if not 0 <= correct <= total:
        raise ValueError(f"expected 0 <= correct <= total, found correct={correct}, total={total}")
    if total == 0:
        return Interval(0.0, 1.0)
    z = _two_sided_z(confidence)
    p = correct / total
    centre = p + z * z / (2 * total)
    half = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    low = 0.0 if correct == 0 else (centre - half) / scale
    high = 1.0 if correct == total else (centre + half) / scale
    return Interval(low, high)


def accuracy(verdicts: Iterable[bool]) -> Accuracy:
    """Share of right answers among `verdicts`, with its 95 % Wilson interval."""
    seen = list(verdicts)
    correct, total = sum(seen), len(seen)
    return Accuracy(correct, total, correct / total if total else None, *wilson(correct, total))


def paired_counts(before: Mapping[str, bool], after: Mapping[str, bool]) -> PairedCounts:
    """How the verdicts on the same facts, by id, changed.

    Raises:
        ValueError: the two hold different ids.
    """
    pairs = value_pairs(before, after)
    return PairedCounts(
        gained=pairs.count((False, True)),
        lost=pairs.count((True, False)),
        kept=pairs.count((True, True)),
        missed=pairs.count((False, False)),
    )


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided p-value in (0, 1] of McNemar's test; 1.0 when nothing changed.

    min(1, 2 P(X <= min(gained, lost))) with X ~ Binomial(gained + lost, 1/2).
    McNemar (1947), Psychometrika 12, in the exact conditional form.

    Raises:
        ValueError: a count is negative.
    """
    if gained < 0 or lost < 0:
        raise ValueError(f"expected counts of at least 0, found gained={gained}, lost={lost}")
    changed = gained + lost
    tail, term = 0, 1
    for k in range(min(gained, lost) + 1):
        tail += term
        term = term * (changed - k) // (k + 1)
    # Whole numbers until the one division: no rounding, however many facts changed.
    p_value: float = 2 * tail / 2**changed
    return min(1.0, p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for testing several hypotheses at once, in the order given; each in [0, 1].

    The i-th smallest of m is multiplied by m - i + 1, made monotone and cut at 1.
    Holm (1979), "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def smallest_visible_difference(num_facts: int, discordant_share: float, *, power: float) -> float | None:
    """The smallest difference in accuracy, in (0, 1], that McNemar's test on `num_facts` facts sees with `power`.

    None when no difference can be seen: it would have to be larger than the share of facts that change at all.
    The d that solves n = (z_a sqrt(s) + z_b sqrt(s - d^2))^2 / d^2 with s the discordant share:
    Connor (1987), "Sample size for testing differences in proportions for the paired-sample design", Biometrics 43.

    Args:
        num_facts: facts measured both times.
        discordant_share: share of them, in (0, 1], whose verdict changes in either direction.
        power: chance in [0.5, 1) of a result with p < 0.05 (two-sided) when the difference is real.

    Raises:
        ValueError: an argument is out of its range.
    """
    if num_facts < 1 or not 0 < discordant_share <= 1 or not 0.5 <= power < 1:
        raise ValueError(
            "expected num_facts >= 1, discordant_share in (0, 1] and power in [0.5, 1), "
            f"found {num_facts}, {discordant_share} and {power}"
        )
    z_a, z_b = _two_sided_z(0.95), NormalDist().inv_cdf(power)
    if num_facts < z_a * z_a:  # not even a change of every fact in one direction would be significant
        return None
    numerator = z_a * math.sqrt(num_facts) + z_b * math.sqrt(num_facts - z_a * z_a + z_b * z_b)
    difference = math.sqrt(discordant_share) * numerator / (num_facts + z_b * z_b)
    return difference if difference <= discordant_share else None


def facts_to_see(difference: float, discordant_share: float, *, power: float) -> int:
    """How many facts McNemar's test needs to see a difference in accuracy with `power`; at least 4.

    n = (z_a sqrt(s) + z_b sqrt(s - d^2))^2 / d^2, rounded up: what `smallest_visible_difference` solves for d.

    Args:
        difference: d, above 0 and at most `discordant_share`.
        discordant_share: share s of the facts, in (0, 1], whose verdict changes in either direction.
        power: chance in [0.5, 1) of a result with p < 0.05 (two-sided) when the difference is real.

    Raises:
        ValueError: an argument is out of its range.
    """
    if not 0 < difference <= discordant_share <= 1 or not 0.5 <= power < 1:
        raise ValueError(
            "expected 0 < difference <= discordant_share <= 1 and power in [0.5, 1), "
            f"found {difference}, {discordant_share} and {power}"
        )
    z_a, z_b = _two_sided_z(0.95), NormalDist().inv_cdf(power)
    top = z_a * math.sqrt(discordant_share) + z_b * math.sqrt(discordant_share - difference * difference)
    return max(4, math.ceil((top / difference) ** 2))


def _two_sided_z(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"expected a confidence between 0 and 1, found {confidence}")
    return NormalDist().inv_cdf((1 + confidence) / 2)


def value_pairs(before: Mapping[str, _Value], after: Mapping[str, _Value]) -> list[tuple[_Value, _Value]]:
    """The two values of each id.

    Raises:
        ValueError: the ids differ.
    """
    if before.keys() != after.keys():
        odd = sorted(before.keys() ^ after.keys())
        raise ValueError(f"expected the same facts on both sides, found {len(odd)} on one only, such as {odd[0]!r}")
    return [(before[key], after[key]) for key in before]
