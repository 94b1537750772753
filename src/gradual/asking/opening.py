"""Opens what is to be asked: checks a run folder or a model and its facts, then loads the model, once.

All that can be wrong without a model is found before one is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from gradual.asking.asker import Asker, OpenEngine, answers_to_tests
from gradual.asking.shots import Shots
from gradual.config.model import ModelConfig
from gradual.config.run import ProbeConfig
from gradual.config.yaml_file import load_config
from gradual.engines.engine import Engine
from gradual.errors import ConfigError, DataError
from gradual.facts.loading import load_facts
from gradual.facts.prompts import check_prompt_settings
from gradual.progress import Progress, warn
from gradual.run.best_stage import choose_stage, refuse_other_weights
from gradual.run.folder import RunDir, read_facts
from gradual.statistics.calibration import AnsweredFact

_RUN_FILE = "run.json"


@dataclass(frozen=True)
class AskRequest:
    """What to ask of: a run, or a model."""

    source: str | Path | ModelConfig
    """Folder of a run; or a model: Hugging Face id, folder, or the name of an embedded model."""
    stage: int | None = None
    """Of a run: the stage after which it is asked; None: the one that validation facts choose."""
    relation: str | None = None
    """Whose exemplars stand before each question; None: that of the questions worded most like it."""
    facts: str | Path | None = None
    """Of a model: a source of facts to draw the shots from; None: no shots."""
    settings: ProbeConfig | None = None
    """Of a model: how questions are put; a run has its own."""
    seed: int | None = None
    """Of a model: seed of the exemplar sets."""
    trust_remote_code: bool = False
    """Of a run: let the code run that comes with its model."""

    @property
    def run(self) -> RunDir | None:
        """The run, if it is one."""
        if isinstance(self.source, ModelConfig) or not (Path(self.source) / _RUN_FILE).is_file():
            return None
        return RunDir(Path(self.source))


@dataclass(frozen=True)
class Ready:
    """All that an `Asker` needs but its model."""

    model: ModelConfig
    settings: ProbeConfig
    seed: int
    shots: Shots | None
    run: RunDir | None = None
    stages: Sequence[int] = (0,)
    tests: Mapping[int, Sequence[AnsweredFact]] = field(default_factory=dict)


def check_request(request: AskRequest) -> Ready:
    """What is asked for, once everything that needs no model was found to be there.

    Raises:
        ConfigError, DataError, ModelError: something cannot be used.
        RunDirError: the folder is damaged.
    """
    from gradual.models.load import check_model

    run = request.run
    ready = _ready_model(request) if run is None else _ready_run(request, run)
    if request.relation is not None:
        if ready.shots is None:
            raise ConfigError(f"--relation {request.relation}: expected facts to draw shots from; add --facts")
        ready.shots.check_relation(request.relation)
    check_model(ready.model)
    return ready


def _ready_model(request: AskRequest) -> Ready:
    source = request.source
    model = source if isinstance(source, ModelConfig) else ModelConfig(name_or_path=str(source))
    runs = sorted(path.parent for path in Path(model.name_or_path).glob(f"runs/*/*/{_RUN_FILE}"))
    if runs:
        raise DataError(
            f"{model.name_or_path}: expected a run or a model, found a comparison; name one of its runs, such as "
            f"{runs[0]}"
        )
    if request.stage is not None:
        raise ConfigError(f"--stage {request.stage}: a stage is of a run, found a model; leave it out")
    settings = request.settings or ProbeConfig()
    check_prompt_settings(settings)
    shots = None
    if request.facts is None:
        settings = settings.model_copy(update={"num_shots": 0})
    else:
        shots = Shots(load_facts(request.facts), num_shots=settings.num_shots)
    return Ready(model, settings, 42 if request.seed is None else request.seed, shots)


def _ready_run(request: AskRequest, run: RunDir) -> Ready:
    if request.facts is not None or request.settings is not None or request.seed is not None:
        raise ConfigError("a run is asked with its own facts and settings; leave out --facts, --set and --seed")
    stages = (0, choose_stage(run, request.stage))
    config = load_config(run.config, allow_remote_code=request.trust_remote_code)
    shots = Shots(read_facts(run.facts), num_shots=config.probe.num_shots)
    tests = answers_to_tests(run, stages)
    return Ready(config.model, config.probe, config.seed_of_exemplars, shots, run, stages, tests)


def open_asker(
    ready: Ready, relation: str | None, *, open_engine: Callable[[ModelConfig], Engine], progress: Progress
) -> Asker:
    """Loads the model.

    Raises:
        ModelError: it cannot be loaded.
        RunDirError: it is not the one that the run was made with.
    """
    if ready.run is not None:
        engine_after = open_stages(ready.model, ready.run, progress)
    else:
        engine = open_engine(ready.model)

        def engine_after(_: int) -> AbstractContextManager[Engine]:
            return nullcontext(engine)

    return Asker(engine_after, ready.settings, ready.seed, ready.stages, ready.shots, relation, ready.tests, progress)


def open_stages(model: ModelConfig, run: RunDir, progress: Progress) -> OpenEngine:
    """Gives a run's model after any stage; the base model is loaded once.

    Raises:
        ModelError: the model cannot be loaded.
        RunDirError: it is not the one that the run was made with.
    """
    from gradual.engines.transformers_engine import TransformersEngine, reading_warnings
    from gradual.models.adapters import with_adapter
    from gradual.models.checks import check_adapter_folder
    from gradual.models.load import load_model

    loaded = load_model(model)
    refuse_other_weights(run, loaded.fingerprint)
    warn(progress, *reading_warnings(loaded))

    @contextmanager
    def engine_after(stage: int) -> Iterator[Engine]:
        adapter = run.adapter(stage) if stage else None
        if adapter is not None:
            check_adapter_folder(adapter)
        with with_adapter(loaded, adapter) as adapted:
            yield TransformersEngine(adapted)

    return engine_after
