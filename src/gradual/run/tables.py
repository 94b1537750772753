"""The tables of a run: `facts.parquet` and `selection.parquet`, their columns, and how they are written and read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gradual.errors import RunDirError
from gradual.facts.fact import Fact
from gradual.facts.problems import LeftOut
from gradual.files import storage
from gradual.files.parquet import Column, read_table, write_table
from gradual.knowledge.levels import Level
from gradual.selection.strategies import TAUGHT, SelectedFact, Selection

_FACTS = (
    *(Column(name, "text") for name in ("id", "relation", "subject", "question", "split")),
    Column("answers", "texts"),
)
_SELECTION = tuple(Column(name, "text") for name in ("id", "role", "first", "before", "now", "reason"))


def write_facts(facts: Iterable[Fact], path: Path) -> None:
    """Keeps the facts of a run with their splits, in an order of their own, as a table.

    Raises:
        RunDirError: the disk refused.
    """
    rows = sorted(facts, key=lambda fact: (fact.split, fact.relation, fact.id))
    write_table(path, _FACTS, {column.name: [getattr(row, column.name) for row in rows] for column in _FACTS})


def read_facts(path: Path) -> list[Fact]:
    """The facts of a run with their splits, in the order of the file.

    Raises:
        RunDirError: the file is missing or damaged, or lacks a column.
    """
    columns = read_table(path, _FACTS)
    columns["answers"] = [tuple(answers) for answers in columns["answers"]]
    rows = zip(*columns.values(), strict=True)
    return [Fact(**dict(zip(columns, row, strict=True))) for row in rows]


def write_left_out(rows: Iterable[LeftOut], path: Path) -> None:
    """Keeps the rows that are no facts, and why, a JSON line for each.

    Raises:
        RunDirError: the disk refused.
    """
    storage.write_text(path, "".join(f"{storage.canonical_json(row.as_json())}\n" for row in rows))


def write_selection(selection: Selection, path: Path) -> None:
    """Keeps what a stage trains on, and why, as a table.

    Raises:
        RunDirError: the disk refused.
    """
    storage.make_folder(path.parent)
    rows = selection.rows
    write_table(path, _SELECTION, {c.name: [str(getattr(row, c.name)) for row in rows] for c in _SELECTION})


def read_taught(path: Path) -> list[SelectedFact]:
    """What a stage trained on with its own targets: no refusals, and nothing that only holds it to a reference.

    Raises:
        RunDirError: as `read_selection`.
    """
    return [row for row in read_selection(path) if row.role in TAUGHT]


def read_selection(path: Path) -> list[SelectedFact]:
    """What a stage trained on, and why, by id.

    Raises:
        RunDirError: the file is missing or damaged, lacks a column, or names a level that there is not.
    """
    columns = read_table(path, _SELECTION)
    levels = {name: _levels(path, name, columns[name]) for name in ("first", "before", "now")}
    rows = zip(*((columns | levels)[column.name] for column in _SELECTION), strict=True)
    return [SelectedFact(*row) for row in rows]


def _levels(path: Path, column: str, names: Iterable[str]) -> list[Level]:
    try:
        return [Level(name) for name in names]
    except ValueError as error:
        raise RunDirError(f"{path}: column {column!r}: {error}; make the run again") from None
