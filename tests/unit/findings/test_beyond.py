"""Transfer, bystanders and drift in a comparison: every number worked out by hand from a folder of `comparisons.py`.

At the start a and e are HighlyKnown. S5 gains b, c, d and f with seed 1 (a and e stay), and b, c, f and g with seed 2,
where a fell in between, so that e alone was known all along. Without shots b is right before; at the end b and d are
(seed 1), and b alone (seed 2), beside what was known all along.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.comparisons import OTHERS, TEST, TRAIN, known, verdicts, write_folder

from gradual.findings.read import read_comparison
from gradual.findings.record import ArmFindings, Comparison
from gradual.knowledge.map import Cost, write_map
from gradual.reporting.comparison.page import render_comparison
from gradual.reporting.comparison.tables import comparison_tables
from gradual.run.folder import RunDir
from gradual.run.measures.drift import Drift, DriftFile, TextDrift, write_drift
from gradual.text import NBSP


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    folder = write_folder(tmp_path_factory.mktemp("comparison") / "out")
    for seed, right, tests in ((1, {"a", "e", "b", "d"}, {"t1", "t2"}), (2, {"e", "b"}, {"t1"})):
        run = RunDir(folder / f"runs/S5/{seed}")
        write_map(verdicts(TRAIN, {"a", "e", "b"}), run.transfer("zero_shot_train", 0))
        write_map(verdicts(TRAIN, right), run.transfer("zero_shot_train", 2))
        write_map(verdicts(TEST, {"t1"}), run.zero_shot_evaluation(0))
        write_map(verdicts(TEST, tests), run.zero_shot_evaluation(2))
        text = TextDrift(kl=0.01 * seed, num_places=9, perplexity_before=8.0, perplexity_after=8.0 + seed)
        write_drift(run, 2, DriftFile(text=text, prompts=Drift(kl=0.1 * seed, num_places=9)), Cost())
    write_map(known("HM", ids=OTHERS), RunDir(folder / "runs/S5/1").ood_levels)
    for stage, answered in ((0, {"o1"}), (2, {"o2"})):
        write_map(verdicts(OTHERS, answered, relation="r3"), RunDir(folder / "runs/S5/1").ood_evaluation(stage))
    return read_comparison(folder)


def s5(comparison: Comparison) -> ArmFindings:
    arm = comparison.arm("S5")
    assert arm is not None
    return arm


def test_gained_facts_are_told_in_a_form_beside_those_known_all_along(found: Comparison) -> None:
    told = s5(found).transfer
    assert told is not None
    assert told.seeds == (1, 2)
    (form,) = told.forms
    assert form.form == "zero_shot"
    assert (form.num_gained.values, form.num_known.values) == ((4.0, 4.0), (2.0, 1.0))
    assert (form.gained_before.values, form.gained_after.values) == ((0.25, 0.25), (0.5, 0.25))
    assert form.gained_after.value == 3 / 8
    assert (form.known_before.value, form.known_after.value) == (1.0, 1.0)
    assert form.behind_known.values == (-0.5, -0.75)
    assert form.behind_known.value == -0.625
    # Relation r2 alone has f (and g) wrong and e right: -1. r1 alone has nothing known all along with seed 2.
    assert (form.behind_known.low, form.behind_known.high) == (-1.0, -0.5)
    assert (form.num_test, form.test_before.value, form.test_after.values) == (4, 0.25, (0.5, 0.25))
    assert (form.test_change.values, form.test_change.value) == ((0.25, 0.0), 0.125)


def test_bystanders_are_told_by_level(found: Comparison) -> None:
    highly, maybe, both = s5(found).bystanders
    assert [each.level for each in (highly, maybe, both)] == ["HighlyKnown", "MaybeKnown", ""]
    assert (highly.num_right.value, highly.lost.value, highly.gained.value, highly.change.value) == (1, 1.0, None, -1.0)
    assert (maybe.num_right.value, maybe.lost.value, maybe.gained.value, maybe.change.value) == (0, None, 1.0, 1.0)
    assert (both.num_facts.value, both.lost.value, both.gained.value, both.change.value) == (2, 1.0, 1.0, 0.0)


def test_drift_is_that_of_the_last_stage(found: Comparison) -> None:
    drift = s5(found).drift
    assert drift is not None
    assert (drift.text_kl.values, drift.prompts_kl.values) == ((0.01, 0.02), (0.1, 0.2))
    assert (drift.perplexity_before.value, drift.perplexity_after.value) == (8.0, 9.5)
    assert drift.text_kl.low is None


def test_arms_without_the_measurement_tell_none(found: Comparison) -> None:
    for name in ("base", "same_steps"):
        arm = found.arm(name)
        assert arm is not None
        assert (arm.transfer, arm.bystanders, arm.drift) == (None, (), None)


def test_tables_and_page_show_what_was_measured(found: Comparison) -> None:
    tables = {table.name: table for table in comparison_tables(found)}
    (row,) = tables["transfer"].rows
    assert [cell.value.replace(NBSP, " ") for cell in row] == [
        *("S5", "without shots", "4", "25.0 %", "37.5 %", "1.5", "100.0 %", "−62.5", "37.5 %", "+12.5"),
    ]
    assert [row[1].value for row in tables["bystanders"].rows][-1] == "HighlyKnown or MaybeKnown"
    (drift,) = tables["drift"].rows
    assert [cell.value for cell in drift] == ["S5", "0.0150", "0.1500", "8.00", "9.50"]
    assert drift[1].detail == "(sd 0.0071)"  # of 0.01 and 0.02: 0.01 / sqrt 2
    page = render_comparison(found, name="out")
    assert page.count("What holds beyond the wording") == 2  # in its section, and among all tables


def test_nothing_is_shown_where_nothing_was_measured(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "out")
    names = {table.name for table in comparison_tables(read_comparison(folder))}
    assert not names & {"transfer", "bystanders", "drift"}
