"""How what is wrong in a user's data is said: one line per kind of mistake, the first of them, and how many in all.

Also how the rows that are left out for a mistake are kept. Knows no formats of sources; `sources` and `reading` say
what is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gradual.errors import DataError
from gradual.files import storage

LEFT_OUT_FILE = "facts_left_out.jsonl"
"""Where a run, and the folder of a probe, keeps the rows that `facts.on_bad_row: skip` has left out."""
MAX_SHOWN_PROBLEMS = 20
"""Further lines are only counted."""
_MOST_ALIKE = 3
"""More mistakes of one kind are told in one line with their count."""
_MAX_SHOWN_CHARACTERS = 60
_MAX_SHOWN_NAMES = 12


class Remark(UserWarning):
    """Something that a reader of facts tells and that is no reason to worry: how a source was understood."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that is not asked: where it stands, why, and what is in it."""

    where: str
    reason: str
    row: Mapping[str, object]

    @property
    def kind(self) -> str:
        """The reason without what was found in this row alone."""
        return self.reason.split(", found ")[0]

    def as_json(self) -> dict[str, str]:
        """As a line of `facts_left_out.jsonl`; the row as JSON text, what JSON cannot hold as Python prints it."""
        row = json.dumps(self.row, ensure_ascii=False, default=str)
        return {"where": self.where, "reason": self.reason, "row": printable(row)}


def write_left_out(rows: Iterable[LeftOut], path: Path) -> None:
    """Keeps the rows that are no facts, and why, a JSON line for each.

    Raises:
        RunDirError: the disk refused.
    """
    storage.write_text(path, "".join(f"{storage.canonical_json(row.as_json())}\n" for row in rows))


@dataclass(slots=True)
class _Kind:
    """Mistakes that differ only in their place and in what was found."""

    lines: list[str]
    places: list[str]
    count: int = 0


class Problems:
    """The problems found in one source so far, in the order found; rows with problems are kept apart where asked."""

    def __init__(self, source: str, *, skips_rows: bool = False) -> None:
        """Start with none; `source` is the name that the total is given for, `skips_rows` is `on_bad_row: skip`."""
        self._source = source
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self.skips_rows = skips_rows
        self.left_out: list[LeftOut] = []
        """Rows that had a problem, with `skips_rows`."""

    def add(
        self, where: str, *, expected: str, found: str, remedy: str, row: Mapping[str, object] | None = None
    ) -> None:
        """Note one problem: where it is (`facts.jsonl:3`), what was expected, what was found, and what to do.

        `row` is what stands there, if the problem is that row's alone.
        """
        if row is not None and self.skips_rows:
            self.left_out.append(LeftOut(where, f"expected {expected}, found {found}", row))
            return
        kind = self._kinds.setdefault((expected, remedy), _Kind([], []))
        kind.count += 1
        if kind.count <= _MOST_ALIKE + 1:
            kind.lines.append(f"{where}: expected {expected}, found {found} - {remedy}")
            kind.places.append(where)

    def stop_if_any(self) -> None:
        """End here if anything is wrong.

        Raises:
            DataError: there are problems; its text has a line for each, or one for all of a kind that there are many
                of, at most MAX_SHOWN_PROBLEMS lines, then their total if there is more than one line.
        """
        total = sum(kind.count for kind in self._kinds.values())
        if not total:
            return
        lines = [line for kind in self._kinds.values() for line in _lines_of(kind)]
        shown_lines = lines[:MAX_SHOWN_PROBLEMS]
        if len(lines) > len(shown_lines):
            shown_lines.append(f"{total} problems in {self._source}; the first {MAX_SHOWN_PROBLEMS} lines are shown")
        elif len(lines) > 1:
            shown_lines.append(f"{total} problems in {self._source}")
        raise DataError("\n".join(shown_lines))


def _lines_of(kind: _Kind) -> list[str]:
    if kind.count <= _MOST_ALIKE:
        return kind.lines
    places = ", ".join(kind.places[1:_MOST_ALIKE])
    return [f"{kind.lines[0]} ({kind.count} like it: also {places} ...)"]


def data_error(where: str, *, expected: str, found: str, remedy: str) -> DataError:
    """The error for a single problem, worded as `Problems` words it."""
    return DataError(f"{where}: expected {expected}, found {found} - {remedy}")


def printable(text: str) -> str:
    """The text with line breaks, control characters and lone surrogates escaped, so that it prints as one line."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode() for char in text
    )


def quote(value: object) -> str:
    """A value of a row as an error shows it: JSON where it is text, its kind otherwise; cut where it is long."""
    if value is None:
        return "null"
    if isinstance(value, str):
        text = value if len(value) <= _MAX_SHOWN_CHARACTERS else value[: _MAX_SHOWN_CHARACTERS - 3] + "..."
        return printable(json.dumps(text, ensure_ascii=False))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return "NaN" if value != value else f"the number {value:.12g}"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    return "an object" if isinstance(value, dict) else f"a value of type {type(value).__name__}"


def shown_names(names: list[str] | tuple[str, ...]) -> str:
    """Names as an error lists them, the first dozen."""
    more = f" and {len(names) - _MAX_SHOWN_NAMES} more" if len(names) > _MAX_SHOWN_NAMES else ""
    return ", ".join(quote(name) for name in names[:_MAX_SHOWN_NAMES]) + more if names else "none"
