"""Confidence against verdicts: every number worked out by hand on a few answers."""

from __future__ import annotations

import itertools

import pytest

from gradual.statistics.calibration import (
    AnsweredFact,
    accuracy_of_surest,
    accuracy_of_surest_over_seeds,
    area_over_seeds,
    area_under_risk_coverage,
    auroc,
    auroc_over_seeds,
    calibration_error,
    confidently_wrong,
    difference_in_area,
    mean_confidence,
    risk_coverage,
    unsure_and_wrong,
)
from gradual.statistics.intervals import mcnemar, paired_counts

FOUR = [AnsweredFact(0.9, True), AnsweredFact(0.8, False), AnsweredFact(0.6, True), AnsweredFact(0.2, False)]


def by_id(answers: list[AnsweredFact]) -> dict[str, AnsweredFact]:
    return {f"f{place}": each for place, each in enumerate(answers)}


def test_a_wrong_answer_is_confident_from_the_threshold_on_and_unsure_below_it() -> None:
    answers = by_id(
        [AnsweredFact(0.5, False), AnsweredFact(0.49, False), AnsweredFact(0.95, False), AnsweredFact(0.95, True)]
    )
    assert list(confidently_wrong(answers).values()) == [True, False, True, False]
    assert list(confidently_wrong(answers, 0.9).values()) == [False, False, True, False]
    assert list(unsure_and_wrong(answers).values()) == [False, True, False, False]


def test_confidently_wrong_facts_of_two_measurements_are_compared_in_pairs() -> None:
    before = confidently_wrong(by_id([AnsweredFact(0.9, False), AnsweredFact(0.2, False), AnsweredFact(0.9, True)]))
    after = confidently_wrong(by_id([AnsweredFact(0.9, False), AnsweredFact(0.7, False), AnsweredFact(0.8, False)]))
    counts = paired_counts(before, after)
    assert (counts.gained, counts.lost) == (2, 0)
    assert mcnemar(counts.gained, counts.lost) == 0.5


def test_mean_confidence() -> None:
    assert mean_confidence(FOUR) == pytest.approx(0.625)
    assert mean_confidence([]) is None


def test_calibration_error_of_two_bins() -> None:
    # Lower half: 0.2 wrong and 0.6 right, share 1/2 against 0.4; upper: 0.8 wrong and 0.9 right, 1/2 against 0.85.
    found = calibration_error(FOUR, num_bins=2)
    assert found is not None
    assert found.value == pytest.approx((0.1 + 0.35) / 2)
    one_bin = calibration_error(FOUR, num_bins=1)
    assert one_bin is not None
    assert one_bin.value == pytest.approx(0.625 - 0.5)


def test_answers_of_one_confidence_are_the_same_in_any_order() -> None:
    answers = [
        AnsweredFact(0.5, True),
        AnsweredFact(0.5, False),
        AnsweredFact(0.5, False),
        AnsweredFact(0.5, True),
        AnsweredFact(0.9, True),
    ]
    found = {
        (calibration_error(list(order), num_bins=2), auroc(list(order)), *risk_coverage(list(order)))
        for order in itertools.permutations(answers)
    }
    assert len(found) == 1


def test_a_calibrated_model_has_an_error_by_chance_alone_which_more_facts_make_smaller() -> None:
    # One bin of n answers at 1/2: the mean distance of the share from 1/2 is 1/2 for n = 1 and 1/4 for n = 2.
    one = calibration_error([AnsweredFact(0.5, True)])
    two = calibration_error([AnsweredFact(0.5, True), AnsweredFact(0.5, False)], num_bins=1)
    assert one is not None
    assert two is not None
    assert one.if_calibrated == pytest.approx(0.5)
    assert two.if_calibrated == pytest.approx(0.25, abs=0.02)
    many = calibration_error([AnsweredFact(0.5, bool(place % 2)) for place in range(400)])
    assert many is not None
    assert many.value == 0.0
    assert many.if_calibrated == pytest.approx(0.0, abs=0.03)


def test_nothing_is_said_of_no_answers() -> None:
    assert calibration_error([]) is None
    assert area_under_risk_coverage([]) is None
    assert accuracy_of_surest([], 0.5) is None
    assert auroc([]) is None


