"""What an arm says when it may say that it does not know: tables of what it refuses, and what that is worth."""

from __future__ import annotations

from gradual.findings.record import Comparison
from gradual.findings.refusal_record import RefusalDifference, RefusalFindings
from gradual.knowledge.levels import Level
from gradual.reporting.cells import NOTHING
from gradual.reporting.comparison.cells import accuracy_cell, arm_cell, facts_text, number_estimate_cell, points_cell
from gradual.reporting.table import Cell, Table, make_table
from gradual.statistics.refusal_scores import TARGETS
from gradual.text import mean_count


def refusal_tables(comparison: Comparison) -> list[Table]:
    """Two tables, a row an arm; none where no map of the comparison tells refusals."""
    if not any(arm.refusals for arm in comparison.arms):
        return []
    return [_what_it_refuses(comparison), _what_answers_are_worth(comparison)]


def _what_it_refuses(comparison: Comparison) -> Table:
    rows = []
    for arm in comparison.arms:
        base = comparison.contrast("base", arm.name)
        to_base = points_cell(base.refusals.coverage) if base and base.refusals else NOTHING
        coverage, *others = _refusal_cells(arm.refusals)
        rows.append([arm_cell(comparison, arm.name), coverage, to_base, *others])
    columns = ["arm", "answered", "to the base, points", "right of these", "known refused"]
    columns += [f"{level} refused" for level in reversed(Level)]
    known = [arm.refusals.num_known for arm in comparison.arms if arm.refusals and arm.refusals.num_known]
    number = f" ({mean_count(known[0])} facts)" if known else ""
    note = (
        f"Of {facts_text(comparison, 'test')}, at the end of each arm, mean over seeds. Answered: rightly or wrongly, "
        "and not by one of the accepted refusals. Known: facts that were HighlyKnown or MaybeKnown at the start"
        f"{number}; to refuse these is the harm. Levels are those at the start. Intervals: relations and seeds "
        "resampled; an interval of no width means that all relations are alike, not that the share is sure."
    )
    return make_table("refusals", "What it refuses to answer", columns, rows, note)


def _what_answers_are_worth(comparison: Comparison) -> Table:
    rows = []
    for arm in comparison.arms:
        base = comparison.contrast("base", arm.name)
        cells = [
            cell
            for pair in zip(_score_cells(arm.refusals), _score_cells(base.refusals if base else None), strict=True)
            for cell in pair
        ]
        rows.append([arm_cell(comparison, arm.name), *cells])
    columns = ["arm", *(name for target in TARGETS for name in (f"score at {target:g}", f"to the base at {target:g}"))]
    note = (
        f"Of {facts_text(comparison, 'test')}. Score at a confidence target t: 1 for a right answer, 0 for a refusal, "
        "-t / (1 - t) for a wrong one, mean over facts and seeds: what answers are worth where an error costs 1, 3 or "
        "9 right answers (Kalai et al. 2025). A model that always refuses has 0. Intervals as above, differences in "
        "pairs."
    )
    return make_table("refusal-scores", "What answers are worth where errors cost more", columns, rows, note)


def _refusal_cells(refusals: RefusalFindings | None) -> list[Cell]:
    if refusals is None:
        return [NOTHING] * (3 + len(Level))
    levels = [refusals.refused_by_level.get(str(level)) for level in reversed(Level)]
    shares = [refusals.coverage, refusals.accuracy_of_answered, refusals.known_refused]
    return [*map(accuracy_cell, shares), *(accuracy_cell(share) if share else NOTHING for share in levels)]


def _score_cells(refusals: RefusalFindings | RefusalDifference | None) -> list[Cell]:
    if refusals is None:
        return [NOTHING] * len(TARGETS)
    return [number_estimate_cell(each.score, is_signed=True) for each in refusals.scores]
