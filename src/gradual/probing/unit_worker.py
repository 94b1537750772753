"""The units of a probe on workers: what such a worker is, and the runner that stands for all of them.

Knows no Ray: `workers` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from gradual.config.model import ModelConfig
from gradual.config.run import ProbeConfig
from gradual.engines.engine import Engine, ReadCost
from gradual.engines.texts import Texts
from gradual.errors import GradualError, LaunchError
from gradual.facts.prompts import PromptStyle
from gradual.files.storage import sha256_of_file
from gradual.models.load import LoadedModel, load_tokenizer
from gradual.probing.runner import Runner
from gradual.probing.unit import AdapterFile, Unit, run_unit
from gradual.workers.cluster import Cluster
from gradual.workers.crew import Crew
from gradual.workers.task import About, Failure, Home, TaskResult

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
        self._under_adapter: tuple[AdapterFile, Engine] | None = None
        self._on_top = ExitStack()
        """Takes the adapter off again."""
        self._style: tuple[ProbeConfig, PromptStyle] | None = None

    def about(self) -> About | Failure:
        """What this worker is, with the model loaded."""
        try:
            self._engine, warnings = self._open(self._model)
        except GradualError as error:
            return Failure(str(error), self._place)
        engine = self._engine
        return About(dict(engine.fingerprint), engine.unit_scale, engine.noise, warnings, self._place)

    def run(self, unit: Unit) -> TaskResult | Failure:
        """Runs a unit; `about` has been asked before."""
        try:
            engine = self._engine_with(unit.adapter)
            before = engine.cost()
            if self._style is None or self._style[0] != unit.settings:
                self._style = unit.settings, engine.prompt_style(unit.settings)
            data = run_unit(unit, engine, self._style[1])
        except GradualError as error:
            return Failure(str(error), self._place)
        return TaskResult(unit.key, data, engine.cost().plus(before, sign=-1))

    def _engine_with(self, adapter: AdapterFile | None) -> Engine:
        """The engine under an adapter, which stays on for the units that follow."""
        assert self._engine is not None
        if self._under_adapter is not None and self._under_adapter[0] == adapter:
            return self._under_adapter[1]
        self._on_top.close()
        self._under_adapter = None
        if adapter is None:
            return self._engine
        from gradual.engines.transformers_engine import TransformersEngine
        from gradual.models.adapters import with_adapter

        assert isinstance(self._engine, TransformersEngine)
        if digest_of_adapter(adapter.folder) != adapter:
            raise LaunchError(
                f"{adapter.folder}: expected the adapter that the command has trained, found another - put the run on "
                "a disk that all machines see, at the same path"
            )
        engine = TransformersEngine(self._on_top.enter_context(with_adapter(self._engine.loaded, adapter.folder)))
        self._under_adapter = adapter, engine
        return engine


def digest_of_adapter(folder: Path) -> AdapterFile:
    """An adapter with the SHA-256 of its weights.

    Raises:
        RunDirError: it is not there.
    """
    return AdapterFile(folder, sha256_of_file(folder / "adapter_model.safetensors"))


class CrewRunner(Runner):
    """Runs units on a crew of workers; this process needs the tokenizer alone."""

    def __init__(
        self, crew: Crew, style: Callable[[ProbeConfig], PromptStyle], adapter: AdapterFile | None = None
    ) -> None:
        """Waits until one worker is up, which says what the model is and how large units are; see `wait_for_one`."""
        self._crew, self._style, self._adapter = crew, style, adapter
        self.num_workers = crew.size
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
        self._crew.add(replace(unit, adapter=self._adapter) for unit in units)
        for done in self._crew.results():
            self._read = self._read.plus(done.cost)
            yield done.key, done.data

    def cost(self) -> ReadCost:
        """See `Runner`."""
        return self._read

    def with_adapter(self, folder: Path | None) -> CrewRunner:
        """The same workers with an adapter on their model."""
        return CrewRunner(self._crew, self._style, None if folder is None else digest_of_adapter(folder.resolve()))


@contextmanager
def open_runner(cluster: Cluster, loaded: LoadedModel | None = None) -> Iterator[CrewRunner]:
    """A runner over workers with the cluster's model, one of them up; they end with the context.

    Args:
        cluster: starts the workers.
        loaded: the same model, where this process has it as well.

    Raises:
        ConfigError, LaunchError, ModelError: see `Cluster.start`; or the tokenizer cannot be loaded here.
    """
    known = loaded or load_tokenizer(cluster.model)
    style = Texts(known.tokenizer, known.source).prompt_style
    with cluster.start(UnitWorker, (cluster.model,), known.fingerprint) as crew:
        yield CrewRunner(crew, style)
