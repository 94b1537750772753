"""Puts LoRA adapters on a model and takes them off again, leaving the model as it was.

Knows adapters as folders in PEFT format; not how they are trained (`training`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.helpers import disable_input_dtype_casting

from gradual.config.run import LoraSettings
from gradual.errors import ConfigError
from gradual.models.checks import PATTERN_SECONDS, endless_pattern, may_be_endless
from gradual.models.load import LoadedModel


def add_adapter(loaded: LoadedModel, lora: LoraSettings, start_adapter: Path | None) -> Any:
    """The base model with a trainable adapter: a new one, or the one of a folder to go on from.

    Raises:
        ConfigError: `lora.target_modules` is a pattern whose matching does not end.
        ValueError: it names no layer.
    """
    if start_adapter is not None:
        return PeftModel.from_pretrained(loaded.model, str(start_adapter), is_trainable=True)
    loaded.model.config.name_or_path = loaded.source
    if isinstance(lora.target_modules, str) and may_be_endless(lora.target_modules):
        _refuse_endless_pattern(lora.target_modules, [name for name, _ in loaded.model.named_modules()])
    settings = LoraConfig(
        r=lora.r,
        lora_alpha=lora.lora_alpha,
        lora_dropout=lora.lora_dropout,
        target_modules=lora.target_modules,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(loaded.model, settings)


def _refuse_endless_pattern(pattern: str, layers: Sequence[str]) -> None:
    if endless_pattern([pattern], layers) is not None:
        raise ConfigError(
            f"lora.target_modules: expected a pattern that is soon matched, found {pattern[:80]!r}, not done after "
            f"{PATTERN_SECONDS} seconds - name the layers in a list"
        )


def unload_adapter(model: Any) -> None:
    """Takes the adapter off the base model, with what training has put on it: TRL's forward method, checkpointing."""
    base = model.unload()
    compute_activations_again(base, False)
    base.__dict__.pop("forward", None)
    if hasattr(base, "peft_config"):
        del base.peft_config
    base.eval()


def compute_activations_again(model: Any, again: bool) -> None:
    """Switches on or off that a model computes its activations again in the backward pass in place of keeping them."""
    change = "enable" if again else "disable"
    switch = getattr(model, f"activation_checkpointing_{change}", None)  # younger transformers' name
    (switch or getattr(model, f"gradient_checkpointing_{change}"))()


def save_adapter(model: Any, folder: Path) -> None:
    """Saves the adapter in PEFT format, with the same bytes in every process."""
    for settings in model.peft_config.values():
        for name, value in list(vars(settings).items()):
            if isinstance(value, set):  # PEFT writes sets of names as they come, which is another order in each process
                setattr(settings, name, sorted(value))
    model.save_pretrained(str(folder))


@contextmanager
def with_adapter(loaded: LoadedModel, adapter: Path | None) -> Iterator[LoadedModel]:
    """The loaded model with an adapter on top, for as long as the context lasts; without one, the model itself."""
    if adapter is None:
        yield loaded
        return
    # In the model's own number format: reading in float32 would cost time and sharpen nothing.
    model = PeftModel.from_pretrained(loaded.model, str(adapter), autocast_adapter_dtype=False)
    model.eval()
    try:
        yield LoadedModel(model, loaded.tokenizer, loaded.source, loaded.fingerprint)
    finally:
        unload_adapter(model)


@contextmanager
def in_model_precision(model: Any) -> Iterator[None]:
    """The adapter's float32 weights are used in the model's own 16 bits, rather than casting what flows through them.

    To be opened for every step: autocast keeps the 16-bit copies of weights that the optimiser is about to change.
    """
    is_16_bit = model.dtype != torch.float32
    with torch.autocast(model.device.type, dtype=model.dtype, enabled=is_16_bit), without_input_casts(model):
        yield


def without_input_casts(model: Any) -> AbstractContextManager[None]:
    """Within it, what flows through a model keeps its number format where it enters the adapter."""
    without: AbstractContextManager[None] = disable_input_dtype_casting(model)
    return without
