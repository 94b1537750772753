"""Tables of where training facts went: in stage 1, in later rounds, and with nothing learned at all.

Formats what `findings.record` holds; means over seeds of counts are taken here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradual.findings.record import ArmFindings, Comparison, Retest
from gradual.knowledge.levels import BEST_FIRST
from gradual.reporting.cells import NOTHING, number_cell, text_cell
from gradual.reporting.comparison.cells import (
    accuracy_cell,
    facts_share_cell,
    facts_text,
    num_stages,
    points_cell,
    seeds_text,
)
from gradual.reporting.table import Cell, Table, make_table
from gradual.statistics.measures import LevelCounts, share
from gradual.text import join_words, mean_count, share_estimate

_COLUMNS = ("from \\ to", *BEST_FIRST, "all")


def first_transitions(comparison: Comparison) -> Table:
    """Table 3: stage 1 of the main arm."""
    seeds, counts = _transitions_of(comparison.arm(comparison.main), 0, 1)
    title = f"Table 3. Where training facts went in stage 1 ({comparison.main})"
    note = (
        f"Facts and shares of each row (Wilson intervals), {seeds_text(seeds)}; of {facts_text(comparison, 'train')}."
    )
    return make_table("transitions-stage-1", title, _COLUMNS, _transition_rows(counts), note)


def later_transitions(comparison: Comparison) -> Table:
    """Table 12: later stages of the main arm and of every arm with three or more."""
    rows: list[list[Cell]] = []
    arms = [arm for arm in comparison.arms if arm.name == comparison.main or num_stages(arm) > 2]
    for arm in arms:
        for start in range(1, num_stages(arm)):
            _, counts = _transitions_of(arm, start, start + 1)
            where = f"{arm.name}, stage {start} to {start + 1}"
            rows += [[text_cell(where), *row] for row in _transition_rows(counts)]
    note = f"Facts and shares of each row (Wilson intervals), mean over seeds; of {facts_text(comparison, 'train')}."
    title = "Table 12. Where training facts went in later rounds"
    return make_table("transitions-later", title, ("round", *_COLUMNS), rows, note)


def noise_transitions(comparison: Comparison) -> Table:
    """Table 4: the base model probed twice."""
    rows = []
    for retest in comparison.retests:
        for row in _transition_rows([retest.transitions]):
            rows.append([text_cell(retest.kind), *row])
    changes = join_words([_what(retest) for retest in comparison.retests]) or "not yet"
    note = (
        f"The base model probed twice, with nothing learned: {changes}. "
        f"Facts that were probed both times: {_retest_sizes(comparison)}; shares of each row, Wilson intervals."
    )
    columns = ("probed again with", *_COLUMNS)
    return make_table("noise", "Table 4. The same untrained model probed twice", columns, rows, note)


def net_promotions(comparison: Comparison) -> Table:
    """Rates of a retest, and what stage 1 of the main arm brought within reach beyond them."""
    rates = {each.kind: each for each in comparison.retests}
    rows = []
    for kind, retest in rates.items():
        net = next((each for each in comparison.promotions if each.kind == kind), None)
        rows.append(
            [
                text_cell(kind),
                number_cell(retest.num_facts),
                facts_share_cell(retest.changed),
                facts_share_cell(retest.promoted),
                facts_share_cell(retest.demoted),
                number_cell(retest.came_within_reach.total),
                facts_share_cell(retest.came_within_reach),
                accuracy_cell(net.observed) if net else NOTHING,
                accuracy_cell(net.observed_retested) if net else NOTHING,
                points_cell(net.net) if net else NOTHING,
            ]
        )
    columns = ["probed again with", "facts", "changed", "promoted", "demoted", "out of reach", "came within it"]
    columns += ["all facts, in stage 1", "these facts, in stage 1", "net of the retest, points"]
    note = (
        "Changed, promoted (to any better level), demoted: of the facts probed both times. Out of reach: those that "
        "were WeaklyKnown or Unknown at first; came within it: of these, that are MaybeKnown or HighlyKnown when "
        f"probed again, and after stage 1 of {comparison.main} (mean over seeds; of all training facts, and of "
        "these). The net is paired by fact; [0, 0] where no fact differs."
    )
    return make_table("noise-net", "What came within reach, net of what does by itself", columns, rows, note)


def _transitions_of(arm: ArmFindings | None, start: int, end: int) -> tuple[list[int], list[Mapping[str, LevelCounts]]]:
    """The transitions between two probes that follow each other, of finished runs that have both, and their seeds."""
    by_seed = {
        run.seed: transition.counts
        for run in (arm.runs if arm else ())
        for transition in run.transitions
        if arm is not None and run.seed in arm.seeds and (transition.start, transition.end) == (start, end)
    }
    return list(by_seed), list(by_seed.values())


def _transition_rows(counts: Sequence[Mapping[str, LevelCounts]]) -> list[list[Cell]]:
    """A row for each level at first: mean counts over seeds with their share of the row."""
    rows = []
    for level in BEST_FIRST if counts else ():
        total = sum(sum(each[level].values()) for each in counts) / len(counts)
        cells = [_share_of_row_cell(sum(each[level][to] for each in counts) / len(counts), total) for to in BEST_FIRST]
        rows.append([text_cell(level), *cells, number_cell(total)])
    return rows


def _share_of_row_cell(number: float, total: float) -> Cell:
    if not total:
        return Cell("0", {"": 0, "share": None, "low": None, "high": None})
    proportion = share(min(round(number), round(total)), round(total))
    raw = {"": number, "share": number / total, "low": proportion.low, "high": proportion.high}
    return Cell(mean_count(number), raw, f"({share_estimate(number / total, proportion.low, proportion.high)})")


def _what(retest: Retest) -> str:
    """What was changed in a retest, as its maps say."""
    if retest.kind == "again":
        clause = "and nothing moved" if retest.changed.count == 0 else "so what moved is how numbers are rounded"
        nothing = f"; the exact probe draws nothing, {clause}" if retest.method == "exact" else ""
        return f"again (the same exemplars{nothing})"
    if retest.kind == "exemplars":
        return "exemplars (other exemplar sets)"
    if retest.kind == "numerics" and retest.dtype and retest.base_dtype:
        return f"numerics ({retest.dtype} in place of {retest.base_dtype})"
    return retest.kind


def _retest_sizes(comparison: Comparison) -> str:
    return join_words([f"{each.num_facts:,} ({each.kind})" for each in comparison.retests]) or "none"
