"""Parquet tables of a stated schema: what a column holds is checked when it is written and when it is read.

Owns the border to pyarrow. Knows neither what columns mean (`knowledge.map`) nor how files become durable (`storage`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from gradual.errors import RunDirError
from gradual.files import storage


class Column(NamedTuple):
    """A column of a table: its name, what it holds, and whether a value may be missing."""

    name: str
    type: Literal["text", "texts", "integer", "number", "truth"]
    nullable: bool = False


def write_table(path: Path, schema: Sequence[Column], columns: Mapping[str, Sequence[object]]) -> None:
    """Write columns of equal length as a Parquet file (zstd), as `storage.write_bytes` does.

    Equal columns give equal bytes, under one version of pyarrow.

    Raises:
        RunDirError: the disk refused, a number is NaN, or a value is missing that must be there (column and row named).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = _arrow_types()
    arrays = [pa.array(columns[column.name], type=types[column.type]) for column in schema]
    for column, array in zip(schema, arrays, strict=True):
        _refuse_bad_values(path, column, array)
    fields = [pa.field(column.name, types[column.type], nullable=column.nullable) for column in schema]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields)), sink, compression="zstd")
    storage.write_bytes(path, sink.getvalue().to_pybytes())


def read_table(
    path: Path, schema: Sequence[Column], *, sha256: str | None = None, optional: Sequence[Column] = ()
) -> dict[str, list[Any]]:
    """Columns of `schema` in a Parquet file, by name, as Python values of the types stated there; others are ignored.

    Those of `optional` follow, as far as the file has them.

    Raises:
        RunDirError: the file is missing, is not Parquet, has another SHA-256 than the one given, lacks a column, or has
            one of another type or with missing values; the message names file and column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = storage.read_bytes(path)
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise RunDirError(
            f"{path} was changed or damaged after it was written; restore it from a copy or make it again"
        )
    try:
        table = pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise RunDirError(f"{path} is not a readable Parquet file ({reason}); make it again") from error
    types = _arrow_types()
    values: dict[str, list[Any]] = {}
    for column in (*schema, *(each for each in optional if each.name in table.column_names)):
        if column.name not in table.column_names:
            names = ", ".join(table.column_names) or "none"
            raise RunDirError(f"{path} lacks the column {column.name!r} (its columns: {names}); make the file again")
        array = table.column(column.name)
        try:
            array = array.cast(types[column.type])
        except pa.ArrowException:
            expected = f"expected {column.type}, found {array.type}"
            raise RunDirError(f"{path}: column {column.name!r}: {expected}; make the file again") from None
        _refuse_bad_values(path, column, array)
        values[column.name] = array.to_pylist()
    return values


def _arrow_types() -> dict[str, Any]:
    import pyarrow as pa

    return {
        "text": pa.string(),
        "texts": pa.list_(pa.string()),
        "integer": pa.int64(),
        "number": pa.float64(),
        "truth": pa.bool_(),
    }


def _refuse_bad_values(path: Path, column: Column, array: Any) -> None:
    import pyarrow.compute as pc

    where = f"{path}: column {column.name!r}"
    if array.null_count and not column.nullable:
        raise RunDirError(f"{where}, row {pc.index(pc.is_null(array), True)}: expected {column.type}, found nothing")
    if column.type == "number":
        row = pc.index(pc.is_nan(array), True).as_py()
        if row >= 0:
            raise RunDirError(f"{where}, row {row}: expected a number, found NaN")
