"""One stage: the rows it reads, the loss, epochs and checkpoints, with TRL and PEFT.

Knows which facts to train on, not why; that is for `selection`.
"""

from gradual.models.threads import let_threads_sleep

__all__ = ["epochs", "memory", "rows", "trackers", "train"]

let_threads_sleep()  # before a module of this package loads torch
