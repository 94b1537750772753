"""A table of results in one neutral form: for the console, as CSV, as Markdown, and on pages.

Owns how cells become text: no CSV cell starts a spreadsheet formula, and nothing in a name is taken for markup. Pages
draw tables with the macro `table` of templates/pieces.html.j2. Knows nothing of what the numbers mean (`cells`).
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
from gradual.reporting.svg import NOTHING, Svg
from gradual.text import visible

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

MARKDOWN_FILE = "tables.md"
_STARTS_A_FORMULA = (
    *"=+-@\t\r\n",
    *"\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}",
)
_MOST_CHARACTERS_ON_ONE_LINE = 100
_CHARACTERS_BETWEEN_COLUMNS = 3
_MARKUP = re.compile(r"([\\|`*\[\]<>&])")


@dataclass(frozen=True, slots=True)
class Cell:
    """What is shown in a cell, and the raw values behind it."""

    value: str
    """The number or words; a `Level` is drawn on pages with its colour."""
    raw: Mapping[str, JsonScalar] = field(default_factory=dict)
    """By what is put behind the column's name in CSV (`low`, `high`); the value itself has the empty name."""
    detail: str = ""
    """What goes with the value in a lower voice, such as its interval; below it in wide tables."""
    mark: str = ""
    """A warning in a word."""
    is_strong: bool = False
    drawing: Svg = NOTHING
    """On pages, below the words."""
    tint: float | None = None
    """On pages, how full the background is, in [0, 1]."""
    is_framed: bool = False

    @property
    def text(self) -> str:
        """All words of the cell on one line."""
        return " ".join(filter(None, (self.value, self.detail, self.mark)))


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

    @property
    def is_wide(self) -> bool:
        """Whether details go below their values, for want of room."""
        widths = [
            max(len(row[place].text) for row in self.rows) for place in range(len(self.columns) if self.rows else 0)
        ]
        return sum(widths) + _CHARACTERS_BETWEEN_COLUMNS * len(widths) > _MOST_CHARACTERS_ON_ONE_LINE

    def holds_words(self, place: int) -> bool:
        """Whether a column holds words, which stand to the left."""
        return place == 0 or any(isinstance(row[place].raw.get(""), str) for row in self.rows)


def make_table(name: str, title: str, columns: Iterable[str], rows: Iterable[Iterable[Cell]], note: str) -> Table:
    """A table of these parts, in the order in which they are read."""
    return Table(name, title, note, tuple(columns), tuple(tuple(row) for row in rows))


def as_rich(table: Table) -> RenderableType:
    """The table for a terminal, title above and note below."""
    from rich import box
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

    title, note = Text(f"\n{visible(table.title)}", style="bold"), Text(visible(table.note))
    if not table.rows:
        return Group(title, note)
    rows = RichTable(box=box.SIMPLE_HEAD)
    for place, name in enumerate(table.columns):
        side: Literal["left", "right"] = "left" if table.holds_words(place) else "right"
        rows.add_column(Text(visible(name)), justify=side, overflow="fold", no_wrap=place == 0)
    for row in table.rows:
        rows.add_row(*(_as_rich_cell(cell, is_wide=table.is_wide) for cell in row))
    return Group(title, rows, note) if table.note else Group(title, rows)


def _as_rich_cell(cell: Cell, *, is_wide: bool) -> Text:
    from rich.text import Text

    words = f"{cell.value}\n{cell.detail} {cell.mark}" if is_wide and cell.detail else cell.text
    return Text("\n".join(visible(line.rstrip()) for line in words.split("\n")), style="bold" if cell.is_strong else "")


def as_markdown(table: Table) -> str:
    """The table in GitHub's Markdown, under a heading and with its note below."""
    lines = [f"### {_markdown_text(table.title)}", ""]
    if table.rows:
        rule = ["---" if table.holds_words(place) else "---:" for place in range(len(table.columns))]
        lines += [_markdown_row(table.columns), f"| {' | '.join(rule)} |"]
        lines += [_markdown_row([cell.text for cell in row]) for row in table.rows]
        lines.append("")
    return "\n".join([*lines, *([_markdown_text(table.note), ""] if table.note else [])])


def as_csv(table: Table) -> str:
    """The raw values as CSV (RFC 4180); a column with an interval becomes several.

    Words that a spreadsheet would take for a formula get an apostrophe in front (OWASP, "CSV Injection").
    """
    parts = [_raw_names(row[place] for row in table.rows) for place in range(len(table.columns))]
    header = [f"{name} {part}".strip() for name, own in zip(table.columns, parts, strict=True) for part in own]
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([_no_formula(name) for name in header])
    for row in table.rows:
        writer.writerow([_no_formula(cell.raw.get(part)) for cell, own in zip(row, parts, strict=True) for part in own])
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


def _raw_names(cells: Iterable[Cell]) -> list[str]:
    """Names of the raw values in a column, in the order they are first met; at least the value itself."""
    names = dict.fromkeys(name for cell in cells for name in cell.raw)
    return sorted(names or {"": None}, key=lambda name: name != "")


def _no_formula(value: JsonScalar) -> JsonScalar:
    if isinstance(value, str) and value.lstrip(" ").startswith(_STARTS_A_FORMULA):
        return f"'{value}"
    return value


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_markdown_text, cells))} |"


def _markdown_text(words: str) -> str:
    return _MARKUP.sub(r"\\\1", visible(words))
