"""How much memory a run's probes and training will take, whether that is there, and what would make it fit.

Weights, adapter and a step of training are counted with shapes alone (`models.shapes`, `training.memory`); what a probe
holds follows from how many tokens a sample took. Trains and reads nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gradual.config.model import ModelConfig
from gradual.config.run import RunConfig
from gradual.engines.next_tokens import most_logits
from gradual.engines.reader import TOKENS_PER_PASS
from gradual.engines.transformers_engine import numbers_per_token, scale_that_fits
from gradual.errors import ModelError
from gradual.knowledge.map import KnowledgeMap
from gradual.models.load import LoadedModel
from gradual.models.shapes import hollow_model, largest_linear_bytes, weight_bytes
from gradual.probing.probe import FACTS_PER_BLOCK, PROMPTS_PER_UNIT
from gradual.run.planning.timing import step_key
from gradual.text import gigabytes
from gradual.training.memory import step_bytes
from gradual.training.rows import Pack, TrainingRows

_STEPS_LOOKED_AT = 8
"""Steps of the first epoch among which the largest one stands for all."""
_USABLE = 0.92
"""Share of a device's memory that can be used: drivers, libraries and gaps take the rest."""
_GROWTH = 1.25
"""On a GPU buffers of keys and values are up to half as large again as their content; a CPU gives only what is used."""
_ROWS_OF_A_PASS = 10
"""Rows of a unit that one pass reads, about: their keys and values are gathered for each layer."""
_FLOAT = 4


@dataclass(frozen=True)
class MemoryNeed:
    """Peak bytes of a process, weights included."""

    name: str
    """The settings that it is for; "" for the run's own."""
    probe: int
    training: int

    @property
    def peak(self) -> int:
        """Of the whole run."""
        return max(self.probe, self.training)


@dataclass(frozen=True)
class MemoryPlan:
    """What a run takes, and what it would take with other settings."""

    device: str
    device_bytes: int
    weights: int
    own: MemoryNeed
    others: tuple[MemoryNeed, ...]
    """With quantised weights, activations computed again, or both."""

    @property
    def fits(self) -> bool:
        """Whether the device has the memory."""
        return self.own.peak <= _USABLE * self.device_bytes

    def lines(self) -> list[str]:
        """For people: what is needed and, where that is not there, what would fit."""
        own = f"memory: probes {gigabytes(self.own.probe)}, training {gigabytes(self.own.training)}"
        lines = [f"{own} (weights {gigabytes(self.weights)}); {self.device} has {gigabytes(self.device_bytes)}"]
        if self.fits:
            return lines
        fitting = [each for each in self.others if each.peak <= _USABLE * self.device_bytes]
        lines += [f"  {each.name} would fit: {gigabytes(each.peak)}" for each in fitting]
        if not fitting:
            least = min(self.others, key=lambda each: each.peak)
            lines.append(f"  nothing of this would fit; least takes {least.name}: {gigabytes(least.peak)}")
        if self.own.training > _USABLE * self.device_bytes >= self.own.probe:
            lines.append("  gradual fit with model.fsdp full_shard divides the layers' weights by a launch's processes")
            lines.append("  steps that don't fit are trained in parts, slower, down to one fact at a time")
        if self.own.probe > _USABLE * self.device_bytes:
            lines.append("  gradual probe --set model.device_map=auto spreads a model over several GPUs")
        return lines


def refuse_weights_that_do_not_fit(settings: ModelConfig) -> None:
    """Finds out, before they are loaded, whether the weights of a model can lie on its device at all.

    Raises:
        ModelError: they can't; what they would take quantised is told.
    """
    hollow = hollow_model(settings)
    device, room = _device_of(settings)
    needed = weight_bytes(hollow, settings.quantization)
    if needed <= room or settings.device_map or settings.fsdp:
        return
    smaller = {f"model.quantization {kind}": weight_bytes(hollow, kind) for kind in ("int8", "nf4")}
    told = [f"{name} ({gigabytes(size)})" for name, size in smaller.items() if size <= room]
    remedy = f"use {' or '.join(told)}" if told else "fit with model.fsdp, or probe with model.device_map"
    raise ModelError(
        f'model "{settings.name_or_path}": its weights take {gigabytes(needed)}, and {device} has {gigabytes(room)} - '
        f"{remedy}"
    )


