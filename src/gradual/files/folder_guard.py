"""What is refused before anything is written into a folder: a folder of another kind, or one made with other settings.

Knows no run: which file marks a folder and what its fingerprint is, the caller says.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gradual.errors import RunDirError
from gradual.files import storage
from gradual.files.lock import LOCK_FILE, OWNER_FILE

_FILES_OF_A_KILLED_START = {LOCK_FILE, OWNER_FILE, "config.yaml", "attempts.log", "tuning"}
"""`tuning`: what `gradual tune` keeps in the folder that its choice becomes a run in."""


def refuse_foreign_folder(path: Path, file: str, kind: str) -> None:
    """Refuse a folder that is neither empty nor one of its kind, which holds `file`, before anything is written there.

    Raises:
        RunDirError: the folder holds something else, which is named.
    """
    if not path.is_dir() or (path / file).exists():
        return
    with storage.name_disk_errors("read", path):
        names = sorted(child.name for child in path.iterdir())
    foreign = [name for name in names if name not in _FILES_OF_A_KILLED_START and not name.endswith(".tmp")]
    if foreign:
        raise RunDirError(f"{path} is no {kind} folder and not empty (it holds {foreign[0]!r}); use another --out")


def refuse_other_fingerprint(folder: Path, old: Mapping[str, str], new: Mapping[str, str]) -> None:
    """Refuse to go on in a folder that was made otherwise.

    Raises:
        RunDirError: the fingerprints differ; every field that does is named with both values.
    """
    if old == new:
        return
    lines = [
        f"{folder} was made with other settings or files; going on would mix two runs:",
        *list_differences(old, new),
    ]
    lines.append("use another --out for a new run, or the original settings to go on with this one")
    raise RunDirError("\n".join(lines))


def list_differences(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    """A line for every field that differs between a folder and what is asked for now."""
    return [
        f"  {name}: {_value_text(old, name)} in the folder, {_value_text(new, name)} now"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _value_text(values: Mapping[str, object], name: str) -> str:
    return repr(values[name]) if name in values else "not recorded"
