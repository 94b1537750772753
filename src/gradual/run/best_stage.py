"""Which of a run's adapters people go on with: the one after the stage that does best on the validation facts."""

from __future__ import annotations

from collections.abc import Mapping

from gradual.errors import DataError, RunDirError
from gradual.run.folder import RunDir
from gradual.run.stage_files import read_epochs, read_stage
from gradual.text import join_words


def finished_stages(run: RunDir) -> list[int]:
    """Numbers of the stages that are finished, from 1; their files are compared with their SHA-256.

    Raises:
        RunDirError: a file of a finished stage is damaged or missing.
    """
    stages: list[int] = []
    while run.is_done(f"stage-{len(stages) + 1}"):
        stages.append(len(stages) + 1)
    return stages


def validation_by_stage(run: RunDir) -> dict[int, float]:
    """Accuracy in [0, 1] on the validation facts after each finished stage, at the epoch that it kept; 0: base model.

    Raises:
        RunDirError: a file of a finished stage is damaged.
    """
    accuracies: dict[int, float] = {}
    for stage in finished_stages(run):
        best = read_stage(run, stage).best_epoch
        for line in read_epochs(run, stage):
            accuracy = line.eval_accuracy if line.validation_accuracy is None else line.validation_accuracy
            if line.epoch == 0 and stage == 1:
                accuracies[0] = accuracy
            if line.epoch == best:
                accuracies[stage] = accuracy
    return accuracies


def best_stage(validation: Mapping[int, float]) -> int:
    """The trained stage with the highest accuracy; of equal ones the earliest, which has changed the model least."""
    return max((stage for stage in validation if stage), key=lambda stage: (validation[stage], -stage))


def choose_stage(run: RunDir, choice: int | None) -> int:
    """The stage that was asked for, or the one that validation facts choose.

    Raises:
        DataError: the run has no such stage, or none is finished.
        RunDirError: this is no run folder, or a file in it is damaged.
    """
    status, stages = run.status, finished_stages(run)  # the status first: it tells what is no run folder
    if not stages:
        raise DataError(f"{run.path}: expected a finished stage, found none in a run that is {status} - go on with it")
    if choice is None:
        validation = validation_by_stage(run)
        if not any(validation):
            raise RunDirError(f"{run.path}: the finished stages have kept no epochs to choose by; name one (--stage)")
        return best_stage(validation)
    if choice not in stages:
        names = join_words([str(stage) for stage in stages])
        raise DataError(f"--stage {choice}: expected one of the finished stages of {run.path} ({names})")
    return choice


def refuse_other_weights(run: RunDir, fingerprint: Mapping[str, str]) -> None:
    """Refuses a base model that is not the one that the run's adapters were trained on.

    Raises:
        RunDirError: its weights or its tokenizer differ.
    """
    made_with = run.fingerprint
    for name in ("weights", "tokenizer"):
        expected, actual = made_with.get(f"model.{name}"), fingerprint.get(name)
        if expected is not None and expected != actual:
            raise RunDirError(
                f"{run.path}: model.{name}: expected {expected}, which the run was made with, found {actual} - bring "
                "back the model as it was"
            )
