"""Rows out of Arrow: Parquet files and data sets saved by `datasets`, read without that library."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradual.facts.problems import data_error, printable, quote
from gradual.facts.sources.part import Part, Row
from gradual.facts.sources.split_names import known_split

if TYPE_CHECKING:
    import pyarrow

_BATCH_ROWS = 1000


def parquet_part(path: Path, name: str) -> Part:
    """The rows of a Parquet file; raises DataError where it is none."""
    import pyarrow
    from pyarrow import parquet

    if path.stat().st_size == 0:
        raise data_error(name, expected="at least one fact", found="an empty file", remedy="write facts into it")
    try:
        file = parquet.ParquetFile(path)
        schema = file.schema_arrow
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # the disk's fault, not the file's
        fault = f"something else ({first_line(error)})"
        raise data_error(name, expected="a Parquet file", found=fault, remedy="write it again") from None
    return _arrow_part(name, schema, lambda: file.iter_batches(batch_size=_BATCH_ROWS))


def saved_splits(path: Path, name: str) -> list[Part]:
    """The splits of a data set saved by `datasets.DatasetDict.save_to_disk`."""
    splits = _saved_json(path / "dataset_dict.json").get("splits")
    if not isinstance(splits, list) or not splits or not all(isinstance(split, str) for split in splits):
        where = f"{name}/dataset_dict.json"
        raise data_error(where, expected='a list in "splits"', found=quote(splits), remedy="save the data set again")
    return [replace(saved_part(path / split, f"{name}/{split}"), split=known_split(name, split)) for split in splits]


def saved_part(path: Path, name: str) -> Part:
    """The rows of a data set saved by `datasets.Dataset.save_to_disk`, read without that library."""
    import pyarrow
    from pyarrow import ipc

    state = _saved_json(path / "state.json")
    entries = state.get("_data_files")
    names = [file.get("filename") for file in entries if isinstance(file, dict)] if isinstance(entries, list) else []
    files = [path / file for file in names if isinstance(file, str)]
    if not files or state.get("_indices_data_files"):
        where, remedy = f"{name}/state.json", "save the data set again with a current `datasets`"
        raise data_error(where, expected="the data files of a saved data set", found="none", remedy=remedy)

    def batches() -> Iterator[pyarrow.RecordBatch]:
        for file in files:
            with pyarrow.memory_map(str(file)) as stream:
                yield from ipc.open_stream(stream)

    try:
        with pyarrow.memory_map(str(files[0])) as stream:
            schema = ipc.open_stream(stream).schema
    except (pyarrow.ArrowException, ValueError) as error:
        fault = f"something else ({first_line(error)})"
        raise data_error(name, expected="a saved data set", found=fault, remedy="save it again") from None
    return _arrow_part(name, schema, batches)


def _saved_json(path: Path) -> dict[str, object]:
    name = printable(str(path))
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise data_error(name, expected="a JSON object", found="broken JSON", remedy="save the data set again")
    return value


def _arrow_part(name: str, schema: pyarrow.Schema, batches: Any) -> Part:
    """A part that turns only the columns asked for into Python values, batch by batch."""
    columns = tuple(schema.names)
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise data_error(
            name, expected="each column once", found=f"{quote(twice[0])} twice", remedy="rename one of them"
        )

    def read(names: Sequence[str]) -> Iterator[Row]:
        import pyarrow

        number = 0
        try:
            for batch in batches():
                lists = [batch.column(batch.schema.get_field_index(column)).to_pylist() for column in names]
                for values in zip(*lists, strict=True):
                    number += 1
                    yield Row(f"{name}: row {number}", dict(zip(names, values, strict=True)))
        except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
            where, fault = f"{name}: row {number + 1}", f"damaged data ({first_line(error)})"
            raise data_error(where, expected="a readable row", found=fault, remedy="write the file again") from None

    return Part(name, columns, read)


def first_line(error: BaseException) -> str:
    """The first line of what a library says, for an error of ours."""
    lines = str(error).splitlines()
    return printable(lines[0][:120]) if lines else type(error).__name__
