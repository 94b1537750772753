"""Finished units of a long step, so that a killed step goes on where it was.

Owns the store only. Knows neither what a unit holds (the step does) nor where the store lies (`run.folder`).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

from gradual.files import storage

_log = logging.getLogger(__name__)
_DIGEST_BYTES = hashlib.sha256().digest_size


class UnitStore:
    """Bytes by key, one file each; a unit is found again only under the key and fingerprint it was stored with."""

    def __init__(self, folder: Path, fingerprint: Mapping[str, str]) -> None:
        """Use `folder`, which is created when the first unit comes."""
        self.folder = folder
        self._fingerprint = storage.canonical_json(fingerprint).encode()

    def get(self, key: str) -> bytes | None:
        """The bytes stored under `key`; None where there are none, or where they were damaged (then the log says so).

        Raises:
            RunDirError: the file is there but cannot be read.
        """
        path = self._path(key)
        if not path.exists():
            return None
        content = storage.read_bytes(path)
        digest, unit = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if digest != _unit_digest(path.name, unit):
            _log.warning("%s is damaged; this unit is done again", path)
            return None
        return unit

    def put(self, key: str, unit: bytes) -> None:
        """Store a finished unit, durable on return; an earlier one under the same key is replaced.

        Raises:
            RunDirError: the disk refused.
        """
        storage.make_folder(self.folder)
        path = self._path(key)
        storage.write_bytes(path, _unit_digest(path.name, unit) + unit)

    def clear(self) -> None:
        """Remove all units: the step's result stands elsewhere now.

        Raises:
            RunDirError: the disk refused.
        """
        storage.remove(self.folder)

    def _path(self, key: str) -> Path:
        return self.folder / hashlib.sha256(self._fingerprint + b"\0" + key.encode()).hexdigest()


def _unit_digest(name: str, unit: bytes) -> bytes:
    return hashlib.sha256(name.encode() + unit).digest()
