"""What a stage of training on invented facts reads."""

from __future__ import annotations

from typing import Any

from gradual.engines.transformers_engine import TransformersEngine
from gradual.facts.prompts import PlainPrompts
from gradual.testing import toy_facts
from gradual.training.rows import TrainingRows


def make_rows(engine: TransformersEngine, **changes: Any) -> TrainingRows:
    facts = toy_facts(2, 20)
    exemplars = {f"toy-{n}": [f for f in facts if f.relation == f"toy-{n}"][12:] for n in range(2)}
    settings: dict[str, Any] = {"num_shots": 2, "pack_size": 4, "batch_size": 8, "seed": 1} | changes
    return TrainingRows(
        facts=[fact for fact in facts if int(fact.id.split("-")[2]) < 10],
        exemplars=exemplars,
        style=PlainPrompts(),
        encode=lambda texts, add: engine.encode(texts, add_special_tokens=add),
        **settings,
    )
