"""The rows of a stage: which facts are read when, without a model."""

from __future__ import annotations

from typing import Any

from gradual.facts.fact import Fact
from gradual.facts.prompts import PlainPrompts
from gradual.testing import FakeEngine, toy_facts
from gradual.training.rows import TrainingRows

FACTS = toy_facts(2, 10)
KNOWN = frozenset({"toy-0-1", "toy-0-7", "toy-1-0"})


def make_rows(facts: list[Fact] = FACTS, **changes: Any) -> TrainingRows:
    engine = FakeEngine()
    settings: dict[str, Any] = {"num_shots": 0, "pack_size": 4, "batch_size": 8, "seed": 1} | changes
    return TrainingRows(
        facts=facts,
        exemplars={},
        style=PlainPrompts(),
        encode=lambda texts, add: engine.encode(texts, add_special_tokens=add),
        **settings,
    )


def order(rows: TrainingRows, epoch: int) -> list[str]:
    steps = [rows.step(epoch, step) for step in range(rows.steps_per_epoch)]
    assert rows.step(epoch, rows.steps_per_epoch) == []
    return [example.fact_id for packs in steps for pack in packs for example in pack.examples]


def test_known_facts_come_last_in_every_epoch() -> None:
    rows = make_rows(at_end=KNOWN)
    # 8 and 9 others in packs of 4 are 2 + 3 rows, 2 and 1 known facts are 1 + 1 rows: 7 rows, 2 a step.
    assert rows.steps_per_epoch == 4
    for epoch in range(3):
        ids = order(rows, epoch)
        assert sorted(ids) == sorted(fact.id for fact in FACTS)
        assert set(ids[-3:]) == KNOWN
    assert order(rows, 0) != order(rows, 1)


def test_every_token_of_an_answer_has_the_weight_of_its_fact() -> None:
    rows = make_rows(FACTS[:2], weights={"toy-0-0": 0.5, "toy-0-1": 1.5})
    (pack,) = rows.step(0, 0)
    lengths = {fact.id: len(f" {fact.answers[0]}\n") for fact in FACTS[:2]}  # every byte is a token
    expected = [({"toy-0-0": 0.5, "toy-0-1": 1.5}[e.fact_id], lengths[e.fact_id]) for e in pack.examples]
    assert pack.weights() == [weight for weight, length in expected for _ in range(length)]
    assert len(pack.weights()) == len(pack.tree()[1])


def test_mixed_facts_are_ordered_as_if_none_were_known() -> None:
    assert make_rows().steps_per_epoch == 3  # 3 + 3 rows of at most 4 facts, 2 a step
    assert order(make_rows(), 0) == order(make_rows(at_end=frozenset({"another"})), 0)
    assert any(set(order(make_rows(), epoch)[-3:]) != KNOWN for epoch in range(3))
