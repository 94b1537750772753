"""A worker: a process elsewhere that loads the model once and runs the units that it is sent.

Knows nothing of Ray, nor of other workers. What a user can correct comes back as `Failure`, not as an exception that
the way home wraps into others.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from gradual.config.run import ModelConfig, ProbeConfig
from gradual.engines.engine import Engine, ReadCost
from gradual.errors import GradualError
from gradual.facts.prompts import PromptStyle
from gradual.probing.unit import Unit, run_unit

OpenWorkerEngine = Callable[[ModelConfig], tuple[Engine, list[str]]]
"""Loads a model in a worker; the engine, and what a user should know of how it reads."""


class About(NamedTuple):
    """What a worker is."""

    fingerprint: Mapping[str, str]
    """See `Engine`."""
    unit_scale: int
    noise: float
    warnings: list[str]
    place: str
    """Machine and process."""


class Finished(NamedTuple):
    """A unit that was run."""

    key: str
    data: bytes
    cost: ReadCost
    """Of this unit alone."""


class Failure(NamedTuple):
    """An error that a user can correct."""

    text: str
    place: str


class Worker:
    """Loads the model when it is first asked for anything, so that a worker that cannot still answers why."""

    def __init__(
        self, model: ModelConfig, variables: Mapping[str, str], folder: str, open_engine: OpenWorkerEngine
    ) -> None:
        """Loads nothing yet.

        Args:
            model: what is to be loaded.
            variables: of the environment, set before a library for models is loaded.
            folder: from which paths in `model` lead, where this machine has it.
            open_engine: what loads it.
        """
        os.environ.update(variables)
        if Path(folder).is_dir():
            os.chdir(folder)
        self._model, self._open = model, open_engine
        self._engine: Engine | None = None
        self._style: tuple[ProbeConfig, PromptStyle] | None = None
        self._place = f"{socket.gethostname()}, process {os.getpid()}"

    def about(self) -> About | Failure:
        """What this worker is, with the model loaded."""
        try:
            self._engine, warnings = self._open(self._model)
        except GradualError as error:
            return Failure(str(error), self._place)
        engine = self._engine
        return About(dict(engine.fingerprint), engine.unit_scale, engine.noise, warnings, self._place)

    def run(self, unit: Unit) -> Finished | Failure:
        """Runs a unit; `about` has been asked before."""
        assert self._engine is not None
        before = self._engine.cost()
        try:
            if self._style is None or self._style[0] != unit.settings:
                self._style = unit.settings, self._engine.prompt_style(unit.settings)
            data = run_unit(unit, self._engine, self._style[1])
        except GradualError as error:
            return Failure(str(error), self._place)
        return Finished(unit.key, data, self._engine.cost().plus(before, sign=-1))


def open_worker_engine(model: ModelConfig) -> tuple[Engine, list[str]]:
    """The engine of a real model, in one thread: sums in several differ in the last digits with their number."""
    from gradual.engines.transformers_engine import TransformersEngine, reading_warnings
    from gradual.models.load import load_model

    loaded = load_model(model, threads=1)
    return TransformersEngine(loaded), reading_warnings(loaded)
