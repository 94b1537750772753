"""Experiment trackers: whether they can be had, where those that write files keep them, and what is told by stage.

Knows transformers' callbacks by their names in `report_to`; what is logged in training is known to the trainer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import get_available_reporting_integrations, get_reporting_integration_callbacks

from gradual.errors import ConfigError

PROJECT = "gradual"
"""What trackers that have projects find runs under."""
_TENSORBOARD_FOLDER = "TENSORBOARD_LOGGING_DIR"


def check_trackers(report_to: Sequence[str]) -> None:
    """Finds out whether trackers are known and installed, which the trainer would only after hours of probing.

    Raises:
        ConfigError: one is not.
    """
    try:
        callbacks = get_reporting_integration_callbacks(list(report_to))
        missing = set(report_to) - set(get_available_reporting_integrations())
        for name, callback in zip(report_to, callbacks, strict=True):
            if name in missing:
                callback()  # says what to install; some that are not listed as available can be had all the same
    except (ValueError, RuntimeError, ImportError) as error:
        raise ConfigError(f"report_to: {' '.join(str(error).split())}") from error


@contextmanager
def curves_beside(folder: Path) -> Iterator[None]:
    """While trackers are made, tells TensorBoard to write into a folder of the run, unless the user has named another.

    By default it would write among the checkpoints, which are removed when the stage has ended.
    """
    if _TENSORBOARD_FOLDER in os.environ:
        yield
        return
    os.environ[_TENSORBOARD_FOLDER] = str(folder / "tensorboard")
    try:
        yield
    finally:
        del os.environ[_TENSORBOARD_FOLDER]


def send_curves(report_to: Sequence[str], run: Path, points: Sequence[Mapping[str, float]]) -> None:
    """Gives trackers the curves of a run by stage, under the run's name: the values of step 0 are the base model's.

    Args:
        report_to: names of trackers; without any, nothing is done.
        run: folder of the run; TensorBoard's curves go into `tensorboard/` there.
        points: the values by their names, for each step.
    """
    with curves_beside(run):
        callbacks = [callback() for callback in get_reporting_integration_callbacks(list(report_to))]
    if not callbacks:
        return
    args = TrainingArguments(str(run), report_to="none", run_name=run.absolute().name, project=PROJECT, use_cpu=True)
    state, control = TrainerState(), TrainerControl()
    for callback in callbacks:
        callback.on_init_end(args, state, control)
        callback.on_train_begin(args, state, control, model=None)
        for step, values in enumerate(points):
            state.global_step = step
            callback.on_log(args, state, control, logs=dict(values), model=None)
        callback.on_train_end(args, state, control, model=None)
