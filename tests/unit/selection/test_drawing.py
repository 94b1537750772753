"""The order in which facts are drawn, worked out by hand."""

from __future__ import annotations

import hashlib

import pytest

from gradual.errors import DataError
from gradual.knowledge.levels import Level
from gradual.selection.expressions import FactState
from gradual.selection.strategies import Order, Replay, Strategy, draw, select_facts

H, M = Level.HIGHLY_KNOWN, Level.MAYBE_KNOWN


def known(fact_id: str, p: float, p_before: float, margin: float, now: Level = H) -> FactState:
    return FactState(fact_id, "r", now, now, now, trained=False, p=p, p_before=p_before, margin=margin)


STATES = [
    known("a", 0.9, 0.9, 1.5),  # as it was
    known("b", 0.8, 0.95, 2.0),  # down by 0.15
    known("c", 0.6, 0.65, 0.25),  # down by 0.05
    known("d", 0.9, 0.5, 0.5),  # up by 0.4
]


@pytest.mark.parametrize(("order", "expected"), [("weakest_margin", "cdab"), ("largest_drop", "bcad")])
def test_order_goes_by_what_was_measured(order: Order, expected: str) -> None:
    for count in range(5):
        assert [state.id for state in draw(STATES, count, "seed", order)] == list(expected[:count])
    assert draw(STATES[::-1], 4, "seed", order) == draw(STATES, 4, "seed", order)


@pytest.mark.parametrize("order", ["random", "weakest_margin", "largest_drop"])
def test_equal_facts_are_drawn_by_the_hash_of_their_ids(order: Order) -> None:
    equal = [known(fact_id, 0.5, 0.5, 1.0) for fact_id in "abcdefgh"]
    by_hash = sorted("abcdefgh", key=lambda fact_id: hashlib.sha256(f"seed/{fact_id}".encode()).hexdigest())
    assert by_hash != sorted(by_hash)
    assert [state.id for state in draw(equal, 8, "seed", order)] == by_hash


@pytest.mark.parametrize(("order", "name"), [("weakest_margin", "margin"), ("largest_drop", "p")])
def test_what_was_not_measured_cannot_be_drawn_by(order: Order, name: str) -> None:
    bare = [FactState("x", "r", H, H, H, trained=False)]
    assert draw(bare, 1, "seed") == bare
    with pytest.raises(DataError, match=f'^fact "x": expected its {name} to draw by, found none'):
        draw(bare, 1, "seed", order)


@pytest.mark.parametrize(("order", "expected"), [("weakest_margin", {"c", "d"}), ("largest_drop", {"b", "c"})])
def test_replay_takes_the_first_of_its_pool(order: Order, expected: set[str]) -> None:
    new = [known(f"n{number}", 0.1, 0.9, 0.0, M) for number in range(4)]  # first in every order, but not in the pool
    replay = Replay("now == HighlyKnown", 0.5, "new", order)
    selection = select_facts([*STATES, *new], Strategy("", "now == MaybeKnown", replay, ""), rng_seed=1)
    replayed = [row for row in selection.rows if row.role == "replay"]
    assert {row.id for row in replayed} == expected
    assert {row.reason for row in replayed} == {f"replayed, 2 of 4 facts, from now == HighlyKnown, {order} first"}
