"""Memory that runs out: the errors that say so, and a model whose passes fail by them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

ERRORS = {
    "gpu": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "cpu": RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried"),
    "numpy": MemoryError("Unable to allocate 3.1 GiB for an array"),
}


def limit_memory(
    model: Any, monkeypatch: pytest.MonkeyPatch, fits: Callable[[torch.Tensor], bool], error: Exception
) -> list[int]:
    """Lets passes through a model fail in its second layer unless their token ids fit; the sizes of the failed ones."""
    failures = []
    ids: list[torch.Tensor] = []
    first, second = model.get_input_embeddings(), model.model.layers[1]
    read, compute = first.forward, second.forward

    def note(tokens: torch.Tensor) -> Any:
        ids[:] = [tokens]
        return read(tokens)

    def fail(*arguments: Any, **named: Any) -> Any:
        if not fits(ids[0]):
            failures.append(ids[0].numel())
            raise error
        return compute(*arguments, **named)

    monkeypatch.setattr(first, "forward", note)
    monkeypatch.setattr(second, "forward", fail)
    return failures
