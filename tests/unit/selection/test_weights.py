"""Weights of facts by what is known of them, worked out by hand."""

from __future__ import annotations

import pytest

from gradual.errors import TrainingError
from gradual.selection.weights import Weighting, fact_weights

P = {"a": 0.0, "b": 0.25, "c": 0.75, "d": 0.5}


@pytest.mark.parametrize(
    ("weighting", "expected"),
    [
        ("p", [0.0, 0.6667, 2.0, 1.3333]),  # the sum of p is 1.5: times 4 / 1.5
        ("1-p", [1.6, 1.2, 0.4, 0.8]),  # the sum of 1-p is 2.5: times 4 / 2.5
        ("p(1-p)", [0.0, 1.2, 1.2, 1.6]),  # 0, 3/16, 3/16, 4/16, in all 10/16: times 6.4
    ],
)
def test_weights_have_a_mean_of_one(weighting: Weighting, expected: list[float]) -> None:
    assert list(fact_weights(P, weighting).values()) == pytest.approx(expected, abs=1e-4)


def test_no_weighting_and_no_facts_give_no_weights() -> None:
    assert fact_weights(P, "none") == fact_weights({}, "p") == {}


@pytest.mark.parametrize(("weighting", "p"), [("p", 0.0), ("1-p", 1.0), ("p(1-p)", 1.0)])
def test_facts_of_which_none_counts_are_refused(weighting: Weighting, p: float) -> None:
    with pytest.raises(
        TrainingError, match=r"expected a fact with a weight above 0, found none among 2 \(p is [01] for"
    ):
        fact_weights({"a": p, "b": p}, weighting)
