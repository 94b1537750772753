"""What a worker is sent and what it sends back: the seam between what is done and where.

What a user can correct comes back as `Failure`, not as an exception, which the way home wraps into others.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from gradual.engines.engine import ReadCost


class Task(Protocol):
    """Something that a worker does: sent again, it does the same."""

    @property
    def key(self) -> str:
        """One of its own among those that are under way."""
        ...

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def remedy(self) -> str:
        """What to do where it ends worker after worker."""
        ...

    def kept(self) -> str:
        """Tells what a lost worker has left of it, for the next one to go on from: another text where that is more."""
        ...


Kind = TypeVar("Kind", bound=Task, contravariant=True)


class About(NamedTuple):
    """What a worker is."""

    fingerprint: Mapping[str, str]
    """All that can change what it sends back, by field."""
    unit_scale: int
    """See `Engine`, like `noise`."""
    noise: float
    warnings: list[str]
    place: str
    """Machine and process."""


class TaskResult(NamedTuple):
    """A task that was done."""

    key: str
    data: bytes
    cost: ReadCost = ReadCost(0, 0, 0, 0.0)
    """Of this task alone."""


class Failure(NamedTuple):
    """An error that a user can correct."""

    text: str
    place: str


class Worker(Protocol[Kind]):
    """What does tasks of one kind, in a process elsewhere."""

    def about(self) -> About | Failure:
        """What this worker is, with the model loaded: asked before anything else, and again where it was lost."""
        ...

    def run(self, task: Kind, /) -> TaskResult | Failure:
        """Does a task."""
        ...


class Home(NamedTuple):
    """What a worker takes over from the process that starts it."""

    variables: Mapping[str, str]
    """Of the environment, set before a library for models is loaded."""
    folder: str
    """From which paths lead, where the worker's machine has it."""

    def enter(self) -> str:
        """Makes this process such a worker; tells its machine and number."""
        os.environ.update(self.variables)
        if Path(self.folder).is_dir():
            os.chdir(self.folder)
        return f"{socket.gethostname()}, process {os.getpid()}"
