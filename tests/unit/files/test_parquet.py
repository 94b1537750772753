"""Tables come back as they were written, and a column that is not what the schema says is named."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from gradual.errors import RunDirError
from gradual.files import storage
from gradual.files.parquet import Column, read_table, write_table

SCHEMA = (
    Column("id", "text"),
    Column("answers", "texts"),
    Column("n", "integer", nullable=True),
    Column("p", "number"),
    Column("right", "truth"),
)
ROWS: dict[str, list[object]] = {
    "id": ["a", "ß"],
    "answers": [["x", "y"], []],
    "n": [None, 3],
    "p": [0.1, math.inf],
    "right": [True, False],
}


def test_round_trip_and_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_table(tmp_path / name, SCHEMA, ROWS)
        assert read_table(tmp_path / name, SCHEMA) == ROWS
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_empty_table_round_trip(tmp_path: Path) -> None:
    empty: dict[str, list[object]] = {column.name: [] for column in SCHEMA}
    write_table(tmp_path / "t", SCHEMA, empty)
    assert read_table(tmp_path / "t", SCHEMA) == empty


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("p", [0.5, math.nan], "t: column 'p', row 1: expected a number, found NaN"),
        ("id", ["a", None], "t: column 'id', row 1: expected text, found nothing"),
    ],
)
def test_bad_value_is_named_and_nothing_written(
    tmp_path: Path, column: str, values: list[object], message: str
) -> None:
    with pytest.raises(RunDirError, match=message):
        write_table(tmp_path / "t", SCHEMA, ROWS | {column: values})
    assert list(tmp_path.iterdir()) == []


def test_missing_column_is_named(tmp_path: Path) -> None:
    write_table(tmp_path / "t", SCHEMA[:2], ROWS)
    with pytest.raises(RunDirError, match=r"t lacks the column 'n' \(its columns: id, answers\)"):
        read_table(tmp_path / "t", SCHEMA)


def test_column_of_another_type_is_named(tmp_path: Path) -> None:
    write_table(tmp_path / "t", [Column("id", "text")], {"id": ["a"]})
    with pytest.raises(RunDirError, match="column 'id': expected number, found string"):
        read_table(tmp_path / "t", [Column("id", "number")])


def test_missing_value_is_named_when_read(tmp_path: Path) -> None:
    write_table(tmp_path / "t", [Column("n", "integer", nullable=True)], {"n": [1, None]})
    with pytest.raises(RunDirError, match="column 'n', row 1: expected integer, found nothing"):
        read_table(tmp_path / "t", [Column("n", "integer")])


def test_file_cut_anywhere_is_a_clean_error(tmp_path: Path) -> None:
    path = tmp_path / "t"
    write_table(path, SCHEMA, ROWS)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(RunDirError, match="not a readable Parquet file"):
            read_table(path, SCHEMA)


def test_one_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "t"
    write_table(path, SCHEMA, ROWS)
    sha256 = storage.sha256_of_file(path)
    assert read_table(path, SCHEMA, sha256=sha256) == ROWS
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)
    with pytest.raises(RunDirError, match="changed or damaged"):
        read_table(path, SCHEMA, sha256=sha256)
