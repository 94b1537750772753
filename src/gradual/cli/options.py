"""The options that several commands share, and the settings that options stand for.

Knows how options are written, not what a command does with them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradual.errors import ConfigError
from gradual.preparation import NO_TRAINING_THROUGH_A_SERVER

if TYPE_CHECKING:
    from gradual.config.cluster import RayConfig
    from gradual.config.run import RunConfig

_PROBE_SECTIONS = ("model", "facts", "probe", "seed")

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file with the settings.", show_default=False)]
Run = Annotated[Path, typer.Option("--out", metavar="RUN", help="Folder of the run; one that is there is continued.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting by its dotted name; may be given again."),
]
Seed = Annotated[int | None, typer.Option(help="Everything random comes from this number (the setting `seed`).")]
Arms = Annotated[str | None, typer.Option(help="Names of the arms to compare, with commas between.")]
Seeds = Annotated[int | None, typer.Option(min=1, help="Times each arm is trained, with other training seeds.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only so many training facts; of the others as large a share.")]
LmEval = Annotated[
    str | None,
    typer.Option(metavar="TASKS", help="Tasks of lm-evaluation-harness to score before and after, commas between."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout, all else on stderr.")]
Online = Annotated[bool, typer.Option("--online", help="Allow the network, to fetch a model or data set.")]
Trust = Annotated[bool, typer.Option("--trust-remote-code", help="Run code that comes with the model.")]
NoServer = Annotated[str | None, typer.Option("--server", hidden=True, callback=lambda given: _refuse_server(given))]
Goal = Annotated[str, typer.Option(help="What to choose for: accuracy, few_confident_errors or none_lost.")]
Budget = Annotated[str | None, typer.Option(metavar="TIME", help="What all may take, such as 2h; else no limit.")]
RayAddress = Annotated[
    str | None,
    typer.Option("--ray", metavar="ADDRESS", help="Ray cluster to work on: auto or host:port (docs/larger.md)."),
]
Workers = Annotated[int | None, typer.Option(help="With --ray: models that are loaded there.")]
GpusPerWorker = Annotated[float | None, typer.Option(help="With --ray: GPUs of each; 0.5 puts two on one.")]
Text = Annotated[str | None, typer.Option(show_default=False)]


def _refuse_server(given: str | None) -> None:
    """Says what to do where training is asked of a server."""
    if given is not None:
        raise ConfigError(NO_TRAINING_THROUGH_A_SERVER)


def config_of(
    path: Path, settings: list[str] | None, seed: int | None, trust_remote_code: bool, lm_eval: str | None = None
) -> RunConfig:
    """The settings of a file, with those of the command line in place of its own."""
    from gradual.config.yaml_file import load_config

    trust = ["model.trust_remote_code=true"] if trust_remote_code else []
    tasks = [] if lm_eval is None else [f"evaluation.lm_eval={json.dumps(names_of(lm_eval))}"]
    return load_config(path, [*(settings or []), *seed_setting(seed), *trust, *tasks])


def probe_config_of(given: Mapping[str, Mapping[str, object]], overrides: list[str]) -> RunConfig:
    """The options of a probe as settings; options that were not given are left to the defaults."""
    from gradual.config.yaml_file import parse_config

    for override in overrides:
        if override.partition("=")[0].strip().partition(".")[0] not in _PROBE_SECTIONS:
            sections = ", ".join(_PROBE_SECTIONS)
            raise ConfigError(f"--set {override}: expected a setting of {sections}, the ones a probe has; leave it out")
    data = {name: {key: value for key, value in part.items() if value is not None} for name, part in given.items()}
    return parse_config(data, overrides, source="command line", allow_remote_code=True)


def server_of(url: str | None, model: str | None) -> dict[str, str] | None:
    """The options as settings of the section `model.server`, if they were given."""
    if url is None and model is not None:
        raise ConfigError("--server-model names a model of a server; give its address with --server")
    return None if url is None else {"url": url} | ({} if model is None else {"model": model})


def cluster_of(address: str | None, workers: int | None, gpus_per_worker: float | None) -> RayConfig | None:
    """The options as settings, if they were given."""
    from pydantic import ValidationError

    from gradual.config.cluster import RayConfig

    if address is None:
        if workers is not None or gpus_per_worker is not None:
            raise ConfigError("--workers and --gpus-per-worker are of a Ray cluster; give its address with --ray")
        return None
    try:
        return RayConfig(address=address, workers=workers, gpus_per_worker=gpus_per_worker)
    except ValidationError as error:
        problem = error.errors()[0]
        option = str(problem["loc"][0]).replace("_", "-").replace("address", "ray")
        raise ConfigError(f"--{option}: {problem['msg'].removeprefix('Value error, ')}") from None


def seed_setting(seed: int | None) -> list[str]:
    """The option as a setting, if it was given."""
    return [] if seed is None else [f"seed={seed}"]


def names_of(text: str | None) -> list[str] | None:
    """The names in a text with commas between; None without a text."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]
