"""What an arm of a comparison has to do, piece by piece: each is known once those before it are done.

Decides what runs an arm has; how a piece of work is done says `open_comparison`, and where, `compare` and `spread`.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from gradual.comparison.arms import Arm
from gradual.comparison.folder import ComparisonFolder, ComparisonRequest
from gradual.comparison.stopping import RetestNull, Round, stop_reason
from gradual.config.stage import StageConfig
from gradual.errors import TrainingError
from gradual.knowledge.map import KnowledgeMap, read_map
from gradual.knowledge.transitions import came_within_reach
from gradual.progress import Progress
from gradual.run.folder import RunDir
from gradual.run.stage_files import read_stage, validation_counts
from gradual.run.steps import Step


@dataclass(frozen=True)
class Retest:
    """The base model is asked once more."""

    kind: str
    """One of `folder.RETESTS`."""


@dataclass(frozen=True)
class Fit:
    """A run is made or continued."""

    run: RunDir
    stages: tuple[StageConfig, ...]
    seed: int
    """Of training."""


Work = Fit | Retest


@dataclass(frozen=True)
class ArmWork:
    """The work of arms in a folder."""

    request: ComparisonRequest
    folder: ComparisonFolder
    progress: Progress

    def pieces(self, arm: Arm, seed: int) -> Iterator[Work]:
        """What an arm has to do with a seed, in order; each piece is to be done before the next is asked for.

        Raises:
            TrainingError: the arm was begun with another number of steps.
        """
        stages = list(arm.stages)
        if arm.same_steps_as is not None:
            steps = _num_steps(self.folder.run(arm.same_steps_as, seed))
            if not steps:
                self.progress.say(f"arm {arm.name}, seed {seed}: left out, as {arm.same_steps_as} has trained nothing")
                return
            stages = yield from self._stages_with_steps(arm, seed, stages, steps)
            self._refuse_other_steps(arm, seed, stages)
        if arm.max_stages is not None:
            stages = yield from self._stages_of_rounds(arm, seed, stages)
        yield Fit(self.folder.run(arm.name, seed), tuple(stages), seed)

    def _stages_with_steps(
        self, arm: Arm, seed: int, stages: list[StageConfig], steps: int
    ) -> Generator[Work, None, list[StageConfig]]:
        """The stages with as many steps in the last one as are missing for `steps` in all."""
        if len(stages) > 1:
            run = self.folder.round(arm.name, len(stages) - 1, seed)
            yield Fit(run, tuple(stages[:-1]), seed)
            steps -= _num_steps(run)
        return [*stages[:-1], stages[-1].model_copy(update={"max_steps": max(1, steps)})]

    def _refuse_other_steps(self, arm: Arm, seed: int, stages: Sequence[StageConfig]) -> None:
        run = self.folder.run(arm.name, seed)
        wanted = json.dumps(stages[-1].max_steps)
        if run.info.is_file() and (was := run.fingerprint.get(f"config.stages.{len(stages) - 1}.max_steps")) != wanted:
            raise TrainingError(
                f"{run.path} was begun with {was} steps, as {arm.same_steps_as} took them then; that takes {wanted} "
                f"now - delete {run.path} to train it anew"
            )

    def _stages_of_rounds(
        self, arm: Arm, seed: int, stages: list[StageConfig]
    ) -> Generator[Work, None, list[StageConfig]]:
        """The stages, the last one repeated until a round gained nothing."""
        assert arm.max_stages is not None
        yield Retest("exemplars")
        while True:
            run = self.folder.round(arm.name, len(stages), seed)
            yield Fit(run, tuple(stages), seed)
            reason = self._reason_to_stop(run, len(stages))
            if reason is None and len(stages) >= arm.max_stages:
                reason = f"max_stages is {arm.max_stages}"
            if reason is not None:
                self.progress.say(f"arm {arm.name}, seed {seed}: stops after stage {len(stages)}: {reason}")
                # A stage without facts is no result of the arm, unless it is all there is.
                is_empty = run.status == "nothing_to_train"
                return stages[:-1] if is_empty and len(stages) > 1 else stages
            stages = [*stages, stages[-1]]

    def _reason_to_stop(self, run: RunDir, num_stages: int) -> str | None:
        """Why no further round is worth while, if so."""
        if run.status == "nothing_to_train":
            return "nothing is left to train on"
        if num_stages < 2:
            return None
        before, after = (read_map(run.probe(index), with_answers=False) for index in (num_stages - 1, num_stages))
        validation = [fact.id for fact in self.request.run_facts.validation]
        result = Round(*_within_reach(before, after), validation_counts(run, num_stages, validation))
        return stop_reason(result, self._retest_null(run))

    def _retest_null(self, run: RunDir) -> RetestNull:
        """The same between the base map and the retest with other exemplars."""
        base, again = (
            read_map(folder, with_answers=False) for folder in (run.probe(0), self.folder.retest("exemplars"))
        )
        return RetestNull(*_within_reach(base, again))


def _within_reach(before: KnowledgeMap, after: KnowledgeMap) -> tuple[int, int]:
    """Of the facts of both maps, how many came within reach, and how many were out of it."""
    both = [fact for fact in before if fact.id in after]
    came = came_within_reach(
        {fact.id: fact.level for fact in both}, {fact.id: after.level_of(fact.id) for fact in both}
    )
    return sum(came.values()), len(came)


def _num_steps(run: RunDir) -> int:
    """Optimiser steps that a run took in all its stages."""
    total, index = 0, 1
    while run.is_done(Step("stage", index).name):
        total += round(read_stage(run, index).steps or 0)
        index += 1
    return total
