"""Disks that fail: one that stops the process at a chosen change, one that refuses, and what a power cut leaves.

`Disk` takes the place of `os` in `gradual.files.storage`, the one module that writes, and of `shutil`, so that the
removal of a folder is one change for each file in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from gradual.files import storage

Tree = dict[str, bytes | None]
"""Files by path with their contents; folders with None."""


class Killed(BaseException):
    """The process is gone: nothing that is done afterwards reaches the disk."""


class Disk:
    """Does what `os` does, counting what changes the disk, and asks `fault` before each change.

    `fault` gets the number of the change (from 1) and its name; it may raise `Killed` or an `OSError`.
    """

    def __init__(
        self, fault: Callable[[int, str], None] = lambda number, name: None, platter: Platter | None = None
    ) -> None:
        self.changes: list[str] = []
        self.platter = platter
        self._fault = fault
        self._is_dead = False
        self._paths: dict[int, Path] = {}
        self._begun: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        is_new = bool(flags & os.O_CREAT) and not path.exists()
        if is_new:
            self._change("open")
        descriptor = os.open(path, flags, mode)
        self._paths[descriptor] = path
        if is_new and self.platter:
            self.platter.made(path)
        return descriptor

    def close(self, descriptor: int) -> None:
        del self._paths[descriptor]
        self._begun.discard(descriptor)
        os.close(descriptor)

    def write(self, descriptor: int, data: memoryview) -> int:
        self._change("write")
        if descriptor not in self._begun:  # in two parts, so that a process can die between them
            self._begun.add(descriptor)
            data = data[: len(data) // 2 + 1]
        return os.write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        self._change("fsync")
        if self.platter:
            self.platter.synced(self._paths[descriptor])

    def ftruncate(self, descriptor: int, length: int) -> None:
        self._change("ftruncate")
        os.ftruncate(descriptor, length)

    def mkdir(self, path: Path) -> None:
        self._change("mkdir")
        os.mkdir(path)
        if self.platter:
            self.platter.made(path)

    def replace(self, source: Path, target: Path) -> None:
        self._change("replace")
        if self.platter and target.exists():
            self.platter.gone(target)
        os.replace(source, target)

    def unlink(self, path: Path) -> None:
        self._change("unlink")
        if self.platter and path.exists():
            self.platter.gone(path)
        os.unlink(path)

    def rmtree(self, folder: Path) -> None:
        """As `shutil.rmtree`."""
        for child in sorted(folder.iterdir()):
            if child.is_dir() and not child.is_symlink():
                self.rmtree(child)
            else:
                self.unlink(child)
        self._change("rmdir")
        if self.platter:
            self.platter.gone(folder)
        os.rmdir(folder)

    def _change(self, name: str) -> None:
        if self._is_dead:
            raise Killed
        self.changes.append(name)
        try:
            self._fault(len(self.changes), name)
        except Killed:
            self._is_dead = True
            raise

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Everything that the package writes goes through this disk."""
        with patch.object(storage, "os", self), patch.object(storage, "shutil", self):
            yield


class _Inode:
    """A file or folder on the platter: contents or names as they were when it was last synced."""

    def __init__(self, *, is_folder: bool) -> None:
        self.is_folder = is_folder
        self.data = b""
        self.names: dict[str, _Inode] = {}


class Platter:
    """What a disk holds for sure: of each file what was synced, of each folder the names that were.

    A folder `root` and all below it are modelled; `root` itself is there.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._inodes: dict[int, _Inode] = {}

    def made(self, path: Path) -> None:
        """A new file or folder has this name."""
        self._inodes[path.stat().st_ino] = _Inode(is_folder=path.is_dir())

    def gone(self, path: Path) -> None:
        """What has this name is about to lose it; its number may be given to another file."""
        self._inodes.pop(path.stat().st_ino, None)

    def synced(self, path: Path) -> None:
        """The file or folder was synced."""
        inode = self._inode(path)
        if path.is_dir():
            inode.names = {child.name: self._inode(child) for child in path.iterdir()}
        else:
            inode.data = path.read_bytes()

    def least(self) -> Tree:
        """What a power cut leaves if nothing else had reached the platter."""
        tree: Tree = {}

        def walk(inode: _Inode, prefix: str) -> None:
            for name, child in inode.names.items():
                tree[prefix + name] = None if child.is_folder else child.data
                walk(child, f"{prefix}{name}/")

        walk(self._inode(self._root), "")
        return tree

    def names_first(self) -> Tree:
        """What a power cut leaves if all names had reached the platter, but of contents only what was synced."""
        return {
            path.relative_to(self._root).as_posix(): None if path.is_dir() else self._inode(path).data
            for path in self._root.rglob("*")
        }

    def _inode(self, path: Path) -> _Inode:
        return self._inodes.setdefault(path.stat().st_ino, _Inode(is_folder=path.is_dir()))


def tree_of(root: Path) -> Tree:
    """What a process that dies leaves: all that was written."""
    paths = root.rglob("*")
    return {path.relative_to(root).as_posix(): None if path.is_dir() else path.read_bytes() for path in paths}


def put_tree(tree: Tree, root: Path) -> None:
    """Makes the files and folders of a tree in an empty folder."""
    for name, data in sorted(tree.items()):
        if data is None:
            (root / name).mkdir(parents=True, exist_ok=True)
        else:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)
