"""The folder of a comparison: where its runs, retests and results lie, what was planned, and what is asked for now."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from gradual.comparison.arms import Arm
from gradual.config.base import setting_of_stage, settings_that_matter
from gradual.config.run import RunConfig
from gradual.errors import RunDirError
from gradual.facts.prepare import RunFacts
from gradual.files.folder_guard import list_differences, refuse_other_fingerprint
from gradual.files.typed_json import FilePart, read_typed
from gradual.run.folder import RunDir
from gradual.run.steps import Step
from gradual.text import join_words

PLAN_FILE = "comparison_plan.json"
RETESTS = ("again", "exemplars", "numerics")
"""What is changed when the base model is probed once more.

again: nothing but the seed of sampled answers. exemplars: other exemplars. numerics: another number format. The last
two also ask other facts beside a fact; they draw sampled answers with the same seed.
"""


_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


_HOLD_RUNS = ("runs", "rounds")
"""Folders that hold one for each arm (`ComparisonFolder`)."""


class PlannedArm(FilePart):
    """One arm as the plan names it."""

    name: _Name
    doc: str = ""
    same_steps_as: str | None = None
    num_stages: int | None = None


class ComparisonPlan(FilePart):
    """`comparison_plan.json`: the arms in order of display, and what is held against what."""

    arms: list[PlannedArm]
    seeds: list[int]
    reference: str
    main: str
    model: str = ""
    """The model that all arms start from, as the settings name it."""
    fingerprint: dict[str, str] = {}
    """Everything that can change a result of any run in the folder, by field."""


def read_plan(folder: Path) -> ComparisonPlan:
    """The plan of a comparison.

    Raises:
        RunDirError: the folder holds none, it has another shape, or an arm or seed occurs twice.
    """
    path = folder / PLAN_FILE
    if not path.is_file():
        raise RunDirError(f"{folder}: expected a comparison's folder, found none ({PLAN_FILE} is missing)")
    plan = read_typed(path, ComparisonPlan)
    for name, values in (("arms", [arm.name for arm in plan.arms]), ("seeds", plan.seeds)):
        twice = next((value for value in values if values.count(value) > 1), None)  # type: ignore[arg-type]
        if twice is not None:
            raise RunDirError(f"{path}: field `{name}`: {twice!r} occurs twice; give each its own")
    return plan


def is_base(arm: PlannedArm) -> bool:
    """Whether the arm trains nothing, as the plan says, whatever its name."""
    return arm.num_stages == 0


class ComparisonFolder:
    """The paths in the folder of a comparison."""

    def __init__(self, path: Path) -> None:
        """Name the folder; nothing is read or created."""
        self.path = path
        self.plan = path / PLAN_FILE

    def run(self, arm: str, seed: int) -> RunDir:
        """The run of an arm with a training seed."""
        return RunDir(self.path / "runs" / arm / str(seed))

    def round(self, arm: str, num_stages: int, seed: int) -> RunDir:
        """A run of an arm that goes on until nothing is gained, after its first `num_stages` stages."""
        return RunDir(self.path / "rounds" / arm / str(num_stages) / str(seed))

    def retest(self, kind: str) -> Path:
        """Knowledge map of some training facts, probed once more under the base model."""
        return self.path / "noise" / kind

    def units(self, kind: str) -> Path:
        """The finished units of a retest that has not ended."""
        return self.path / "units" / kind

    def runs(self) -> list[RunDir]:
        """All runs that have begun, those of rounds included."""
        return [RunDir(file.parent) for file in sorted(self.path.glob("r*/**/run.json"))]


@dataclass(frozen=True)
class ComparisonRequest:
    """What to compare."""

    config: RunConfig
    run_facts: RunFacts
    arms: Sequence[Arm]
    seeds: Sequence[int]
    """Training seeds."""


def plan_of(request: ComparisonRequest, folder: ComparisonFolder, of_runs: Mapping[str, str]) -> ComparisonPlan:
    """What the folder will hold: arms and seeds that it holds already stay in it.

    Args:
        of_runs: the fingerprint of a run with the settings as they are (`run_fingerprint`).

    Raises:
        RunDirError: the folder was made with other settings, facts or another model, or an arm of it has changed.
    """
    compare = request.config.compare
    fingerprint = dict(of_runs) | {"config.compare.redraw_exemplars": json.dumps(compare.redraw_exemplars)}
    arms, seeds = [_planned_arm(arm) for arm in request.arms], list(request.seeds)
    if folder.plan.is_file():
        before = read_plan(folder.path)
        refuse_other_fingerprint(folder.path, before.fingerprint, fingerprint)
        refuse_changed_arms(folder.path, request.arms)
        now = {arm.name.casefold() for arm in request.arms}
        arms = [*(arm for arm in before.arms if arm.name.casefold() not in now), *arms]
        seeds = sorted({*before.seeds, *seeds})
    return ComparisonPlan(
        model=request.config.model.name_or_path,
        arms=arms,
        seeds=seeds,
        reference=compare.reference,
        main=compare.main,
        fingerprint=fingerprint,
    )


def _planned_arm(arm: Arm) -> PlannedArm:
    return PlannedArm(
        name=arm.name,
        doc=arm.doc,
        same_steps_as=arm.same_steps_as,
        num_stages=None if arm.max_stages else len(arm.stages),
    )


def step_fingerprint(fingerprint: Mapping[str, str], step: Step) -> dict[str, str]:
    """What of a run's fingerprint can change the result of a step: nothing of the stages that come after it.

    Two runs with equal ones do the step in the same way. What is measured before any training depends on no setting of
    training either.
    """
    of_training = ("config.stages.", "config.lora.", "config.training_seed", "config.evaluation.protocol")

    def counts(name: str) -> bool:
        if (found := setting_of_stage(name)) is not None:
            return found[0] < step.stage
        return step.stage > 0 or not name.startswith(of_training)

    return {name: value for name, value in fingerprint.items() if counts(name)}


def share_steps(run: RunDir, steps: Sequence[Step], others: Iterable[RunDir]) -> None:
    """Takes over every step that another run has finished in the same way.

    Raises:
        RunDirError: a file of such a step is damaged, or the disk refused.
    """
    done, fingerprint = set(run.steps()), run.fingerprint
    for other in others:
        if other.path == run.path:
            continue
        theirs, finished = other.fingerprint, set(other.steps())
        for step in steps:
            if step.name not in finished - done:
                continue
            if step_fingerprint(theirs, step) == step_fingerprint(fingerprint, step):
                times = step.times(run)
                run.take_over(other, step.name, [] if times is None else [times])
                done.add(step.name)


def run_folders_of_arm(folder: Path, arm: str) -> list[Path]:
    """The folders that hold runs of the arm, with any seed."""
    return [path for kind in _HOLD_RUNS if (path := folder / kind / arm).is_dir()]


def refuse_changed_arms(folder: Path, arms: Sequence[Arm]) -> None:
    """Refuses arms that have changed since they were begun, and names that case alone tells from those there.

    Raises:
        RunDirError: every such arm, with what is other and what to do.
    """
    there = sorted({path.name for kind in _HOLD_RUNS for path in (folder / kind).glob("*") if path.is_dir()})
    problems: list[str] = []
    for arm in arms:
        alike = [name for name in there if name.casefold() == arm.name.casefold()]
        if alike and arm.name not in alike:
            problems.append(f'arm "{arm.name}" differs from "{alike[0]}", which is there, in case alone; rename it')
        elif changed := _changed_settings(folder, arm):
            problems += [f'arm "{arm.name}" was begun with other settings:', *changed]
            dependent = [other.name for other in arms if other.same_steps_as == arm.name]
            held = [str(path) for name in (arm.name, *dependent) for path in run_folders_of_arm(folder, name)]
            problems.append(
                f"give it another name, or its earlier settings; or, to begin anew, delete {join_words(held)}"
            )
    if problems:
        raise RunDirError("\n".join([f"{folder}: nothing was changed or trained:", *problems]))


def _changed_settings(folder: Path, arm: Arm) -> list[str]:
    """What the first run of the arm that was made otherwise did otherwise; empty where all are as the arm is now."""
    now = [{name: json.dumps(value) for name, value in settings_that_matter(stage).items()} for stage in arm.stages]
    # How many steps are missing is found out, and so is how many rounds there are.
    left_out = {"max_steps"} if arm.same_steps_as is not None else set()
    for path in run_folders_of_arm(folder, arm.name):
        is_whole = path.parent.name == "runs" and arm.max_stages is None
        for file in sorted(path.rglob("run.json")):
            was = _stage_settings(RunDir(file.parent).fingerprint)
            if is_whole and len(was) != len(now):
                return [f"  stages: {len(was)} in the folder, {len(now)} now"]
            lines: list[str] = []
            for index, pair in enumerate(zip(was, now, strict=False)):
                old, new = (
                    {f"stages.{index}.{name}": stage[name] for name in stage.keys() - left_out} for stage in pair
                )
                lines += list_differences(old, new)
            if lines:
                return lines
    return []


def _stage_settings(fingerprint: Mapping[str, str]) -> list[dict[str, str]]:
    stages: dict[int, dict[str, str]] = {}
    for name, value in fingerprint.items():
        if found := setting_of_stage(name):
            stages.setdefault(found[0], {})[found[1]] = value
    return [stages[index] for index in sorted(stages)]
