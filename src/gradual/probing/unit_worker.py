"""The units of a probe on workers: what such a worker is, and the runner that stands for all of them.

Knows no Ray: `workers` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from gradual.config.run import ModelConfig, ProbeConfig
from gradual.engines.engine import Engine, ReadCost
from gradual.engines.texts import Texts
from gradual.errors import GradualError
from gradual.facts.prompts import PromptStyle
from gradual.models.load import load_tokenizer
from gradual.probing.runner import Runner
from gradual.probing.unit import Unit, run_unit
from gradual.workers.cluster import Cluster
from gradual.workers.crew import Crew
from gradual.workers.task import About, Failure, Finished, Home

OpenWorkerEngine = Callable[[ModelConfig], tuple[Engine, list[str]]]
"""Loads a model in a worker; the engine, and what a user should know of how it reads."""


def open_worker_engine(model: ModelConfig) -> tuple[Engine, list[str]]:
    """The engine of a real model, in one thread: sums in several differ in the last digits with their number."""
    from gradual.engines.transformers_engine import TransformersEngine, reading_warnings
    from gradual.models.load import load_model

    loaded = load_model(model, threads=1)
    return TransformersEngine(loaded), reading_warnings(loaded)


class UnitWorker:
    """Loads the model when it is first asked what it is, so that a worker that cannot still answers why."""

    def __init__(self, home: Home, model: ModelConfig, open_engine: OpenWorkerEngine = open_worker_engine) -> None:
        """Loads nothing yet."""
        self._place = home.enter()
        self._model, self._open = model, open_engine
        self._engine: Engine | None = None
        self._style: tuple[ProbeConfig, PromptStyle] | None = None

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


class CrewRunner(Runner):
    """Runs units on a crew of workers; this process has the tokenizer alone."""

    def __init__(self, crew: Crew, style: Callable[[ProbeConfig], PromptStyle], num_workers: int) -> None:
        """Waits until one worker is up, which says what the model is and how large units are; see `wait_for_one`."""
        self._crew, self._style, self.num_workers = crew, style, num_workers
        self._read = ReadCost(0, 0, 0, 0.0)
        self.about = crew.wait_for_one()

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """See `Runner`."""
        return self.about.fingerprint

    @property
    def unit_scale(self) -> int:
        """See `Runner`."""
        return self.about.unit_scale

    @property
    def noise(self) -> float:
        """See `Runner`."""
        return self.about.noise

    def prompt_style(self, settings: ProbeConfig) -> PromptStyle:
        """See `Runner`."""
        return self._style(settings)

    def run(self, units: Sequence[Unit]) -> Iterator[tuple[str, bytes]]:
        """See `Runner`."""
        self._crew.add(units)
        for done in self._crew.results():
            self._read = self._read.plus(done.cost)
            yield done.key, done.data

    def cost(self) -> ReadCost:
        """See `Runner`."""
        return self._read


@contextmanager
def open_runner(cluster: Cluster) -> Iterator[CrewRunner]:
    """A runner over workers with the cluster's model, one of them up; they end with the context.

    Raises:
        ConfigError, LaunchError, ModelError: see `Cluster.start`; or the tokenizer cannot be loaded here.
    """
    loaded = load_tokenizer(cluster.model)
    style = Texts(loaded.tokenizer, loaded.source).prompt_style
    with cluster.start(UnitWorker, (cluster.model,), loaded.fingerprint) as crew:
        yield CrewRunner(crew, style, crew.size)
