"""Table 5 in three parts: what came within reach by distance from trained facts, its odds, and linked test facts.

Formats what `findings.record` holds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradual.findings.record import AtDistance, Comparison, Entities, LinkedOdds, LinkedTest
from gradual.reporting.cells import p_cell, text_cell
from gradual.reporting.comparison.cells import (
    accuracy_cell,
    count_cell,
    seeds_text,
)
from gradual.reporting.table import Cell, Table, make_table
from gradual.statistics.measures import Measure
from gradual.text import decimal, interval, join_words

_MISSING = "Not made for this comparison."


def entity_tables(comparison: Comparison) -> list[Table]:
    """Tables 5a, 5b and 5c; without rows where no first stage of the main arm is measured."""
    entities = comparison.entities
    return [_distances(entities), _odds(entities), _tests(entities)]


def _distances(entities: Entities | None) -> Table:
    rows = [_distance_row(row) for row in entities.distances] if entities else []
    note = (
        "Training facts that were WeaklyKnown or Unknown and not trained on in stage 1, by their distance from those "
        f"that were ({_seeds(entities)}): how many came within reach (rate with Wilson's interval), and their share of "
        "all that did, beside that of labels permuted within relation and number of links; p by seed."
    )
    columns = ["distance", "facts", "came within reach", "rate", "share of all", "share by chance", "p", "remark"]
    title = "Table 5a. Facts that came within reach, by their distance from trained facts"
    return make_table("entities", title, columns, rows, note if entities else _MISSING)


def _distance_row(row: AtDistance) -> list[Cell]:
    counts = [count_cell(row.facts), count_cell(row.within_reach)]
    shares = [accuracy_cell(measure) for measure in (row.rate, row.share, row.by_chance)]
    return [text_cell(row.distance), *counts, *shares, _p_values(row.p_values), text_cell(_remark(row.reasons))]


def _odds(entities: Entities | None) -> Table:
    rows = [_odds_row(row) for row in entities.odds] if entities else []
    note = (
        "How many times the odds of coming within reach are those of all others for facts that share an entity with a "
        f"trained one ({_seeds(entities, 'geometric mean')}, ends of the intervals likewise); 1 makes no difference. "
        "p by seed."
    )
    columns = ["compared", "odds ratio", "p", "remark"]
    title = "Table 5b. The odds of coming within reach next to trained facts"
    return make_table("entity-odds", title, columns, rows, note if entities else _MISSING)


def _odds_row(row: LinkedOdds) -> list[Cell]:
    return [text_cell(row.compared), _ratio_cell(row.ratio), _p_values(row.p_values), text_cell(_remark(row.reasons))]


def _ratio_cell(ratio: Measure) -> Cell:
    """Without an upper end the interval is open: its ratio can be any larger one."""
    high = math.inf if ratio.high is None else ratio.high
    ends = "" if ratio.value is None else interval(ratio.low, high, 2)
    return Cell(decimal(ratio.value), {"": ratio.value, "low": ratio.low, "high": ratio.high, "sd": ratio.sd}, ends)


def _tests(entities: Entities | None) -> Table:
    rows = [_test_row(row) for row in entities.tests] if entities else []
    remarks = " ".join(f"{note[0].upper()}{note[1:]}." for note in entities.notes) if entities else ""
    note = (
        f"Test facts by how they are linked to facts trained on in stage 1, {_seeds(entities)}, with Wilson intervals; "
        f"p of McNemar's test, by seed. {remarks}"
    )
    columns = ["test facts", "facts", "base model", "after stage 1", "McNemar p"]
    title = "Table 5c. Test accuracy by links to trained facts"
    return make_table("entity-tests", title, columns, rows, note.strip() if entities else _MISSING)


def _test_row(row: LinkedTest) -> list[Cell]:
    accuracy = [accuracy_cell(row.before), accuracy_cell(row.after)]
    return [text_cell(row.linked), count_cell(row.facts), *accuracy, _p_values(row.p_values)]


def _p_values(values: Sequence[float | None]) -> Cell:
    """One for each seed; the raw value is that of a single seed."""
    return Cell(", ".join(p_cell(value).text for value in values), {"": values[0] if len(values) == 1 else None})


def _remark(reasons: Sequence[str]) -> str:
    return join_words(list(reasons))


def _seeds(entities: Entities | None, mean: str = "mean") -> str:
    return seeds_text(entities.seeds if entities else ()).replace("mean", mean, 1)