def plan_memory(
    config: RunConfig, loaded: LoadedModel, rows: Mapping[str, TrainingRows], sample: KnowledgeMap, num_facts: int
) -> MemoryPlan | None:
    """What the run takes on the device of the loaded model; None for an architecture that shapes don't suffice for.

    Args:
        rows: of the stages, by what their steps take (`timing.step_key`).
        sample: map of some training facts, which tells how many tokens an answer takes.
        num_facts: that are probed.
    """
    hollow = replace(loaded, model=hollow_model(config.model))
    dense, largest = weight_bytes(hollow.model), largest_linear_bytes(hollow.model)
    device, room = _device_of(config.model)
    on_cpu = loaded.model.device.type == "cpu"
    stages = {step_key(stage): stage for stage in config.stages}.items()
    reading = _unit_bytes(config, hollow.model, sample, num_facts, loaded.model.device.type, room)
    try:
        training = {
            again: max(
                step_bytes(
                    hollow,
                    _largest_step(rows[key]),
                    config.lora,
                    on_cpu=on_cpu,
                    activation_checkpointing=again,
                    anchor=stage.anchor,
                    kl=rows[key].kl,
                )
                for key, stage in stages
            )
            for again in (False, True)
        }
    except (AttributeError, LookupError, NotImplementedError, RuntimeError, TypeError, ValueError):
        return None

    def need(kind: str, again: bool, name: str) -> MemoryNeed:
        weights = weight_bytes(hollow.model, kind) + (largest if kind != "none" else 0)
        return MemoryNeed(name, weights + reading, weights + training[again])

    own_again, own_kind = config.stages[0].activation_checkpointing, config.model.quantization
    others = [
        need(kind, again, " with ".join(part for part in (_kind_name(kind), _again_name(again)) if part))
        for kind in ("none", "int8", "nf4")
        for again in (False, True)
        if (kind, again) != (own_kind, own_again)
    ]
    weights = weight_bytes(hollow.model, own_kind) if own_kind != "none" else dense
    return MemoryPlan(device, room, weights, need(own_kind, own_again, ""), tuple(each for each in others if each.name))


def _kind_name(kind: str) -> str:
    return "" if kind == "none" else f"model.quantization {kind}"


def _again_name(again: bool) -> str:
    return "stages[].activation_checkpointing" if again else ""


def _largest_step(rows: TrainingRows) -> list[Pack]:
    steps = [rows.step(0, step) for step in range(min(rows.steps_per_epoch, _STEPS_LOOKED_AT))]
    return max(steps, key=lambda packs: len(packs) * max(len(pack.tree()[0]) for pack in packs))


def _unit_bytes(config: RunConfig, model: Any, sample: KnowledgeMap, num_facts: int, device: str, room: int) -> int:
    """What a unit of a probe holds at its end: keys and values of its tokens, and one pass over some of them."""
    size = next(model.parameters()).element_size()
    text, num_sets = model.config.get_text_config(), config.probe.num_exemplar_sets
    scale = 1 if device == "cpu" else scale_that_fits(model.config, room, size)
    prompts = min(scale * PROMPTS_PER_UNIT, num_facts * num_sets)
    tokens = round(prompts * sample.info.cost.tokens_read / (len(sample) * num_sets))
    per_token = (numbers_per_token(text) or 0) * size
    kept = tokens * per_token * (1.0 if device == "cpu" else _GROWTH)
    in_pass = min(tokens, TOKENS_PER_PASS.get(device, TOKENS_PER_PASS["cuda"]))
    num_rows = max(num_sets, prompts // FACTS_PER_BLOCK)
    seen = tokens // num_rows + 1
    scores = 2 * _FLOAT * text.num_attention_heads * in_pass * seen if device == "cpu" else 0
    gathered = 2 * (in_pass * per_token // text.num_hidden_layers) * min(num_rows, _ROWS_OF_A_PASS)
    hidden = in_pass * size * (4 * text.hidden_size + 3 * getattr(text, "intermediate_size", 4 * text.hidden_size))
    logits = min(in_pass, most_logits(model)) * text.vocab_size * (size if size == _FLOAT else size + _FLOAT)
    return int(kept + scores + gathered + max(hidden, logits))


def _device_of(settings: ModelConfig) -> tuple[str, int]:
    """The device that the settings choose, in words, and its memory."""
    import torch

    if settings.device == "cpu" or not torch.cuda.is_available():
        return "this machine", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    device = torch.device("cuda" if settings.device == "auto" else settings.device)
    properties = torch.cuda.get_device_properties(device)
    return properties.name, int(properties.total_memory)
