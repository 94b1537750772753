"""The table of bad files, `tests/golden/bad_input.tsv`: what is in them, and the one line that is said of each.

A line of the table: name of the file, what is in it, message. What is in it stands as JSON: a text; {"hex": bytes};
{"repeat": text, "times": n}; or, for Parquet, {"rows": [...]} or {"columns": {name: [...]}}.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow
from pyarrow import parquet

TABLE = Path(__file__).resolve().parents[1] / "golden" / "bad_input.tsv"


class BadFile(NamedTuple):
    """A file and what is said of it."""

    name: str
    content: Any
    message: str

    def write(self) -> str:
        """Makes the file in the current folder; its name."""
        path = Path(self.name)
        if isinstance(self.content, str):
            path.write_bytes(self.content.encode())
        elif "hex" in self.content:
            path.write_bytes(bytes.fromhex(self.content["hex"]))
        elif "repeat" in self.content:
            path.write_text(self.content["repeat"] * self.content["times"])
        elif "rows" in self.content:
            parquet.write_table(pyarrow.Table.from_pylist(self.content["rows"]), path)
        else:
            parquet.write_table(pyarrow.table(self.content["columns"]), path)
        return self.name


def bad_files() -> list[BadFile]:
    """The table."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    return [BadFile(name, json.loads(content), json.loads(message)) for name, content, message in rows]
