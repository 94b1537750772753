"""What a run took, step by step: the type of `cost.json`, and how it is counted from the run folder."""

from __future__ import annotations

from gradual.files.typed_json import FilePart, read_typed
from gradual.knowledge.map import read_cost
from gradual.run.folder import RunDir
from gradual.run.stage_files import EpochTimes, read_epoch_times, read_stage
from gradual.run.steps import Step, possible_steps


class StepCost(FilePart):
    """What one step of the run took."""

    name: str
    """The step's `label`."""
    seconds: float | None = None
    tokens: int | None = None
    """Read by a probe, trained on by a stage."""


class StageCost(FilePart):
    """What one stage of training took, scoring of its epochs included."""

    seconds: float | None = None
    seconds_per_step: float | None = None
    """Of training alone, for each optimiser step."""


class RunCost(FilePart):
    """`cost.json`."""

    total_seconds: float | None = None
    """Of all steps."""
    steps: tuple[StepCost, ...] = ()
    """In the order they were done."""
    stages: tuple[StageCost, ...] = ()


def count_cost(run: RunDir, num_stages: int) -> RunCost:
    """What the steps of a run of so many stages took, as far as they are finished.

    An epoch that a kill made necessary twice counts twice, a probe from where it was last continued.

    Raises:
        RunDirError: a file of the run is damaged.
    """
    steps: list[StepCost] = []
    stages: list[StageCost] = []
    for step in possible_steps(num_stages):
        if step.kind == "stage" and run.stage_summary(step.stage).is_file():
            times = read_epoch_times(run, step.stage)
            stages.append(stage_cost(times))
            tokens = round(read_stage(run, step.stage).tokens or 0)
            steps.append(StepCost(name=step.label, seconds=stages[-1].seconds, tokens=tokens))
        elif (last := step.last_file(run)) is not None and last.is_file():
            steps.append(_map_cost(step, run))
    total = sum(step.seconds or 0.0 for step in steps)
    return RunCost(total_seconds=total, steps=tuple(steps), stages=tuple(stages))


def read_run_cost(run: RunDir) -> RunCost | None:
    """What `cost.json` says; None where there is none.

    Raises:
        RunDirError: it is damaged.
    """
    return read_typed(run.cost, RunCost) if run.cost.is_file() else None


def _map_cost(step: Step, run: RunDir) -> StepCost:
    cost = read_cost(step.folder(run))
    return StepCost(name=step.label, seconds=cost.seconds, tokens=cost.tokens_read)


def stage_cost(times: list[EpochTimes]) -> StageCost:
    """What the epochs of a stage took together."""
    training, scoring = sum(each.seconds for each in times), sum(each.eval_seconds for each in times)
    num_steps = sum(each.steps for each in times)
    return StageCost(seconds=training + scoring, seconds_per_step=training / num_steps if num_steps else 0.0)
