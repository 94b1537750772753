"""Measures and shares as table cells, with the raw numbers behind them, and the phrases that several tables use.

Knows the stored types (`comparison_record`) and no table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradual.findings.record import ArmFindings, Comparison, Contrast, GroupName
from gradual.reporting.table import Cell
from gradual.statistics.measures import Measure, Share
from gradual.text import MINUS, NO_VALUE, count, duration, listed, p_value, percent, plural

NOTHING = Cell(NO_VALUE, {"": None})
"""A cell without a value."""

GROUP_NAMES: dict[GroupName, str] = {
    "trained_stage_1": "trained on in stage 1",
    "trained_later_only": "trained on in a later stage only",
    "never_trained": "never trained on",
}
"""Training facts by what a run trained on, in words."""


def facts_told(comparison: Comparison, split: str) -> str:
    """How many facts of a split there are: `640 test facts`."""
    return plural(comparison.num_facts.get(split, 0), f"{'training' if split == 'train' else split} fact")


def seeds_told(seeds: Sequence[int]) -> str:
    """Which seeds something is the mean of: `mean over seeds 1 and 2`."""
    if not seeds:
        return "no finished run"
    return f"mean over seeds {listed([str(seed) for seed in seeds])}" if len(seeds) > 1 else f"seed {seeds[0]}"


def num_stages(arm: ArmFindings) -> int:
    """Stages that some finished run of the arm came to."""
    return max(len(arm.test) - 1, 0)


def accuracy_cell(measure: Measure) -> Cell:
    """A share in [0, 1] as a percentage with its interval: `44.8 % [41.0, 48.7]`."""
    return _cell(measure, percent(measure.value), _bounds(measure, 100.0, 1))


def points_cell(measure: Measure, *, mark: str = "") -> Cell:
    """A difference of two shares in percentage points: `+1.9 [-0.2, +3.9]`."""
    bounds = _bounds(measure, 100.0, 1, signed=True)
    cell = _cell(measure, _number(measure.value, 100.0, 1, signed=True), bounds)
    return Cell(f"{cell.text}{mark}", {**cell.raw, "flag": mark.strip()} if mark else cell.raw)


def change_cell(measure: Measure) -> Cell:
    """A relative change as a percentage: `+22.6 % [+12.4, +36.5]`; `undefined` where it is."""
    if measure.value is None and measure.note.startswith("undefined"):
        return Cell("undefined", {"": None, "low": None, "high": None, "sd": None})
    shown = percent(measure.value)
    sign = "+" if measure.value is not None and measure.value >= 0 else ""
    return _cell(measure, f"{sign}{shown}", _bounds(measure, 100.0, 1, signed=True))


def count_cell(measure: Measure, *, signed: bool = False) -> Cell:
    """A number of facts, mean over seeds: `359 [330, 385]`; one decimal where seeds differ by less."""
    digits = 0 if measure.value is None or measure.value == round(measure.value) else 1
    return _cell(measure, _number(measure.value, 1.0, digits, signed=signed), _bounds(measure, 1.0, 0, signed=signed))


def time_cell(seconds: float | None) -> Cell:
    """A time: `9 min 40 s`."""
    return Cell(duration(seconds), {"seconds": seconds})


def share_cell(share: Share) -> Cell:
    """A share of facts: `12.3 % [10.0, 14.8]`."""
    shown = f"{percent(share.share)} [{100 * share.low:.1f}, {100 * share.high:.1f}]" if share.total else NO_VALUE
    raw = {"": share.share, "low": share.low, "high": share.high, "count": share.count, "of": share.total}
    return Cell(shown, raw)


def number_cell(value: float | None) -> Cell:
    """A plain count."""
    return Cell(count(value), {"": value})


def p_cell(value: float | None) -> Cell:
    """A p-value: `0.034`, `< 0.0001`."""
    return Cell(p_value(value).removeprefix("=").strip(), {"": value})


def spread_cell(measure: Measure, *, times: float = 1.0, digits: int = 1) -> Cell:
    """Smallest and largest value over seeds, and their standard deviation: `41.0 to 44.8 (sd 1.2)`."""
    known = [value for value in measure.values if value is not None]
    if not known:
        return Cell(NO_VALUE, {"smallest": None, "largest": None, "sd": None})
    low, high = (_number(bound, times, digits) for bound in (min(known), max(known)))
    deviation = "" if measure.sd is None else f" (sd {_number(measure.sd, times, digits)})"
    shown = f"{low} to {high}{deviation}" if low != high else low
    return Cell(shown, {"smallest": min(known), "largest": max(known), "sd": measure.sd})


def contrast_cells(contrast: Contrast | None) -> tuple[Cell, Cell]:
    """The difference in test accuracy, and its p-value with Holm's behind it: `0.036 (0.073)`."""
    if contrast is None:
        return NOTHING, Cell(NO_VALUE, {"": None, "Holm": None})
    held = f" ({p_cell(contrast.p_holm).text})" if contrast.p_holm is not None else ""
    return (
        points_cell(contrast.test),
        Cell(f"{p_cell(contrast.p_value).text}{held}", {"": contrast.p_value, "Holm": contrast.p_holm}),
    )


def _cell(measure: Measure, shown: str, bounds: str) -> Cell:
    raw = {"": measure.value, "low": measure.low, "high": measure.high, "sd": measure.sd}
    return Cell(f"{shown} {bounds}".strip(), raw)


def _bounds(measure: Measure, times: float, digits: int, *, signed: bool = False) -> str:
    if measure.low is None or measure.high is None:
        return ""
    low, high = (_number(bound, times, digits, signed=signed) for bound in (measure.low, measure.high))
    return f"[{low}, {high}]"


def _number(value: float | None, times: float, digits: int, *, signed: bool = False) -> str:
    if value is None or not math.isfinite(value):
        return NO_VALUE
    rounded = round(times * value, digits) + 0.0
    shown = f"{abs(rounded):,.{digits}f}"
    if rounded < 0:
        return f"{MINUS}{shown}"
    return f"+{shown}" if signed and rounded > 0 else shown
