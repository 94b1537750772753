"""What is read and checked before a command loads a model: settings, facts, exemplars, and what cannot go together.

Knows no weights: all that is refused here is refused before libraries for models are loaded, which takes seconds.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gradual.environment import LM_EVAL_PACKAGES, TRAIN_PACKAGES, require_packages
from gradual.errors import ConfigError
from gradual.progress import Progress, warning_line

if TYPE_CHECKING:
    from gradual.config.cluster import RayConfig
    from gradual.config.model import ModelConfig
    from gradual.config.run import FactsConfig, ProbeConfig, RunConfig
    from gradual.facts.fact import Fact
    from gradual.facts.prepare import ProbeFacts, RunFacts

NO_TRAINING_THROUGH_A_SERVER = (
    "model.server: a server reads and cannot train, which needs weights - probe through it (gradual probe --server), "
    "and give fit, plan and compare the model itself: model.name_or_path without model.server"
)


def settings_of(config: RunConfig | str | Path) -> RunConfig:
    """The settings, read from a YAML file where its path is given."""
    from gradual.config.yaml_file import load_config

    return load_config(config) if isinstance(config, str | Path) else config


def prepare_run(config: RunConfig | str | Path) -> tuple[RunConfig, RunFacts]:
    """Settings and facts, checked before libraries for models are loaded, which takes seconds."""
    from gradual.facts.prepare import prepare
    from gradual.models.load import check_model

    settings = settings_of(config)
    if settings.model.server:
        raise ConfigError(NO_TRAINING_THROUGH_A_SERVER)
    if settings.model.adapter:
        raise ConfigError("model.adapter: a run trains adapters of its own - merge this one into the model first")
    if settings.model.device_map:
        raise ConfigError(
            "model.device_map: is for probing, found a run, which trains - use model.quantization nf4 and "
            "stages[].activation_checkpointing, which take far less memory, or model.fsdp in a launch"
        )
    require_packages(TRAIN_PACKAGES)
    check_model(settings.model)
    if settings.evaluation.lm_eval:
        require_packages(LM_EVAL_PACKAGES)
    run_facts = prepare(settings)
    if settings.evaluation.lm_eval:
        from gradual.run.measures.benchmarks import check_benchmarks

        check_benchmarks(settings)
    return settings, run_facts


def prepare_comparison(config: RunConfig | str | Path, arms: Sequence[str] | None) -> tuple[RunConfig, RunFacts]:
    """As `prepare_run`; the arms are checked first."""
    from gradual.comparison.arms import resolve_arms

    settings = settings_of(config)
    resolve_arms(settings, arms)
    refuse_parts(settings.model, "a comparison")
    if settings.evaluation.lm_eval:
        raise ConfigError(
            "evaluation.lm_eval: a comparison does not tell its scores, which would be made for every arm and seed - "
            "leave it out, and score runs by lm-eval's own command"
        )
    return prepare_run(settings)


def refuse_parts(model: ModelConfig, what: str) -> None:
    """Refuses `model.fsdp` where only one process works.

    Raises:
        ConfigError: it is set.
    """
    if model.fsdp is not None:
        raise ConfigError(
            f"model.fsdp: is for `gradual fit` in a launch of several processes, found {what} - set it to null"
        )


def facts_and_exemplars(
    facts: str | Path | FactsConfig | Sequence[Fact],
    exemplars: str | Path | None,
    settings: ProbeConfig,
    *,
    limit: int | None,
) -> ProbeFacts:
    """The facts to ask, the exemplars of their relations, and the rows that are no facts."""
    from gradual.config.run import FactsConfig
    from gradual.facts.matching import matching_of
    from gradual.facts.prepare import prepare_probe
    from gradual.facts.prompts import check_prompt_settings

    check_prompt_settings(settings)
    source = FactsConfig(path=str(facts)) if isinstance(facts, str | Path) else facts
    shots = None
    if exemplars is not None and isinstance(source, FactsConfig):  # read as the facts are
        source = source.model_copy(update={"exemplars": str(exemplars)})
    elif exemplars is not None:
        shots = FactsConfig(path=str(exemplars))
    return prepare_probe(
        source,
        shots,
        num_shots=settings.num_shots,
        limit=limit,
        matching=matching_of(settings),
        refusals=settings.refusals,
    )


def refuse_ray_and_server(model: ModelConfig, ray: RayConfig | None) -> None:
    """Raises ConfigError where two ways of probing elsewhere are asked for."""
    if ray and model.server:
        raise ConfigError(
            "--ray and --server exclude each other: a server reads by itself, Ray's workers load the model - leave one "
            "out"
        )


def refuse_several_processes(command: str) -> None:
    """Raises LaunchError where several processes were launched for a command that one does."""
    from gradual.models.ranks import refuse_several

    refuse_several(command)


def refuse_samples_of_a_part(model: ModelConfig, settings: ProbeConfig, num_checked: int) -> None:
    """Raises ConfigError where answers would have to be drawn from fewer tokens than the sampler keeps."""
    few = model.server.logprobs if model.server else None
    if few is not None and few < settings.top_k and (settings.method == "sampled" or num_checked):
        what = "probe.method: sampled" if settings.method == "sampled" else "--check"
        raise ConfigError(
            f"{what} draws from {settings.top_k} tokens (probe.top_k), found model.server.logprobs: {few} - "
            f"start the server with --max-logprobs {settings.top_k}, or leave it out: exact bounds hold with fewer"
        )


@contextmanager
def say_warnings(progress: Progress) -> Iterator[None]:
    """Says what is warned of in the body, in place of Python's own way."""
    from gradual.facts.problems import Remark

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in (each for each in caught if issubclass(each.category, UserWarning)):
        progress.say(str(warning.message) if issubclass(warning.category, Remark) else warning_line(warning.message))
