"""What answers are worth when a model may refuse: numbers worked out by hand."""

from __future__ import annotations

import pytest

from gradual.statistics.intervals import wilson
from gradual.statistics.measures import NO_GAIN_TO_COMPARE, ratio_of
from gradual.statistics.refusal_scores import (
    TARGETS,
    Reply,
    accuracy_of_answered,
    coverage,
    refusal_rate,
    score,
    scores,
)

RIGHT, REFUSED, WRONG = Reply.RIGHT, Reply.REFUSED, Reply.WRONG
TEN = [RIGHT] * 5 + [REFUSED] * 2 + [WRONG] * 3


def test_coverage_and_accuracy_of_what_is_answered() -> None:
    assert (coverage(TEN).count, coverage(TEN).total, coverage(TEN).share) == (8, 10, 0.8)
    assert (refusal_rate(TEN).count, refusal_rate(TEN).share) == (2, 0.2)
    found = accuracy_of_answered(TEN)
    assert (found.count, found.total, found.share) == (5, 8, 5 / 8)
    assert (found.low, found.high) == wilson(5, 8)
    assert accuracy_of_answered([REFUSED]).share is None


@pytest.mark.parametrize(("target", "cost", "mean"), [(0.5, 1, 0.2), (0.75, 3, -0.4), (0.9, 9, -2.2)])
def test_a_wrong_answer_costs_what_the_target_says(target: float, cost: float, mean: float) -> None:
    assert [score(reply, target) for reply in (RIGHT, REFUSED, WRONG)] == [1.0, 0.0, pytest.approx(-cost)]
    worth = scores({f"f{place}": reply for place, reply in enumerate(TEN)}, target)
    assert sum(worth.values()) / 10 == pytest.approx(mean)  # (5 - 3 cost) / 10
    assert target in TARGETS


def test_who_answers_where_the_chance_is_above_the_target_does_best() -> None:
    # A right answer with a chance of 0.8 is worth 0.8 - 0.2 t / (1 - t): above 0 at 0.75, below at 0.9.
    worth = {t: 0.8 * score(RIGHT, t) + 0.2 * score(WRONG, t) for t in (0.75, 0.8, 0.9)}
    assert worth[0.75] == pytest.approx(0.2)
    assert worth[0.8] == pytest.approx(0.0)
    assert worth[0.9] == pytest.approx(-1.0)


def test_there_is_no_target_of_one() -> None:
    with pytest.raises(ValueError, match="below 1, found 1"):
        score(WRONG, 1.0)


def test_a_ratio_over_seeds_is_that_of_all_facts_together() -> None:
    groups = {"a": "r", "b": "r", "c": "s", "d": "s"}
    answered = [{"a": 1.0, "b": 1.0, "c": 1.0, "d": 0.0}, dict.fromkeys("abcd", 1.0)]
    right = [{"a": 1.0, "b": 0.0, "c": 1.0, "d": 0.0}, {"a": 1.0, "b": 1.0, "c": 0.0, "d": 1.0}]
    found = ratio_of(right, answered, groups)
    assert found.value == pytest.approx(5 / 7)
    assert found.values == pytest.approx((2 / 3, 3 / 4))
    assert found.low is not None
    assert found.low < 5 / 7 < (found.high or 0.0)
    nothing = [dict.fromkeys("abcd", 0.0)]
    assert ratio_of(nothing, nothing, groups).note == NO_GAIN_TO_COMPARE
