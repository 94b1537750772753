"""What became of the validation facts in a stage, read from its files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from gradual.config.stage import StageConfig
from gradual.errors import RunDirError
from gradual.files.storage import append_json_line, make_folder, write_json
from gradual.run.folder import RunDir
from gradual.run.stage_files import (
    EpochLine,
    EpochNumbers,
    StageFile,
    read_epochs,
    validation_counts,
    verdicts_by_epoch,
)
from gradual.run.stage_files import write_stage as write_stage_file
from gradual.run.summary.summary_file import StageSummary, Summary
from gradual.selection.strategies import STRATEGIES, Selection
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


def test_what_only_the_papers_protocol_has_is_left_out_of_the_file_and_nothing_else_is() -> None:
    stage = StageSummary(strategy="S5", best_epoch=1, epochs=[EpochNumbers(epoch=0, eval_accuracy=0.5)])
    written = Summary(stages=[stage]).as_json()["stages"]
    assert isinstance(written, list)
    assert "optimism" not in written[0]
    assert written[0]["epochs"] == [
        {"epoch": 0, "loss": None, "eval_accuracy": 0.5, "eval_p": 0.0, "learning_rate": None, "tokens": 0, "steps": 0}
    ]
    assert StageFile(optimism=0.25).as_json()["optimism"] == 0.25
    assert EpochLine(epoch=1, eval_accuracy=0.5, validation_accuracy=0.25).as_json()["validation_accuracy"] == 0.25


def test_an_epoch_that_was_done_twice_is_as_it_was_done_last(tmp_path: Path) -> None:
    run = write_stage(tmp_path, {0: "11000", 1: "10111"}, kept=1)
    append_json_line(run.epochs(2), {"epoch": 0, "eval_accuracy": 0.25, "verdicts": "01000"})
    assert [(each.epoch, each.eval_accuracy) for each in read_epochs(run, 2)] == [(0, 0.25), (1, 0.5)]


@pytest.mark.parametrize(
    ("accuracies", "areas", "improved"),
    [
        ((0.5, 0.75), (None, None), True),
        ((0.5, 0.5), (None, None), False),
        ((0.5, 0.25), (0.4, 0.3), True),  # fewer right answers, but surer ones
        ((0.5, 0.75), (0.4, 0.4), False),
    ],
)
def test_an_epoch_is_better_by_the_area_where_it_is_kept_by_it(
    tmp_path: Path, accuracies: tuple[float, float], areas: tuple[float | None, float | None], improved: bool
) -> None:
    run = RunDir(tmp_path)
    make_folder(run.stage(1))
    pairs = zip(accuracies, areas, strict=True)
    epochs = [EpochLine(epoch=n, eval_accuracy=each, eval_area=area) for n, (each, area) in enumerate(pairs)]
    selection = Selection((), STRATEGIES["all"], 0, 0)
    stage = write_stage_file(
        run, 1, selection, StageConfig(strategy="all"), epochs, best_epoch=1, stopped_early=False, optimism=None
    )
    assert stage.improved is improved
    assert ("eval_area" in epochs[1].as_json()) is (areas[1] is not None)
    assert read_epochs(run, 1) == tuple(epochs)
