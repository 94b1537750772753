"""Numbers as a comparison stores them: shares of facts, and what was measured once with each seed.

Types only; `measures` fills them.
"""

from __future__ import annotations

from dataclasses import dataclass

LevelCounts = dict[str, int]
"""Facts by level, all four."""


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many facts, with the 95 % Wilson interval (`statistics.wilson`)."""

    count: int
    total: int
    share: float | None
    """count / total; None where there is no fact."""
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Measure:
    """A number that was measured once with each seed; `values` has the order of the `seeds` beside it."""

    value: float | None
    """Mean over seeds, or, of ratios, that of all seeds' facts together; None where undefined (`note` says why)."""
    low: float | None
    """95 % interval; `note` says where there is none."""
    high: float | None
    sd: float | None
    """Standard deviation over seeds (n - 1); None with fewer than two."""
    values: tuple[float | None, ...]
    note: str = ""
