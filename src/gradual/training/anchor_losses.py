"""What is added to the loss of a stage to hold it to what the model was: the kinds of `AnchorConfig`.

Own answers without soft targets need nothing here: they are ordinary rows. Knows tensors; which facts anchor a stage,
`rows` says.
Shapes: N supervised places of a batch, K of them held to the reference, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load, save
from transformers import TrainerCallback

from gradual.config.stage import AnchorConfig
from gradual.engines.tree_attention import MaskKinds
from gradual.files import storage
from gradual.training.loss import packed_logits, packed_loss, summed_cross_entropy

_Batch = Mapping[str, torch.Tensor]
_SNAPSHOT = "first_epoch.safetensors"


class Loss(Protocol):
    """A loss of a batch, summed over its supervised places."""

    def __call__(self, model: Any, batch: _Batch, masks: MaskKinds | None) -> torch.Tensor:
        """The sum, with its graph."""
        ...


def loss_of(anchor: AnchorConfig | None, model: Any, reference: Reference | None) -> Loss:
    """The loss of a stage: cross entropy and, where its anchor says so, what holds it.

    To be asked for before anything is trained: `l2` holds the weights to where they are now.
    """
    if anchor is not None and not anchor.chooses_facts:
        return L2AnchorLoss(adapter_weights(model), anchor.weight)
    return KlAnchorLoss(reference) if reference is not None else packed_loss


def loss_beforehand(anchor: AnchorConfig | None, model: Any) -> Loss:
    """A loss that takes as long as a stage's and as much memory, before there is any stage.

    The model after the first epoch is not there yet; the base model, read in its place, costs the same.
    """
    return loss_of(anchor, model, Base() if anchor is not None and anchor.reads_a_reference else None)


def adapter_weights(model: Any) -> list[torch.Tensor]:
    """The weights that are trained, in the model's order."""
    return [weight for _, weight in _adapter_weights_by_name(model)]


class L2AnchorLoss:
    """Cross entropy + weight x N x sum (theta - theta_0)^2 over the adapter's weights theta, which began as theta_0.

    N makes it weight x distance for the mean over the places, however a step is divided. L2-SP (arXiv 1802.01483), for
    the factors A and B of LoRA, not for their product.
    """

    def __init__(self, weights: Sequence[torch.Tensor], weight: float) -> None:
        self._weights = weights
        self._start = [each.detach().clone() for each in weights]
        self._weight = weight

    def __call__(self, model: Any, batch: _Batch, masks: MaskKinds | None) -> torch.Tensor:
        """See `Loss`."""
        distances = [(now - then).square().sum() for now, then in zip(self._weights, self._start, strict=True)]
        return packed_loss(model, batch, masks) + self._weight * len(batch["labels"]) * torch.stack(distances).sum()


class KlAnchorLoss:
    """Cross entropy + sum over K places of weight x KL(reference || model) of the next token there.

    KL = sum_v p(v) (log p(v) - log q(v)) over the whole vocabulary, p being the reference's chances, read in the same
    packed rows but without gradients or dropout, and only in rows that have such places. At the tokens of an answer
    drawn from p it has the expectation of the divergence of whole answers, by the chain rule.
    """

    def __init__(self, reference: Reference) -> None:
        self._reference = reference

    def __call__(self, model: Any, batch: _Batch, masks: MaskKinds | None) -> torch.Tensor:
        """See `Loss`."""
        if "kl" not in batch or not self._reference.is_there():
            return packed_loss(model, batch, masks)
        places = held_places(batch)
        with torch.no_grad(), self._reference.on(model), _without_dropout(model):
            expected = packed_logits(model, places, masks).log_softmax(dim=-1)
        logits = packed_logits(model, batch, masks)
        is_anchor = batch["held"].to(logits.device)
        chances = logits[is_anchor].log_softmax(dim=-1)
        distances = (expected.exp() * (expected - chances)).sum(dim=-1)
        return summed_cross_entropy(logits, batch) + (distances * batch["kl"].to(logits.device)[is_anchor]).sum()


def held_places(batch: _Batch) -> dict[str, torch.Tensor]:
    """The part of a batch that its held places need: rows that have any, and K places in them."""
    part = {name: batch[name][batch["held_rows"]] for name in ("input_ids", "position_ids", "is_token", "allowed")}
    return part | {"rows": batch["held_in"], **{name: batch[name][batch["held"]] for name in ("columns", "labels")}}


class Reference(Protocol):
    """The model that a stage is held to, as another state of the one that is trained."""

    def is_there(self) -> bool:
        """Whether there is one yet."""
        ...

    def on(self, model: Any) -> AbstractContextManager[None]:
        """Within it, the model is the reference."""
        ...


class Base:
    """The model without the adapter that is trained."""

    def is_there(self) -> bool:
        """See `Reference`."""
        return True

    @contextmanager
    def on(self, model: Any) -> Iterator[None]:
        """See `Reference`."""
        with model.disable_adapter():
            yield


class FirstEpoch(TrainerCallback):  # type: ignore[misc]
    """The model as it was after the first epoch of the stage, in which nothing is held (arXiv 2604.15574).

    Its adapter is kept beside the checkpoints until the stage ends, so that a killed stage is held to the same.
    """

    def __init__(self, checkpoints: Path, epoch: Callable[[], int]) -> None:
        """Say where to keep it, and which epoch is trained, from 0."""
        self._path = checkpoints / _SNAPSHOT
        self._epoch = epoch
        self._weights: dict[str, torch.Tensor] = {}

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """See `TrainerCallback`: comes before the first epoch's checkpoint, so none is without its snapshot."""
        if self._epoch() == 0 and state.is_world_process_zero:  # the same in every process; the others read it
            storage.make_folder(self._path.parent)
            weights = {
                name: weight.detach().cpu().contiguous() for name, weight in _adapter_weights_by_name(kwargs["model"])
            }
            storage.write_bytes(self._path, save(weights))

    def is_there(self) -> bool:
        """See `Reference`."""
        return self._epoch() > 0

    @contextmanager
    def on(self, model: Any) -> Iterator[None]:
        """See `Reference`."""
        if not self._weights:
            self._weights = load(storage.read_bytes(self._path))
        now = {name: weight.data for name, weight in _adapter_weights_by_name(model)}
        try:
            for name, weight in _adapter_weights_by_name(model):
                weight.data = self._weights[name].to(weight.device)
            yield
        finally:
            for name, weight in _adapter_weights_by_name(model):
                weight.data = now[name]


def _adapter_weights_by_name(model: Any) -> list[tuple[str, torch.Tensor]]:
    return [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]


@contextmanager
def _without_dropout(model: Any) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
