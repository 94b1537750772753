"""What became of the validation facts in a stage, read from its files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from gradual.errors import RunDirError
from gradual.files.storage import append_json_line, make_folder, write_json
from gradual.run.folder import RunDir
from gradual.run.stage_files import read_epochs, validation_counts, verdicts_by_epoch
from gradual.statistics.intervals import PairedCounts

FACTS = ["e", "d", "c", "b", "a"]
"""Verdicts stand in order of id, whatever the order of the facts."""


def write_stage(folder: Path, verdicts: Mapping[int, str], *, kept: int) -> RunDir:
    run = RunDir(folder)
    make_folder(run.stage(2))
    for epoch, digits in verdicts.items():
        line = {"epoch": epoch, "eval_accuracy": 0.5} | ({"verdicts": digits} if digits else {})
        append_json_line(run.epochs(2), line)
    write_json(run.stage_summary(2), {"strategy": "S5", "select": "all", "best_epoch": kept})
    return run


def test_facts_are_counted_from_before_the_stage_to_the_epoch_kept(tmp_path: Path) -> None:
    run = write_stage(tmp_path, {0: "11000", 1: "10111", 2: "01000"}, kept=1)
    # a right both times, b lost, c, d and e gained.
    assert validation_counts(run, 2, FACTS) == PairedCounts(gained=3, lost=1, kept=1, missed=0)
    assert verdicts_by_epoch(read_epochs(run, 2), FACTS, run.epochs(2))[1] == {
        "a": True,
        "b": False,
        "c": True,
        "d": True,
        "e": True,
    }


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ({0: "11000", 1: ""}, "epoch 1: expected verdicts, found none; make the run again"),
        ({0: "", 1: "11000"}, "epoch 0: expected verdicts, found none; make the run again"),
        ({0: "1100", 1: "11000"}, "epoch 0: expected 5 verdicts, found 4; make the run again"),
        ({0: "11000", 1: "1x000"}, "epochs.jsonl:2: field `verdicts`"),
    ],
)
def test_verdicts_that_are_missing_or_damaged_are_refused(tmp_path: Path, verdicts: dict[int, str], said: str) -> None:
    run = write_stage(tmp_path, verdicts, kept=1)
    with pytest.raises(RunDirError) as caught:
        validation_counts(run, 2, FACTS)
    assert said in str(caught.value)
