"""Numbers over seeds in the form that is stored (`Measure`), with the interval that suits each.

Knows values by seed and fact, no files and no arms. The intervals are those of `intervals` and `resampling`; how a
measure is written is said in `measure_text`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import stdev

from gradual.statistics.intervals import accuracy, wilson
from gradual.statistics.resampling import BySeed, Estimation, resampled_change, resampled_mean

ONE_SEED = "one seed: the interval says nothing of what another seed would give"
NO_RUN = "no finished run"
_UNDEFINED = "undefined"
NOT_DEFINED = f"{_UNDEFINED} with some seed"
NO_GAIN_TO_COMPARE = f"{_UNDEFINED}: the interval of what it is a share of reaches 0"


LevelCounts = dict[str, int]
"""Facts by level, all four."""


def share(count: int, total: int) -> Share:
    """So many of so many, with the 95 % Wilson interval; no share of nothing."""
    low, high = wilson(count, total)
    return Share(count, total, count / total if total else None, low, high)


def share_of(verdicts: Iterable[bool]) -> Share:
    """Share of true verdicts, with its 95 % Wilson interval."""
    proportion = accuracy(verdicts)
    return Share(proportion.correct, proportion.total, proportion.accuracy, proportion.low, proportion.high)


def mean_over_seeds(values: Sequence[float | None]) -> Measure:
    """Mean and standard deviation of a number over seeds, without an interval; None is left out."""
    numbers = tuple(None if value is None else float(value) for value in values)
    known = [value for value in numbers if value is not None]
    if not known:
        return Measure(None, None, None, None, numbers, NO_RUN)
    return Measure(math.fsum(known) / len(known), None, None, _sd(known), numbers)


def mean_number(counts: Sequence[int | None], total: int) -> Measure:
    """A number of facts out of `total` over seeds; the interval is Wilson's at the mean, times `total`.

    All seeds count the same facts, so more seeds make it no narrower.
    """
    mean = mean_over_seeds(counts)
    if mean.value is None or total == 0:
        return mean
    low, high = wilson(round(mean.value), total)
    return Measure(mean.value, low * total, high * total, mean.sd, mean.values)


def mean_accuracy(shares: Sequence[Share | None]) -> Measure:
    """An accuracy over seeds; the interval is Wilson's at the mean, for the number of facts of one seed."""
    mean = mean_over_seeds([None if each is None else each.share for each in shares])
    if mean.value is None:
        return mean
    total = max(each.total for each in shares if each is not None)
    low, high = wilson(round(mean.value * total), total)
    return Measure(mean.value, low, high, mean.sd, mean.values)


def differences(after: Sequence[Mapping[str, bool]], before: Sequence[Mapping[str, bool]]) -> list[dict[str, float]]:
    """After minus before by fact and seed, each -1, 0 or 1.

    Raises:
        KeyError: a fact of one is not in the other.
    """
    return [{fact: float(now[fact]) - float(was[fact]) for fact in now} for now, was in zip(after, before, strict=True)]


def mean_of(values: BySeed, groups: Mapping[str, str], *, times: float = 1.0) -> tuple[Measure, Estimation | None]:
    """Mean of a number by fact and seed, times a constant, with its interval; what was resampled stands beside it."""
    if not any(values):
        return EMPTY, None
    estimation = resampled_mean(values, groups)
    by_seed = [times * math.fsum(one.values()) / len(one) if one else None for one in values]
    known = [value for value in by_seed if value is not None]
    note = ONE_SEED if len(values) == 1 else ""
    bounds = [None if bound is None else times * bound for bound in (estimation.value, estimation.low, estimation.high)]
    return Measure(bounds[0], bounds[1], bounds[2], _sd(known), tuple(by_seed), note), estimation


def measure_of(estimation: Estimation, by_seed: Sequence[float | None]) -> Measure:
    """What was resampled as a measure, with the same number of each seed beside it."""
    known = [value for value in by_seed if value is not None]
    note = ONE_SEED if len(by_seed) == 1 else ""
    if estimation.value is None:
        return Measure(None, None, None, None, tuple(by_seed), NOT_DEFINED)
    return Measure(estimation.value, estimation.low, estimation.high, _sd(known), tuple(by_seed), note)


def change_of(tops: BySeed, bottoms: BySeed, groups: Mapping[str, str]) -> Measure:
    """Sum above / sum below - 1 with its interval; undefined where what stands below may be 0 or a loss."""
    if not any(tops):
        return EMPTY
    estimation = resampled_change(tops, bottoms, groups)
    by_seed = tuple(_change(sum(top.values()), sum(bottom.values())) for top, bottom in zip(tops, bottoms, strict=True))
    if estimation.value is None:
        return Measure(None, None, None, None, by_seed, NO_GAIN_TO_COMPARE)
    known = [value for value in by_seed if value is not None]
    return Measure(
        estimation.value, estimation.low, estimation.high, _sd(known), by_seed, ONE_SEED if len(tops) == 1 else ""
    )


def ratio_of(tops: BySeed, bottoms: BySeed, groups: Mapping[str, str]) -> Measure:
    """Sum above / sum below with its interval; undefined where what stands below may be 0.

    Args:
        tops: a number for each fact and seed.
        bottoms: the same, for the same facts.
        groups: the group (relation) of each fact.
    """
    change = change_of(tops, bottoms, groups)
    value, low, high = (None if each is None else each + 1 for each in (change.value, change.low, change.high))
    return replace(
        change,
        value=value,
        low=low,
        high=high,
        values=tuple(each if each is None else each + 1 for each in change.values),
    )


def _change(top: float, bottom: float) -> float | None:
    return top / bottom - 1 if bottom > 0 else None


def _sd(values: Sequence[float]) -> float | None:
    """Standard deviation with n - 1; None with fewer than two values."""
    return stdev(values) if len(values) > 1 else None


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many facts, with the 95 % Wilson interval (`statistics.intervals.wilson`)."""

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

    @property
    def is_undefined(self) -> bool:
        """Whether there is no value because what it is a share of is none, and not because nothing was measured."""
        return self.note.startswith(_UNDEFINED)

    @property
    def reason(self) -> str:
        """Why there is no value or no interval."""
        return self.note.removeprefix(f"{_UNDEFINED}: ")


EMPTY = Measure(None, None, None, None, (), NO_RUN)
