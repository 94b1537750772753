"""One writer a folder: the lock that the kernel frees when its holder dies, and who holds it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from gradual.errors import RunDirError
from gradual.files import storage
from gradual.files.typed_json import FilePart, read_typed

LOCK_FILE = "run.lock"
OWNER_FILE = "owner.json"
"""Says who holds the lock, for those who are refused."""


@contextmanager
def single_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is created where it is missing; the kernel frees it when the process dies.

    Raises:
        RunDirError: another process holds it (process, host and time are named), or the disk refused.
    """
    from filelock import FileLock, Timeout

    storage.make_folder(folder)
    lock = FileLock(folder / LOCK_FILE, timeout=0, thread_local=False)
    try:
        with storage.name_disk_errors("lock", folder):
            try:
                lock.acquire()
            except Timeout:
                raise RunDirError(_busy_message(folder)) from None
        storage.write_json(folder / OWNER_FILE, this_process().as_json())
        yield
    finally:
        if lock.is_locked:
            try:
                with suppress(RunDirError):
                    storage.remove(folder / OWNER_FILE)
            finally:
                lock.release()


def wait_for_writer(folder: Path, seconds: float) -> None:
    """Comes back when no process holds the lock of a folder, or after so long; one that was just killed may still."""
    from filelock import FileLock, Timeout

    if not (folder / LOCK_FILE).is_file():
        return
    with storage.name_disk_errors("lock", folder), suppress(Timeout):
        FileLock(folder / LOCK_FILE, timeout=seconds).acquire().lock.release()


class Process(FilePart):
    """`owner.json`: a process that is or was at work in a folder."""

    pid: int = 0
    """0 where that is not known."""
    host: str = ""
    time: str = ""
    """UTC, as ISO 8601; empty where that is not known."""


def this_process() -> Process:
    """This process, its host and the time."""
    return Process(pid=os.getpid(), host=socket.gethostname(), time=datetime.now(UTC).isoformat(timespec="seconds"))


def owner_of(folder: Path) -> Process:
    """Who holds the lock of a folder, as far as it is told.

    Raises:
        RunDirError: nobody says so.
    """
    return read_typed(folder / OWNER_FILE, Process)


def _busy_message(folder: Path) -> str:
    remedy = "wait until it ends, stop it, or use another --out"
    try:
        owner = owner_of(folder)
    except RunDirError:
        owner = Process()
    if not owner.pid or (owner.host == socket.gethostname() and not _is_alive(owner.pid)):
        return f"{folder} is in use by another process, which has not yet said which; {remedy}"
    return f"{folder} is in use by process {owner.pid} on {owner.host} since {owner.time}; {remedy}"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
