"""What a person sees while a command works and when it is done: bars, remarks and tables on a terminal or in a log.

Owns where things go: with `as_json` everything for people goes to stderr, so that stdout holds the JSON and nothing
else. What tables say is made in `results`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

from gradual.progress import Advance
from gradual.text import count, duration, visible

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

    from gradual.files.storage import Json
    from gradual.reporting.table import Table

SECONDS_BETWEEN_LINES = 5.0
"""How often a bar tells where it is when it cannot be drawn."""
_SECONDS_OF_RATE = 30.0
_LOG_WIDTH = 110


class Meter:
    """How much of a piece of work is done, how fast it goes and how long it will take, by the recent past."""

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Start at 0 of `total`; `clock` gives seconds."""
        self.total = total
        self.done = 0
        self._clock = clock
        self._start = clock()
        self._marks = deque([(self._start, 0)])

    def advance(self, number: int) -> None:
        """Counts work that was just done."""
        self.done += number
        now = self._clock()
        self._marks.append((now, self.done))
        while len(self._marks) > 2 and now - self._marks[1][0] > _SECONDS_OF_RATE:
            self._marks.popleft()

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return self._clock() - self._start

    @property
    def rate(self) -> float | None:
        """Units per second over the last half minute or so; nothing before the first are done."""
        (start, before), (_, after) = self._marks[0], self._marks[-1]
        seconds = self._clock() - start
        return (after - before) / seconds if after > before and seconds > 0 else None

    @property
    def remaining(self) -> float | None:
        """Seconds until all is done at this rate; nothing where the rate is not known."""
        return (self.total - self.done) / self.rate if self.rate else None


class Console:
    """Shows progress (it is a `progress.Progress`), remarks, tables and results."""

    def __init__(self, *, as_json: bool = False) -> None:
        """Say for whom: a machine that wants JSON on stdout, or a person."""
        self.as_json = as_json
        self._file = sys.stderr if as_json else sys.stdout
        self._draws = self._file.isatty() and not os.environ.get("CI")
        self._bars: RichProgress | None = None

    def say(self, text: str) -> None:
        """A line about something that has just happened."""
        text = _with_visible_characters(text)
        if self._bars is not None:
            self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=self._file, flush=True)

    @contextmanager
    def bar(self, name: str, total: int, unit: str) -> Iterator[Advance]:
        """See `Progress`; drawn on a terminal, written in lines elsewhere and where `CI` is set."""
        with (
            self._bar_on_screen(name, total, unit) if self._draws else self._bar_in_lines(name, total, unit) as advance
        ):
            yield advance

    @contextmanager
    def working(self) -> Iterator[None]:
        """Keeps stdout clean while libraries work that may print, where it is for JSON."""
        if not self.as_json:
            yield
            return
        with redirect_stdout(sys.stderr):
            yield

    def end(self, result: Mapping[str, Json], parts: Iterable[Table | str]) -> None:
        """What a command found: as JSON on stdout for a machine, as tables and lines for a person."""
        if self.as_json:
            print(json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False))
        else:
            self.show(*parts)

    def show(self, *parts: Table | str) -> None:
        """Tables and texts, one below the other."""
        from rich.console import Console as RichConsole

        from gradual.reporting.table import as_rich

        width = None if self._file.isatty() else _LOG_WIDTH
        screen = RichConsole(file=self._file, width=width, highlight=False, markup=False, emoji=False)
        for part in parts:
            if isinstance(part, str):
                screen.print(_with_visible_characters(part), soft_wrap=True)
            else:
                screen.print(as_rich(part))

    @contextmanager
    def _bar_in_lines(self, name: str, total: int, unit: str) -> Iterator[Advance]:
        meter = Meter(total)
        last_line = 0.0
        self.say(f"{name}: {count(total)} {unit}")

        def advance(number: int) -> None:
            nonlocal last_line
            meter.advance(number)
            if meter.seconds - last_line >= SECONDS_BETWEEN_LINES and meter.done < meter.total:
                last_line = meter.seconds
                self.say(_line(name, meter, unit))

        yield advance
        self.say(_last_line(name, meter, unit))

    @contextmanager
    def _bar_on_screen(self, name: str, total: int, unit: str) -> Iterator[Advance]:
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, Progress, TextColumn

        meter = Meter(total)
        name_column, state_column = (
            TextColumn(f"{{task.{part}}}", markup=False) for part in ("description", "fields[state]")
        )
        columns = (name_column, BarColumn(), state_column)
        screen = RichConsole(file=self._file)
        outer, bars = self._bars, self._bars or Progress(*columns, console=screen, transient=True)
        task = bars.add_task(name, total=total, state=_state(meter, unit))

        def advance(number: int) -> None:
            meter.advance(number)
            bars.update(task, advance=number, state=_state(meter, unit))

        if outer is not None:
            yield advance
            bars.remove_task(task)
        else:
            with bars:
                self._bars = bars
                try:
                    yield advance
                finally:
                    self._bars = None
        self.say(_last_line(name, meter, unit))


def _with_visible_characters(text: str) -> str:
    """The text with what a terminal would act on shown as escapes, apart from line ends."""
    return "\n".join(visible(line) for line in text.split("\n"))


def _state(meter: Meter, unit: str) -> str:
    parts = [f"{count(meter.done)}/{count(meter.total)} {unit}"]
    if meter.rate is not None:
        parts.append(f"{_rate(meter.rate)} {unit}/s")
    if meter.remaining is not None:
        parts.append(f"{duration(meter.remaining)} left")
    return ", ".join(parts)


def _line(name: str, meter: Meter, unit: str) -> str:
    return f"{name}: {_state(meter, unit)}"


def _last_line(name: str, meter: Meter, unit: str) -> str:
    rate = f" ({_rate(meter.done / meter.seconds)} {unit}/s)" if meter.done and meter.seconds > 0 else ""
    of = "" if meter.done == meter.total else f" of at most {count(meter.total)}"
    return f"{name}: {count(meter.done)}{of} {unit} in {duration(meter.seconds)}{rate}"


def _rate(rate: float) -> str:
    return f"{rate:.1f}" if rate < 100 else count(rate)
