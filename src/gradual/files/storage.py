"""Every byte that is written passes here: a file is whole or not there, durable on return, and a failed disk is loud.

Owns atomic files, appended JSON lines, staged folders and canonical JSON. Knows no run, fact or model, and no other
format (`parquet`, `strict_yaml`).
One writer at a time for each path (`lock.single_writer`): temporary names can be fixed and a left-over be replaced.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

from gradual.errors import RunDirError

JsonScalar: TypeAlias = "str | int | float | bool | None"
Json: TypeAlias = "JsonScalar | Sequence[Json] | Mapping[str, Json]"

_REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space and run the same command again, nothing finished is lost",
    errno.EDQUOT: "your quota is used up: free some space and run the same command again, nothing finished is lost",
    errno.EFBIG: "the file would pass the limit of this process (ulimit -f): raise it and run the same command again",
    errno.EACCES: "permission is missing: make the folder writable for you, or choose another one",
    errno.EPERM: "permission is missing: make the folder writable for you, or choose another one",
    errno.EROFS: "the disk is read-only: choose a folder on another one",
    errno.EIO: "the disk reports a fault: check it, then run the same command again",
    errno.ENOENT: "it may have been moved or deleted, or was never finished",
    errno.ENOTDIR: "a file stands where a folder is needed: move it away, or choose another folder",
    errno.EEXIST: "a file stands where a folder is needed: move it away, or choose another folder",
    errno.EISDIR: "a folder stands where a file is needed: move it away, or choose another folder",
    errno.ELOOP: "a symbolic link stands where a file is needed: remove it",
}


@contextmanager
def name_disk_errors(action: str, path: Path) -> Iterator[None]:
    """Turn an `OSError` of the body into one line: what could not be done to `path`, why, and what to do.

    Raises:
        RunDirError: in place of any `OSError`.
    """
    try:
        yield
    except RunDirError:
        raise
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "check the disk, then run the same command again")
        raise RunDirError(f"cannot {action} {path}: {error.strerror or error}; {remedy}") from error


def make_folder(folder: Path) -> None:
    """Create `folder` and its parents, durably; one that exists stays as it is.

    Raises:
        RunDirError: it cannot be created, or a file stands there.
    """
    with name_disk_errors("create the folder", folder):
        if folder.is_dir():
            with suppress(
                PermissionError
            ):  # its maker may have been killed before this; who may not read need not sync
                _sync_folder(folder.parent)
            return
        if not folder.parent.is_dir():
            make_folder(folder.parent)
        os.mkdir(folder)
        _sync_folder(folder.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Put `data` at `path`: after a crash at any instant the old content or the new is there, never a part.

    The folder must exist. What a killed writer left behind (`.NAME.tmp`) is replaced.

    Raises:
        RunDirError: the disk refused; the old content is intact, unless only the last sync of the folder failed.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with name_disk_errors("write", path):
        descriptor = _create_anew(temporary)
        try:
            try:
                _write_all(descriptor, data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        _sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Put `text` at `path` as UTF-8, as `write_bytes` does.

    Raises:
        RunDirError: the disk refused, or the text holds half a surrogate pair.
    """
    write_bytes(path, _encode_text(path, text))


def write_json(path: Path, value: Json) -> None:
    """Put `value` at `path` as canonical, indented JSON, as `write_bytes` does.

    Raises:
        RunDirError: the disk refused, or a number is NaN or infinite (the message names the field).
    """
    write_bytes(path, _encode_text(path, _json_text(path, value, indent=2) + "\n"))


def append_json_line(path: Path, record: Mapping[str, Json]) -> None:
    """Add `record` as the last line of `path`, durable on return; the file is created where it is missing.

    A last line without its newline was torn by a crash: it is cut off first. If the disk refuses, the file is cut back
    to what it was.

    Raises:
        RunDirError: the disk refused, or a number is NaN or infinite (the message names the field).
    """
    line = _encode_text(path, _json_text(path, record, indent=None) + "\n")
    with name_disk_errors("append to", path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _SAFE_FLAGS, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            end = _end_of_last_line(descriptor, size)
            if end < size:
                os.ftruncate(descriptor, end)
            if end == 0:  # before the first record, so that a record that is there proves that the name is durable
                _sync_folder(path.parent)
            os.lseek(descriptor, end, os.SEEK_SET)
            try:
                _write_all(descriptor, line)
                os.fsync(descriptor)
            except BaseException:
                with suppress(OSError):
                    os.ftruncate(descriptor, end)
                raise
        finally:
            os.close(descriptor)


@contextmanager
def staged_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill; when the body ends well, it takes the place of `folder`, durably and at once.

    For files that other libraries write (adapters, checkpoints). A body that raises leaves `folder` as it was. An older
    `folder` is removed just before the exchange, so a crash there leaves none: let only unfinished steps replace one.

    Raises:
        RunDirError: the disk refused.
    """
    draft = folder.with_name(f".{folder.name}.tmp")
    make_folder(folder.parent)
    remove(draft)
    make_folder(draft)
    try:
        with name_disk_errors("write", folder):
            yield draft
            make_durable(draft)
            remove(folder)
            os.replace(draft, folder)
            _sync_folder(folder.parent)
    except BaseException:
        with suppress(RunDirError):
            remove(draft)
        raise


def link_file(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, or a copy of it where the file system has no hard links.

    For files that are never changed after they were written. Replaces what was at `target`; not durable by itself.

    Raises:
        RunDirError: the disk refused; what was refused is named.
    """
    make_folder(target.parent)
    remove(target)
    with name_disk_errors("link", target):
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)


