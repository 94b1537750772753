"""When no further round is worth while."""

from __future__ import annotations

import pytest

from gradual.stopping import RetestNull, Round, difference, stop_reason

QUIET = RetestNull(num_promoted=0, num_promotable=100)  # Wilson: at most 3.7 %


def made(promoted: int, right_before: int = 40, right_after: int = 80) -> Round:
    return Round(promoted, 200, right_before, right_after, 160)


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
    reason = stop_reason(made(30, right_before=40, right_after=46), QUIET)
    assert reason is not None
    assert reason.startswith("the gain on the validation facts, from -")


def test_difference_is_newcombes() -> None:
    # Newcombe (1998), table II, row (a), method 10: 56/70 - 48/80; here with equal totals, worked by hand:
    # 10 and 20 of 50: Wilson (0.1124, 0.3304) and (0.2761, 0.5382).
    low, high = difference(10, 20, 50)
    assert low == pytest.approx(0.2 - ((0.4 - 0.2761) ** 2 + (0.3304 - 0.2) ** 2) ** 0.5, abs=2e-4)
    assert high == pytest.approx(0.2 + ((0.5382 - 0.4) ** 2 + (0.2 - 0.1124) ** 2) ** 0.5, abs=2e-4)
