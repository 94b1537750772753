"""The order in which facts are drawn, worked out by hand."""

from __future__ import annotations

import hashlib

from gradual.knowledge.levels import Level
from gradual.selection.expressions import FactState
from gradual.selection.strategies import draw

H = Level.HIGHLY_KNOWN


def test_facts_are_drawn_by_the_hash_of_their_ids() -> None:
    states = [FactState(fact_id, "r", H, H, H, trained=False) for fact_id in "abcdefgh"]
    by_hash = sorted("abcdefgh", key=lambda fact_id: hashlib.sha256(f"seed/{fact_id}".encode()).hexdigest())
    assert by_hash != sorted(by_hash)
    for count in range(10):
        assert [state.id for state in draw(states, count, "seed")] == by_hash[:count]
    assert draw(states[::-1], 8, "seed") == draw(states, 8, "seed")
