"""Experiment trackers: whether they can be had, and where the one that writes files keeps them.

Knows transformers' callbacks by their names in `report_to`; what is logged is known to the trainer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from transformers.integrations import get_available_reporting_integrations, get_reporting_integration_callbacks

from gradual.errors import ConfigError

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
    """While trackers are made, tells TensorBoard to write into a stage's folder, unless the user has named another.

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