def test_auroc_is_the_share_of_pairs_in_the_right_order_with_ties_as_one_half() -> None:
    # Pairs of a right and a wrong answer: 0.9 over 0.8, 0.9 over 0.2, 0.6 over 0.2; 0.6 is under 0.8.
    assert auroc(FOUR) == 0.75
    assert auroc([AnsweredFact(0.5, True), AnsweredFact(0.5, False), AnsweredFact(0.1, False)]) == 0.75
    assert auroc([AnsweredFact(0.5, True)]) is None
    assert auroc([AnsweredFact(0.5, False)]) is None


def test_risk_is_the_share_of_wrong_answers_among_the_surest() -> None:
    assert risk_coverage(FOUR) == pytest.approx([0, 1 / 2, 1 / 3, 2 / 4])
    assert area_under_risk_coverage(FOUR) == pytest.approx((1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_risk_among_answers_of_one_confidence_is_the_mean_over_their_orders() -> None:
    answers = [AnsweredFact(0.9, False), AnsweredFact(0.5, True), AnsweredFact(0.5, False), AnsweredFact(0.5, True)]
    by_order = []
    for order in itertools.permutations(answers[1:]):
        wrong = list(itertools.accumulate(not each.is_right for each in (answers[0], *order)))
        by_order.append([count / (place + 1) for place, count in enumerate(wrong)])
    expected = [sum(risks) / len(risks) for risks in zip(*by_order, strict=True)]
    assert risk_coverage(answers) == pytest.approx(expected)


def test_accuracy_of_the_surest_counts_whole_answers() -> None:
    assert accuracy_of_surest(FOUR, 0.5) == 0.5
    assert accuracy_of_surest(FOUR, 0.25) == 1.0
    assert accuracy_of_surest(FOUR, 0.6) == pytest.approx(2 / 3)  # 2.4 answers: 3
    assert accuracy_of_surest([*FOUR, AnsweredFact(0.1, False)], 0.8) == 0.5  # 4 of 5
    with pytest.raises(ValueError, match="above 0 and at most 1, found 0"):
        accuracy_of_surest(FOUR, 0.0)


def test_a_difference_in_area_is_that_of_the_two_areas_and_resamples_groups_of_facts() -> None:
    before = by_id(
        [AnsweredFact(0.9, False), AnsweredFact(0.5, True), AnsweredFact(0.5, False), AnsweredFact(0.3, True)]
    )
    after = by_id(FOUR)
    groups = {"f0": "r", "f1": "r", "f2": "s", "f3": "s"}
    found = difference_in_area([before], [after], groups)
    areas = [area_under_risk_coverage(list(side.values())) for side in (before, after)]
    assert areas[0] is not None
    assert areas[1] is not None
    assert found.value == pytest.approx(areas[1] - areas[0])
    # A resample is r twice, s twice, or both; each fact then counts as two of one confidence.
    ends = []
    for names in (("f0", "f1"), ("f2", "f3")):
        twice = [area_under_risk_coverage([side[name] for name in names for _ in (0, 1)]) for side in (before, after)]
        assert twice[0] is not None
        assert twice[1] is not None
        ends.append(twice[1] - twice[0])
    assert [found.low, found.high] == pytest.approx(sorted([*ends, areas[1] - areas[0]])[::2])
    assert (found.num_groups, found.num_seeds) == (2, 1)


def test_numbers_over_seeds_are_the_means_of_each_seeds_number() -> None:
    tied = [AnsweredFact(0.9, False), AnsweredFact(0.5, True), AnsweredFact(0.5, False), AnsweredFact(0.3, True)]
    groups = dict.fromkeys(by_id(FOUR), "r")
    both = [by_id(FOUR), by_id(tied)]
    # Surer than a wrong answer are, of four pairs each: 3 of FOUR; one half of the tied ones.
    assert auroc_over_seeds(both, groups).value == pytest.approx((3 / 4 + 1 / 8) / 2)
    # One right of the surest two; of the tied none and then, on average, one half.
    assert accuracy_of_surest_over_seeds(both, 0.5, groups).value == pytest.approx((1 / 2 + 1 / 4) / 2)
    areas = [(0 + 1 / 2 + 1 / 3 + 2 / 4) / 4, (1 + 1.5 / 2 + 2 / 3 + 2 / 4) / 4]
    assert area_over_seeds(both, groups).value == pytest.approx(sum(areas) / 2)


def test_numbers_over_seeds_resample_groups_and_leave_out_resamples_without_a_number() -> None:
    groups = {"f0": "r", "f1": "r", "f2": "s", "f3": "s"}
    found = auroc_over_seeds([by_id(FOUR)], groups)  # r twice gives 1, s twice 1, both 3/4
    assert (found.value, found.low, found.high) == (0.75, 0.75, 1.0)
    surest = accuracy_of_surest_over_seeds([by_id(FOUR)], 0.5, groups)  # of r twice 0.9 and 0.9, so 1
    assert (surest.low, surest.high) == (0.5, 1.0)
    all_right = by_id([AnsweredFact(0.9, True), AnsweredFact(0.2, True)])
    assert auroc_over_seeds([all_right], groups).value is None


def test_other_facts_with_another_seed_and_no_coverage_are_refused() -> None:
    groups = dict.fromkeys(by_id(FOUR), "r")
    with pytest.raises(ValueError, match="the same facts with every seed"):
        area_over_seeds([by_id(FOUR), by_id(FOUR[:3])], groups)
    with pytest.raises(ValueError, match=r"a coverage above 0 and at most 1, found 0\.0"):
        accuracy_of_surest_over_seeds([by_id(FOUR)], 0.0, groups)


def test_equal_measurements_differ_by_nothing() -> None:
    found = difference_in_area([by_id(FOUR)] * 2, [by_id(FOUR)] * 2, dict.fromkeys(by_id(FOUR), "r"))
    assert (found.value, found.low, found.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_different_facts_on_the_two_sides_are_refused() -> None:
    with pytest.raises(ValueError, match="the same facts before and after"):
        difference_in_area([by_id(FOUR)], [by_id(FOUR[:3])], dict.fromkeys(by_id(FOUR), "r"))
    with pytest.raises(ValueError, match="as many seeds before as after, found 1 and 2"):
        difference_in_area([by_id(FOUR)], [by_id(FOUR)] * 2, dict.fromkeys(by_id(FOUR), "r"))


def test_a_refusal_is_never_wrong_and_has_no_part_in_what_confidence_tells() -> None:
    refusals = [AnsweredFact(0.0, False, True)] * 4
    answers = by_id([*FOUR, *refusals])
    assert sum(confidently_wrong(answers).values()) == 1  # 0.8 of FOUR
    assert sum(unsure_and_wrong(answers).values()) == 1  # 0.2
    assert auroc([*FOUR, *refusals]) == auroc(FOUR)
    assert calibration_error([*FOUR, *refusals]) == calibration_error(FOUR)
    assert auroc(refusals) is None
    assert calibration_error(refusals) is None
    groups = dict.fromkeys(answers, "r")
    assert auroc_over_seeds([answers], groups).value == auroc(FOUR)


def test_refusals_come_last_in_risk_and_coverage_and_are_not_right() -> None:
    # Right, wrong, right, wrong, then two refusals: not right are 0, 1, 1, 2, 3, 4.
    answers = [*FOUR, AnsweredFact(0.0, False, True), AnsweredFact(0.0, False, True)]
    risks = [0, 1 / 2, 1 / 3, 2 / 4, 3 / 5, 4 / 6]
    assert risk_coverage(answers) == pytest.approx(risks)
    assert area_under_risk_coverage(answers) == pytest.approx(sum(risks) / 6)
    assert area_under_risk_coverage([AnsweredFact(0.0, False, True)] * 3) == 1.0
    assert accuracy_of_surest(answers, 0.5) == pytest.approx(2 / 3)
    groups = dict.fromkeys(by_id(answers), "r")
    assert area_over_seeds([by_id(answers)], groups).value == pytest.approx(sum(risks) / 6)
