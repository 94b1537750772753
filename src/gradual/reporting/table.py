"""A table of results in one neutral form, shown on the console, as CSV or as Markdown.

Owns how cells become text: no CSV cell starts a spreadsheet formula, and nothing in a name is taken for markup. Knows
nothing of what the numbers mean.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gradual.files import storage
from gradual.files.storage import JsonScalar
from gradual.text import visible

if TYPE_CHECKING:
    from rich.console import RenderableType

MARKDOWN_FILE = "tables.md"
_STARTS_A_FORMULA = (
    *"=+-@\t\r\n",
    *"\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}",
)
_MOST_COLUMNS_ON_ONE_LINE = 5
_MARKUP = re.compile(r"([\\|`*\[\]<>&])")


@dataclass(frozen=True, slots=True)
class Cell:
    """What is shown in a cell, and the raw values behind it."""

    text: str
    raw: Mapping[str, JsonScalar] = field(default_factory=dict)
    """By what is put behind the column's name in CSV (`low`, `high`); the value itself has the empty name."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table, ready to be shown."""

    name: str
    """For file names: lower-case words with hyphens."""
    title: str
    note: str
    """What the numbers are of (the denominator), and what a reader should know."""
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def holds_words(self, place: int) -> bool:
        """Whether a column holds words, which stand to the left."""
        return place == 0 or any(isinstance(row[place].raw.get(""), str) for row in self.rows)


def text(value: str) -> Cell:
    """A cell of words."""
    return Cell(value, {"": value})


def make_table(name: str, title: str, columns: Iterable[str], rows: Iterable[Iterable[Cell]], note: str) -> Table:
    """A table of these parts, in the order in which they are read."""
    return Table(name, title, note, tuple(columns), tuple(tuple(row) for row in rows))


def as_rich(table: Table) -> RenderableType:
    """The table for a terminal, title above and note below; intervals go below their values where it is wide."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    if not table.rows:
        return Text(f"\n{visible(table.title)}\n{visible(table.note)}")
    shown = RichTable(
        title=Text(f"\n{visible(table.title)}"),
        caption=Text(visible(table.note)),
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
    )
    for place, name in enumerate(table.columns):
        side: Literal["left", "right"] = "left" if table.holds_words(place) else "right"
        shown.add_column(Text(visible(name)), justify=side, overflow="fold", no_wrap=place == 0)
    is_wide = len(table.columns) > _MOST_COLUMNS_ON_ONE_LINE
    for row in table.rows:
        cells = [visible(cell.text).replace(" [", "\n[") if is_wide else visible(cell.text) for cell in row]
        shown.add_row(*map(Text, cells))
    return shown


def as_markdown(table: Table) -> str:
    """The table in GitHub's Markdown, under a heading and with its note below."""
    lines = [f"### {_marked(table.title)}", ""]
    if table.rows:
        rule = ["---" if table.holds_words(place) else "---:" for place in range(len(table.columns))]
        lines += [_line(table.columns), f"| {' | '.join(rule)} |"]
        lines += [_line([cell.text for cell in row]) for row in table.rows]
        lines.append("")
    return "\n".join([*lines, *([_marked(table.note), ""] if table.note else [])])


def as_csv(table: Table) -> str:
    """The raw values as CSV (RFC 4180); a column with an interval becomes several.

    Words that a spreadsheet would take for a formula get an apostrophe in front (OWASP, "CSV Injection").
    """
    parts = [_parts(row[place] for row in table.rows) for place in range(len(table.columns))]
    header = [f"{name} {part}".strip() for name, own in zip(table.columns, parts, strict=True) for part in own]
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([_safe(name) for name in header])
    for row in table.rows:
        writer.writerow([_safe(cell.raw.get(part)) for cell, own in zip(row, parts, strict=True) for part in own])
    return out.getvalue()


def write_tables(tables: Sequence[Table], folder: Path) -> list[Path]:
    """Each table as `NN-NAME.csv` in the folder, and all of them as `tables.md`; what was written.

    Raises:
        RunDirError: the disk refused.
    """
    storage.make_folder(folder)
    paths = []
    for number, table in enumerate(tables, start=1):
        paths.append(folder / f"{number:02d}-{table.name}.csv")
        storage.write_text(paths[-1], as_csv(table))
    storage.write_text(folder / MARKDOWN_FILE, "\n".join(as_markdown(table) for table in tables))
    return [*paths, folder / MARKDOWN_FILE]


def _parts(cells: Iterable[Cell]) -> list[str]:
    """Names of the raw values in a column, in the order they are first met; at least the value itself."""
    names = dict.fromkeys(name for cell in cells for name in cell.raw)
    return sorted(names or {"": None}, key=lambda name: name != "")


def _safe(value: JsonScalar) -> JsonScalar:
    if isinstance(value, str) and value.lstrip(" ").startswith(_STARTS_A_FORMULA):
        return f"'{value}"
    return value


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_marked, cells))} |"


def _marked(words: str) -> str:
    return _MARKUP.sub(r"\\\1", visible(words))
