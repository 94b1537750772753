"""What a plan counts of the anchors of a stage: their rows, their second pass, and drawing own answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.maps import known_fact

from gradual.config.stage import StageConfig
from gradual.config.yaml_file import parse_config
from gradual.facts.prepare import RunFacts
from gradual.knowledge.levels import Level
from gradual.knowledge.map import KnowledgeMap, MapInfo
from gradual.models.load import LoadedModel
from gradual.run.planning.plan import make_plan
from gradual.run.planning.timing import StepTimes
from gradual.testing import toy_facts

pytestmark = pytest.mark.tiny

FACTS = toy_facts(1, 14)
PREPARED = RunFacts(tuple(FACTS[:8]), tuple(FACTS[8:9]), tuple(FACTS[9:10]), {"toy-0": tuple(FACTS[10:])}, 0, ())
KNOWN = KnowledgeMap(
    tuple(
        replace(known_fact(fact.id, Level.MAYBE_KNOWN if place < 4 else Level.UNKNOWN), relation="toy-0")
        for place, fact in enumerate(FACTS[:8])
    ),
    (),
    MapInfo({}, {}),
)
"""Four facts are MaybeKnown, four are Unknown."""
STAGE = {"strategy": "maybe_known", "batch_size": 8, "pack_size": 8, "num_shots": 1, "num_train_epochs": 2}


def settings(folder: Path, *anchors: dict[str, Any] | None) -> Any:
    return parse_config(
        {
            "model": {"name_or_path": str(folder), "dtype": "float32", "device": "cpu"},
            "facts": "made up",
            "probe": {"num_exemplar_sets": 1, "num_shots": 1, "max_new_tokens": 4, "tolerance": 0.1},
            "evaluation": {"drift": False},
            "stages": [STAGE | {"anchor": anchor} for anchor in anchors],
        }
    )


def test_the_rows_of_an_anchor_are_timed(tiny: LoadedModel, tiny_folder: Path) -> None:
    config = settings(tiny_folder, None, {"kind": "own_answers", "per_epoch": 2}, {"kind": "kl", "weight": 0.5})
    plain, own, kl = config.stages
    times = StepTimes(config, PREPARED, KNOWN, tiny)
    assert [len(times.rows(stage).facts) for stage in (plain, own, kl)] == [4, 8, 8]
    (pack,) = times.rows(own).step(0, 0)
    drawn = [each.completion_ids for each in pack.examples if each.fact_id == FACTS[7].id]
    assert [len(tokens) for tokens in drawn] == [4, 4]  # two answers, each as long as can be
    assert drawn[0][0] != drawn[1][0]
    assert times.rows(kl).kl == {fact.id: 0.5 for fact in FACTS[4:8]}
    (_, plain_tokens), (_, own_tokens), (_, kl_tokens) = (times.of(stage) for stage in (plain, own, kl))
    # Each anchor fact adds its question; an own answer of four tokens adds the three that are read.
    assert plain_tokens < kl_tokens
    questions = len(pack.tree()[0]) - 4 * 2 * 3
    assert own_tokens == len(pack.tree()[0]) > questions > 0


def test_a_stage_is_timed_once_with_others_whose_steps_are_alike(
    tiny: LoadedModel, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(tiny_folder, None, None, {"kind": "kl"})
    timed: list[StageConfig] = []
    monkeypatch.setattr("gradual.run.planning.timing.time_one_step", lambda *args: timed.append(args[-1]) or (1.0, 2))
    times = StepTimes(config, PREPARED, KNOWN, tiny)
    assert [times.of(stage) for stage in config.stages] == [(1.0, 2)] * 3
    assert timed == [None, config.stages[2].anchor]


def test_drawing_own_answers_is_training_and_no_probe(tiny_folder: Path) -> None:
    plain = make_plan(settings(tiny_folder, None), PREPARED)
    own = make_plan(settings(tiny_folder, {"kind": "own_answers", "select": "now >= Unknown"}), PREPARED)
    first = make_plan(settings(tiny_folder, {"kind": "kl_first_epoch", "select": "now >= Unknown"}), PREPARED)
    assert own.probe_tokens == plain.probe_tokens
    assert (plain.drawing_tokens, plain.drawing_seconds) == (0, 0.0)
    assert own.drawing_tokens > 0
    assert 0.0 < own.drawing_seconds < own.training_seconds
    assert own.disk_bytes == plain.disk_bytes
    assert plain.memory is not None
    assert first.memory is not None
    assert first.memory.own.training > plain.memory.own.training
    # Of seven adapters, that of the stage and two checkpoints of three each, the first epoch's is an eighth.
    answers = 24 * (2 * 8 + 3 * 1)  # 8 training facts twice, the test fact twice and once for its level
    assert (first.disk_bytes - answers) * 7 == (plain.disk_bytes - answers) * 8
