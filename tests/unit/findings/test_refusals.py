"""What is refused in a comparison: every number worked out by hand from a folder of `tests/support/comparisons.py`.

At the start t1 is HighlyKnown, t2 MaybeKnown, t3 WeaklyKnown and t4 Unknown; the base model has t1 right and refuses
nothing. S5 ends with t1 and t3 right, t2 and t4 refused (seed 1), and with t1 and t2 right, t4 refused (seed 2). The
maps of the other arms tell no refusals.
"""

from __future__ import annotations

import pytest
from tests.support.comparisons import CONFIDENCE, TEST, verdicts, write_folder

from gradual.findings.read import read_comparison
from gradual.findings.record import Comparison
from gradual.findings.refusal_record import RefusalFindings
from gradual.knowledge.map import write_map
from gradual.reporting.comparison.tables import comparison_tables
from gradual.text import NBSP


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    folder = write_folder(tmp_path_factory.mktemp("comparison") / "out")
    for seed, right, refused in ((1, {"t1", "t3"}, {"t2", "t4"}), (2, {"t1", "t2"}, {"t4"})):
        run = folder / f"runs/S5/{seed}/evaluation"
        write_map(verdicts(TEST, right, confidence=CONFIDENCE, refused=refused), run / "2")
        for arm in ("S5", "same_steps", "worse"):
            base = folder / f"runs/{arm}/{seed}/evaluation/0"
            if base.is_dir():
                write_map(verdicts(TEST, {"t1"}, confidence=CONFIDENCE, refused=set()), base)
    return read_comparison(folder)


def refusals(comparison: Comparison, name: str) -> RefusalFindings:
    arm = comparison.arm(name)
    assert arm is not None
    assert arm.refusals is not None
    return arm.refusals


def test_the_base_model_answers_everything(found: Comparison) -> None:
    base = refusals(found, "base")
    assert (base.seeds, base.num_facts, base.num_known) == ((1, 2), 4, 2)
    assert (base.coverage.value, base.accuracy_of_answered.value, base.known_refused.value) == (1.0, 0.25, 0.0)
    # One right answer and three wrong ones, which cost 1, 3 and 9.
    assert [each.score.value for each in base.scores] == pytest.approx([(1 - 3) / 4, (1 - 9) / 4, (1 - 27) / 4])


def test_an_arm_tells_what_it_refuses_and_the_harm(found: Comparison) -> None:
    s5 = refusals(found, "S5")
    assert s5.coverage.values == (0.5, 0.75)
    assert s5.accuracy_of_answered.values == pytest.approx((1.0, 2 / 3))
    assert s5.accuracy_of_answered.value == pytest.approx(4 / 5)
    assert s5.known_refused.values == (0.5, 0.0)  # t2 of t1 and t2
    told = {level: measure.value for level, measure in s5.refused_by_level.items()}
    assert told == {"Unknown": 1.0, "WeaklyKnown": 0.0, "MaybeKnown": 0.5, "HighlyKnown": 0.0}
    assert [each.score.values for each in s5.scores] == [
        pytest.approx((0.5, (2 - 1) / 4)),
        pytest.approx((0.5, (2 - 3) / 4)),
        pytest.approx((0.5, (2 - 9) / 4)),
    ]
    assert all(each.score.low is not None for each in s5.scores)


def test_an_arm_is_held_against_the_base_model_on_the_same_facts(found: Comparison) -> None:
    held = found.contrast("base", "S5")
    assert held is not None
    assert held.refusals is not None
    assert held.refusals.coverage.values == (-0.5, -0.25)
    assert [each.score.value for each in held.refusals.scores] == pytest.approx([0.875, 2.125, 5.875])
    against = found.contrast("reference", "S5")
    assert against is not None
    assert against.refusals is None  # the reference's maps tell none


def test_confidently_wrong_leaves_refusals_out(found: Comparison) -> None:
    s5 = found.arm("S5")
    assert s5 is not None
    assert s5.answers is not None
    assert s5.answers.confidently_wrong.value == 0.0  # t2 (0.6) and t4 (0.9) are refused, t3 (0.4) is unsure
    assert s5.answers.unsure_and_wrong.values == (0.0, 0.25)


def test_tables_show_it(found: Comparison) -> None:
    tables = {table.name: table for table in comparison_tables(found)}
    rows = {row[0].value: [cell.value.replace(NBSP, " ") for cell in row[1:]] for row in tables["refusals"].rows}
    # answered, to the base, right of these, known refused, then HighlyKnown to Unknown refused
    assert rows["S5"] == ["62.5 %", "−37.5", "80.0 %", "25.0 %", "0.0 %", "50.0 %", "0.0 %", "100.0 %"]
    assert rows["worse"] == ["–"] * 8
    worth = {row[0].value: [cell.value.replace(NBSP, " ") for cell in row[1:]] for row in tables["refusal-scores"].rows}
    assert worth["S5"] == ["+0.375", "+0.875", "+0.125", "+2.125", "−0.625", "+5.875"]
    assert "2 facts" in tables["refusals"].note
