"""What an arm says when it does not know: tables of how often it is confidently wrong, and whether it shows."""

from __future__ import annotations

from gradual.findings.answer_record import AnswerFindings
from gradual.findings.record import Comparison, Contrast
from gradual.reporting.cells import NOTHING
from gradual.reporting.comparison.cells import (
    accuracy_cell,
    arm_cell,
    facts_text,
    holm_cell,
    number_estimate_cell,
    points_cell,
)
from gradual.reporting.table import Cell, Table, make_table
from gradual.statistics.calibration import CONFIDENT, VERY_CONFIDENT
from gradual.text import decimal, mean_count


def confidence_tables(comparison: Comparison) -> list[Table]:
    """The table, a row an arm, and another with the rest; none where no map of the comparison holds confidence."""
    if not any(arm.answers for arm in comparison.arms):
        return []
    return [_when_it_does_not_know(comparison), _against_the_reference(comparison)]


def _when_it_does_not_know(comparison: Comparison) -> Table:
    rows = []
    for arm in comparison.arms:
        right, wrong, *others = _answer_cells(arm.answers)
        to_base = _difference_cells(comparison.contrast("base", arm.name))[:2]
        rows.append([arm_cell(comparison, arm.name), right, wrong, *to_base, *others])
    columns = ["arm", "right", "confidently wrong", "to the base, points", "p"]
    columns += [f"at least {VERY_CONFIDENT}", "of Unknown", "AUROC", "ECE", "area"]
    unknown = [arm.answers.num_unknown for arm in comparison.arms if arm.answers and arm.answers.num_unknown]
    number = f" (number: {mean_count(unknown[0])})" if unknown else ""
    note = (
        f"Of {facts_text(comparison, 'test')}, at the end of each arm, mean over seeds. Confidently wrong: the answer "
        f"is wrong, and a sampled one would be the same with a probability of at least {CONFIDENT}; that is held "
        f"against the base model, and told of a probability of at least {VERY_CONFIDENT} too. Of Unknown: "
        f"the share of facts that were Unknown at the start{number} that is confidently wrong. AUROC: the chance "
        "that a right answer is surer than a wrong one. ECE: expected calibration error; behind it, what it would be "
        "by chance. Area: under the risk-coverage curve, the lower the better. In brackets behind p: Holm's p over "
        "all arms. Intervals: relations and seeds resampled, but Wilson's of what is right; an interval of no width "
        "means that all relations are alike, not that the share is sure."
    )
    return make_table("when-it-does-not-know", "When it does not know", columns, rows, note)


def _against_the_reference(comparison: Comparison) -> Table:
    rows = [
        [
            arm_cell(comparison, arm.name),
            accuracy_cell(arm.answers.unsure_and_wrong) if arm.answers else NOTHING,
            accuracy_cell(arm.answers.accuracy_of_surest_half) if arm.answers else NOTHING,
            _difference_cells(comparison.contrast("base", arm.name))[2],
            *_difference_cells(comparison.contrast("reference", arm.name)),
        ]
        for arm in comparison.arms
    ]
    reference = comparison.reference
    columns = ["arm", "unsure and wrong", "surest half right", "area to the base"]
    columns += [f"confidently wrong to {reference}, points", f"p to {reference}", f"area to {reference}"]
    note = (
        f"Of {facts_text(comparison, 'test')}. Unsure and wrong: with a probability below {CONFIDENT}. Surest half "
        "right: accuracy of the half of the answers that the model is surest of. The area under the risk-coverage "
        "curve falls where answers get better or confidence tells more; below 0 is better."
    )
    title = f"When it does not know: unsure answers, and against {reference}"
    return make_table("when-it-does-not-know-more", title, columns, rows, note)


def _answer_cells(answers: AnswerFindings | None) -> list[Cell]:
    if answers is None:
        return [NOTHING] * 7
    shares = (
        answers.right,
        answers.confidently_wrong,
        answers.very_confidently_wrong,
        answers.unknown_confidently_wrong,
    )
    error, by_chance = answers.calibration_error.value, answers.calibration_error_if_calibrated.value
    return [
        *map(accuracy_cell, shares),
        number_estimate_cell(answers.auroc),
        Cell(decimal(error, 3), {"": error, "if calibrated": by_chance}, f"({decimal(by_chance, 3)})"),
        number_estimate_cell(answers.area_under_risk_coverage),
    ]


def _difference_cells(contrast: Contrast | None) -> list[Cell]:
    difference = contrast.answers if contrast else None
    if difference is None:
        return [NOTHING, holm_cell(None), NOTHING]
    area = difference.area_under_risk_coverage
    return [
        points_cell(difference.confidently_wrong),
        holm_cell(difference),
        number_estimate_cell(area, is_signed=True) if area else NOTHING,
    ]
