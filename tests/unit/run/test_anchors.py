"""What the anchors and refusals of a stage do to its facts and rows, on a fake engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gradual.config.stage import AbstainConfig, AnchorConfig, StageConfig
from gradual.errors import DataError, RunDirError
from gradual.facts.prompts import ChatPrompts, PlainPrompts
from gradual.files.units import UnitStore
from gradual.knowledge.levels import Level
from gradual.knowledge.map import read_cost
from gradual.probing.own_answers import OwnAnswer
from gradual.run.anchors.choice import anchor_options, anchor_warnings, with_anchors_and_refusals
from gradual.run.anchors.own_answers import OwnAnswerKey, own_answers, read_own_answers, write_own_answers
from gradual.run.anchors.targets import add_anchor, stage_facts
from gradual.selection.expressions import FactState
from gradual.selection.strategies import Selection, Strategy, select_facts
from gradual.testing import FakeEngine, toy_facts
from gradual.training.rows import TrainingRows

FACTS = toy_facts(2, 6)
LEVELS = [Level.UNKNOWN, Level.MAYBE_KNOWN, Level.MAYBE_KNOWN, Level.UNKNOWN, Level.WEAKLY_KNOWN, Level.HIGHLY_KNOWN]
STATES = [
    FactState(fact.id, fact.relation, level, level, level, False) for fact, level in zip(FACTS, LEVELS * 2, strict=True)
]
ENGINE = FakeEngine()
UNKNOWN = frozenset(state.id for state in STATES if state.now is Level.UNKNOWN)


def select(stage: StageConfig) -> Selection:
    plain = select_facts(STATES, Strategy("", "now == MaybeKnown", None, ""), rng_seed="s")
    return with_anchors_and_refusals(plain, STATES, stage, rng_seed="s")


def stage(**parts: Any) -> StageConfig:
    return StageConfig(strategy="maybe_known", num_train_epochs=2, **parts)


def rows_of(selection: Selection, stage: StageConfig) -> TrainingRows:
    return TrainingRows(
        facts=stage_facts(selection, FACTS, stage, PlainPrompts()),
        exemplars={"toy-0": FACTS[:6], "toy-1": FACTS[6:]},
        style=PlainPrompts(),
        encode=lambda texts, add: ENGINE.encode(texts, add_special_tokens=add),
        num_shots=2,
        pack_size=3,
        batch_size=6,
        seed=1,
    )


def drawn_answers(
    path: Path,
    rows: TrainingRows,
    ids: frozenset[str],
    stage: StageConfig,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[OwnAnswerKey, OwnAnswer]:
    units = UnitStore(path.parent / "units", {})
    return own_answers(path, rows, ids, stage, ENGINE, max_new_tokens=3, seed="s", units=units, progress=progress)


def anchored_rows(path: Path, stage: StageConfig, rows: TrainingRows, selection: Selection) -> TrainingRows:
    def draw(rows: TrainingRows, ids: frozenset[str]) -> dict[OwnAnswerKey, OwnAnswer]:
        return drawn_answers(path, rows, ids, stage)

    return add_anchor(rows, selection, stage, draw)


def examples(rows: TrainingRows, epoch: int) -> list[Any]:
    return [e for step in range(rows.steps_per_epoch) for pack in rows.step(epoch, step) for e in pack.examples]


def test_own_answers_are_trained_on_behind_the_prompts_they_were_drawn_behind(tmp_path: Path) -> None:
    settings = stage(anchor=AnchorConfig(select="now == Unknown", weight=3.0, per_epoch=2))
    selection = select(settings)
    plain = rows_of(selection, settings)
    rows = anchored_rows(tmp_path / "own_answers.parquet", settings, plain, selection)
    kept = read_own_answers(tmp_path / "own_answers.parquet")
    assert {place.fact_id for place in kept} == UNKNOWN
    assert len(kept) == 4 * 2 * 2
    for epoch in (0, 1):
        before, after = examples(plain, epoch), examples(rows, epoch)
        own = [e for e in after if e.fact_id in UNKNOWN]
        assert [e for e in after if e.fact_id not in UNKNOWN] == [e for e in before if e.fact_id not in UNKNOWN]
        prompts = {e.fact_id: e.prompt_ids for e in before}
        asked = {p.fact_id: p.token_ids for pack in plain.prompts(epoch, UNKNOWN) for p in pack}
        assert asked == {fact_id: prompts[fact_id] for fact_id in UNKNOWN}
        assert all(e.prompt_ids == prompts[e.fact_id] for e in own)
        assert {e.weight for e in own} == {1.5}  # 3 for the two answers of a fact together
        for fact_id in UNKNOWN:
            tokens = [tuple(e.completion_ids) for e in own if e.fact_id == fact_id]
            assert tokens == [kept[OwnAnswerKey(epoch, number, fact_id)].tokens for number in (0, 1)]
    assert rows.steps_per_epoch == plain.steps_per_epoch


def test_soft_targets_share_the_weight_of_a_fact_among_its_answers(tmp_path: Path) -> None:
    settings = stage(anchor=AnchorConfig(select="now == Unknown", weight=3.0, per_epoch=2, soft_targets=True))
    selection = select(settings)
    rows = anchored_rows(tmp_path / "own_answers.parquet", settings, rows_of(selection, settings), selection)
    assert rows.kl == dict.fromkeys(UNKNOWN, 1.5)
    assert {e.weight for e in examples(rows, 0) if e.fact_id in UNKNOWN} == {0.0}


def test_drawing_goes_on_where_it_was_stopped_and_says_what_it_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradual.run.anchors.own_answers.PACKS_PER_FOREST", 1)
    settings = stage(anchor=AnchorConfig())
    rows = rows_of(select(settings), settings)
    whole = drawn_answers(tmp_path / "whole" / "own_answers.parquet", rows, UNKNOWN, settings)
    took = read_cost(tmp_path / "whole")
    path = tmp_path / "stopped" / "own_answers.parquet"
    told: list[int] = []

    def stop(number: int) -> None:
        told.append(number)
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drawn_answers(path, rows, UNKNOWN, settings, stop)
    assert not path.exists()
    again: list[int] = []
    assert drawn_answers(path, rows, UNKNOWN, settings, again.append) == whole
    assert sum(again) == len(whole)
    assert 0 < read_cost(path.parent).tokens_read < took.tokens_read


def test_own_answers_are_drawn_once_and_the_same_again(tmp_path: Path) -> None:
    settings = stage(anchor=AnchorConfig())
    selection = select(settings)
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    rows = [anchored_rows(path, settings, rows_of(selection, settings), selection) for path in (first, second)]
    assert first.read_bytes() == second.read_bytes()
    assert examples(rows[0], 1) == examples(rows[1], 1)
    other = {place: OwnAnswer("x", (9, 0)) for place in read_own_answers(first)}
    write_own_answers(first, other)  # whatever is kept is what a killed stage goes on with
    again = anchored_rows(first, settings, rows_of(selection, settings), selection)
    assert {tuple(e.completion_ids) for e in examples(again, 0) if e.fact_id in UNKNOWN} == {(9, 0)}


def test_own_answers_of_another_stage_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    path, settings = tmp_path / "own_answers.parquet", stage(anchor=AnchorConfig())
    write_own_answers(path, {OwnAnswerKey(0, 0, "toy-0-0"): OwnAnswer("x", (9,))})
    with pytest.raises(RunDirError, match="expected 12 answers, found others - remove the file"):
        anchored_rows(path, settings, rows_of(select(settings), settings), select(settings))


def test_kl_holds_facts_that_have_no_loss_of_their_own() -> None:
    settings = stage(anchor=AnchorConfig(kind="kl", select="now == HighlyKnown", weight=0.5))
    selection = select(settings)
    rows = add_anchor(rows_of(selection, settings), selection, settings, lambda *_: pytest.fail("draws nothing"))
    assert rows.kl == {"toy-0-5": 0.5, "toy-1-5": 0.5}
    weights = {e.fact_id: e.weight for e in examples(rows, 0)}
    assert {fact_id for fact_id, weight in weights.items() if not weight} == set(rows.kl)
    assert set(weights.values()) == {0.0, 1.0}


def test_refusals_stand_where_targets_stood() -> None:
    settings = stage(abstain=AbstainConfig(answer="No idea"))
    facts = stage_facts(select(settings), FACTS, settings, PlainPrompts())
    assert {fact.id for fact in facts if fact.answers == ("No idea",)} == UNKNOWN
    assert len(facts) == 4 + 4
    with pytest.raises(DataError, match="control tokens"):
        stage_facts(select(settings), FACTS, settings, ChatPrompts(lambda *_: "", "", control_tokens=("idea",)))


def test_a_stage_with_neither_is_left_as_it_is() -> None:
    settings = stage()
    selection = select(settings)
    rows = rows_of(selection, settings)
    assert add_anchor(rows, selection, settings, lambda *_: pytest.fail("draws nothing")) is rows
    assert anchor_options(settings, selection) == []
    assert anchor_warnings(selection, settings) == []


def test_what_matches_nothing_is_told() -> None:
    settings = stage(anchor=AnchorConfig(select="trained"), abstain=AbstainConfig(select="promoted"))
    selection = select(settings)
    assert anchor_warnings(selection, settings) == [
        "no fact beside those trained on matches anchor.select `trained`: nothing is held",
        "no fact matches abstain.select `promoted`: no refusal is taught",
    ]


def test_a_plan_tells_what_holds_a_stage_and_what_it_refuses() -> None:
    settings = stage(anchor=AnchorConfig(), abstain=AbstainConfig())
    assert anchor_options(settings, select(settings)) == [
        'taught to say "I don\'t know" where now == Unknown: 4',
        "anchored by own_answers where now <= WeaklyKnown: 2",
    ]
    assert anchor_options(stage(anchor=AnchorConfig(kind="l2", weight=0.1)), None) == [
        "weights of the adapter held to where they begin, l2 by 0.1"
    ]
