"""How sure wrong answers are: every number worked out by hand from `tests/support/comparisons.py`.

The confidences are t1 0.95, t4 0.9, t2 0.6, t3 0.4 at every stage; t4 is Unknown at the start. The base model has t1
right. S5 ends with t1, t2, t3 right (seed 1) and t1, t3, t4 (seed 2).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.comparisons import CONFIDENCE, TEST, verdicts, write_folder

from gradual.errors import RunDirError
from gradual.findings.answer_record import AnswerDifference, AnswerFindings
from gradual.findings.read import read_comparison
from gradual.findings.record import Comparison
from gradual.findings.verdict import tell_comparison
from gradual.knowledge.map import write_map
from gradual.statistics.intervals import holm, wilson
from gradual.text import NBSP


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return read_comparison(write_folder(tmp_path_factory.mktemp("comparison") / "out"))


def answers(comparison: Comparison, name: str) -> AnswerFindings:
    arm = comparison.arm(name)
    assert arm is not None
    assert arm.answers is not None
    return arm.answers


def difference(comparison: Comparison, kind: str, name: str) -> AnswerDifference:
    contrast = comparison.contrast(kind, name)
    assert contrast is not None
    assert contrast.answers is not None
    return contrast.answers


def test_the_base_model_is_confidently_wrong_on_two_of_four(found: Comparison) -> None:
    base = answers(found, "base")
    assert (base.seeds, base.num_facts, base.num_unknown) == ((1, 2), 4, 1)
    assert (base.right.value, base.right.low, base.right.high) == (0.25, *wilson(1, 4))
    assert base.confidently_wrong.values == (0.5, 0.5)  # t2 and t4
    assert base.very_confidently_wrong.value == 0.25  # t4
    assert base.unsure_and_wrong.value == 0.25  # t3
    assert base.unknown_confidently_wrong.value == 1.0  # t4
    assert base.auroc.value == 1.0  # t1 is surer than all others
    assert base.accuracy_of_surest_half.value == 0.5  # t1, t4
    assert base.area_under_risk_coverage.value == pytest.approx((0 + 1 / 2 + 2 / 3 + 3 / 4) / 4)
    # Each fact is a bin of its own: |1 - 0.95|, |0 - 0.9|, |0 - 0.6|, |0 - 0.4|.
    assert base.calibration_error.value == pytest.approx((0.05 + 0.9 + 0.6 + 0.4) / 4)
    assert base.calibration_error.low is None


def test_an_arm_is_the_mean_over_its_seeds(found: Comparison) -> None:
    s5 = answers(found, "S5")
    assert s5.right.value == 0.75
    assert s5.confidently_wrong.values == (0.25, 0.25)  # t4, then t2
    assert s5.very_confidently_wrong.values == (0.25, 0.0)
    assert s5.unknown_confidently_wrong.values == (1.0, 0.0)
    # Of the pairs with a right answer: 0.95 alone is above 0.9; 0.95 and 0.9 are above 0.6.
    assert s5.auroc.values == pytest.approx((1 / 3, 2 / 3))
    assert s5.auroc.value == pytest.approx(1 / 2)
    areas = ((0 + 1 / 2 + 1 / 3 + 1 / 4) / 4, (0 + 0 + 1 / 3 + 1 / 4) / 4)
    assert s5.area_under_risk_coverage.values == pytest.approx(areas)
    assert s5.area_under_risk_coverage.low is not None
    assert s5.accuracy_of_surest_half.values == (0.5, 1.0)


def test_an_arm_is_held_against_the_base_model_on_the_same_facts(found: Comparison) -> None:
    held = difference(found, "base", "S5")
    assert held.seeds == (1, 2)
    assert held.confidently_wrong.values == (-0.25, -0.25)  # t2 is put right, then t4
    assert held.area_under_risk_coverage is not None
    assert held.area_under_risk_coverage.values == pytest.approx((-0.625 / 3, -1.0 / 3))
    assert held.area_under_risk_coverage.value == pytest.approx(-0.8125 / 3)
    tested = [difference(found, "base", name) for name in ("same_steps", "S5", "worse")]
    assert [each.p_holm for each in tested] == holm([each.p_value or 0.0 for each in tested])


def test_an_arm_is_held_against_the_reference(found: Comparison) -> None:
    held = difference(found, "reference", "S5")
    assert (held.confidently_wrong.value, held.p_value) == (0.0, 1.0)  # both leave t4 wrong, then t2
    assert difference(found, "main", "S5").area_under_risk_coverage is None


def test_one_seed_is_tested_by_mcnemar(found: Comparison) -> None:
    held = difference(found, "base", "worse")  # of t1, right under the base model, it is now confidently wrong
    assert held.seeds == (1,)
    assert (held.confidently_wrong.value, held.p_value) == (0.25, 1.0)
    assert answers(found, "worse").auroc.value is None  # nothing is right


def test_the_verdict_says_it_among_its_first_five_sentences(found: Comparison) -> None:
    told = [sentence.replace(NBSP, " ") for sentence in tell_comparison(found).sentences[:5]]
    assert any(
        sentence.startswith(
            "S5 is confidently wrong (its answer is wrong and has a probability of at least 0.5) on 25.0 % of 4 test "
            "facts, 25.0 points less often than the base model (95 % interval ["
        )
        and sentence.endswith("; on 50.0 % of those that were Unknown at the start.")
        for sentence in told
    )


def test_what_is_lost_of_relations_never_trained_on_is_among_the_first_five_sentences(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "out")
    facts = ("o1", "o2", "o3", "o4")
    for stage, right in ((0, {"o1", "o2"}), (2, {"o2", "o3", "o4"})):  # o1 of two is lost, two of two are gained
        write_map(verdicts(facts, right), folder / f"runs/S5/1/evaluation/ood-{stage}")
    found = read_comparison(folder)
    arm = found.arm("S5")
    assert arm is not None
    assert arm.ood is not None
    assert (arm.ood.right_at_start.value, arm.ood.lost.value, arm.ood.change.value) == (2.0, 0.5, 0.25)
    told = " ".join(tell_comparison(found).sentences[:5]).replace(NBSP, " ")
    assert "On 4 facts of relations never trained on, S5 changes by +25.0 points [" in told
    assert "; of the 2 that the base model has right it loses 50.0 % [" in told


def test_a_folder_of_an_earlier_version_says_nothing_of_confidence(tmp_path: Path) -> None:
    old = read_comparison(write_folder(tmp_path / "out", confidence={}))
    assert [arm.answers for arm in old.arms] == [None] * len(old.arms)
    assert {contrast.answers for contrast in old.contrasts} == {None}
    assert {arm.refusals for arm in old.arms} == {contrast.refusals for contrast in old.contrasts} == {None}
    assert not any("confidently" in sentence for sentence in tell_comparison(old).sentences)


def test_a_seed_without_confidence_is_left_out(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "out")
    write_map(verdicts(TEST, {"t1", "t3", "t4"}), folder / "runs/S5/2/evaluation/2")
    some = read_comparison(folder)
    assert answers(some, "S5").seeds == (1,)
    assert difference(some, "base", "S5").seeds == (1,)


def test_a_map_in_which_some_facts_lack_confidence_is_damaged(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "out")
    partly = {fact: CONFIDENCE[fact] for fact in TEST[:3]}
    write_map(verdicts(TEST, {"t1"}, confidence=partly), folder / "runs/S5/1/evaluation/2")
    with pytest.raises(RunDirError, match="expected a confidence for each fact, found one for 3 of 4"):
        read_comparison(folder)
