"""How every command ends: errors of users in their own words, interruptions with how to go on, and exit codes.

Knows no command but by its name.
"""

from __future__ import annotations

import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from gradual.errors import GradualError

if TYPE_CHECKING:
    from types import FrameType

_RESUMABLE = ("probe", "fit", "compare", "demo")
_ARGUMENTS = "gradual.arguments"


class _TerminationError(KeyboardInterrupt):
    """SIGTERM, raised where the program stands so that everything open is closed in order."""


class Commands(TyperGroup):
    """The commands; an error of a user ends in one line, an interruption in the command to go on with."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Remembers the arguments, to say with which command to go on."""
        ctx.meta[_ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Runs a command; 2 for what the user can correct, 130 interrupted, 143 terminated."""
        try:
            with _sigterm_as_exception():
                return super().invoke(ctx)
        except GradualError as error:
            print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(2) from None
        except KeyboardInterrupt as error:
            arguments = ctx.meta[_ARGUMENTS]
            print("\nstopped", file=sys.stderr)
            if any(each in _RESUMABLE for each in arguments[:1]):
                print(f"go on with: {shlex.join(['gradual', *arguments])}", file=sys.stderr)
            raise typer.Exit(143 if isinstance(error, _TerminationError) else 130) from None


@contextmanager
def _sigterm_as_exception() -> Iterator[None]:
    """Turns SIGTERM into an exception while the body runs; only the main thread may."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(number: int, frame: FrameType | None) -> None:
        raise _TerminationError

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
