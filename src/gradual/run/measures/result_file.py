"""How what was measured of a run is kept: in a JSON file, with what it took beside it."""

from __future__ import annotations

from pathlib import Path

from gradual.files import storage
from gradual.files.typed_json import FilePart
from gradual.knowledge.map import COST_FILE, Cost


def write_with_cost(path: Path, content: FilePart, cost: Cost) -> None:
    """Writes a file, and beside it what it took to find out what it says; makes the folder.

    Raises:
        RunDirError: the disk refused.
    """
    storage.make_folder(path.parent)
    storage.write_json(path.parent / COST_FILE, cost.as_json())
    storage.write_json(path, content.as_json())
