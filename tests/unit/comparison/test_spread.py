"""Which legs of a comparison workers get, and when: what arms share is done once, then all that wait go out at once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gradual.comparison.arm_work import Fit, Retest, Work
from gradual.comparison.spread import Chain, Leg, Spread
from gradual.config.run import RunConfig
from gradual.config.stage import StageConfig
from gradual.config.yaml_file import parse_config
from gradual.errors import TrainingError
from gradual.progress import Silent
from gradual.run.folder import RunDir
from gradual.workers.task import TaskResult

ONE = StageConfig()
S5 = StageConfig(strategy="S5")
S1 = StageConfig(strategy="S1")


def config(**compare: Any) -> RunConfig:
    return parse_config({"model": "m", "facts": "f", "compare": compare})


class Many:
    """Stands for a crew with a worker for every leg: what is sent in a round is finished in the next, in order."""

    def __init__(self, failing: Sequence[str] = ()) -> None:
        self.failing = failing
        self.rounds: list[list[str]] = []
        self._added: list[Leg] = []

    def add(self, legs: Sequence[Leg]) -> None:
        self._added += legs

    def results(self) -> Iterator[TaskResult]:
        while self._added:
            now, self._added = self._added, []
            self.rounds.append([leg.name for leg in now])
            for leg in now:
                failed = "no loss" if leg.name in self.failing else None
                told: Any = {"said": [], "failed": failed, "place": "here"}
                yield TaskResult(leg.key, json.dumps(told).encode())


def chain(name: str, seed: int, *stages: StageConfig, after: str | None = None) -> Chain:
    run = RunDir(Path("runs") / name / str(seed))
    return Chain(f"{name} {seed}", iter([Fit(run, stages, seed)]), after)


def spread(chains: Sequence[Chain], crew: Many, **compare: Any) -> list[str]:
    return Spread(crew, chains, config(**compare), Silent()).all_legs()  # type: ignore[arg-type]


def test_a_shared_stage_is_trained_once_and_then_all_that_wait_for_it_go_out_at_once() -> None:
    crew = Many()
    chains = [chain("one", 42, ONE), chain("S1", 42, ONE, S1), chain("S5", 42, ONE, S5), chain("S5", 43, ONE, S5)]
    assert spread(chains, crew) == []
    assert crew.rounds == [
        ["one 42, before training"],
        ["one 42, stage 1", "S5 43, stage 1"],
        ["S1 42, stage 2", "S5 42, stage 2", "S5 43, stage 2"],
    ]


def test_two_arms_that_are_the_same_have_a_run_each_and_the_second_takes_it_over() -> None:
    crew = Many()
    spread([chain("a", 1, S1), chain("b", 1, S1)], crew)
    assert crew.rounds == [["a 1, before training"], ["a 1, stage 1"], ["b 1, stage 1"]]


def test_each_seed_asks_the_base_model_where_each_has_its_own_exemplars() -> None:
    crew = Many()
    spread([chain("a", 1, S1), chain("a", 2, S1)], crew, redraw_exemplars=True)
    assert crew.rounds == [["a 1, before training", "a 2, before training"], ["a 1, stage 1", "a 2, stage 1"]]


def test_an_arm_waits_for_the_one_it_is_measured_by_and_no_longer() -> None:
    crew = Many()
    asked_at: list[int] = []

    def pieces() -> Iterator[Work]:
        asked_at.append(len(crew.rounds))
        yield Fit(RunDir(Path("runs/as_long/1")), (S1,), 1)

    spread([Chain("as_long 1", pieces(), after="two 1"), chain("two", 1, ONE, S5)], crew)
    assert asked_at == [3]
    assert crew.rounds[3:] == [["as_long 1, stage 1"]]


def test_rounds_wait_for_the_retest_that_another_chain_does() -> None:
    crew = Many()

    def pieces() -> Iterator[Work]:
        yield Retest("exemplars")
        yield Fit(RunDir(Path("rounds/r/1/1")), (ONE,), 1)

    chains = [Chain("retest exemplars", iter([Retest("exemplars")])), Chain("r 1", pieces())]
    spread(chains, crew)
    assert crew.rounds == [["retest exemplars"], ["r 1, before training"], ["r 1, stage 1"]]


def test_an_arm_that_cannot_be_trained_is_told_and_others_try_the_stage_they_share_themselves() -> None:
    crew = Many(failing=["a 1, stage 1", "a 1, stage 2"])

    class Refused:
        def __next__(self) -> Work:
            raise TrainingError("begun with other steps")

        def __iter__(self) -> Iterator[Work]:
            return self

    failures = spread([chain("a", 1, ONE, S1), chain("b", 1, ONE, S5), Chain("c 1", Refused(), after="a 1")], crew)
    assert failures == ["a 1: no loss", "c 1: begun with other steps"]
    assert crew.rounds == [["a 1, before training"], ["a 1, stage 1"], ["b 1, stage 1"], ["b 1, stage 2"]]


def test_losses_over_a_leg_count_only_while_its_run_comes_no_further(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    leg = Leg(Fit(run, (ONE,), 1), None, "key", "a 1, stage 1")
    at_first = leg.kept()
    run.attempts.write_text("a worker began\n")
    assert leg.kept() == at_first
    run.epochs(1).parent.mkdir(parents=True)
    run.epochs(1).write_text("an epoch\n")
    after_one = leg.kept()
    assert after_one != at_first
    run.epochs(1).write_text("an epoch\nanother\n")
    assert leg.kept() != after_one
