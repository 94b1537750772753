"""Tables of training facts by level: at every probe, and from one to another. Runs, maps and comparisons share them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradual.knowledge.levels import BEST_FIRST, Level
from gradual.reporting.cells import count_in_total_cell, text_cell
from gradual.reporting.charts import level_strip
from gradual.reporting.table import Cell, Table, make_table
from gradual.text import mean_count


def levels_table(levels: Sequence[Mapping[Level, int]], names: Sequence[str], *, title: str = "Levels") -> Table:
    """Counts and shares of each level, a row for each map."""
    rows = []
    for name, counts in zip(names, levels, strict=True):
        total = sum(counts.values())
        cells = [count_in_total_cell(counts.get(level, 0), total) for level in BEST_FIRST]
        rows.append([text_cell(name), *cells, Cell(mean_count(total), {"": total}, drawing=level_strip(counts))])
    return make_table("levels", title, ["", *BEST_FIRST, "all"], rows, "")


def transition_table(counts: Mapping[Level, Mapping[Level, float]], title: str) -> Table:
    """Facts by level before (rows) and after (columns), with shares of each row; facts that stayed are framed."""
    rows = []
    for level in BEST_FIRST:
        row = counts.get(level, {})
        total = sum(row.values())
        cells = [_transition_cell(row.get(now, 0), total, stayed=now == level) for now in BEST_FIRST]
        rows.append([text_cell(level), *cells, Cell(mean_count(total), {"": total})])
    return make_table("transitions", title, ["from \\ to", *BEST_FIRST, "all"], rows, "")


def _transition_cell(number: float, total: float, *, stayed: bool) -> Cell:
    cell = count_in_total_cell(number, total)
    detail = cell.detail if number else ""
    return Cell(cell.value, cell.raw, detail, tint=number / total if total else 0.0, is_framed=stayed)
