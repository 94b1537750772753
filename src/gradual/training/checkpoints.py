"""Which finished epochs of a training stage can be gone on from.

Owns the seal: a checkpoint counts once all its files are on the disk and it is written down what is in them. Knows
nothing of what the files hold (`epochs` has them made, `train` reads them).
"""

from __future__ import annotations

import logging
import re
import zipfile
from collections.abc import Collection
from pathlib import Path

from gradual.errors import RunDirError
from gradual.files import storage

SEAL_FILE = "sealed.json"

_log = logging.getLogger(__name__)
_ARCHIVE_SUFFIXES = (".bin", ".pt", ".pth")
_CHECKPOINT_NAME = re.compile(r"checkpoint-(\d+)")


def checkpoint_folder(folder: Path, step: int) -> Path:
    """Where the checkpoint after an optimiser step lies."""
    return folder / f"checkpoint-{step}"


def seal_checkpoint(checkpoint: Path) -> None:
    """Make a checkpoint that another library has just written durable, and one to go on from.

    Raises:
        RunDirError: the disk refused.
    """
    storage.make_folder(checkpoint.parent)  # made by that library too: its own name has to last
    storage.make_durable(checkpoint)
    storage.write_json(checkpoint / SEAL_FILE, _file_digests(checkpoint))


def last_checkpoint(folder: Path) -> Path | None:
    """The newest sealed checkpoint, None where there is none; others that are newer are removed.

    Raises:
        RunDirError: the disk refused.
    """
    for step in sorted(_checkpoint_steps(folder), reverse=True):
        checkpoint = checkpoint_folder(folder, step)
        if _is_intact(checkpoint):
            return checkpoint
        _log.warning("%s was not finished or is damaged; its epoch is done again", checkpoint)
        storage.remove(checkpoint)
    return None


def keep_checkpoints(folder: Path, steps: Collection[int]) -> None:
    """Remove all checkpoints but those after the given steps.

    Raises:
        RunDirError: the disk refused.
    """
    for step in _checkpoint_steps(folder) - set(steps):
        storage.remove(checkpoint_folder(folder, step))


def _checkpoint_steps(folder: Path) -> set[int]:
    """The steps after which there are checkpoints, sealed or not."""
    matches = (_CHECKPOINT_NAME.fullmatch(path.name) for path in folder.glob("checkpoint-*"))
    return {int(match[1]) for match in matches if match}


def _is_intact(checkpoint: Path) -> bool:
    try:
        if storage.read_json(checkpoint / SEAL_FILE) != _file_digests(checkpoint):
            return False
    except RunDirError:
        return False
    return all(_is_plain_archive(path) for path in checkpoint.rglob("*") if path.suffix in _ARCHIVE_SUFFIXES)


def _is_plain_archive(path: Path) -> bool:
    """Whether a file is an archive as torch writes them: with nothing compressed, it takes no more than its size."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False
    is_stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    return is_stored and sum(entry.file_size for entry in entries) <= path.stat().st_size


def _file_digests(checkpoint: Path) -> dict[str, storage.Json]:
    """SHA-256 of each file, by name."""
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.name != SEAL_FILE)
    return {path.relative_to(checkpoint).as_posix(): storage.sha256_of_file(path) for path in files}
