"""One stage: the rows it reads, the loss, epochs and checkpoints, with TRL and PEFT.

Knows which facts to train on, not why; that is for `selection`.
"""

__all__ = ["epochs", "rows", "train"]
