"""Merges an adapter into its base model, saves the weights, and finds out whether they still say the same.

The saved weights are read back from the disk, in the number format that they were saved in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gradual.asking.shots import Shots
from gradual.config.model import ModelConfig
from gradual.config.run import RunConfig, evaluation_settings
from gradual.errors import ExportError
from gradual.facts.fact import Fact, spread
from gradual.models.load import LoadedModel
from gradual.progress import Progress
from gradual.run.best_stage import refuse_other_weights
from gradual.run.folder import RunDir, read_facts
from gradual.run.steps import ANY_TOLERANCE
from gradual.text import plural, visible

MOST_FACTS = 50
"""Facts that base and adapter are held against the merged weights on."""
_MOST_NAMED = 3


@dataclass(frozen=True)
class MergeCheck:
    """What merged weights were held against."""

    num_facts: int
    dtype: str


def merge_adapter(
    run: RunDir, stage: int, config: RunConfig, draft: Path, *, dtype: str | None, progress: Progress
) -> MergeCheck:
    """Saves the base model with the adapter of a stage merged into it, as safetensors with its tokenizer.

    Args:
        run: whose adapter it is.
        stage: the stage that made it.
        config: the run's settings.
        draft: an empty folder to write into.
        dtype: number format to merge and to save in; None: that of the run's model.
        progress: where bars and remarks go.

    Raises:
        ExportError: the weights, read back, answer a fact otherwise than base and adapter do.
        ModelError: the base model cannot be loaded.
        RunDirError: it is not the one that the run was made with.
    """
    from gradual.models.adapters import with_adapter
    from gradual.models.checks import check_adapter_folder
    from gradual.models.load import load_model

    adapter = run.adapter(stage)
    check_adapter_folder(adapter)
    known, num_shots = read_facts(run.facts), config.probe.num_shots
    shots = Shots(known, num_shots=num_shots).exemplars
    facts = facts_to_check([fact for fact in known if not num_shots or fact.relation in shots])
    name = dtype or run.fingerprint.get("model.dtype") or config.model.dtype
    settings = config.model.model_copy(update={"dtype": name})
    progress.say(f"loading {settings.name_or_path} in {name}")
    loaded = load_model(settings)
    refuse_other_weights(run, loaded.fingerprint)
    with with_adapter(loaded, adapter) as adapted:
        expected = greedy_answers(adapted, facts, shots, config)
    _save_merged(loaded, adapter, draft)
    del loaded, adapted
    draft_settings = ModelConfig(name_or_path=str(draft), dtype=settings.dtype, device=settings.device)
    merged = load_model(draft_settings.model_copy(update={"trust_remote_code": settings.trust_remote_code}))
    answers = greedy_answers(merged, facts, shots, config)
    refuse_other_answers(expected, answers, name)
    progress.say(f"merged weights in {name} give the same greedy answers to {plural(len(facts), 'fact')}")
    return MergeCheck(len(facts), name)


def facts_to_check(facts: Sequence[Fact]) -> list[Fact]:
    """At most 50 facts of the test facts (of the training facts where there are none), spread over the relations."""
    tests = [fact for fact in facts if fact.split == "test"] or [fact for fact in facts if fact.split == "train"]
    return spread(tests, MOST_FACTS)


def greedy_answers(
    loaded: LoadedModel, facts: Sequence[Fact], exemplars: Mapping[str, Sequence[Fact]], config: RunConfig
) -> dict[str, str | None]:
    """A model's greedy answers, written out, as the run's evaluation asks."""
    from gradual.engines.transformers_engine import TransformersEngine
    from gradual.probing.probe import probe_facts

    changes = {"tolerance": ANY_TOLERANCE, "confidence": False}
    settings = evaluation_settings(config).model_copy(update=changes)
    seed = config.evaluation.exemplar_seed
    known = probe_facts(facts, exemplars, TransformersEngine(loaded), settings, seed=seed)
    return {fact.id: fact.greedy_answer for fact in known}


def _save_merged(loaded: LoadedModel, adapter: Path, draft: Path) -> None:
    from peft import PeftModel

    # The adapter in float32 even on a 16-bit model: the product is rounded once, as it is added to the weights.
    model = PeftModel.from_pretrained(loaded.model, str(adapter)).merge_and_unload(safe_merge=True)
    model.save_pretrained(str(draft), safe_serialization=True)
    loaded.tokenizer.save_pretrained(str(draft))


def refuse_other_answers(expected: Mapping[str, str | None], answers: Mapping[str, str | None], dtype: str) -> None:
    """Refuses merged weights that answer otherwise.

    Raises:
        ExportError: a greedy answer differs; the first ones are named.
    """
    differing = [fact for fact in sorted(expected) if expected[fact] != answers.get(fact)]
    if not differing:
        return
    examples = "; ".join(
        f'fact "{visible(fact)}": {visible(expected[fact] or "")!r}, merged {visible(answers.get(fact) or "")!r}'
        for fact in differing[:_MOST_NAMED]
    )
    remedy = "export the adapter alone" if dtype == "float32" else "merge with --dtype float32, or export the adapter"
    raise ExportError(
        f"merged weights in {dtype}: expected the greedy answers of base and adapter, found {len(differing)} of "
        f"{len(expected)} others ({examples}) - {remedy}"
    )
