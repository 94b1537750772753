"""Single numbers and words as table cells, with the raw values behind them."""

from __future__ import annotations

from collections.abc import Mapping

from gradual.files.storage import JsonScalar
from gradual.reporting.table import Cell
from gradual.text import (
    NO_VALUE,
    Estimate,
    count,
    duration,
    mean_count,
    p_value,
    percent,
    share_estimate,
    signed,
)

NOTHING = Cell(NO_VALUE, {"": None})
"""A cell without a value."""


def text_cell(words: str, *, is_strong: bool = False) -> Cell:
    """Words."""
    return Cell(words, {"": words}, is_strong=is_strong)


def number_cell(value: float | None) -> Cell:
    """A plain count."""
    return Cell(count(value), {"": value})


def signed_cell(value: int) -> Cell:
    """A difference of counts, with its sign."""
    return Cell(signed(value), {"": value})


def course_cell(values: list[str], last: JsonScalar) -> Cell:
    """A number as it went from stage to stage: `7 → 10 → 14`; the raw value is the last."""
    return Cell(" → ".join(values), {"": last})


def time_cell(seconds: float | None) -> Cell:
    """A time: `9 min 40 s`."""
    return Cell(duration(seconds), {"seconds": seconds})


def p_cell(value: float | None) -> Cell:
    """A p-value: `0.034`, `< 0.0001`."""
    return Cell(p_value(value), {"": value})


def count_in_total_cell(number: float, total: float) -> Cell:
    """A count and its share of a total: `106 (98.1 %)`."""
    if not total:
        return Cell(mean_count(number), {"": number, "share": None})
    return Cell(mean_count(number), {"": number, "share": number / total}, f"({percent(number / total)})")


def estimate_cell(words: Estimate, raw: Mapping[str, JsonScalar]) -> Cell:
    """A number with its interval beside it."""
    return Cell(words.number, raw, words.interval)


def share_cell(value: float | None, low: float | None, high: float | None) -> Cell:
    """A share with its interval: `30.8 % [26.9, 35.0]`."""
    return estimate_cell(share_estimate(value, low, high), {"": value, "low": low, "high": high})
