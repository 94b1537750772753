"""How a `Measure` is written: its number and its interval, or that it is undefined.

The forms themselves are those of `text`.
"""

from __future__ import annotations

from gradual.statistics.measures import Measure
from gradual.text import (
    NBSP,
    NO_VALUE,
    Estimate,
    count_change_estimate,
    count_estimate,
    points_estimate,
    share_estimate,
)


def accuracy_text(measure: Measure) -> Estimate:
    """A share: `44.8 % [41.0, 48.7]`."""
    return share_estimate(measure.value, measure.low, measure.high)


def points_text(measure: Measure, *, unit: str = "") -> Estimate:
    """A difference of shares in percentage points: `+1.9 [-0.2, +3.9]`; `unit` stands behind the number."""
    if measure.value is None:
        return Estimate("undefined" if measure.is_undefined else NO_VALUE, "")
    return points_estimate(measure.value, measure.low, measure.high, unit=unit)


def change_text(measure: Measure) -> Estimate:
    """A relative change: `+22.6 % [+12.4, +36.5]`; `undefined` where it is."""
    return points_text(measure, unit=f"{NBSP}%")


def count_text(measure: Measure) -> Estimate:
    """A number of facts, mean over seeds: `359 [330, 385]`."""
    return count_estimate(measure.value, measure.low, measure.high)


def count_change_text(measure: Measure) -> Estimate:
    """A difference of two numbers of facts: `+18.7 [-3.3, +40.7]`."""
    return count_change_estimate(measure.value, measure.low, measure.high)
