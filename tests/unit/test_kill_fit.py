"""The script that kills whole runs notices what differs and what is done again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import ModuleType

import pytest
from tests.support.scripts import load_script


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("kill_fit")


def lay(run: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(text)
    return run


def test_files_are_equal_byte_for_byte_but_for_those_that_tell_times(script: ModuleType, tmp_path: Path) -> None:
    same = {"summary.json": "{}", "stages/1/adapter/a.safetensors": "w"}
    one = lay(tmp_path / "one", same | {"cost.json": "1", "probes/0/map.json": "m", "stages/1/times.jsonl": "1"})
    two = lay(tmp_path / "two", same | {"cost.json": "2", "probes/0/map.json": "n", "units/left": "over"})
    assert script.compare(one, two) == {
        "probes/0/map.json": False,
        "stages/1/adapter/a.safetensors": True,
        "summary.json": True,
        "units/left": False,
    }
    assert script.compare(two, one) == script.compare(one, two)


STARTED = {
    "journal.jsonl": json.dumps({"step": "probe-0", "files": {"probes/0/map.json": "sha"}}) + "\n" + '{"step": "torn',
    "probes/0/map.json": "m",
    "units/evaluation-0/abc": "u",
    "units/evaluation-0/.def.tmp": "half",
    "stages/1/checkpoints/checkpoint-4/trainer_state.json": '{"epoch": 1.0}',
    "stages/1/checkpoints/checkpoint-4/sealed.json": "{}",
    "stages/1/checkpoints/checkpoint-8/trainer_state.json": '{"epoch": 2.0}',
    "stages/1/times.jsonl": "".join(json.dumps({"epoch": epoch}) + "\n" for epoch in (0, 1, 2)),
}


def test_what_is_finished_is_read_from_the_folder(script: ModuleType, tmp_path: Path) -> None:
    run = lay(tmp_path / "run", STARTED)
    state = script.read_state(run)
    assert state.milestones() == {"probe-0", "evaluation-0: 1 units", "stage-1: epoch 1"}
    assert state.epochs_done == (("1", (0, 1, 2)),)
    assert script.unfinished_file(run) in {"units/evaluation-0/.def.tmp", "stages/1/checkpoints/checkpoint-8"}
    assert script.read_state(tmp_path / "none").milestones() == set()


def test_an_epoch_without_a_seal_may_be_done_again(script: ModuleType, tmp_path: Path) -> None:
    run = lay(tmp_path / "run", STARTED)
    before = script.read_state(run)
    with (run / "stages/1/times.jsonl").open("a") as times:
        times.write('{"epoch": 2}\n')
    assert script.done_again(before, script.read_state(run)) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("journal.jsonl", "steps ('probe-0',) became ()"),
        ("probes/0/map.json", "probes/0/map.json was written again"),
        ("units/evaluation-0/abc", "units/evaluation-0/abc was written again"),
        ("stages/1/times.jsonl", "stage 1, epoch 1 was done again"),
    ],
)
def test_what_is_done_again_is_named(script: ModuleType, tmp_path: Path, change: str, found: str) -> None:
    run = lay(tmp_path / "run", STARTED)
    before = script.read_state(run)
    if change == "journal.jsonl":
        (run / change).write_text("")
    elif change.endswith(".jsonl"):
        (run / change).write_text(STARTED[change] + '{"epoch": 1}\n')
    else:
        os.utime(run / change, ns=(0, 1))
    assert found in script.done_again(before, script.read_state(run))


def test_a_unit_that_is_gone_needs_its_step_finished(script: ModuleType, tmp_path: Path) -> None:
    run = lay(tmp_path / "run", STARTED)
    before = script.read_state(run)
    (run / "units/evaluation-0/abc").unlink()
    gone = ["units/evaluation-0/abc is gone and its step is not finished"]
    assert script.done_again(before, script.read_state(run)) == gone
    whole = STARTED["journal.jsonl"].removesuffix('{"step": "torn') + '{"step": "evaluation-0", "files": {}}\n'
    (run / "journal.jsonl").write_text(whole)
    assert script.done_again(before, script.read_state(run)) == []
