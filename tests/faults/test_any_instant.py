"""Whatever stops the process, and wherever: the same command ends with the same files and repeats nothing kept.

A small run is recorded, with the state of its folder before every single change of the disk. From each of these
states the run is continued. A state is what a killed process leaves, or what a power cut leaves of it.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from tests.support.disk import Disk, Killed, Platter, Tree, put_tree, tree_of
from tests.support.small_run import Work, results, small_probe, small_run

from gradual.errors import RunDirError
from gradual.files.storage import read_json_lines

pytestmark = pytest.mark.tiny

RUNS: dict[str, Callable[..., object]] = {"probe": small_probe, "fit": small_run}
STRIDE = int(os.environ.get("GRADUAL_FAULT_STRIDE", "8"))
"""A refusing disk is tried at every so manieth change; 1 takes minutes."""
_State = tuple[tuple[str, bytes | None], ...]


class Recording:
    """An unbroken run: its results, and the states that it could be left in, with what was kept by then."""

    def __init__(self, run: Callable[..., object], root: Path) -> None:
        work = Work()
        contents: dict[bytes | None, bytes | None] = {}
        self.left: dict[_State, tuple[str, frozenset[str]]] = {}

        def note(number: int, name: str) -> None:
            trees = {"killed": tree_of(root), "names first": platter.names_first(), "least": platter.least()}
            for how, tree in trees.items():
                state = tuple(sorted((path, contents.setdefault(data, data)) for path, data in tree.items()))
                self.left[state] = (f"{how} before change {number}, {name}", frozenset(work.kept))

        root.mkdir()
        platter = Platter(root)
        disk = Disk(note, platter)
        with disk.in_use():
            run(root / "run", work)
        self.run = run
        self.changes = disk.changes
        self.results = results(root / "run")

    def differences(self, folder: Path) -> list[str]:
        """Files of a run that are not as in the unbroken one."""
        found = results(folder)
        return sorted(name for name in found.keys() | self.results if found.get(name, 0) != self.results.get(name, 0))


@pytest.fixture(scope="module", params=RUNS)
def recording(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return Recording(RUNS[request.param], tmp_path_factory.mktemp("recorded") / "disk")


def problem_of(recording: Recording, tree: Tree, kept: frozenset[str], root: Path) -> str:
    """What is wrong when a run is continued from a state; empty where nothing is."""
    root.mkdir()
    put_tree(tree, root)
    work = Work()
    with Disk().in_use():
        error = refusal_of(partial(recording.run, root / "run", work))
    if error:
        return error
    different, again = recording.differences(root / "run"), sorted(kept & set(work.done))
    return f"other files: {different}" * bool(different) + f"done again: {again}" * bool(again)


def test_run_goes_on_from_every_state_it_can_be_left_in(recording: Recording, tmp_path: Path) -> None:
    assert len(recording.left) > len(recording.changes) / 2
    problems = {
        where: problem
        for number, (state, (where, kept)) in enumerate(recording.left.items())
        if (problem := problem_of(recording, dict(state), kept, tmp_path / str(number)))
    }
    assert problems == {}


def refusal_of(run: Callable[[], object]) -> str:
    """What is said when a run stops; empty where it does not."""
    try:
        run()
    except RunDirError as error:
        return str(error)
    return ""


def killing_at(number: int) -> Disk:
    def fault(change: int, name: str) -> None:
        if change == number:
            raise Killed

    return Disk(fault)


def test_run_killed_again_and_again_while_it_recovers_ends_the_same(recording: Recording, tmp_path: Path) -> None:
    draw = random.Random(1)
    for chain in range(12):
        folder, kept = tmp_path / f"run-{chain}", set()
        for _ in range(draw.choice((2, 3, 6))):
            work, disk = Work(), killing_at(draw.randint(1, len(recording.changes) // 2))
            with disk.in_use(), suppress(Killed):
                recording.run(folder, work)
            assert kept & set(work.done) == set()
            kept |= set(work.kept)
        recording.run(folder)
        assert recording.differences(folder) == []


def test_run_killed_early_and_then_at_each_change_of_its_recovery_ends_the_same(
    recording: Recording, tmp_path: Path
) -> None:
    for number in range(1, 26):
        folder = tmp_path / f"run-{number}"
        for disk in (killing_at(len(recording.changes) // 3), killing_at(number)):
            with disk.in_use(), pytest.raises(Killed):
                recording.run(folder)
        recording.run(folder)
        assert recording.differences(folder) == []


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
def test_disk_that_refuses_stops_the_run_and_loses_nothing(recording: Recording, lasting: bool, tmp_path: Path) -> None:
    said = {errno.ENOSPC: "the disk is full", errno.EIO: "the disk reports a fault"}
    silent = []
    for number in range(1 + lasting, len(recording.changes) + 1, STRIDE):
        code = (errno.ENOSPC, errno.EIO)[number // STRIDE % 2]

        def fault(change: int, name: str, number: int = number, code: int = code) -> None:
            if change == number or (lasting and change > number):
                raise OSError(code, os.strerror(code))

        folder, work, again, disk = tmp_path / f"run-{number}", Work(), Work(), Disk(fault)
        with disk.in_use():
            error = refusal_of(partial(recording.run, folder, work))
        if not error:
            silent.append(number)
        assert not error or said[code] in error
        with Disk().in_use():
            recording.run(folder, again)
        assert recording.differences(folder) == [], (number, disk.changes[number - 1])
        assert set(work.kept) & set(again.done) == set()
    # Only the removal of the lock's own file, when all is done, may fail without a word.
    assert [number for number in silent if number < len(recording.changes)] == []


def test_the_log_of_attempts_tells_of_each_kill(tmp_path: Path) -> None:
    for number in (100, 60):
        with killing_at(number).in_use(), pytest.raises(Killed):
            small_run(tmp_path)
    small_run(tmp_path)
    assert [line["event"] for line in read_json_lines(tmp_path / "attempts.log")] == ["started"] * 3 + ["ended"]


def test_two_stages_killed_every_hundred_changes_end_the_same(tmp_path: Path) -> None:
    disk = Disk()
    with disk.in_use():
        small_run(tmp_path / "unbroken", stages=2)
    expected = results(tmp_path / "unbroken")
    folder, kept = tmp_path / "killed", set()
    for _ in range(len(disk.changes)):
        work = Work()
        try:
            with killing_at(100).in_use():
                small_run(folder, work, stages=2)
            break
        except Killed:
            assert kept & set(work.done) == set()
            kept |= set(work.kept)
    assert results(folder) == expected
