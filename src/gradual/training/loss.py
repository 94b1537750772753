"""The packs of a step as tensors, and the loss of all their facts in one forward pass.

Knows packs and a model; no optimiser and no epochs (`train`).
Shapes: B rows (packs), T slots, N supervised places.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from gradual.engines.next_tokens import attention_kernels, logits_at
from gradual.engines.tree_attention import MaskKinds, tree_attention
from gradual.models.adapters import in_model_precision, without_input_casts
from gradual.training.rows import Pack


def pack_tensors(
    packs: Sequence[Pack], pad_token: int, kl: Mapping[str, float] = MappingProxyType({})
) -> dict[str, torch.Tensor]:
    """The tensors of packs: input_ids, position_ids, is_token (B, T), allowed (B, T, T), rows, columns, labels (N,).

    Beside them weights (N,), where a fact has one that is not 1. Where one of them is in `kl`: kl (N,), and of the K
    places held to a reference held (K,), which places they are, held_rows, the rows that have any, and held_in (K,), at
    which of these rows each is.
    """
    trees = [pack.tree() for pack in packs]
    width = max(len(tree) for tree, _ in trees)
    ids = np.full((len(packs), width), pad_token, dtype=np.int64)
    positions = np.zeros((len(packs), width), dtype=np.int64)
    is_token = np.zeros((len(packs), width), dtype=np.int64)
    allowed = np.zeros((len(packs), width, width), dtype=bool)
    allowed[:, np.arange(width), np.arange(width)] = True
    rows: list[int] = []
    columns: list[int] = []
    labels: list[int] = []
    for row, (tree, supervised) in enumerate(trees):
        count = len(tree)
        ids[row, :count] = tree.tokens
        positions[row, :count] = tree.depths
        is_token[row, :count] = 1
        allowed[row, :count, :count] = tree.ancestors()
        rows += [row] * len(supervised)
        columns += [node for node, _ in supervised]
        labels += [token for _, token in supervised]
    tensors = {"input_ids": ids, "position_ids": positions, "is_token": is_token, "allowed": allowed}
    places = {"rows": np.array(rows), "columns": np.array(columns), "labels": np.array(labels)}
    batch = {name: torch.from_numpy(array) for name, array in (tensors | places).items()}
    weights = [weight for pack in packs for weight in pack.weights()]
    if any(weight != 1.0 for weight in weights):
        batch["weights"] = torch.tensor(weights)
    kl_weights = [weight for pack in packs for weight in pack.kl_weights(kl)]
    if any(kl_weights):
        batch["kl"] = torch.tensor(kl_weights)
        held = np.flatnonzero(kl_weights)
        held_rows, held_in = np.unique(np.array(rows)[held], return_inverse=True)
        places = {"held": held, "held_rows": held_rows, "held_in": held_in}
        batch |= {name: torch.from_numpy(array) for name, array in places.items()}
    return batch | {"num_tokens": torch.tensor(sum(len(tree) for tree, _ in trees))}


def packed_loss(model: Any, batch: Mapping[str, torch.Tensor], masks: MaskKinds | None) -> torch.Tensor:
    """Sum of the cross entropy over the supervised tokens of a batch: that of the facts one by one, to rounding.

    Each token's is multiplied by its fact's weight before anything is added up. See `packed_logits`.
    """
    return summed_cross_entropy(packed_logits(model, batch, masks), batch)


def summed_cross_entropy(logits: torch.Tensor, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Sum of the weighted cross entropy over the supervised places, from the (N, V) logits there."""
    labels = batch["labels"].to(logits.device)
    if "weights" not in batch:
        return torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
    each = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    return (each * batch["weights"].to(logits.device)).sum()


@contextmanager
def recomputed_alike(model: Any, masks: MaskKinds | None) -> Iterator[None]:
    """Within it, a backward pass that computes activations anew computes them as `packed_logits` did.

    Not the number format: it is kept with each checkpoint, and gradients are not to be rounded to it.
    """
    attention: AbstractContextManager[None] = nullcontext() if masks is None else tree_attention(model)
    with attention_kernels(), without_input_casts(model), attention:
        yield


def packed_logits(model: Any, batch: Mapping[str, torch.Tensor], masks: MaskKinds | None) -> torch.Tensor:
    """The (N, V) logits in float32 at the supervised places of a batch, which may lie on another device than the model.

    Without `masks` a row is a plain sequence, padded on the right: for packs of one fact, with any architecture.
    """
    batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
    positions = batch["position_ids"]
    inputs: dict[str, Any] = {"attention_mask": batch["is_token"]}
    attention: AbstractContextManager[None] = nullcontext()
    if masks is not None:
        mask = masks.masks(batch["allowed"], positions, positions, model.dtype)
        inputs = {"attention_mask": mask, "position_ids": positions}
        attention = tree_attention(model)
    with in_model_precision(model), attention:
        logits = logits_at(
            model, (batch["rows"], batch["columns"]), input_ids=batch["input_ids"], use_cache=False, **inputs
        )
    return logits.float()
