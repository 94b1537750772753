"""A unit comes back under its own key and fingerprint only, and never damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradual.files.units import UnitStore

MODEL = {"model": "a"}


def test_units_come_back(tmp_path: Path) -> None:
    store = UnitStore(tmp_path / "units", MODEL)
    assert store.get("capital/0/0") is None
    store.put("capital/0/0", b"\x00result")
    store.put("../../x", b"")
    assert UnitStore(tmp_path / "units", dict(MODEL)).get("capital/0/0") == b"\x00result"
    assert store.get("../../x") == b""
    assert [path.name for path in tmp_path.iterdir()] == ["units"]


def test_other_fingerprint_finds_nothing(tmp_path: Path) -> None:
    UnitStore(tmp_path, MODEL).put("key", b"of a")
    other = UnitStore(tmp_path, {"model": "b"})
    assert other.get("key") is None
    other.put("key", b"of b")
    assert UnitStore(tmp_path, MODEL).get("key") == b"of a"


def test_unit_damaged_at_any_byte_is_done_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = UnitStore(tmp_path, MODEL)
    store.put("key", b"result")
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for index in range(len(whole)):
        for damaged in (whole[:index], whole[:index] + bytes([whole[index] ^ 1]) + whole[index + 1 :]):
            path.write_bytes(damaged)
            assert store.get("key") is None
    assert "is damaged; this unit is done again" in caplog.text
    store.put("key", b"result")
    assert store.get("key") == b"result"


def test_unit_under_the_name_of_another_is_not_taken(tmp_path: Path) -> None:
    store = UnitStore(tmp_path, MODEL)
    store.put("one", b"1")
    (one,) = tmp_path.iterdir()
    store.put("two", b"2")
    (two,) = set(tmp_path.iterdir()) - {one}
    two.write_bytes(one.read_bytes())
    assert store.get("two") is None


def test_clear_removes_all(tmp_path: Path) -> None:
    store = UnitStore(tmp_path / "units", MODEL)
    store.put("key", b"x")
    store.clear()
    store.clear()
    assert list(tmp_path.iterdir()) == []
