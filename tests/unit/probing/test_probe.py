"""How a probe is divided into units."""

from __future__ import annotations

import pytest

from gradual.facts.fact import Fact
from gradual.probing import probe as probing
from gradual.probing.probe import probe_units
from gradual.testing import toy_facts


def sizes(facts: list[Fact], num_sets: int, scale: int = 1) -> list[list[int]]:
    return [[len(block) for block in blocks] for _, blocks in probe_units(facts, num_sets, scale)]


@pytest.mark.parametrize(
    ("relations", "facts_each", "num_sets", "expected"),
    [
        pytest.param(1, 10, 10, [[4], [4], [2]], id="blocks of a large relation, a unit each"),
        pytest.param(5, 2, 10, [[2, 2], [2, 2], [2]], id="small relations together"),
        pytest.param(5, 1, 10, [[1, 1, 1], [1, 1]], id="as many rows as allowed"),
        pytest.param(3, 4, 1, [[4, 4, 4]], id="few exemplar sets, many relations"),
        pytest.param(2, 4, 100, [[4], [4]], id="a block alone is never too much"),
        pytest.param(0, 0, 10, [], id="nothing"),
    ],
)
def test_units_hold_so_many_prompts_and_rows(
    monkeypatch: pytest.MonkeyPatch, relations: int, facts_each: int, num_sets: int, expected: list[list[int]]
) -> None:
    monkeypatch.setattr(probing, "FACTS_PER_BLOCK", 4)
    monkeypatch.setattr(probing, "PROMPTS_PER_UNIT", 40)
    monkeypatch.setattr(probing, "ROWS_PER_UNIT", 30)
    assert sizes(toy_facts(relations, facts_each), num_sets) == expected


def test_units_may_be_larger_on_larger_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "FACTS_PER_BLOCK", 4)
    monkeypatch.setattr(probing, "PROMPTS_PER_UNIT", 40)
    monkeypatch.setattr(probing, "ROWS_PER_UNIT", 30)
    assert sizes(toy_facts(1, 14), 10, scale=2) == [[4, 4], [4, 2]]
    assert sizes(toy_facts(8, 1), 10, scale=2) == [[1, 1, 1, 1, 1, 1], [1, 1]]


def test_units_do_not_depend_on_the_order_of_facts() -> None:
    facts = toy_facts(3, 60)
    keys = [key for key, _ in probe_units(facts, 10, 1)]
    assert [key for key, _ in probe_units(facts[::-1], 10, 1)] == keys
    assert len(set(keys)) == len(keys) > 1
