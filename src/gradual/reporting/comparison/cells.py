"""Measures as table cells, with the raw numbers behind them, and the phrases that several tables use.

Knows the types of `findings.record` and no table. How a measure is written is said in `statistics.measure_text`.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradual.findings.answer_record import AnswerDifference
from gradual.findings.record import ArmFindings, Comparison, Contrast, GroupName
from gradual.reporting.cells import NOTHING, estimate_cell, text_cell
from gradual.reporting.table import Cell
from gradual.statistics.measure_text import accuracy_text, change_text, count_change_text, count_text, points_text
from gradual.statistics.measures import Measure, Share
from gradual.text import (
    NO_VALUE,
    Estimate,
    decimal,
    interval,
    join_words,
    mean_count,
    p_value,
    plural,
    share_estimate,
    signed_decimal,
)

GROUP_NAMES: dict[GroupName, str] = {
    "trained_stage_1": "trained on in stage 1",
    "trained_later_only": "trained on in a later stage only",
    "never_trained": "never trained on",
}
"""Training facts by what a run trained on, in words."""
FALLS = {"no": "", "perhaps": "▽ perhaps", "yes": "▼ falls"}
"""Marks of groups whose accuracy falls."""
FALLS_NOTE = "▼ falls: the whole interval of the change lies below 0; ▽ perhaps: its mean does."


def facts_text(comparison: Comparison, split: str) -> str:
    """How many facts of a split there are: `640 test facts`."""
    return plural(comparison.num_facts.get(split, 0), f"{'training' if split == 'train' else split} fact")


def seeds_text(seeds: Sequence[int]) -> str:
    """Which seeds something is the mean of: `mean over seeds 1 and 2`."""
    if not seeds:
        return "no finished run"
    return f"mean over seeds {join_words([str(seed) for seed in seeds])}" if len(seeds) > 1 else f"seed {seeds[0]}"


def num_stages(arm: ArmFindings) -> int:
    """Stages that some finished run of the arm came to."""
    return max(len(arm.test) - 1, 0)


def arm_cell(comparison: Comparison, name: str) -> Cell:
    """The name of an arm, strong where it is the main one."""
    return text_cell(name, is_strong=name == comparison.main)


def accuracy_cell(measure: Measure) -> Cell:
    """A share in [0, 1] as a percentage with its interval: `44.8 % [41.0, 48.7]`."""
    return _measure_cell(measure, accuracy_text(measure))


def points_cell(measure: Measure, *, falls: str | None = None) -> Cell:
    """A difference of two shares in percentage points: `+1.9 [-0.2, +3.9]`; `falls` is a key of `FALLS`."""
    cell = _measure_cell(measure, points_text(measure))
    return cell if falls is None else Cell(cell.value, {**cell.raw, "falls": falls}, cell.detail, FALLS[falls])


def change_cell(measure: Measure) -> Cell:
    """A relative change as a percentage: `+22.6 % [+12.4, +36.5]`; `undefined` where it is."""
    return _measure_cell(measure, change_text(measure))


def count_cell(measure: Measure) -> Cell:
    """A number of facts, mean over seeds: `359 [330, 385]`."""
    return _measure_cell(measure, count_text(measure))


def count_change_cell(measure: Measure) -> Cell:
    """A difference of two numbers of facts: `+18.7 [-3.3, +40.7]`."""
    return _measure_cell(measure, count_change_text(measure))


def facts_share_cell(share: Share) -> Cell:
    """A share of facts: `12.3 % [10.0, 14.8]`."""
    words = share_estimate(share.share, share.low, share.high) if share.total else Estimate(NO_VALUE, "")
    raw = {"": share.share, "low": share.low, "high": share.high, "count": share.count, "of": share.total}
    return estimate_cell(words, raw)


def number_estimate_cell(measure: Measure, *, is_signed: bool = False) -> Cell:
    """A number in [0, 1], or a difference of two, with its interval: `0.713 [0.680, 0.745]`."""
    number = (signed_decimal if is_signed else decimal)(measure.value, 3)
    return _measure_cell(measure, Estimate(number, interval(measure.low, measure.high, 3, signed=is_signed)))


def spread_cell(measure: Measure, *, times: float = 1.0, digits: int = 1) -> Cell:
    """Smallest and largest value over seeds, and their standard deviation: `41.0 to 44.8 (sd 1.2)`."""
    known = [value for value in measure.values if value is not None]
    if not known:
        return Cell(NO_VALUE, {"smallest": None, "largest": None, "sd": None})
    low, high = (decimal(times * bound, digits) for bound in (min(known), max(known)))
    deviation = "" if measure.sd is None or low == high else f"(sd {decimal(times * measure.sd, digits)})"
    raw = {"smallest": min(known), "largest": max(known), "sd": measure.sd}
    return Cell(f"{low} to {high}" if low != high else low, raw, deviation)


def mean_cell(measure: Measure) -> Cell:
    """A mean over seeds of a number that nothing is resampled of: `12`, `12.5`."""
    return Cell(mean_count(measure.value), {"": measure.value, "sd": measure.sd})


def sd_cell(measure: Measure, *, digits: int) -> Cell:
    """A mean over seeds with its standard deviation: `0.0123 (sd 0.0010)`."""
    deviation = "" if measure.sd is None else f"(sd {decimal(measure.sd, digits)})"
    return Cell(decimal(measure.value, digits), {"": measure.value, "sd": measure.sd}, deviation)


def contrast_cells(contrast: Contrast | None) -> tuple[Cell, Cell]:
    """The difference in test accuracy, and its p-value with Holm's behind it."""
    return points_cell(contrast.test) if contrast else NOTHING, holm_cell(contrast)


def holm_cell(test: Contrast | AnswerDifference | None) -> Cell:
    """A p-value with Holm's behind it: `0.036 (0.073)`."""
    p, holm = (test.p_value, test.p_holm) if test else (None, None)
    return Cell(p_value(p), {"": p, "Holm": holm}, f"({p_value(holm)})" if holm is not None else "")


def _measure_cell(measure: Measure, words: Estimate) -> Cell:
    return estimate_cell(words, {"": measure.value, "low": measure.low, "high": measure.high, "sd": measure.sd})
