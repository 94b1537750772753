"""Odds ratios against values by hand, published ones and scipy's."""

from __future__ import annotations

import math

import pytest

from gradual.statistics.odds_ratios import TwoByTwo, conditional_odds_ratio, mantel_haenszel

BERKELEY = [
    TwoByTwo(512, 313, 89, 19),
    TwoByTwo(353, 207, 17, 8),
    TwoByTwo(120, 205, 202, 391),
    TwoByTwo(138, 279, 131, 244),
    TwoByTwo(53, 138, 94, 299),
    TwoByTwo(22, 351, 24, 317),
]
"""Men and women admitted and rejected by six departments; Bickel, Hammel & O'Connell (1975), Science 187."""


def test_mantel_haenszel_agrees_with_the_published_example() -> None:
    # R's mantelhaen.test(UCBAdmissions, correct = FALSE), with men first: 0.9046968, 0.7719074 to 1.0603298.
    found = mantel_haenszel(BERKELEY)
    assert (found.odds_ratio, found.low, found.high) == pytest.approx((0.9046968, 0.7719074, 1.0603298), abs=5e-8)
    assert found.p_value == pytest.approx(0.2169, abs=5e-5)  # chi-square 1.5246
    assert (found.num_strata, found.reason) == (6, "")


def test_mantel_haenszel_by_hand() -> None:
    # Stratum 1: 2 1 / 1 4, n = 8; stratum 2: 3 1 / 2 2, n = 8.
    # R = 8/8 + 6/8 = 1.75, S = 1/8 + 2/8 = 0.375.
    # P = 6/8, 5/8; Q = 2/8, 3/8. PR = 0.75 + 0.46875 = 1.21875; PS + QR = 0.09375 + 0.25 + 0.15625 + 0.28125 = 0.78125;
    # QS = 0.03125 + 0.09375 = 0.125.
    found = mantel_haenszel([TwoByTwo(2, 1, 1, 4), TwoByTwo(3, 1, 2, 2)])
    variance = (1.21875 / 1.75**2 + 0.78125 / (1.75 * 0.375) + 0.125 / 0.375**2) / 2
    half = 1.959963984540054 * math.sqrt(variance)
    assert found.odds_ratio == pytest.approx(1.75 / 0.375)
    assert found.low == pytest.approx(1.75 / 0.375 * math.exp(-half))
    assert found.high == pytest.approx(1.75 / 0.375 * math.exp(half))
    # a - E = 2 - 9/8 and 3 - 20/8; V = 3 5 3 5 / (64 7) and 4 4 5 3 / (64 7): chi-square = 1.375^2 / (465/448)
    stats = pytest.importorskip("scipy.stats")
    assert found.p_value == pytest.approx(stats.chi2.sf(1.375**2 * 448 / 465, 1))


def test_one_stratum_has_the_ratio_of_its_products() -> None:
    # With one stratum the variance is Woolf's: 1/a + 1/b + 1/c + 1/d.
    found = mantel_haenszel([TwoByTwo(10, 5, 4, 8)])
    assert found.odds_ratio == pytest.approx(10 * 8 / (5 * 4))
    half = 1.959963984540054 * math.sqrt(1 / 10 + 1 / 5 + 1 / 4 + 1 / 8)
    assert found.high == pytest.approx(4 * math.exp(half))


def test_strata_undo_what_only_relations_cause() -> None:
    # In both strata the odds are equal; joined they look three times as high.
    strata = [TwoByTwo(40, 40, 10, 10), TwoByTwo(2, 18, 8, 72)]
    assert mantel_haenszel(strata).odds_ratio == pytest.approx(1)
    assert mantel_haenszel(strata).p_value == pytest.approx(1)
    assert mantel_haenszel([TwoByTwo(42, 58, 18, 82)]).odds_ratio == pytest.approx(42 * 82 / (58 * 18))


@pytest.mark.parametrize(
    "table",
    [(0, 0, 3, 4), (3, 4, 0, 0), (0, 3, 0, 4), (3, 0, 4, 0), (0, 0, 0, 0)],
    ids=["none linked", "all linked", "none promoted", "all promoted", "nothing"],
)
def test_stratum_that_says_nothing(table: tuple[int, int, int, int]) -> None:
    for found in (mantel_haenszel([TwoByTwo(*table)]), conditional_odds_ratio(TwoByTwo(*table))):
        assert (found.odds_ratio, found.low, found.high, found.p_value, found.num_strata) == (None,) * 4 + (0,)
        assert "no stratum has both" in found.reason
    # Beside others it changes nothing.
    assert mantel_haenszel([*BERKELEY, TwoByTwo(*table)]) == mantel_haenszel(BERKELEY)


def test_infinite_and_zero_have_a_p_value_but_no_interval() -> None:
    infinite, zero = mantel_haenszel([TwoByTwo(3, 2, 0, 5)]), mantel_haenszel([TwoByTwo(0, 5, 3, 2)])
    assert (infinite.odds_ratio, infinite.low, infinite.high) == (None, None, None)
    assert (zero.odds_ratio, zero.low, zero.high) == (0.0, None, None)
    assert infinite.reason.startswith("infinite")
    assert zero.reason.startswith("zero")
    stats = pytest.importorskip("scipy.stats")
    # a - E = 3 - 1.5, V = 5 5 3 7 / (100 9)
    expected = stats.chi2.sf(1.5**2 / (525 / 900), 1)
    assert (infinite.p_value, zero.p_value) == pytest.approx((expected, expected))


def test_conditional_odds_ratio_by_hand() -> None:
    # Margins 2, 2, 2, 2: a is 0, 1 or 2 with weights 1, 4 w, w^2. For a = 1 the likelihood 4w / (1 + 4w + w^2) is
    # largest at w = 1; Fisher's p is 1. The interval has P(a >= 1) = 0.025 at its lower end.
    found = conditional_odds_ratio(TwoByTwo(1, 1, 1, 1))
    assert (found.odds_ratio, found.p_value, found.reason) == (pytest.approx(1), pytest.approx(1), "")
    assert found.low is not None
    low = found.low
    assert (4 * low + low**2) / (1 + 4 * low + low**2) == pytest.approx(0.025)
    assert found.high == pytest.approx(1 / low)


def test_conditional_infinite_ratio_is_json() -> None:
    found = conditional_odds_ratio(TwoByTwo(3, 0, 0, 3))
    assert (found.odds_ratio, found.high) == (None, None)
    assert found.low is not None
    low = found.low  # weights 1, 9 w, 9 w^2, w^3 for a = 0 to 3
    assert low**3 / (1 + 9 * low + 9 * low**2 + low**3) == pytest.approx(0.025)
    assert found.p_value == pytest.approx(2 / 20)  # both extremes of C(6, 3) tables
    assert found.reason.startswith("infinite")


@pytest.mark.parametrize("ratio_of", [conditional_odds_ratio, lambda table: mantel_haenszel([table])])
def test_negative_counts_are_refused(ratio_of) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="at least 0"):
        ratio_of(TwoByTwo(1, 2, -1, 2))
