"""Units are shared out to workers that die, lie or are late; each comes back once, or one line says why not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from tests.support.room import Question, Room

from gradual.config.model import ModelConfig
from gradual.config.run import ProbeConfig
from gradual.engines.engine import Engine
from gradual.errors import GradualError, LaunchError, ModelError, ProbeError
from gradual.facts.fact import by_relation
from gradual.probing import probe as probing
from gradual.probing.probe import probe_facts
from gradual.probing.unit import Unit
from gradual.probing.unit_worker import CrewRunner, UnitWorker
from gradual.testing import FakeEngine, FakeForest, toy_facts
from gradual.workers import crew as crews
from gradual.workers.crew import Crew
from gradual.workers.task import Home

FACTS = tuple(toy_facts(num_relations=6, facts_per_relation=3))
SETTINGS = ProbeConfig(num_exemplar_sets=2, num_shots=1, max_new_tokens=2, num_samples=2, top_k=8)
MODEL = ModelConfig(name_or_path="fake")
HOME = Home({}, ".")


def room_of(*engines: Engine, is_lost: Callable[[Question], bool] = lambda _: False) -> Room:
    return Room([partial(UnitWorker, HOME, MODEL, partial(opened, engine)) for engine in engines], is_lost)


def opened(engine: Engine, _: ModelConfig) -> tuple[Engine, list[str]]:
    return engine, []


@pytest.fixture(autouse=True)
def unit_by_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each relation is a unit of its own."""
    monkeypatch.setattr(probing, "PROMPTS_PER_UNIT", 1)


def runner_of(room: Room, said: list[str] | None = None) -> CrewRunner:
    lines = [] if said is None else said
    return CrewRunner(Crew(room, FakeEngine().fingerprint, say=lines.append), FakeEngine().prompt_style)


def test_the_map_is_that_of_one_process_whatever_is_finished_first() -> None:
    room = room_of(FakeEngine(), FakeEngine())
    runner = runner_of(room)
    found = probe_facts(FACTS, by_relation(FACTS), runner, SETTINGS, seed=1)
    expected = probe_facts(FACTS, by_relation(FACTS), FakeEngine(), SETTINGS, seed=1)
    assert list(found) == list(expected)
    assert found.prompts == expected.prompts
    assert found.info.model == expected.info.model
    assert found.info.cost.tokens_read == expected.info.cost.tokens_read > 0
    assert sum(question.task is not None for question in room.asked) == 6
    # a second probe, as --check makes one, finds the same workers up
    probe_facts(FACTS, by_relation(FACTS), runner, SETTINGS, seed=2)
    assert sum(question.task is None for question in room.asked) == 2


def test_a_unit_whose_worker_dies_is_done_again_and_no_other() -> None:
    dead: list[str] = []

    def is_lost(question: Question) -> bool:
        if question.task is not None and len(dead) < 2 and question.task.key not in dead:
            dead.append(question.task.key)
            return True
        return False

    said: list[str] = []
    room = room_of(FakeEngine(), FakeEngine(), is_lost=is_lost)
    found = probe_facts(FACTS, by_relation(FACTS), runner_of(room, said), SETTINGS, seed=1)
    assert list(found) == list(probe_facts(FACTS, by_relation(FACTS), FakeEngine(), SETTINGS, seed=1))
    asked = [question.task.key for question in room.asked if question.task is not None]
    assert sorted(asked) == sorted([*set(asked), *dead])
    assert sum("a worker was lost; facts" in line and line.endswith(": done again elsewhere") for line in said) == 2


def test_a_unit_that_takes_three_workers_with_it_is_named_and_others_are_kept() -> None:
    kept: dict[str, bytes] = {}

    class Kept:
        def get(self, key: str) -> bytes | None:
            return kept.get(key)

        def put(self, key: str, data: bytes) -> None:
            kept[key] = data

    room = room_of(
        FakeEngine(), FakeEngine(), is_lost=lambda asked: asked.task is not None and "toy-3-1" in asked.task.key
    )
    with pytest.raises(ProbeError, match=r'^facts "toy-3-0" to "toy-3-2": 3 workers were lost over this'):
        probe_facts(FACTS, by_relation(FACTS), runner_of(room), SETTINGS, seed=1, units=Kept())
    assert sum(asked.task is not None and "toy-3-1" in asked.task.key for asked in room.asked) == 3
    assert 0 < len(kept) < 6
    healthy = room_of(FakeEngine())
    found = probe_facts(FACTS, by_relation(FACTS), runner_of(healthy), SETTINGS, seed=1, units=Kept())
    assert list(found) == list(probe_facts(FACTS, by_relation(FACTS), FakeEngine(), SETTINGS, seed=1))
    assert len(kept) == 6


