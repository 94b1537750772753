"""Opens what a command reads with: the model here, a server that has it, or a cluster whose workers load it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from gradual.environment import environment_of_workers
from gradual.progress import Progress, warn

if TYPE_CHECKING:
    from gradual.config.cluster import RayConfig
    from gradual.config.model import ModelConfig
    from gradual.config.run import ProbeConfig
    from gradual.engines.engine import Engine
    from gradual.probing.runner import Runner
    from gradual.workers.cluster import Cluster


def opener(
    settings: ProbeConfig, folder: Path | None, ray: RayConfig | None, progress: Progress, stack: ExitStack
) -> Callable[[ModelConfig], Engine | Runner]:
    """What opens the model of a probe: on a cluster until the stack is closed, on a server, or here."""

    def open_engine(model: ModelConfig) -> Engine | Runner:
        if ray:
            return _open_runner(ray, model, progress, stack)
        return _ask_server(model, settings, folder, progress) if model.server else open_here(model, progress)

    return open_engine


def open_here(model: ModelConfig, progress: Progress) -> Engine:
    """The model in this process."""
    from gradual.engines.transformers_engine import TransformersEngine, reading_warnings
    from gradual.models.load import load_model

    loaded = load_model(model)
    warn(progress, *reading_warnings(loaded))
    return TransformersEngine(loaded)


def cluster_for(ray: RayConfig, model: ModelConfig, progress: Progress) -> Cluster:
    """A cluster with what its workers need of this process; nothing is started."""
    from gradual.workers.cluster import Cluster
    from gradual.workers.task import Home

    return Cluster(ray, model, Home(environment_of_workers(), str(Path.cwd())), progress.say)


def _ask_server(model: ModelConfig, settings: ProbeConfig, folder: Path | None, progress: Progress) -> Engine:
    from gradual.engines.server.canary import CANARY_FILE
    from gradual.engines.server.opening import open_server

    record = None if folder is None else folder / CANARY_FILE
    return open_server(model, top_k=settings.top_k, record=record, say=progress.say)


def _open_runner(ray: RayConfig, model: ModelConfig, progress: Progress, stack: ExitStack) -> Runner:
    from gradual.probing.unit_worker import open_runner

    runner = stack.enter_context(open_runner(cluster_for(ray, model, progress)))
    warn(progress, *runner.about.warnings)
    return runner
