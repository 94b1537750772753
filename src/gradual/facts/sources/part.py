"""Rows with the place they came from, in parts: what every kind of source is opened into."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Row(NamedTuple):
    """One row and where it stands: `facts.jsonl:3`, or `facts.parquet: row 3`, counted from 1."""

    where: str
    values: dict[str, object]


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one file, or of one split of a data set."""

    name: str
    columns: tuple[str, ...]
    """Every column that a row may have, in the order of the source."""
    read: Callable[[Sequence[str]], Iterable[Row]]
    """The rows, with at least the columns asked for (those of them that the row has)."""
    relation: str = ""
    """The relation of all rows, where the source's layout gives it; empty otherwise."""
    split: str = ""
    """The split of all rows, where the source's layout gives it; empty otherwise."""
    is_delimited: bool = False
    """CSV or TSV, whose cells cannot hold lists."""


def part_of(name: str, rows: list[Row]) -> Part:
    """A part whose rows are all in memory; its columns are those of any row, in order of appearance."""
    columns = tuple(dict.fromkeys(column for row in rows for column in row.values))
    return Part(name, columns, lambda _names: rows)
