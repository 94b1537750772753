"""What to do about memory: to know when it runs out, and to give back what was freed.

Knows torch's ways of saying so; those who do the work then divide it (`tree_forest`, `training`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_CPU_MESSAGES = ("can't allocate memory", "not enough memory")


_DIVIDES = ContextVar("divides", default=True)


@contextmanager
def undivided() -> Iterator[None]:
    """Within it nobody does work in parts where memory runs out: other processes would be left behind."""
    token = _DIVIDES.set(False)
    try:
        yield
    finally:
        _DIVIDES.reset(token)


def calls_for_parts(error: BaseException) -> bool:
    """Whether work that ended so should be divided: memory has run out, and this process may do it in parts."""
    return _DIVIDES.get() and is_out_of_memory(error)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was not enough memory, on any device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in _CPU_MESSAGES)


def free_memory() -> None:
    """Gives back what is free; after an error, to be called outside of its handler, which holds what it came from."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    # glibc keeps the gaps that tensors of ever other sizes leave: gigabytes, in a comparison of some hours.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
