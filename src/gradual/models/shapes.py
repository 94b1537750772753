"""Models of shapes alone, without weights: what a pass would take in memory is found out before there is any.

torch computes with fake tensors, which have shapes and no content, and every storage that it would make is counted
while it lives. Knows how models are built and what quantised weights take; what is computed with them, the caller says.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from gradual.config.model import ModelConfig
from gradual.models.load import number_format, read_config

_BYTES_OF_QUANTISED = {"nf4": 0.5 + 0.127 / 8, "int8": 1.0}
"""Of a weight: 4 bits and 0.127 for the doubly quantised scales of its block (arXiv 2305.14314, section 3); 8 bits."""


def hollow_model(settings: ModelConfig) -> Any:
    """The model's architecture and number format, read from its config alone."""
    from transformers import AutoModelForCausalLM

    config = read_config(settings)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(
            config, dtype=number_format(settings), trust_remote_code=settings.trust_remote_code
        ).eval()


def weight_bytes(model: Any, quantization: str = "none") -> int:
    """Bytes of the weights of a model as it was built, if they were quantised so: all linear layers but the output."""
    total = sum(int(each.numel() * each.element_size()) for each in {id(p): p for p in model.parameters()}.values())
    if quantization == "none":
        return total
    size = _BYTES_OF_QUANTISED[quantization]
    saving: int = sum(round(each.numel() * (each.element_size() - size)) for each in _linear_weights(model))
    return total - saving


def largest_linear_bytes(model: Any) -> int:
    """Bytes of the largest linear layer's weights: what a quantised one takes while it is multiplied."""
    return max((int(each.numel() * each.element_size()) for each in _linear_weights(model)), default=0)


def _linear_weights(model: Any) -> list[Any]:
    output = model.get_output_embeddings()
    return [each.weight for each in model.modules() if isinstance(each, torch.nn.Linear) and each is not output]


class LiveBytes(TorchDispatchMode):  # type: ignore[misc]
    """Counts the bytes of all storages that computations make while it is entered, as long as they live."""

    def __init__(self) -> None:
        """Start at 0."""
        super().__init__()
        self.now = 0
        self.peak = 0
        self._seen: weakref.WeakKeyDictionary[Any, None] = weakref.WeakKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """See `TorchDispatchMode`."""
        for each in tree_iter((args, kwargs)):  # what was there before is not counted, nor are views of it
            if isinstance(each, torch.Tensor):
                self._seen.setdefault(each.untyped_storage(), None)
        result = func(*args, **(kwargs or {}))
        for each in tree_iter(result):
            if isinstance(each, torch.Tensor) and (storage := each.untyped_storage()) not in self._seen:
                self._seen[storage] = None
                self.now += storage.nbytes()
                weakref.finalize(storage, self._free, storage.nbytes())
        self.peak = max(self.peak, self.now)
        return result

    def _free(self, size: int) -> None:
        self.now -= size


@contextmanager
def counted_shapes(model: Any) -> Iterator[LiveBytes]:
    """Within it, a hollow model computes with shapes alone, as if on a CPU; what that would take is counted."""
    with FakeTensorMode(allow_non_fake_inputs=True), LiveBytes() as live:
        for module in model.modules():
            for name, weight in [each for each in module._parameters.items() if each[1] is not None]:
                hollow_weight = torch.empty(weight.shape, dtype=weight.dtype, device="cpu")
                module._parameters[name] = torch.nn.Parameter(hollow_weight, requires_grad=weight.requires_grad)
            for name, value in [each for each in module._buffers.items() if each[1] is not None]:
                module._buffers[name] = torch.empty(value.shape, dtype=value.dtype, device="cpu")
        model.tie_weights()
        yield live
