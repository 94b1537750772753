"""The three forms of a table: nothing in a cell becomes a formula, markup or an order of its own."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from rich.console import Console

from gradual.reporting.cells import text_cell
from gradual.reporting.table import Cell, Table, as_csv, as_markdown, as_rich, make_table, write_tables

INTERVAL = Cell("44.8 %", {"": 0.448, "low": 0.41, "high": 0.487}, "[41.0, 48.7]")


def table_of(*names: str, title: str = "Arms") -> Table:
    return make_table(
        "arms", title, ["arm", "accuracy"], [[text_cell(name), INTERVAL] for name in names], "Of 640 facts."
    )


def read_csv(table: Table) -> list[list[str]]:
    return list(csv.reader(io.StringIO(as_csv(table))))


def printed(table: Table) -> str:
    console = Console(file=io.StringIO(), width=80)
    console.print(as_rich(table))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        "=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1",
        "\N{FULLWIDTH EQUALS SIGN}1", "\N{FULLWIDTH COMMERCIAL AT}A",
    ],
)  # fmt: skip
def test_no_csv_cell_starts_a_formula(name: str) -> None:
    assert read_csv(table_of(name))[1][0] == f"'{name}"


def test_no_csv_header_starts_a_formula() -> None:
    assert read_csv(make_table("entities", "", ["=1+1"], [[text_cell("x")]], ""))[0] == ["'=1+1"]


def test_csv_holds_raw_numbers_and_an_interval_as_columns() -> None:
    fall = make_table("falls", "", ["change"], [[Cell("\N{MINUS SIGN}1.5", {"": -0.015})]], "")
    assert read_csv(table_of("S5")) == [
        ["arm", "accuracy", "accuracy low", "accuracy high"],
        ["S5", "0.448", "0.41", "0.487"],
    ]
    assert read_csv(fall) == [["change"], ["-0.015"]]  # a number is no formula


def test_csv_keeps_commas_quotes_and_lines() -> None:
    name = 'a "b", c\nd'
    assert read_csv(table_of(name))[1][0] == name


def test_markdown_shows_names_as_they_are() -> None:
    lines = as_markdown(table_of("a|b <img src=x> [x](y) *z* \u202e", title="Arms & <b>")).splitlines()
    assert lines[0] == r"### Arms \& \<b\>"
    assert lines[3] == "| --- | ---: |"
    assert lines[4].startswith(r"| a\|b \<img src=x\> \[x\](y) \*z\* \\u202e | 44.8")
    assert lines[-1] == "Of 640 facts."


def test_the_console_shows_names_as_they_are() -> None:
    out = printed(table_of("[red]S5[/red]\x1b[31m"))
    assert "[red]S5[/red]" in out
    assert "\\u001b" in out
    assert "44.8 % [41.0, 48.7]" in out


def test_a_wide_table_puts_intervals_below_their_values() -> None:
    wide = make_table("wide", "Wide", list("abcdef"), [[text_cell("S5"), *[INTERVAL] * 5]], "")
    rows = [line.split() for line in printed(wide).splitlines()]
    assert ["S5", *["44.8", "%"] * 5] in rows


def test_a_table_without_rows_says_why() -> None:
    assert printed(make_table("none", "Three stages", ["arm"], [], "No run has three.")).split("\n")[1:3] == [
        "Three stages",
        "No run has three.",
    ]


def test_files_are_numbered_in_order(tmp_path: Path) -> None:
    written = write_tables([table_of("S5"), make_table("cost", "Cost", ["step"], [], "None.")], tmp_path / "tables")
    assert [path.name for path in written] == ["01-arms.csv", "02-cost.csv", "tables.md"]
    markdown = (tmp_path / "tables" / "tables.md").read_text()
    assert markdown == f"{as_markdown(table_of('S5'))}\n### Cost\n\nNone.\n"