def make_durable(path: Path) -> None:
    """Sync a file, or a folder with all that is in it, that another library has written.

    Raises:
        RunDirError: it is missing or the disk refused.
    """
    with name_disk_errors("sync", path):
        _sync_tree(path)
        _sync_folder(path.parent)


def remove(path: Path) -> None:
    """Remove a file, a link (never what it points to), or a folder with all that is in it; a missing one is fine.

    Raises:
        RunDirError: the disk refused.
    """
    with name_disk_errors("remove", path), suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            os.unlink(path)


def canonical_json(value: Json, *, indent: int | None = None) -> str:
    """The one text of a JSON value: keys sorted, no spaces unless `indent` is given, numbers as Python's `repr`.

    Raises:
        ValueError: a number is NaN or infinite; the message names the field.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    try:
        return json.dumps(
            value,
            sort_keys=True,
            allow_nan=False,
            ensure_ascii=False,
            indent=indent,
            separators=separators,
            default=_as_dict,
        )
    except ValueError as error:
        raise ValueError(next(_fields_not_finite(value, ""), str(error))) from None


def read_bytes(path: Path) -> bytes:
    """Content of a file.

    Raises:
        RunDirError: it is missing or cannot be read.
    """
    with name_disk_errors("read", path):
        return path.read_bytes()


def read_json(path: Path) -> dict[str, Json]:
    """The JSON object in a file.

    Raises:
        RunDirError: the file is missing, or is not one JSON object in UTF-8.
    """
    return _parse_json_object(read_bytes(path), where=str(path))


def read_json_lines(path: Path) -> list[dict[str, Json]]:
    """The JSON objects of a file that `append_json_line` made, in order; none where the file is missing.

    A last line without its newline is left out: it was never finished.

    Raises:
        RunDirError: a finished line is not a JSON object (the message gives file:line), or the file cannot be read.
    """
    if not path.exists():
        return []
    *lines, _torn = read_bytes(path).split(b"\n")
    return [_parse_json_object(line, where=f"{path}:{number}") for number, line in enumerate(lines, 1)]


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits.

    Raises:
        RunDirError: it is missing or cannot be read.
    """
    with name_disk_errors("read", path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_SAFE_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def _create_anew(path: Path) -> int:
    """Open a file that was not there before; whatever has its name is removed, never followed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE_FLAGS
    try:
        return os.open(path, flags, 0o666)
    except FileExistsError:
        remove(path)
        return os.open(path, flags, 0o666)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync_folder(folder: Path) -> None:
    """Make names in a folder durable; where the system cannot (Windows, some network disks), it does so itself."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


def _sync_tree(path: Path) -> None:
    if path.is_dir():
        for child in sorted(path.iterdir()):
            _sync_tree(child)
        _sync_folder(path)
        return
    descriptor = os.open(path, os.O_RDONLY | _SAFE_FLAGS)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _end_of_last_line(descriptor: int, size: int) -> int:
    """Offset behind the last newline of a file of `size` bytes; 0 if it has none."""
    block = 65536
    end = size
    while end > 0:
        start = max(0, end - block)
        os.lseek(descriptor, start, os.SEEK_SET)
        newline = os.read(descriptor, end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _json_text(path: Path, value: Json, *, indent: int | None) -> str:
    try:
        return canonical_json(value, indent=indent)
    except ValueError as error:
        raise RunDirError(f"{path} not written: {error}") from None


def _encode_text(path: Path, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        problem = f"character {error.start} is half a surrogate pair, expected text"
        raise RunDirError(f"{path} not written: {problem}") from None


def _as_dict(value: object) -> dict[str, Json]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _fields_not_finite(value: Json, name: str) -> Iterator[str]:
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{name or 'the value'} is {value}, expected a finite number"
    elif isinstance(value, Mapping):
        for key in value:
            yield from _fields_not_finite(value[key], f"{name}.{key}" if name else key)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, item in enumerate(value):
            yield from _fields_not_finite(item, f"{name}[{index}]")


def _parse_json_object(data: bytes, *, where: str) -> dict[str, Json]:
    try:
        value = json.loads(data.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RunDirError(f"{where} is damaged: expected a JSON object ({error}); restore it from a copy") from None
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise RunDirError(f"{where} is damaged: expected a JSON object, found {kind}; restore it from a copy")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
