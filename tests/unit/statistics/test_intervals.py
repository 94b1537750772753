"""Intervals, paired tests and gains, against values by hand and against scipy."""

from __future__ import annotations

import json
import math

import pytest

from gradual.knowledge.levels import Level
from gradual.knowledge.transitions import came_within_reach, highly_known_gain, level_counts, transition_counts
from gradual.statistics import intervals as statistics
from gradual.statistics.intervals import (
    accuracy,
    facts_to_see,
    holm,
    mcnemar,
    paired_counts,
    smallest_visible_difference,
    wilson,
)


def test_wilson_by_hand() -> None:
    # p = 1/2, n = 4, z^2 = 3.8415: centre 1/2, half = z sqrt(1/16 + z^2/64) / (1 + z^2/4)
    low, high = wilson(2, 4)
    assert low == pytest.approx(0.1500, abs=1e-4)
    assert high == pytest.approx(0.8500, abs=1e-4)


@pytest.mark.parametrize(("correct", "total"), [(0, 10), (1, 10), (10, 10), (266, 1000), (1, 1), (0, 1), (4999, 5000)])
@pytest.mark.parametrize("confidence", [0.95, 0.99])
def test_wilson_agrees_with_scipy(correct: int, total: int, confidence: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(correct, total).proportion_ci(confidence, method="wilson")
    assert wilson(correct, total, confidence=confidence) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_of_nothing_is_everything() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("correct", "total"), [(-1, 3), (4, 3)])
def test_wilson_refuses_impossible_counts(correct: int, total: int) -> None:
    with pytest.raises(ValueError, match="0 <= correct <= total"):
        wilson(correct, total)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_confidence_is_a_share(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        wilson(1, 2, confidence=confidence)


def test_accuracy_counts_right_verdicts() -> None:
    result = accuracy([True, False, True, False])
    assert (result.correct, result.total, result.accuracy) == (2, 4, 0.5)
    assert (result.low, result.high) == wilson(2, 4)


def test_accuracy_of_nothing_is_undefined() -> None:
    assert accuracy([]) == (0, 0, None, 0.0, 1.0)


def test_paired_counts_tell_gained_from_lost() -> None:
    before = {"a": False, "b": False, "c": True, "d": True, "e": False, "f": True}
    after = {"f": True, "e": True, "d": False, "c": True, "b": True, "a": False}
    assert paired_counts(before, after) == (2, 1, 2, 1)


def test_pairs_need_the_same_facts() -> None:
    with pytest.raises(ValueError, match="1 on one only, such as 'b'"):
        paired_counts({"a": True}, {"a": True, "b": True})
    with pytest.raises(ValueError, match="same facts"):
        transition_counts({"a": Level.UNKNOWN}, {})


@pytest.mark.parametrize(
    ("gained", "lost", "p_value"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 0.0625), (0, 5, 0.0625), (3, 3, 1.0), (4, 1, 0.375), (6, 1, 0.125)],
)
def test_mcnemar_by_hand(gained: int, lost: int, p_value: float) -> None:
    assert mcnemar(gained, lost) == p_value


@pytest.mark.parametrize(("gained", "lost"), [(10, 3), (40, 60), (120, 121), (700, 500), (1500, 1600)])
def test_mcnemar_agrees_with_the_exact_binomial_test(gained: int, lost: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    assert mcnemar(gained, lost) == pytest.approx(stats.binomtest(gained, gained + lost).pvalue, rel=1e-9)


def test_only_what_was_out_of_reach_can_come_within_it() -> None:
    unknown, weak, maybe, high = Level
    before = {"a": unknown, "b": weak, "c": unknown, "d": maybe, "e": weak}
    after = {"a": weak, "b": maybe, "c": high, "d": high}  # a rises and stays out of reach; e was not asked again
    assert came_within_reach(before, after) == {"a": False, "b": True, "c": True}


def test_mcnemar_refuses_negative_counts() -> None:
    with pytest.raises(ValueError, match="lost=-1"):
        mcnemar(3, -1)


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([], []),
        ([0.2], [0.2]),
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.5, 0.9], [1.0, 1.0]),
        ([0.04, 0.001], [0.04, 0.002]),
        ([0.02, 0.02], [0.04, 0.04]),
    ],
)
def test_holm_by_hand(p_values: list[float], adjusted: list[float]) -> None:
    assert holm(p_values) == pytest.approx(adjusted)


