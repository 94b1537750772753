"""Options of a stage, from maps to the rows that are trained on; the maps are made up, so that all can be checked.

Two relations: in `a`, two facts were promoted to MaybeKnown, three are Unknown and three HighlyKnown, one of which has
fallen from 0.9 to 0.5. In `b`, one is MaybeKnown, one HighlyKnown (fallen from 0.95 to 0.6), and two are Unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gradual.config.yaml_file import parse_config
from gradual.facts.fact import Fact
from gradual.facts.prepare import Prepared
from gradual.files import storage
from gradual.files.parquet import Column, read_table
from gradual.knowledge.levels import Level
from gradual.knowledge.map import FactKnowledge, KnowledgeMap, MapInfo, SetAnswer
from gradual.models.load import LoadedModel, load_model
from gradual.progress import Silent
from gradual.run.folder import RunDir
from gradual.run.pipeline import fit_loaded
from gradual.run.plan import RunPlan, make_plan
from gradual.run.stages import fact_states, known_ids
from gradual.selection.expressions import FactState
from gradual.selection.strategies import Replay, Strategy, select_facts
from gradual.training.epochs import EpochRecord
from gradual.training.rows import TrainingRows
from gradual.training.train import StageResult

pytestmark = pytest.mark.tiny

U, W, M, H = Level.UNKNOWN, Level.WEAKLY_KNOWN, Level.MAYBE_KNOWN, Level.HIGHLY_KNOWN
MEASURED = {
    "a-0": [(W, 0.1), (M, 0.4)],
    "a-1": [(W, 0.1), (M, 0.6)],
    "a-2": [(U, 0.0), (U, 0.0)],
    "a-3": [(U, 0.0), (U, 0.0)],
    "a-4": [(U, 0.0), (U, 0.0)],
    "a-5": [(H, 0.9), (H, 0.8)],
    "a-6": [(H, 0.9), (H, 0.5)],
    "a-7": [(H, 0.9), (H, 0.9)],
    "b-0": [(M, 0.5), (M, 0.5)],
    "b-1": [(H, 0.95), (H, 0.6)],
    "b-2": [(U, 0.0), (U, 0.0)],
    "b-3": [(U, 0.0), (U, 0.0)],
}
"""Level and probability of each training fact before and after the first stage."""


def test_known_are_the_replayed_facts_and_the_new_ones_that_are_highly_known() -> None:
    states = [
        FactState(f"{level.value[0]}{n}", "r", level, level, level, trained=False) for level in Level for n in (0, 1)
    ]
    strategy = Strategy("", "now in (MaybeKnown, HighlyKnown)", Replay("now == WeaklyKnown", 0.5, "new"), "")
    selection = select_facts(states, strategy, rng_seed=1)
    assert (selection.num_new, selection.num_replay) == (4, 2)
    assert known_ids(selection) == {"H0", "H1", "W0", "W1"}


class Ran(NamedTuple):
    """A run whose second stage has every option."""

    run: RunDir
    rows: list[TrainingRows]
    """What each stage trained on."""
    said: list[str]
    plan: RunPlan
    """The plan of the run afterwards."""


class _Listening(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def fact(fact_id: str) -> Fact:
    return Fact(fact_id, fact_id[0], f"What is {fact_id}?", (f"it {fact_id[0]}",))


def map_of(facts: Sequence[Fact], probe: int) -> KnowledgeMap:
    known = []
    for each in facts:
        level, p = MEASURED.get(each.id, [(U, 0.0)] * 2)[probe]
        right = level is H
        known.append(
            FactKnowledge(
                each.id,
                each.relation,
                each.question,
                each.answers,
                level,
                float(right),
                p,
                p,
                1.0,
                False,
                2.0 + p,
                None,
                (SetAnswer(0, right, None, p, p, 2.0 + p),),
            )
        )
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
            "probe": {"num_exemplar_sets": 1, "num_shots": 1, "max_new_tokens": 4, "tolerance": 0.1},
            "stages": [
                {"strategy": "all"},
                {
                    "select": "now in (MaybeKnown, Unknown)",
                    "replay": {"ratio": 0.25, "choose": "largest_drop"},
                    "placement": "end",
                    "weighting": "p",
                    "max_unknown_share": 0.4,
                    "batch_size": 4,
                    "pack_size": 2,
                    "num_train_epochs": 2,
                },
            ],
        }
    )
    others = {relation: tuple(fact(f"{relation}-x{number}") for number in range(4)) for relation in "ab"}
    held_out = tuple(fact(f"{relation}-y{number}") for relation in "ab" for number in range(2))
    prepared = Prepared(tuple(map(fact, MEASURED)), held_out[:2], held_out[2:], others, 0, ())
    loaded, heard, seen = load_model(config.model), _Listening(), []
    num_probed = 0

    def probe(facts: Sequence[Fact], *_: Any, **settings: Any) -> KnowledgeMap:
        nonlocal num_probed
        num_probed += facts is prepared.train
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
        run = fit_loaded(config, prepared, loaded, tmp_path_factory.mktemp("runs") / "run", progress=heard)
    return Ran(run, seen, heard.lines, make_plan(config, prepared, run.path))


def test_facts_are_seen_as_the_current_and_the_previous_map_have_them(ran: Ran) -> None:
    def measured(state: FactState) -> tuple[Any, ...]:
        return state.before, state.now, state.p_before, state.p, state.margin

    first, second = ({state.id: measured(state) for state in fact_states(ran.run, index)} for index in (1, 2))
    assert first["a-6"] == (H, H, 0.9, 0.9, 2.9)
    assert second["a-6"] == (H, H, 0.9, 0.5, 2.5)
    assert second["a-0"] == (W, M, 0.1, 0.4, 2.4)


def test_options_reach_the_rows_of_their_stage(ran: Ran) -> None:
    plain, rows = ran.rows
    assert (len(plain.facts), plain.at_end, plain.weights) == (12, frozenset(), {})
    # 8 new facts, and 2 replayed for them: those that fell by 0.4 and by 0.35. Beside 3 facts of `a` that are known,
    # 2 may be Unknown (2 of 5); beside 2 of `b`, 1 (1 of 3).
    ids = {each.id for each in rows.facts}
    assert ids > {"a-0", "a-1", "a-6", "b-0", "b-1"}
    assert (len(ids & {"a-2", "a-3", "a-4"}), len(ids & {"b-2", "b-3"}), len(ids)) == (2, 1, 8)
    assert rows.at_end == {"a-6", "b-1"}
    # The sum of p is 0.4 + 0.6 + 0.5 + 0.5 + 0.6 = 2.6, the mean 2.6 / 8 = 0.325.
    known = {"a-0": 0.4, "a-1": 0.6, "a-6": 0.5, "b-0": 0.5, "b-1": 0.6}
    assert rows.weights == pytest.approx({each: known.get(each, 0.0) / 0.325 for each in ids})
    order = [e.fact_id for step in range(rows.steps_per_epoch) for pack in rows.step(0, step) for e in pack.examples]
    assert set(order[-2:]) == rows.at_end


def test_run_tells_what_was_left_out_and_what_has_no_weight(ran: Ran) -> None:
    summary = storage.read_json(ran.run.stage_summary(2))
    names = ("num_new", "num_replay", "replay_wanted", "promoted_trained", "unknown_left_out")
    assert [summary[name] for name in names] == [6, 2, 2, 2, 2]
    assert storage.read_json(ran.run.stage_summary(1))["unknown_left_out"] == 0
    table = read_table(ran.run.selection(2), [Column(name, "text") for name in ("role", "reason")])
    assert dict(zip(table["role"], table["reason"], strict=True)) == {
        "new": "matches now in (MaybeKnown, Unknown)",
        "replay": "replayed, 2 of 4 facts, from now == HighlyKnown, largest_drop first",
    }
    warnings = [line for line in ran.said if line.startswith("warning")]
    assert warnings == ["warning: stage 2: 3 of 8 facts have weight 0 by weighting p; nothing is learnt from them"]


def test_plan_of_known_maps_tells_what_the_stage_did(ran: Ran) -> None:
    plain, stage = ran.plan.stages
    # Rows of 2 facts: 4 and 2 that are not known, in 2 + 1 rows, and 1 + 1 known ones; 2 rows a step, 2 epochs.
    assert (stage.num_facts, stage.max_steps, stage.is_estimate) == (8, 6, False)
    assert stage.replay == "0.25 of the new, from now == HighlyKnown, largest_drop first"
    assert stage.options == (
        "known facts at the end of each epoch: 2",
        "loss weighted by p; 3 have weight 0",
        "at most 0.4 of a relation's facts Unknown: 2 left out",
    )
    assert plain.options == ()
