"""How work shows that it goes on: the seam between what works and what shows it.

Knows no terminal; `console` draws bars, `Silent` shows nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int], None]
"""Tells that this many more units of the work are done."""


class Progress(Protocol):
    """Shows what is being done."""

    def bar(self, name: str, total: int, unit: str) -> AbstractContextManager[Advance]:
        """A bar for a piece of work of `total` units; the context gives the function that moves it."""
        ...

    def say(self, text: str) -> None:
        """A line about something that has just happened."""
        ...


def warning_line(text: object) -> str:
    """A warning as it is said."""
    return f"warning: {text}"


def warn(progress: Progress, *texts: object) -> None:
    """Says warnings, one a line."""
    for text in texts:
        progress.say(warning_line(text))


class Silent:
    """Shows nothing."""

    @contextmanager
    def bar(self, name: str, total: int, unit: str) -> Iterator[Advance]:
        """See `Progress`."""
        yield lambda _: None

    def say(self, text: str) -> None:
        """See `Progress`."""
