"""The tables of a run: what is written is read again, and what is damaged is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradual.errors import RunDirError
from gradual.facts.fact import Fact
from gradual.files.parquet import Column, write_table
from gradual.knowledge.levels import Level
from gradual.run.folder import read_facts, write_facts
from gradual.run.stage_files import read_selection, write_selection
from gradual.selection.strategies import STRATEGIES, SelectedFact, Selection


def test_facts_come_back_in_the_order_of_split_relation_and_id(tmp_path: Path) -> None:
    capital = Fact("b", "capital", "Capital of Kenya?", ("Nairobi",), subject="Kenya", split="train")
    other = Fact("a", "capital", "Capital of Cuba?", ("Havana", "La Habana"), split="test")
    write_facts([capital, other], tmp_path / "facts.parquet")
    assert read_facts(tmp_path / "facts.parquet") == [other, capital]


def test_a_selection_comes_back_with_levels(tmp_path: Path) -> None:
    row = SelectedFact("a", "replay", Level.UNKNOWN, Level.MAYBE_KNOWN, Level.HIGHLY_KNOWN, "drawn")
    path = tmp_path / "stages" / "1" / "selection.parquet"
    write_selection(Selection((row,), STRATEGIES["S5"], 1, 0), path)
    assert read_selection(path) == [row]


def test_a_level_that_there_is_not_is_named(tmp_path: Path) -> None:
    names = ("id", "role", "first", "before", "now", "reason")
    row = {"id": "a", "role": "new", "first": "Unknown", "before": "Unknown", "now": "Half", "reason": ""}
    path = tmp_path / "selection.parquet"
    write_table(path, [Column(name, "text") for name in names], {name: [row[name]] for name in names})
    with pytest.raises(RunDirError, match=r"selection\.parquet: column 'now': 'Half' is not a valid Level"):
        read_selection(path)


def test_a_table_without_a_column_is_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "facts.parquet", [Column("id", "text")], {"id": ["a"]})
    with pytest.raises(RunDirError, match="lacks the column 'relation'"):
        read_facts(tmp_path / "facts.parquet")
