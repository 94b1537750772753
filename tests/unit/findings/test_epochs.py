"""Which facts chose the epochs, and how many a stage lacked, is told; every number worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.comparisons import write_folder

from gradual.files.storage import append_json_line, read_json, write_json
from gradual.findings.read import read_comparison
from gradual.findings.record import Comparison
from gradual.findings.verdict import tell_comparison
from gradual.reporting.comparison.tables import comparison_tables
from gradual.run.folder import RunDir

ON_TEST = ((0.25, 0.5), (0.75, 0.25), (0.5, 0.75))
"""Accuracy of four test and four validation facts by epoch: test facts choose epoch 1, validation facts epoch 2."""

AREAS = (0.5, 0.375, 0.25)
"""Areas under the risk-coverage curve of the facts that choose."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """A comparison in which test facts chose the epoch of S5's first stage with seed 1."""
    folder = write_folder(tmp_path_factory.mktemp("comparison") / "out")
    run = RunDir(folder / "runs/S5/1")
    run.epochs(1).unlink()
    for epoch, (test, validation) in enumerate(ON_TEST):
        line = {"epoch": epoch, "eval_accuracy": test, "validation_accuracy": validation, "steps": 6, "tokens": 60}
        line["eval_area"] = AREAS[epoch]
        append_json_line(run.epochs(1), line)
    beside = {"optimism": 0.25, "num_anchor": 28, "num_abstain": 1}
    write_json(run.stage_summary(1), {**read_json(run.stage_summary(1)), **beside})
    return read_comparison(folder)


def test_accuracy_of_validation_facts_is_not_that_of_test_facts(found: Comparison) -> None:
    s5 = found.arm("S5")
    assert s5 is not None
    epochs = s5.runs[0].stages[0].epochs
    assert [epoch.validation.count for epoch in epochs] == [2, 1, 3]
    assert [epoch.test.count for epoch in epochs if epoch.test] == [1, 3, 2]
    assert s5.validation[0].values == (0.25, 0.5)  # at epoch 1, which was kept; of seed 2 as before
    assert (s5.runs[0].stages[0].optimism, s5.runs[1].stages[0].optimism) == (0.25, None)
    assert all(epoch.test is None for epoch in s5.runs[1].stages[0].epochs)


def test_it_is_told_that_test_facts_chose(found: Comparison) -> None:
    told = "S5: test facts chose the epochs (evaluation.protocol: paper), so test accuracy flatters"
    assert told in found.problems
    assert any("by +25.0\N{NO-BREAK SPACE}points a stage" in limit for limit in tell_comparison(found).limits)
    tables = {table.name: table for table in comparison_tables(found)}
    by_epoch, seeds = tables["validation-by-epoch"], tables["seeds"]
    assert by_epoch.title == "Table 6. Accuracy by epoch in stage 1, chosen on test facts"
    assert "The epoch is chosen on 4 test facts" in by_epoch.note
    shown = dict(zip(by_epoch.columns, by_epoch.rows[1], strict=True))
    # 1 and 2 of 4 validation facts with the two seeds; 3 of 4 test facts with the one that looked at them.
    assert (shown["validation accuracy"].raw[""], shown["test accuracy"].raw[""]) == (0.375, 0.75)
    # One seed alone keeps its epochs by the area.
    assert (shown["area"].raw[""], shown["area"].raw["sd"]) == (0.375, None)
    assert "Area: under the risk-coverage curve" in by_epoch.note
    sizes = {(row[0].text, row[1].text): row[8].text for row in seeds.rows}
    assert sizes["S5", "1"].startswith("3 + 28 anchors + 1 refusal, ")
    optimism = {(row[0].text, row[1].text): row[-1].text for row in seeds.rows}
    assert optimism["S5", "1"] == "+25.0, \N{EN DASH}"


def test_nothing_is_said_where_validation_facts_chose(tmp_path: Path) -> None:
    found = read_comparison(write_folder(tmp_path / "out"))
    assert not any("test facts chose" in problem for problem in found.problems)
    tables = {table.name: table for table in comparison_tables(found)}
    assert tables["validation-by-epoch"].title == "Table 6. Validation accuracy by epoch in stage 1"
    assert not any("optimism" in column for column in tables["seeds"].columns)


def test_facts_missing_for_the_size_asked_for_are_told(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "out")
    for name, stage, missing in (("worse", 1, 40), ("S5", 2, 1)):
        path = RunDir(folder / "runs" / name / "1").stage_summary(stage)
        write_json(path, {**read_json(path), "new_shortfall": missing})
    found = read_comparison(folder)
    told = [problem for problem in found.problems if "fewer" in problem]
    assert told == [
        "S5, seed 1, stage 2: 1 fact fewer than the size asked for",
        "worse, seed 1: 40 facts fewer than the size asked for",
    ]
    seeds = next(table for table in comparison_tables(found) if table.name == "seeds")
    place = seeds.columns.index("facts trained on")
    trained = {(row[0].text, row[1].text): row[place].text for row in seeds.rows}
    assert trained["worse", "1"] == "3 (40 fewer than asked for)"
    assert trained["S5", "1"] == "3, 3 (1 fewer than asked for)"
    assert trained["S5", "2"] == "3, 4"