def test_level_counts_name_all_levels() -> None:
    counts = level_counts([Level.MAYBE_KNOWN, Level.UNKNOWN, Level.MAYBE_KNOWN])
    assert json.dumps(counts) == '{"Unknown": 1, "WeaklyKnown": 0, "MaybeKnown": 2, "HighlyKnown": 0}'


def test_transition_counts_have_sixteen_cells_that_add_up() -> None:
    before = {"a": Level.UNKNOWN, "b": Level.UNKNOWN, "c": Level.HIGHLY_KNOWN}
    after = {"a": Level.MAYBE_KNOWN, "b": Level.UNKNOWN, "c": Level.MAYBE_KNOWN}
    counts = transition_counts(before, after)
    assert counts[Level.UNKNOWN][Level.MAYBE_KNOWN] == 1
    assert counts[Level.UNKNOWN][Level.UNKNOWN] == 1
    assert counts[Level.HIGHLY_KNOWN][Level.MAYBE_KNOWN] == 1
    cells = [count for row in counts.values() for count in row.values()]
    assert (len(cells), sum(cells)) == (16, 3)


@pytest.mark.parametrize(
    ("counts", "reading_a", "reading_b"),
    [
        ([100, 200, 224], 0.12, 0.24),
        ([0, 100, 124], 0.24, 0.24),
        ([100, 200, 150], -0.25, -0.5),
        ([100, 100, 120], 0.2, None),
        ([100, 90, 120], 1 / 3, None),
        ([0, 0, 5], None, None),
        ([100, 200], None, None),
        ([100, 200, 224, 999], 0.12, 0.24),
    ],
)
def test_both_readings_of_the_gain(counts: list[int], reading_a: float | None, reading_b: float | None) -> None:
    gain = highly_known_gain(counts)
    assert gain.reading_a == (None if reading_a is None else pytest.approx(reading_a))
    assert gain.reading_b == (None if reading_b is None else pytest.approx(reading_b))


@pytest.mark.parametrize(("num_facts", "share", "power"), [(1000, 0.2, 0.8), (200, 0.5, 0.9), (5000, 0.05, 0.8)])
def test_smallest_visible_difference_solves_the_sample_size_formula(num_facts: int, share: float, power: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    difference = smallest_visible_difference(num_facts, share, power=power)
    assert difference is not None
    z_a, z_b = stats.norm.ppf(0.975), stats.norm.ppf(power)
    needed = (z_a * math.sqrt(share) + z_b * math.sqrt(share - difference**2)) ** 2 / difference**2
    assert needed == pytest.approx(num_facts)


def test_smallest_visible_difference_at_even_power_by_hand() -> None:
    # With power 1/2 it is where the test just becomes significant: 1.96 sqrt(0.25 / 100)
    assert smallest_visible_difference(100, 0.25, power=0.5) == pytest.approx(0.098, abs=1e-4)


def test_as_many_facts_are_needed_as_show_the_difference() -> None:
    # With power 1/2: 1.96^2 x 0.25 / 0.098^2 = 99.998
    assert facts_to_see(0.098, 0.25, power=0.5) == 100
    difference = smallest_visible_difference(1000, 0.2, power=0.8)
    assert difference is not None
    assert facts_to_see(difference * 1.000001, 0.2, power=0.8) == 1000
    assert facts_to_see(1.0, 1.0, power=0.8) == 4  # 1.96^2 = 3.84
    with pytest.raises(ValueError, match="difference <= discordant_share"):
        facts_to_see(0.3, 0.2, power=0.8)


def test_too_few_facts_show_no_difference() -> None:
    assert smallest_visible_difference(1, 1.0, power=0.8) is None
    assert smallest_visible_difference(20, 0.05, power=0.8) is None


@pytest.mark.parametrize(
    ("num_facts", "share", "power"), [(0, 0.2, 0.8), (10, 0.0, 0.8), (10, 1.1, 0.8), (10, 0.2, 1.0)]
)
def test_power_refuses_impossible_arguments(num_facts: int, share: float, power: float) -> None:
    with pytest.raises(ValueError, match="num_facts >= 1"):
        smallest_visible_difference(num_facts, share, power=power)


def test_every_public_function_is_documented() -> None:
    public = [value for name, value in vars(statistics).items() if not name.startswith("_") and callable(value)]
    assert all(value.__doc__ for value in public if value.__module__ == statistics.__name__)
