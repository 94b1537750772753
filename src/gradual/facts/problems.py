"""How what is wrong in a user's data is said: one line per problem, the first of them, and how many there are in all.

Knows no formats; `rows` and `columns` say what is wrong.
"""

from __future__ import annotations

import json

from gradual.errors import DataError

MAX_SHOWN_PROBLEMS = 20
"""Further problems are only counted."""
_MAX_SHOWN_CHARACTERS = 60
_MAX_SHOWN_NAMES = 12


class Problems:
    """The problems found in one source so far, in the order found."""

    def __init__(self, source: str) -> None:
        """Start with none; `source` is the name that the total is given for."""
        self._source = source
        self._lines: list[str] = []
        self._count = 0

    def add(self, where: str, *, expected: str, found: str, remedy: str) -> None:
        """Note one problem: where it is (`facts.jsonl:3`), what was expected, what was found, and what to do."""
        self._count += 1
        if self._count <= MAX_SHOWN_PROBLEMS:
            self._lines.append(f"{where}: expected {expected}, found {found} - {remedy}")

    def stop_if_any(self) -> None:
        """End here if anything is wrong.

        Raises:
            DataError: there are problems; its text has a line for each of the first MAX_SHOWN_PROBLEMS, then their
                total if there is more than one.
        """
        if not self._count:
            return
        total = [f"{self._count} problems in {self._source}"] if self._count > 1 else []
        if self._count > len(self._lines):
            total = [f"{self._count} problems in {self._source}; the first {MAX_SHOWN_PROBLEMS} are shown"]
        raise DataError("\n".join([*self._lines, *total]))


def data_error(where: str, *, expected: str, found: str, remedy: str) -> DataError:
    """The error for a single problem, worded as `Problems` words it."""
    return DataError(f"{where}: expected {expected}, found {found} - {remedy}")


def printable(text: str) -> str:
    """The text with line breaks, control characters and lone surrogates escaped, so that it prints as one line."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode() for char in text
    )


def shown(value: object) -> str:
    """A value of a row as an error shows it: JSON where it is text, its kind otherwise; cut where it is long."""
    if value is None:
        return "null"
    if isinstance(value, str):
        cut = value if len(value) <= _MAX_SHOWN_CHARACTERS else value[: _MAX_SHOWN_CHARACTERS - 3] + "..."
        return printable(json.dumps(cut, ensure_ascii=False))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value:.12g}"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    return "an object" if isinstance(value, dict) else f"a value of type {type(value).__name__}"


def shown_names(names: list[str] | tuple[str, ...]) -> str:
    """Names as an error lists them, the first dozen."""
    more = f" and {len(names) - _MAX_SHOWN_NAMES} more" if len(names) > _MAX_SHOWN_NAMES else ""
    return ", ".join(shown(name) for name in names[:_MAX_SHOWN_NAMES]) + more if names else "none"