@pytest.mark.parametrize(
    ("engines", "said"),
    [
        ([FakeEngine(seed=7)], "seed is '7' and '0' in this process"),
        ([FakeEngine(words=["red"]), FakeEngine()], "words is 'red' and '' in this process"),
    ],
)
def test_a_worker_with_another_model_than_this_process_is_refused(engines: list[Engine], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        probe_facts(FACTS, by_relation(FACTS), runner_of(room_of(*engines[:1])), SETTINGS, seed=1)


def test_a_worker_that_differs_from_the_first_is_refused_in_what_only_workers_know() -> None:
    first, other = FakeEngine(), FakeEngine()
    first.fingerprint = {**first.fingerprint, "weights": "abc"}
    other.fingerprint = {**other.fingerprint, "weights": "def"}
    room = room_of(first, other)
    room.first_in_first_out = True
    with pytest.raises(ModelError, match="weights is 'def' and 'abc' in the worker on "):
        probe_facts(FACTS, by_relation(FACTS), runner_of(room), SETTINGS, seed=1)


def test_units_are_as_large_as_the_first_worker_says_and_stay_so() -> None:
    small, large = FakeEngine(), FakeEngine()
    large.unit_scale = 100
    room = room_of(small, large)
    runner = runner_of(room)
    assert runner.unit_scale == 100  # the last that was asked answers first
    probe_facts(FACTS, by_relation(FACTS), runner, SETTINGS, seed=1)
    assert runner.unit_scale == 100
    assert sum(asked.task is not None for asked in room.asked) == 1


def test_a_worker_that_dies_while_it_loads_is_given_up_and_the_others_go_on() -> None:
    said: list[str] = []
    room = room_of(FakeEngine(), FakeEngine(), is_lost=lambda asked: asked.worker == 1)
    found = probe_facts(FACTS, by_relation(FACTS), runner_of(room, said), SETTINGS, seed=1)
    assert len(list(found)) == len(FACTS)
    assert room.gone == [1]
    assert [line for line in said if line.startswith("warning: a worker was lost 3 times while it loaded")]


def test_where_all_die_while_they_load_it_ends_with_a_line() -> None:
    with pytest.raises(LaunchError, match="no worker is left: each was lost 3 times in a row"):
        runner_of(room_of(FakeEngine(), FakeEngine(), is_lost=lambda _: True))


def test_what_a_user_can_correct_is_told_with_the_place() -> None:
    class Broken(FakeEngine):
        def new_forest(self, num_rows: int, *, top_k: int) -> FakeForest:
            raise ProbeError("a logit is NaN")

    with pytest.raises(ProbeError, match=r'facts "toy-5-0" to "toy-5-2": a logit is NaN \(on .*, process \d+\)'):
        probe_facts(FACTS[-3:], by_relation(FACTS), runner_of(room_of(Broken())), SETTINGS, seed=1)


def test_that_no_worker_comes_up_is_told_once_and_waited_for() -> None:
    said: list[str] = []
    room = room_of(FakeEngine())
    room.silent_waits = 3
    assert runner_of(room, said).unit_scale == 1
    assert said == ["no worker is up yet; waiting for one to start and load the model"]


def test_an_error_that_is_none_of_ours_is_not_swallowed() -> None:
    def broken(_: ModelConfig) -> tuple[Engine, list[str]]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        UnitWorker(HOME, MODEL, broken).about()
    assert not issubclass(crews.WorkerLostError, GradualError)


def test_a_task_that_gets_further_each_time_may_lose_any_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[Question] = []

    def is_lost(question: Question) -> bool:
        if question.task is not None and len(lost) < 5:
            lost.append(question)
            return True
        return False

    monkeypatch.setattr(Unit, "kept", lambda _: f"{len(lost)} pieces")
    room = room_of(FakeEngine(), is_lost=is_lost)
    found = probe_facts(FACTS[:3], by_relation(FACTS), runner_of(room), SETTINGS, seed=1)
    assert len(list(found)) == 3
    assert len(lost) == 5
