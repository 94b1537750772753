"""What to do when memory runs out: to know it when it happens, and to give back what a failed attempt held.

Knows torch's ways of saying so; how work is then divided is the business of those who do it (`tree_forest`,
`training`).
"""

from __future__ import annotations

import torch

_SAID_ON_CPU = ("can't allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was not enough memory, on any device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(said in str(error) for said in _SAID_ON_CPU)


def free_memory() -> None:
    """Give back what a failed attempt held; to be called outside of the handler of its error, which holds it too."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
