"""Files are whole or absent, lines survive a torn tail, and every refusal of the disk names path and remedy."""

from __future__ import annotations

import errno
import math
import os
import stat
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from gradual.errors import RunDirError
from gradual.files import storage

FAULTS = [(errno.ENOSPC, "disk is full"), (errno.EIO, "reports a fault"), (errno.EDQUOT, "quota")]


def fail_with(code: int) -> Any:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestWriteBytes:
    def test_writes_and_replaces(self, tmp_path: Path) -> None:
        storage.write_bytes(tmp_path / "a", b"old")
        storage.write_bytes(tmp_path / "a", b"new")
        assert (tmp_path / "a").read_bytes() == b"new"
        assert names(tmp_path) == ["a"]

    @pytest.mark.parametrize("operation", ["write", "fsync", "replace"])
    @pytest.mark.parametrize(("code", "remedy"), FAULTS)
    def test_refused_operation_leaves_old_content(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, code: int, remedy: str
    ) -> None:
        path = tmp_path / "a"
        storage.write_bytes(path, b"old")
        with monkeypatch.context() as patch:
            patch.setattr(os, operation, fail_with(code))
            with pytest.raises(RunDirError, match=remedy) as caught:
                storage.write_bytes(path, b"new")
        assert str(path) in str(caught.value)
        assert path.read_bytes() == b"old"
        assert names(tmp_path) == ["a"]
        storage.write_bytes(path, b"new")
        assert path.read_bytes() == b"new"

    def test_left_over_of_a_killed_writer_is_replaced(self, tmp_path: Path) -> None:
        (tmp_path / ".a.tmp").write_bytes(b"half of someth")
        storage.write_bytes(tmp_path / "a", b"whole")
        assert names(tmp_path) == ["a"]

    def test_planted_link_at_the_temporary_name_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "victim").write_bytes(b"precious")
        (tmp_path / ".a.tmp").symlink_to(tmp_path / "victim")
        storage.write_bytes(tmp_path / "a", b"data")
        assert (tmp_path / "victim").read_bytes() == b"precious"
        assert not (tmp_path / "a").is_symlink()

    def test_short_writes_are_continued(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write = os.write
        monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
        storage.write_bytes(tmp_path / "a", b"0123456789")
        assert (tmp_path / "a").read_bytes() == b"0123456789"

    def test_file_is_synced_before_its_name_and_the_name_after(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[str] = []
        fsync, replace = os.fsync, os.replace

        def record_fsync(descriptor: int) -> None:
            calls.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
            fsync(descriptor)

        def record_replace(source: Path, target: Path) -> None:
            calls.append("replace")
            replace(source, target)

        monkeypatch.setattr(os, "fsync", record_fsync)
        monkeypatch.setattr(os, "replace", record_replace)
        storage.write_bytes(tmp_path / "a", b"x")
        assert calls == ["sync file", "replace", "sync folder"]

    def test_mode_follows_umask(self, tmp_path: Path) -> None:
        before = os.umask(0o002)
        try:
            storage.write_bytes(tmp_path / "a", b"x")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o664

    @pytest.mark.parametrize("make", [Path.mkdir, None], ids=["folder in the way", "no folder"])
    def test_wrong_place_is_named(self, tmp_path: Path, make: Any) -> None:
        path = tmp_path / "sub" / "a"
        if make:
            path.parent.mkdir()
            make(path)
        with pytest.raises(RunDirError, match=r"cannot write .*sub/a: .*; "):
            storage.write_bytes(path, b"x")


class TestAppendJsonLine:
    def test_lines_come_back_in_order(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        assert storage.read_json_lines(path) == []
        storage.append_json_line(path, {"b": 1, "a": "\u2028é"})
        storage.append_json_line(path, {"n": None})
        assert path.read_text() == '{"a":"\u2028é","b":1}\n{"n":null}\n'
        assert storage.read_json_lines(path) == [{"a": "\u2028é", "b": 1}, {"n": None}]

    def test_tail_torn_at_any_byte_is_cut_off(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        storage.append_json_line(path, {"n": 1})
        whole = len(path.read_bytes())
        storage.append_json_line(path, {"n": 2, "text": "Zürich 東京"})
        full = path.read_bytes()
        for length in range(whole, len(full)):
            path.write_bytes(full[:length])
            assert storage.read_json_lines(path) == [{"n": 1}]
            storage.append_json_line(path, {"n": 3})
            assert storage.read_json_lines(path) == [{"n": 1}, {"n": 3}]

    def test_torn_only_line_is_cut_off(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        path.write_bytes(b'{"n":')
        storage.append_json_line(path, {"n": 1})
        assert path.read_bytes() == b'{"n":1}\n'

    def test_torn_tail_longer_than_a_block_is_cut_off(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        path.write_bytes(b'{"n":1}\n' + b"x" * 200_000)
        storage.append_json_line(path, {"n": 2})
        assert path.read_bytes() == b'{"n":1}\n{"n":2}\n'

    def test_name_is_synced_before_the_first_line_and_each_line_after(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls: list[tuple[str, int]] = []
        path = tmp_path / "log"

        def record(descriptor: int) -> None:
            kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
            calls.append((kind, path.read_bytes().count(b"\n")))

        monkeypatch.setattr(os, "fsync", record)
        storage.append_json_line(path, {"n": 1})
        storage.append_json_line(path, {"n": 2})
        assert calls == [("folder", 0), ("file", 1), ("file", 2)]

    @pytest.mark.parametrize("operation", ["write", "fsync"])
    def test_refused_append_leaves_the_lines_before(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
    ) -> None:
        path = tmp_path / "log"
        storage.append_json_line(path, {"n": 1})
        with monkeypatch.context() as patch:
            patch.setattr(os, operation, fail_with(errno.ENOSPC))
            with pytest.raises(RunDirError, match=r"cannot append to .*log: .*disk is full"):
                storage.append_json_line(path, {"n": 2})
        assert path.read_bytes() == b'{"n":1}\n'

    @pytest.mark.parametrize("damage", [b"{]", b"[1]", b"", b'{"a":NaN}', b"\xff"])
    def test_damaged_finished_line_is_named(self, tmp_path: Path, damage: bytes) -> None:
        path = tmp_path / "log"
        path.write_bytes(b'{"n":1}\n' + damage + b'\n{"n":3}\n')
        with pytest.raises(RunDirError, match="log:2 is damaged"):
            storage.read_json_lines(path)


class TestJson:
    def test_canonical_text(self) -> None:
        value: storage.Json = {"b": [1.0, 0.1, None], "a": MappingProxyType({"é": True}), "c": (1, 2)}
        assert storage.canonical_json(value) == '{"a":{"é":true},"b":[1.0,0.1,null],"c":[1,2]}'

    @pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
    def test_not_finite_number_is_named(self, tmp_path: Path, number: float) -> None:
        with pytest.raises(RunDirError, match=r"run.json not written: epochs\[1\].loss is -?(nan|inf)"):
            storage.write_json(tmp_path / "run.json", {"epochs": [{"loss": 1.0}, {"loss": number}]})
        assert names(tmp_path) == []

    def test_what_is_no_json_is_a_bug(self) -> None:
        with pytest.raises(TypeError, match="set is no JSON value"):
            storage.canonical_json({"a": set()})  # type: ignore[dict-item]

    def test_half_surrogate_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(RunDirError, match="surrogate"):
            storage.write_text(tmp_path / "a", "x\ud800")

    def test_round_trip(self, tmp_path: Path) -> None:
        storage.write_json(tmp_path / "a", {"b": 0.1, "a": None})
        assert storage.read_json(tmp_path / "a") == {"a": None, "b": 0.1}

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"a":Infinity}', b"[" * 100_000])
    def test_damaged_file_is_named(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(RunDirError, match="a is damaged: expected a JSON object"):
            storage.read_json(tmp_path / "a")

    def test_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(RunDirError, match=r"cannot read .*nothing"):
            storage.read_json(tmp_path / "nothing")


class TestFolders:
    def test_make_folder_makes_parents_and_keeps_content(self, tmp_path: Path) -> None:
        folder = tmp_path / "a" / "b"
        storage.make_folder(folder)
        (folder / "file").touch()
        storage.make_folder(folder)
        assert names(folder) == ["file"]

    def test_new_folders_are_synced_by_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        synced: list[int] = []
        monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
        storage.make_folder(tmp_path / "a" / "b")
        assert synced == [tmp_path.stat().st_ino, (tmp_path / "a").stat().st_ino]

    def test_file_in_the_way_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "a").touch()
        for folder in (tmp_path / "a", tmp_path / "a" / "b"):
            with pytest.raises(RunDirError, match=r"cannot create the folder .*/a: .*a file stands where a folder"):
                storage.make_folder(folder)

    def test_staged_folder_replaces_the_old_one(self, tmp_path: Path) -> None:
        folder = tmp_path / "stages" / "adapter"
        for content in ("old", "new"):
            with storage.staged_folder(folder) as staged:
                (staged / "sub").mkdir()
                (staged / "sub" / content).touch()
        assert names(folder / "sub") == ["new"]
        assert names(folder.parent) == ["adapter"]

    def test_staged_folder_is_synced_before_it_gets_its_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced: set[int] = set()
        replace = os.replace

        def check_and_replace(source: Path, target: Path) -> None:
            assert {source.stat().st_ino, (source / "file").stat().st_ino} <= synced
            replace(source, target)

        monkeypatch.setattr(os, "fsync", lambda descriptor: synced.add(os.fstat(descriptor).st_ino))
        monkeypatch.setattr(os, "replace", check_and_replace)
        with storage.staged_folder(tmp_path / "adapter") as staged:
            (staged / "file").touch()
        assert names(tmp_path) == ["adapter"]

    def test_failed_body_leaves_the_old_folder(self, tmp_path: Path) -> None:
        folder = tmp_path / "adapter"
        with storage.staged_folder(folder) as staged:
            (staged / "old").touch()
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with pytest.raises(RunDirError, match="disk is full"), storage.staged_folder(folder):
            raise full
        assert names(folder) == ["old"]
        assert names(tmp_path) == ["adapter"]

    def test_left_over_of_a_killed_writer_is_not_mixed_in(self, tmp_path: Path) -> None:
        (tmp_path / ".adapter.tmp").mkdir()
        (tmp_path / ".adapter.tmp" / "stale").touch()
        with storage.staged_folder(tmp_path / "adapter") as staged:
            (staged / "fresh").touch()
        assert names(tmp_path / "adapter") == ["fresh"]

    def test_remove_takes_links_not_what_they_point_to(self, tmp_path: Path) -> None:
        (tmp_path / "kept").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "kept")
        storage.remove(tmp_path / "link")
        storage.remove(tmp_path / "missing")
        assert names(tmp_path) == ["kept"]

    def test_make_durable_syncs_every_file_and_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "a" / "b" / "file").touch()
        synced: list[int] = []
        monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
        storage.make_durable(tmp_path / "a")
        places = (tmp_path / "a" / "b" / "file", tmp_path / "a" / "b", tmp_path / "a", tmp_path)
        assert synced == [place.stat().st_ino for place in places]

    def test_sha256_of_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"abc")
        assert storage.sha256_of_file(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223b00361a3")
