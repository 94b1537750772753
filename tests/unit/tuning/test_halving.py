"""Which candidates are trained for how long, worked out by hand."""

from __future__ import annotations

import pytest

from gradual.tuning.halving import Rung, Score, halve, rungs


@pytest.mark.parametrize(
    ("num_candidates", "max_epochs", "expected"),
    [
        (7, 8, [(3, 7), (8, 2)]),  # 3 <= 8 < 9: two rungs; 8 / 3 = 2.7 epochs; 7 // 3 = 2 go on
        (9, 9, [(1, 9), (3, 3), (9, 2)]),  # a choice needs two at the end, where Hyperband has 9 // 9 = 1
        (8, 9, [(1, 8), (9, 2)]),  # 8 // 3 = 2 go on, so the rung of 3 epochs would drop nobody
        (4, 4, [(1, 4), (4, 2)]),
        (2, 9, [(9, 2)]),
        (1, 5, [(5, 1)]),
        (6, 2, [(2, 6)]),  # fewer epochs than 3 make one rung
    ],
)
def test_rungs(num_candidates: int, max_epochs: int, expected: list[tuple[int, int]]) -> None:
    assert rungs(num_candidates, max_epochs) == [Rung(*each) for each in expected]


def test_rungs_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="found 0 and 8"):
        rungs(0, 8)
    with pytest.raises(ValueError, match="found 3 and 0"):
        rungs(3, 0)


class Scorer:
    """Says what a table has, and notes what was asked."""

    def __init__(self, table: dict[int, dict[str, float | None]]) -> None:
        self.table = table
        self.asked: list[tuple[int, str]] = []

    def __call__(self, name: str, num_epochs: int) -> Score | None:
        self.asked.append((num_epochs, name))
        value = self.table[num_epochs][name]
        return None if value is None else (value,)


def test_the_better_go_on_and_the_best_at_the_end_is_first() -> None:
    scorer = Scorer({1: {"a": 0.3, "b": 0.1, "c": 0.5, "d": 0.4}, 4: {"c": 0.6, "d": 0.7}})
    assert halve(["a", "b", "c", "d"], 4, scorer) == ["d", "c"]
    assert scorer.asked == [(1, "a"), (1, "b"), (1, "c"), (1, "d"), (4, "c"), (4, "d")]


def test_of_equals_the_one_before_goes_on() -> None:
    scorer = Scorer({1: {"a": 0.2, "b": 0.5, "c": 0.5, "d": 0.5}, 4: {"b": 0.6, "c": 0.6}})
    assert halve(["a", "b", "c", "d"], 4, scorer) == ["b", "c"]


def test_what_cannot_be_trained_is_out_and_leaves_its_place() -> None:
    scorer = Scorer({1: {"a": None, "b": 0.5, "c": 0.4, "d": 0.1}, 4: {"b": None, "c": 0.2}})
    assert halve(["a", "b", "c", "d"], 4, scorer) == ["c"]
    assert halve(["a"], 1, Scorer({1: {"a": None}})) == []
