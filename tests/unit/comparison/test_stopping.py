"""When no further round is worth while."""

from __future__ import annotations

import pytest

from gradual.comparison.stopping import RetestNull, Round, paired_gain, stop_reason
from gradual.statistics.intervals import PairedCounts

QUIET = RetestNull(num_promoted=0, num_promotable=100)  # Wilson: at most 3.7 %


def made(promoted: int, gained: int = 45, lost: int = 5) -> Round:
    return Round(promoted, 200, PairedCounts(gained, lost, kept=35, missed=160 - 35 - gained - lost))


def test_a_round_that_promotes_and_gains_goes_on() -> None:
    assert stop_reason(made(30), QUIET) is None


def test_as_many_as_a_retest_may_promote_are_nothing() -> None:
    # 3.8415 / 103.8415 = 3.70 % of 200 facts
    assert stop_reason(made(7), QUIET) == "7 facts came within reach, no more than the 7.4 that may in a retest"
    assert stop_reason(made(8), QUIET) is None


def test_a_noisy_retest_asks_for_more() -> None:
    # 10 of 100: Wilson's upper end is 17.44 %
    assert stop_reason(made(34), RetestNull(10, 100)) is not None
    assert stop_reason(made(35), RetestNull(10, 100)) is None


def test_without_a_retest_no_number_of_promotions_is_enough() -> None:
    assert stop_reason(made(200), RetestNull(0, 0)) is not None


def test_a_gain_that_may_be_none_is_nothing() -> None:
    reason = stop_reason(made(30, gained=10, lost=5), QUIET)
    assert reason is not None
    assert reason.startswith("the gain on the validation facts, [\N{MINUS SIGN}")


def test_a_gain_too_small_for_two_samples_of_facts_is_one_on_the_same_facts() -> None:
    # 12 gained and 2 lost of 160: were the two samples independent, the interval would be (-3.4 %, +15.7 %).
    assert stop_reason(made(30, gained=12, lost=2), QUIET) is None


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        # Worked by hand. Wilson of 8 of 21: (0.2075, 0.5912), of 2 of 21: (0.0265, 0.2891); the correlation is
        # (1 x 12 - 1 x 7) / sqrt(8 x 13 x 2 x 19) = 5 / 62.87, corrected for continuity max(5 - 21 / 2, 0) = 0.
        pytest.param(
            PairedCounts(gained=1, lost=7, kept=1, missed=12),
            -6 / 21 - ((2 / 21 - 0.0265) ** 2 + (0.5912 - 8 / 21) ** 2) ** 0.5,
            -6 / 21 + ((0.2891 - 2 / 21) ** 2 + (8 / 21 - 0.2075) ** 2) ** 0.5,
            id="correlation corrected to nothing",
        ),
        # Wilson of 60 and 70 of 100: (0.5020, 0.6906), (0.6042, 0.7811). (50 x 20 - 20 x 10 - 50) / sqrt(60 x 40 x 70 x
        # 30) = 750 / 2244.99 = 0.33408.
        pytest.param(
            PairedCounts(gained=20, lost=10, kept=50, missed=20),
            0.1 - (0.0958**2 - 2 * 0.33408 * 0.0958 * 0.0906 + 0.0906**2) ** 0.5,
            0.1 + (0.0811**2 - 2 * 0.33408 * 0.0811 * 0.0980 + 0.0980**2) ** 0.5,
            id="correlated",
        ),
        # Altman, Machin, Bryant and Gardner (2000), "Statistics with confidence", chapter 6: 20, 12, 2 and 16 of 50.
        pytest.param(PairedCounts(gained=12, lost=2, kept=20, missed=16), 0.0562, 0.3292, id="published"),
        pytest.param(PairedCounts(0, 0, 0, 0), -1.0, 1.0, id="no facts"),
    ],
)
def test_paired_gain_is_newcombes(counts: PairedCounts, low: float, high: float) -> None:
    assert paired_gain(counts) == pytest.approx((low, high), abs=2e-4)
