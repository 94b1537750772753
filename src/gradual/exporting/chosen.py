"""Which adapter of a run or a comparison is carried away: what was asked for, else what validation facts choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gradual.comparison.folder import PLAN_FILE, ComparisonFolder, is_base, read_plan
from gradual.errors import DataError
from gradual.run.best_stage import choose_stage, finished_stages, validation_by_stage
from gradual.run.folder import RunDir
from gradual.text import did_you_mean, percent, plural


@dataclass(frozen=True)
class ChosenAdapter:
    """An adapter, and why it is this one."""

    run: RunDir
    stage: int
    why: str
    """In words, for people and for the card."""
    validation: dict[int, float]
    """Accuracy in [0, 1] on the validation facts by stage; 0 is the base model."""
    arm: str | None = None
    seed: int | None = None

    @property
    def gains_nothing(self) -> bool:
        """Whether the base model does at least as well on the validation facts."""
        return self.validation.get(self.stage, 0.0) <= self.validation.get(0, -1.0)


def choose_adapter(source: Path, *, stage: int | None = None, arm: str | None = None) -> ChosenAdapter:
    """The adapter of a run or comparison that was asked for.

    Of a run the stage with the highest accuracy on the validation facts. Of a comparison the arm whose runs have, at
    their last stage, the highest one on average over the seeds, and of it the seed with the highest.

    Raises:
        DataError: there is no such arm or stage, no stage is finished, or a run was asked for an arm.
        RunDirError: the folder is neither, or a file in it is damaged.
    """
    if (source / PLAN_FILE).is_file():
        return _of_comparison(ComparisonFolder(source), stage, arm)
    if arm is not None:
        raise DataError(f"--arm {arm}: an arm is of a comparison, found another folder: {source}; leave it out")
    run = RunDir(source)
    number = choose_stage(run, stage)
    validation = validation_by_stage(run)
    return ChosenAdapter(run, number, _why_stage(number, validation, is_wanted=stage is not None), validation)


def _why_stage(stage: int, validation: dict[int, float], *, is_wanted: bool) -> str:
    accuracies = ", ".join(
        f"{'base model' if k == 0 else f'stage {k}'} {percent(validation[k])}" for k in sorted(validation)
    )
    how = "asked for" if is_wanted else "the best of the trained stages"
    return f"stage {stage}, {how}, by accuracy on the validation facts: {accuracies}"


@dataclass(frozen=True)
class _Candidate:
    run: RunDir
    arm: str
    seed: int
    stage: int
    validation: dict[int, float]

    @property
    def accuracy(self) -> float:
        return self.validation.get(self.stage, 0.0)


def _of_comparison(folder: ComparisonFolder, stage: int | None, arm_name: str | None) -> ChosenAdapter:
    plan = read_plan(folder.path)
    names = [arm.name for arm in plan.arms if not is_base(arm)]
    if arm_name is not None and arm_name not in names:
        hint = did_you_mean(arm_name, names) or f"; expected one of {', '.join(names)}"
        raise DataError(f"--arm {arm_name}: the comparison {folder.path} trains no such arm{hint}")
    candidates = {
        name: [each for seed in plan.seeds if (each := _candidate(folder, name, seed, stage)) is not None]
        for name in (names if arm_name is None else [arm_name])
    }
    candidates = {name: runs for name, runs in candidates.items() if runs}
    if not candidates:
        raise DataError(f"{folder.path}: expected a finished run, found none - go on with the comparison")
    means = {name: sum(each.accuracy for each in runs) / len(runs) for name, runs in candidates.items()}
    name = max(means, key=lambda each: means[each])  # of equal arms the first in the plan
    best = max(candidates[name], key=lambda each: each.accuracy)
    return ChosenAdapter(
        best.run,
        best.stage,
        _why_arm(best, candidates, means, is_wanted=arm_name is not None),
        best.validation,
        name,
        best.seed,
    )


def _candidate(folder: ComparisonFolder, arm: str, seed: int, stage: int | None) -> _Candidate | None:
    run = folder.run(arm, seed)
    if not run.info.is_file() or run.status == "running" or not (stages := finished_stages(run)):
        return None
    number = stages[-1] if stage is None else choose_stage(run, stage)
    return _Candidate(run, arm, seed, number, validation_by_stage(run))


def _why_arm(
    best: _Candidate,
    candidates: dict[str, Sequence[_Candidate]] | dict[str, list[_Candidate]],
    means: dict[str, float],
    *,
    is_wanted: bool,
) -> str:
    ranking = sorted(means, key=lambda each: -means[each])
    accuracies = ", ".join(f"{each} {percent(means[each])}" for each in ranking)
    how = "asked for" if is_wanted else f"the best of {plural(len(ranking), 'arm')}"
    seeds = plural(len(candidates[best.arm]), "seed")
    return (
        f"arm {best.arm}, {how}, by mean accuracy on the validation facts: {accuracies}; seed {best.seed} of {seeds}, "
        f"stage {best.stage}, with {percent(best.accuracy)}"
    )
