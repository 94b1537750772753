"""What an arm says when it does not know: the table of how often it is confidently wrong."""

from __future__ import annotations

from gradual.findings.answer_record import AnswerFindings
from gradual.findings.record import Comparison, Contrast
from gradual.reporting.cells import NOTHING, p_cell
from gradual.reporting.comparison.cells import accuracy_cell, arm_cell, facts_text, number_estimate_cell, points_cell
from gradual.reporting.table import Cell, Table, make_table
from gradual.statistics.calibration import CONFIDENT, VERY_CONFIDENT
from gradual.text import NO_VALUE, decimal, mean_count


def confidence_tables(comparison: Comparison) -> list[Table]:
    """The table, a row an arm; none where no map of the comparison holds confidence."""
    if not any(arm.answers for arm in comparison.arms):
        return []
    rows = [
        [
            arm_cell(comparison, arm.name),
            *_answer_cells(arm.answers),
            *_difference_cells(comparison.contrast("base", arm.name)),
            *_difference_cells(comparison.contrast("reference", arm.name)),
        ]
        for arm in comparison.arms
    ]
    columns = ["arm", "right", "confidently wrong", f"at least {VERY_CONFIDENT}", "unsure and wrong", "of Unknown"]
    columns += ["AUROC", "ECE", "area", "surest half right"]
    for against in ("the base", comparison.reference):
        columns += [f"confidently wrong to {against}, points", f"p to {against}", f"area to {against}"]
    return [make_table("when-it-does-not-know", "When it does not know", columns, rows, _note(comparison))]


def _note(comparison: Comparison) -> str:
    unknown = [arm.answers.num_unknown for arm in comparison.arms if arm.answers and arm.answers.num_unknown]
    of_unknown = f" (number: {mean_count(unknown[0])})" if unknown else ""
    return (
        f"Of {facts_text(comparison, 'test')}, at the end of each arm, mean over seeds. Confidently wrong: the answer "
        f"is wrong, and a sampled one would be the same with a probability of at least {CONFIDENT}. Of Unknown: "
        f"the share of facts that were Unknown at the start{of_unknown} that is confidently wrong. AUROC: the chance "
        "that a right answer is surer than a wrong one. ECE: expected calibration error; behind it, what it would be "
        "by chance. Area: under the risk-coverage curve, the lower the better. In brackets behind p: Holm's p over "
        "all arms. Intervals: relations and seeds resampled, but Wilson's of what is right; [0, 0] where nothing was "
        "counted."
    )


def _answer_cells(found: AnswerFindings | None) -> list[Cell]:
    if found is None:
        return [NOTHING] * 9
    shares = (
        found.right,
        found.confidently_wrong,
        found.very_confidently_wrong,
        found.unsure_and_wrong,
        found.unknown_confidently_wrong,
    )
    error, by_chance = found.calibration_error.value, found.calibration_error_if_calibrated.value
    return [
        *map(accuracy_cell, shares),
        number_estimate_cell(found.auroc),
        Cell(decimal(error, 3), {"": error, "if calibrated": by_chance}, f"({decimal(by_chance, 3)})"),
        number_estimate_cell(found.area_under_risk_coverage),
        accuracy_cell(found.accuracy_of_surest_half),
    ]


def _difference_cells(contrast: Contrast | None) -> list[Cell]:
    found = contrast.answers if contrast else None
    if found is None:
        return [NOTHING, Cell(NO_VALUE, {"": None, "Holm": None}), NOTHING]
    p = p_cell(found.p_value)
    holm = f"({p_cell(found.p_holm).value})" if found.p_holm is not None else ""
    area = found.area_under_risk_coverage
    return [
        points_cell(found.confidently_wrong),
        Cell(p.value, {**p.raw, "Holm": found.p_holm}, holm),
        number_estimate_cell(area, is_signed=True) if area else NOTHING,
    ]
