"""However many start at once on one folder: one runs, the others say who does, and the dead hold nothing."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import time
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import Any

import pytest

from gradual.errors import RunDirError
from gradual.files import storage
from gradual.run.folder import RunDir, open_run

FORK = multiprocessing.get_context("fork")
ROUNDS = 50


def contend(folder: Path, barrier: Barrier, over: Event, told: Any) -> None:
    """Tries to write once in each round; tells the round, and "ran" or why not."""
    for number in range(ROUNDS):
        barrier.wait()
        try:
            with open_run(folder, {"seed": "1"}, config_yaml="") as run:
                run.mark_done(f"round-{number}")
                told.put((number, os.getpid(), "ran"))
                while not over.is_set():
                    time.sleep(0.001)
        except RunDirError as error:
            told.put((number, os.getpid(), str(error)))
        barrier.wait()


@pytest.mark.parametrize("count", [2, 8])
def test_of_many_at_once_exactly_one_runs_in_each_of_fifty_rounds(tmp_path: Path, count: int) -> None:
    barrier, over, told = FORK.Barrier(count + 1), FORK.Event(), FORK.Queue()
    contenders = [FORK.Process(target=contend, args=(tmp_path, barrier, over, told), daemon=True) for _ in range(count)]
    for process in contenders:
        process.start()
    for number in range(ROUNDS):
        over.clear()
        barrier.wait(30)
        outcomes = [told.get(timeout=30) for _ in range(count)]
        winners = [pid for _, pid, outcome in outcomes if outcome == "ran"]
        refused = [outcome for _, _, outcome in outcomes if outcome != "ran"]
        assert {each for each, _, _ in outcomes} == {number}
        assert len(winners) == 1
        named = f"{tmp_path} is in use by process {winners[0]} on {socket.gethostname()} since "
        unnamed = f"{tmp_path} is in use by another process, which has not yet said which; "
        assert all(each.startswith((named, unnamed)) for each in refused)
        over.set()
        barrier.wait(30)
    for process in contenders:
        process.join(30)
        assert process.exitcode == 0
    assert RunDir(tmp_path).steps() == tuple(f"round-{number}" for number in range(ROUNDS))
    events = [line["event"] for line in storage.read_json_lines(RunDir(tmp_path).attempts)]
    assert events == ["started", "ended"] * ROUNDS


def hold_and_wait(folder: Path, ready: Event) -> None:
    with open_run(folder, {}, config_yaml=""):
        ready.set()
        time.sleep(60)


def test_folder_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    for _ in range(10):
        ready = FORK.Event()
        holder = FORK.Process(target=hold_and_wait, args=(tmp_path, ready), daemon=True)
        holder.start()
        assert ready.wait(30)
        assert holder.pid is not None
        with (
            pytest.raises(RunDirError, match=f"in use by process {holder.pid} "),
            open_run(tmp_path, {}, config_yaml=""),
        ):
            pytest.fail("opened")
        os.kill(holder.pid, signal.SIGKILL)
        holder.join()
        with open_run(tmp_path, {}, config_yaml=""):
            pass
