"""Options of a stage, from maps to the rows that are trained on; the maps are made up, so that all can be checked.

Two relations: in `a`, two facts were promoted to MaybeKnown, three are Unknown and three HighlyKnown. In `b`, one is
MaybeKnown, one HighlyKnown, and two are Unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.support.maps import known_fact

from gradual.config.yaml_file import parse_config
from gradual.facts.fact import Fact
from gradual.facts.prepare import RunFacts
from gradual.files import storage
from gradual.files.parquet import Column, read_table
from gradual.knowledge.levels import Level
from gradual.knowledge.map import KnowledgeMap, MapInfo
from gradual.models.load import LoadedModel, load_model
from gradual.progress import Silent
from gradual.run.folder import RunDir
from gradual.run.pipeline import fit_loaded
from gradual.run.planning.plan import RunPlan, make_plan
from gradual.run.stage_selection import fact_states
from gradual.training.epochs import EpochRecord
from gradual.training.rows import TrainingRows
from gradual.training.train import StageResult

pytestmark = pytest.mark.tiny

U, W, M, H = Level.UNKNOWN, Level.WEAKLY_KNOWN, Level.MAYBE_KNOWN, Level.HIGHLY_KNOWN
LEVELS = {
    **dict.fromkeys(("a-0", "a-1"), (W, M)),
    **dict.fromkeys(("a-2", "a-3", "a-4", "b-2", "b-3"), (U, U)),
    **dict.fromkeys(("a-5", "a-6", "a-7", "b-1"), (H, H)),
    "b-0": (M, M),
}
"""Level of each training fact before and after the first stage."""


class Ran(NamedTuple):
    """A run whose second stage has every option."""

    run: RunDir
    rows: list[TrainingRows]
    """What each stage trained on."""
    plan: RunPlan
    """The plan of the run afterwards."""


def fact(fact_id: str) -> Fact:
    return Fact(fact_id, fact_id[0], f"What is {fact_id}?", (f"it {fact_id[0]}",))


def map_of(facts: Sequence[Fact], probe: int) -> KnowledgeMap:
    known = [replace(known_fact(each.id, LEVELS.get(each.id, (U, U))[probe]), relation=each.relation) for each in facts]
    return KnowledgeMap(tuple(known), (), MapInfo({}, {}))


@contextmanager
def as_it_is(loaded: LoadedModel, adapter: Path | None) -> Iterator[LoadedModel]:
    yield loaded


@pytest.fixture(scope="module")
def ran(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    config = parse_config(
        {
            "model": {"name_or_path": str(tiny_folder), "dtype": "float32", "device": "cpu"},
            "facts": "made up",
            "evaluation": {"drift": False},
            "probe": {"num_exemplar_sets": 1, "num_shots": 1, "max_new_tokens": 4, "tolerance": 0.1},
            "stages": [
                {"strategy": "all"},
                {
                    "select": "now in (MaybeKnown, Unknown)",
                    "replay": {"ratio": 0.5},
                    "max_unknown_share": 0.35,
                    "batch_size": 4,
                    "pack_size": 2,
                    "num_train_epochs": 2,
                },
            ],
        }
    )
    others = {relation: tuple(fact(f"{relation}-x{number}") for number in range(4)) for relation in "ab"}
    held_out = tuple(fact(f"{relation}-y{number}") for relation in "ab" for number in range(2))
    run_facts = RunFacts(tuple(map(fact, LEVELS)), held_out[:2], held_out[2:], others, 0, ())
    loaded, seen = load_model(config.model), []
    num_probed = 0

    def probe(facts: Sequence[Fact], *_: Any, **settings: Any) -> KnowledgeMap:
        nonlocal num_probed
        num_probed += facts is run_facts.train
        return map_of(facts, min(num_probed, 2) - 1)

    def train(loaded: Any, rows: TrainingRows, stage: Any, *, folder: Path, on_epoch: Any, **settings: Any) -> Any:
        seen.append(rows)
        for epoch in (0, 1):
            on_epoch(EpochRecord(epoch, None, 0.0, 0.0, None, 0.0, 0.0, 0, 0))
        storage.make_folder(folder / "adapter")
        return StageResult(best_epoch=1, stopped_early=False)

    with pytest.MonkeyPatch.context() as patch:
        for name, stand_in in (("probe_facts", probe), ("train_stage", train), ("with_adapter", as_it_is)):
            patch.setattr(f"gradual.run.pipeline.{name}", stand_in)
        run = fit_loaded(config, run_facts, loaded, tmp_path_factory.mktemp("runs") / "run", progress=Silent())
    return Ran(run, seen, make_plan(config, run_facts, run.path))


def test_facts_are_seen_as_the_current_and_the_previous_map_have_them(ran: Ran) -> None:
    first, second = ({state.id: state for state in fact_states(ran.run, index)} for index in (1, 2))
    assert (first["a-0"].before, first["a-0"].now) == (W, W)
    assert (second["a-0"].first, second["a-0"].before, second["a-0"].now) == (W, W, M)


def test_options_reach_the_rows_of_their_stage(ran: Ran) -> None:
    plain, rows = ran.rows
    assert len(plain.facts) == 12
    # 8 new facts, and all 4 of the pool replayed for them. Beside 5 facts of `a` that are known, 2 may be Unknown (2 of
    # 7); beside 2 of `b`, 1 (1 of 3).
    ids = {each.id for each in rows.facts}
    assert ids > {"a-0", "a-1", "a-5", "a-6", "a-7", "b-0", "b-1"}
    assert (len(ids & {"a-2", "a-3", "a-4"}), len(ids & {"b-2", "b-3"}), len(ids)) == (2, 1, 10)


def test_run_tells_what_was_left_out(ran: Ran) -> None:
    summary = storage.read_json(ran.run.stage_summary(2))
    names = ("num_new", "num_replay", "replay_wanted", "promoted_trained", "unknown_left_out")
    assert [summary[name] for name in names] == [6, 4, 4, 2, 2]
    assert storage.read_json(ran.run.stage_summary(1))["unknown_left_out"] == 0
    table = read_table(ran.run.selection(2), [Column(name, "text") for name in ("role", "reason")])
    assert dict(zip(table["role"], table["reason"], strict=True)) == {
        "new": "matches now in (MaybeKnown, Unknown)",
        "replay": "replayed, 4 of 4 facts, from now == HighlyKnown",
    }


def test_plan_of_known_maps_tells_what_the_stage_did(ran: Ran) -> None:
    plain, stage = ran.plan.stages
    # Rows of 2 facts: 4 of 7 facts and 2 of 3; 2 rows a step, 2 epochs.
    assert (stage.num_facts, stage.max_steps, stage.is_estimate) == (10, 6, False)
    assert stage.replay == "0.5 of the new, from now == HighlyKnown"
    assert stage.options == ("at most 0.35 of a relation's facts Unknown: 2 left out",)
    assert plain.options == ()
