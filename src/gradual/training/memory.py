"""What a step of training takes in memory, found out with shapes alone.

Knows packs, the adapter and the loss; whether it fits, and what else would, is for `run.planning.memory`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from gradual.config.run import LoraSettings
from gradual.config.stage import AnchorConfig
from gradual.engines.tree_attention import MaskKinds
from gradual.models.adapters import add_adapter, compute_activations_again, unload_adapter
from gradual.models.load import LoadedModel
from gradual.models.shapes import counted_shapes
from gradual.training.anchor_losses import loss_beforehand
from gradual.training.loss import pack_tensors, recomputed_alike
from gradual.training.rows import Pack

_STATES_OF_ADAM = 2
"""Numbers that AdamW keeps for each trained weight, of the weight's own size."""


def step_bytes(
    hollow: LoadedModel,
    packs: Sequence[Pack],
    lora: LoraSettings,
    *,
    on_cpu: bool,
    activation_checkpointing: bool,
    anchor: AnchorConfig | None = None,
    kl: Mapping[str, float] = MappingProxyType({}),
) -> int:
    """Peak bytes of a step that trains on some packs with AdamW, beside the base model's weights.

    Args:
        hollow: a model without weights (`models.shapes`) with its tokenizer; is left with fake weights.
        on_cpu: attention as it is computed on a CPU, which keeps all scores; on a GPU a fused kernel keeps none.
        anchor: what the step is held by; the adapter's state that it keeps counts.
        kl: facts that are held to a reference (`TrainingRows.kl`).
    """
    model = add_adapter(hollow, lora, None)
    try:
        model.train()
        compute_activations_again(hollow.model, activation_checkpointing)
        if not on_cpu:
            hollow.model._can_set_attn_implementation = lambda: False
        masks = MaskKinds(hollow.model.config) if any(len(pack.examples) > 1 for pack in packs) else None
        batch = pack_tensors(packs, hollow.tokenizer.pad_token_id, kl)
        with counted_shapes(model) as live, recomputed_alike(model, masks):
            weights = live.now
            loss_beforehand(anchor, model)(model, batch, masks).backward()
        adapter = sum(_bytes(each) for each in model.parameters() if each.requires_grad)
        snapshot = adapter if anchor is not None and anchor.keeps_first_epoch else 0
        return live.peak - weights + (1 + _STATES_OF_ADAM) * adapter + snapshot
    finally:
        hollow.model.__dict__.pop("_can_set_attn_implementation", None)
        unload_adapter(model)


def _bytes(weight: Any) -> int:
    return int(weight.numel() * weight.element_size())
