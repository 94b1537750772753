"""What a run finds out before anything is computed: that its model can be asked and trained as the settings say.

Also what identifies a run: the fields that a folder is gone on with by. Asks nothing and trains nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import metadata

from gradual.config.base import settings_that_matter
from gradual.config.run import RunConfig
from gradual.config.stage import StageConfig
from gradual.engines.transformers_engine import TransformersEngine, reading_warnings
from gradual.errors import ConfigError, LaunchError
from gradual.facts.prepare import RunFacts
from gradual.models.load import LoadedModel, load_model
from gradual.progress import Progress, warn
from gradual.run.measures.benchmarks import benchmark_fingerprint
from gradual.run.steps import Step
from gradual.training.train import check_training

_WRITING = ("accelerate", "peft", "pyarrow", "safetensors", "trl")
"""Packages that train and that write results, besides those that the model's fingerprint names. Not datasets: it hands
on the numbers of steps, and facts that it has read are in the digest. Nor pydantic: settings are in as read."""


def say_what_to_know(
    config: RunConfig, run_facts: RunFacts, progress: Progress, *, besides: Sequence[str] = ()
) -> None:
    """Says how the facts were read, and warns of what they and the settings, or something `besides`, do to results."""
    for remark in run_facts.remarks:
        progress.say(remark)
    warn(progress, *run_facts.warnings, *besides)
    if config.evaluation.protocol == "paper":
        warn(progress, "evaluation.protocol is paper: test facts choose the epochs, so their scores flatter")


def load_to_train(config: RunConfig, progress: Progress, *, threads: int | None = None) -> LoadedModel:
    """The model, checked that it can be trained; see `load_model`.

    Raises:
        ConfigError, ModelError: it cannot be loaded, or not be trained with these settings.
    """
    progress.say(f"loading {config.model.name_or_path} (GGUF weights are converted the first time)")
    loaded = load_model(config.model, threads=threads)
    warn(progress, *reading_warnings(loaded))
    check_training(loaded, config.lora, config.report_to)
    return loaded


def check_questions(loaded: LoadedModel, steps: Sequence[Step]) -> None:
    """Finds out, before anything is computed, whether the model can be asked in every form that a run asks.

    Raises:
        ModelError: chats are asked for, and the tokenizer has no chat template.
        DataError: a text would be read as something else in a chat.
    """
    engine = TransformersEngine(loaded)
    for step in steps:
        if step.form == "chat" and step.questions is not None:
            style = engine.prompt_style(step.questions.settings)
            for fact in step.questions.facts:
                style.check(fact)


def check_packs(stages: Sequence[StageConfig], num_processes: int, *, reads_trees: bool) -> None:
    """Refuses more processes than a step has packs to deal out to them.

    Raises:
        LaunchError: some would never have anything to train on.
    """
    for index, stage in enumerate(stages):
        facts_per_pack = min(stage.pack_size, stage.batch_size) if reads_trees else 1
        if (num_packs := stage.batch_size // facts_per_pack) < num_processes:
            raise LaunchError(
                f"stages[{index}]: expected a pack in each step for each of {num_processes} processes, found "
                f"{num_packs} (batch_size {stage.batch_size}, {facts_per_pack} facts in a pack) - launch {num_packs} "
                "processes, or choose a smaller pack_size or a larger batch_size"
            )


def check_in_step(config: RunConfig) -> None:
    """Refuses what one process does by itself with the model, where it lies in parts in all of them (`model.fsdp`).

    Raises:
        ConfigError: a stage draws own answers or reads a reference, or lm-eval is to score the model.
    """
    if config.evaluation.lm_eval:
        raise ConfigError(
            "evaluation.lm_eval: one process scores, which has only a part of the model under model.fsdp - score the "
            "run's adapter by lm-eval's own command"
        )
    for index, stage in enumerate(config.stages):
        if stage.anchor is not None and stage.anchor.draws_answers:
            raise ConfigError(
                f"stages[{index}].anchor: own answers are drawn by one process, which has only a part of the model "
                "under model.fsdp - use an anchor of kind l2, or draw them where the model lies whole"
            )
        if stage.anchor is not None and stage.anchor.reads_a_reference:
            raise ConfigError(
                f"stages[{index}].anchor: {stage.anchor.kind} reads the model once more where a process has anchors in "
                "its share, which under model.fsdp all would have to do together - use an anchor of kind l2"
            )


def run_fingerprint(
    config: RunConfig, run_facts: RunFacts, of_model: Mapping[str, str], *, num_processes: int = 1
) -> dict[str, str]:
    """Everything that can change a result of a run, by field: settings one by one, facts, model, library versions.

    Several processes add up gradients in another order than one, so their number is part of it.
    """
    settings = settings_that_matter(config, leave_out=("report_to", "compare"))
    model = {f"model.{name}": value for name, value in of_model.items()}
    versions = {f"version.{name}": metadata.version(name) for name in _WRITING}
    data = {"facts.digest": run_facts.digest()}
    if run_facts.drift_text:
        data["drift_text.digest"] = hashlib.sha256(run_facts.drift_text.encode()).hexdigest()[:16]
    data |= benchmark_fingerprint(config.evaluation)
    if num_processes > 1:
        data["launch.processes"] = str(num_processes)
    return {f"config.{name}": json.dumps(value) for name, value in settings.items()} | model | versions | data
