"""The crossed bootstrap, against values by hand and against scipy."""

from __future__ import annotations

import pytest

from gradual.statistics.resampling import resampled_change, resampled_mean

TWO = {"a": "r1", "b": "r1", "c": "r2", "d": "r2"}


def test_one_seed_resamples_groups_as_the_bootstrap_of_one_run_does() -> None:
    # Groups of means 0 and 1: a resample's mean is 0, 1/2 or 1 with chances 1/4, 1/2, 1/4.
    values = {"a": 0.0, "b": 0.0, "c": 1.0, "d": 1.0}
    found = resampled_mean([values], TWO)
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)
    assert resampled_mean([values], TWO, confidence=0.4)[1:3] == (0.5, 0.5)
    assert (found.num_groups, found.num_seeds) == (2, 1)


def test_seeds_are_drawn_one_fewer_than_there_are() -> None:
    # All facts of a seed alike: 0, 3 or 6. Two draws of three seeds have the means 0, 1.5, 3, 4.5, 6 with chances 1, 2,
    # 3, 2, 1 of 9, so the middle 60 % reach from 1.5 to 4.5; three draws would reach from 2 to 4 only.
    values = [dict.fromkeys(TWO, value) for value in (0.0, 3.0, 6.0)]
    assert resampled_mean(values, TWO)[:3] == (3.0, 0.0, 6.0)
    assert resampled_mean(values, TWO, confidence=0.6)[1:3] == (1.5, 4.5)


def test_groups_and_seeds_are_drawn_independently() -> None:
    # One draw of two seeds; seed 1 gives 1/2 whatever is drawn, seed 2 gives 0, 1/2 or 1: 1/8, 3/4, 1/8 in all.
    values = [{"a": 0.0, "b": 1.0, "c": 1.0, "d": 0.0}, {"a": 0.0, "b": 0.0, "c": 1.0, "d": 1.0}]
    assert resampled_mean(values, TWO)[:3] == (0.5, 0.0, 1.0)
    assert resampled_mean(values, TWO, confidence=0.7)[1:3] == (0.5, 0.5)


def test_the_p_value_counts_the_resamples_on_the_smaller_side() -> None:
    # A quarter of the resamples has the mean 0, the others more: 2 x 1/4.
    assert resampled_mean([{"a": 0.0, "b": 0.0, "c": 1.0, "d": 1.0}], TWO).p_value == pytest.approx(0.5, abs=0.02)
    assert resampled_mean([dict.fromkeys(TWO, 0.0)], TWO).p_value == 1.0
    never = resampled_mean([dict.fromkeys(TWO, 1.0)], TWO)
    assert never.p_value == pytest.approx(2 / 10_001)


def test_with_one_group_facts_are_resampled() -> None:
    found = resampled_mean([{"a": 0.0, "b": 1.0}], {"a": "r", "b": "r"})
    assert (found.low, found.high, found.num_groups) == (0.0, 1.0, 2)


def test_the_order_of_facts_makes_no_difference() -> None:
    values = {"a": 0.1, "b": -1.0, "c": 1.0, "d": 0.7}
    assert resampled_mean([values], TWO) == resampled_mean([dict(reversed(values.items()))], TWO)


def test_facts_that_only_one_seed_has_count_in_its_draws() -> None:
    assert resampled_mean([{"a": 1.0}, {"c": 0.0, "d": 0.0}], TWO).value == pytest.approx(1 / 3)


def test_agrees_with_scipy_where_groups_are_of_one_size() -> None:
    stats = pytest.importorskip("scipy.stats")
    import numpy as np

    means = [0.1, -0.2, 0.4, 0.05, 0.3, 0.0, 0.25, -0.1, 0.15, 0.2]
    values = {f"f{place}": mean for place, mean in enumerate(means)}
    found = resampled_mean([values], {fact: fact for fact in values})
    expected = stats.bootstrap((means,), np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.01)


def test_a_change_is_of_all_seeds_facts_together() -> None:
    # Below: 1 in each group, so always 2. Above: 3 and 1, so 6, 4 or 2. Changes: 2, 1 or 0 with 1/4, 1/2, 1/4.
    tops = [{"a": 1.0, "b": 2.0, "c": 1.0, "d": 0.0}]
    bottoms = [{"a": 1.0, "b": 0.0, "c": 0.0, "d": 1.0}]
    assert resampled_change(tops, bottoms, TWO)[:4] == (1.0, 0.0, 2.0, None)
    assert resampled_change(tops, bottoms, TWO, confidence=0.4)[1:3] == (1.0, 1.0)


@pytest.mark.parametrize("bottom", [0.0, -1.0])
def test_a_change_is_undefined_where_the_interval_below_reaches_nothing(bottom: float) -> None:
    tops = [{"a": 1.0, "c": 1.0}]
    # A quarter of the resamples draws r2 twice, with nothing to be a share of.
    assert resampled_change(tops, [{"a": 3.0, "c": bottom}], TWO)[:3] == (None, None, None)


def test_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        resampled_mean([], TWO)
    with pytest.raises(ValueError, match="group for each fact, found none for 'x'"):
        resampled_mean([{"x": 1.0}], TWO)
    with pytest.raises(ValueError, match="same facts above and below"):
        resampled_change([{"a": 1.0}], [{"b": 1.0}], TWO)
