"""How every command ends: errors of users in their own words, interruptions with how to go on, and exit codes.

Knows no command but by its name.
"""

from __future__ import annotations

import os
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

_RESUMABLE = ("probe", "fit", "compare", "tune", "demo")
_ARGUMENTS = "gradual.arguments"
_RANK = "RANK"
"""Set by launchers of several processes, with WORLD_SIZE (see `models.ranks`, which is not loaded for a help text)."""


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
            print(f"error{_which_process()}: {error}", file=sys.stderr)
            raise typer.Exit(2) from None
        except KeyboardInterrupt as error:
            if not is_first_process():
                raise typer.Exit(130) from None
            arguments = ctx.meta[_ARGUMENTS]
            print("\nstopped", file=sys.stderr)
            if any(each in _RESUMABLE for each in arguments[:1]):
                print(f"go on with: {shlex.join(['gradual', *arguments])}", file=sys.stderr)
            raise typer.Exit(143 if isinstance(error, _TerminationError) else 130) from None


def is_first_process() -> bool:
    """Whether this process says what happens and writes: the only one, or the first of a launch."""
    return os.environ.get(_RANK, "0") == "0"


def _which_process() -> str:
    several = int(os.environ.get("WORLD_SIZE") or 1) > 1
    return f" in process {os.environ.get(_RANK)} of {os.environ['WORLD_SIZE']}" if several else ""


@contextmanager
def _sigterm_as_exception() -> Iterator[None]:
    """Turns SIGTERM into an exception while the body runs; only the main thread may.

    Processes of a launch that are not the first hold nothing open: SIGTERM ends them as the system does, at once, also
    where they wait for another one outside of Python.
    """
    if not is_first_process() or threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(number: int, frame: FrameType | None) -> None:
        raise _TerminationError

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
