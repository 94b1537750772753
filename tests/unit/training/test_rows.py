"""The rows of a stage: which facts are read when, without a model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gradual.facts.fact import Fact
from gradual.facts.prompts import ChatPrompts, PlainPrompts
from gradual.testing import FakeEngine, toy_facts
from gradual.training.rows import TrainingRows

FACTS = toy_facts(2, 10)


def make_rows(facts: list[Fact] = FACTS, **changes: Any) -> TrainingRows:
    engine = FakeEngine()
    settings: dict[str, Any] = {
        "exemplars": {},
        "style": PlainPrompts(),
        "num_shots": 0,
        "pack_size": 4,
        "batch_size": 8,
        "seed": 1,
    }
    settings |= changes
    return TrainingRows(
        facts=facts,
        encode=lambda texts, add: engine.encode(texts, add_special_tokens=add),
        **settings,
    )


def order(rows: TrainingRows, epoch: int) -> list[str]:
    steps = [rows.step(epoch, step) for step in range(rows.steps_per_epoch)]
    assert rows.step(epoch, rows.steps_per_epoch) == []
    return [example.fact_id for packs in steps for pack in packs for example in pack.examples]


def test_every_epoch_has_every_fact_once_in_another_order() -> None:
    rows = make_rows()
    assert rows.steps_per_epoch == 3  # 3 + 3 rows of at most 4 facts, 2 a step
    for epoch in range(3):
        assert sorted(order(rows, epoch)) == sorted(fact.id for fact in FACTS)
    assert order(rows, 0) != order(rows, 1)
    assert order(rows, 0) == order(make_rows(), 0)


def test_every_token_of_an_answer_has_the_weight_of_its_fact() -> None:
    rows = make_rows(FACTS[:2], weights={"toy-0-0": 0.5, "toy-0-1": 1.5})
    (pack,) = rows.step(0, 0)
    lengths = {fact.id: len(f" {fact.answers[0]}\n") for fact in FACTS[:2]}  # every byte is a token
    expected = [({"toy-0-0": 0.5, "toy-0-1": 1.5}[e.fact_id], lengths[e.fact_id]) for e in pack.examples]
    assert pack.weights() == [weight for weight, length in expected for _ in range(length)]
    assert len(pack.weights()) == len(pack.tree()[1])


def test_fact_is_trained_on_under_its_own_turn_of_the_system() -> None:
    style = ChatPrompts(lambda messages, _: " ".join(each["content"] for each in messages), "<end>", system="Be kind.")
    facts = [replace(FACTS[0], system="Be brief."), FACTS[1]]
    rows = make_rows(facts, style=style)
    (pack,) = rows.step(0, 0)
    expected = {"toy-0-0": f"Be brief. {FACTS[0].question}", "toy-0-1": f"Be kind. {FACTS[1].question}"}
    read = {each.fact_id: each.prompt_ids for each in pack.examples}
    assert read == {name: FakeEngine().encode([text], add_special_tokens=False)[0] for name, text in expected.items()}
    drawn = {each.fact_id: each.token_ids for each in rows.prompts(0, set(expected))[0]}
    assert drawn == read
