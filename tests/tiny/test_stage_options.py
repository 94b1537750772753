"""Options of a stage, from the map to the rows that are trained on."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import gradual
from gradual import storage
from gradual.config_file import parse_config
from gradual.expressions import FactState
from gradual.knowledge_map import read_map
from gradual.levels import Level
from gradual.planning import Plan
from gradual.rundir import RunDir
from gradual.selection import Replay, Strategy, select_facts
from gradual.stages import fact_states, known_ids
from gradual.tables import Column, read_table
from gradual.testing import toy_facts
from gradual.training import StageResult, train_stage
from gradual.training_rows import TrainingRows

pytestmark = pytest.mark.tiny


def states() -> list[FactState]:
    """Three facts of each level in one relation, named by its first letter."""
    return [
        FactState(f"{level.value[0]}{number}", "r", level, level, level, trained=False)
        for level in Level
        for number in range(3)
    ]


def test_known_are_the_replayed_facts_and_the_new_ones_that_are_highly_known() -> None:
    new = "now in (MaybeKnown, HighlyKnown)"
    selection = select_facts(states(), Strategy("", new, Replay("now == WeaklyKnown", 0.5, "new"), ""), rng_seed=1)
    assert (selection.num_new, selection.num_replay) == (6, 3)
    assert known_ids(selection) == {"H0", "H1", "H2", "W0", "W1", "W2"}


@pytest.fixture(scope="module")
def ran(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDir, list[TrainingRows], Plan]:
    """A run whose second stage has every option, what its stages trained on, and the plan of it afterwards."""
    facts = tmp_path_factory.mktemp("facts") / "toys.jsonl"
    names = ("id", "relation", "question", "answers")
    facts.write_text(
        "".join(json.dumps({name: getattr(fact, name) for name in names}) + "\n" for fact in toy_facts(2, 40))
    )
    training = {"num_train_epochs": 2, "learning_rate": 0.01, "num_shots": 2, "batch_size": 8}
    config = parse_config(
        {
            "model": {"name_or_path": str(tiny_folder), "dtype": "float32", "device": "cpu"},
            "facts": {"path": str(facts), "splits": {"exemplars_per_relation": 6}},
            "probe": {"num_exemplar_sets": 2, "num_shots": 2, "max_new_tokens": 4},
            "lora": {"r": 4},
            "stages": [
                {"strategy": "all", **training},
                {
                    "select": "promoted",
                    "replay": {"pool": "not promoted", "ratio": 0.9, "choose": "largest_drop"},
                    "placement": "end",
                    "weighting": "1-p",
                    "max_unknown_share": 0.25,
                    **training,
                },
            ],
        }
    )
    seen: list[TrainingRows] = []

    def noting(loaded: Any, rows: TrainingRows, stage: Any, **settings: Any) -> StageResult:
        seen.append(rows)
        return train_stage(loaded, rows, stage, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gradual.pipeline.train_stage", noting)
        run = gradual.fit(config, tmp_path_factory.mktemp("runs") / "run")
    return run, seen, gradual.plan(config, run.path)


def test_facts_are_chosen_by_the_current_and_the_previous_map(ran: tuple[RunDir, list[TrainingRows], Plan]) -> None:
    run = ran[0]
    before, now = read_map(run.probe(0)), read_map(run.probe(1))
    for state in fact_states(run, 2):
        assert (state.p, state.p_before) == (now[state.id].p_sampled, before[state.id].p_sampled)
        assert state.margin == now[state.id].min_margin
    assert all(state.p == state.p_before for state in fact_states(run, 1))


def test_options_reach_the_rows_of_their_stage(ran: tuple[RunDir, list[TrainingRows], Plan]) -> None:
    run, (plain, rows), _ = ran
    assert (plain.at_end, plain.weights) == (frozenset(), {})
    now = read_map(run.probe(1))
    table = read_table(run.selection(2), [Column(name, "text") for name in ("id", "role", "reason")])
    chosen = dict(zip(table["id"], table["role"], strict=True))
    assert {fact.id for fact in rows.facts} == chosen.keys()
    assert {"new", "replay"} == set(chosen.values())
    assert all(
        "largest_drop first" in why for role, why in zip(table["role"], table["reason"], strict=True) if role != "new"
    )
    assert rows.at_end == {
        each for each, role in chosen.items() if role == "replay" or now[each].level is Level.HIGHLY_KNOWN
    }
    mean = sum(1 - now[each].p_sampled for each in chosen) / len(chosen)
    assert rows.weights == pytest.approx({each: (1 - now[each].p_sampled) / mean for each in chosen})


def test_surplus_of_unknown_facts_is_left_out_and_told(ran: tuple[RunDir, list[TrainingRows], Plan]) -> None:
    run, (_, rows), _ = ran
    now = read_map(run.probe(1))
    trained_on = Counter(fact.relation for fact in rows.facts)
    unknown = Counter(fact.relation for fact in rows.facts if now.level_of(fact.id) is Level.UNKNOWN)
    assert all(count <= trained_on[relation] / 4 for relation, count in unknown.items())
    summary = storage.read_json(run.stage_summary(2))
    assert summary["unknown_left_out"] > 0
    assert summary["num_new"] + summary["num_replay"] == len(rows.facts)
    assert summary["num_replay"] == summary["replay_wanted"] - summary["replay_shortfall"]


def test_plan_of_known_maps_tells_what_the_stage_did(ran: tuple[RunDir, list[TrainingRows], Plan]) -> None:
    run, (_, rows), plan = ran
    stage = plan.stages[1]
    assert (stage.num_facts, stage.max_steps) == (len(rows.facts), 2 * rows.steps_per_epoch)
    assert stage.replay == "0.9 of the new, from not promoted, largest_drop first"
    assert stage.options == (
        f"known facts at the end of each epoch: {len(rows.at_end)}",
        "loss weighted by 1-p",
        "at most 0.25 of a relation's facts Unknown: "
        f"{storage.read_json(run.stage_summary(2))['unknown_left_out']} left out",
    )
    assert plan.stages[0].options == ()
    assert all(f"           {option}" in plan.lines() for option in stage.options)
