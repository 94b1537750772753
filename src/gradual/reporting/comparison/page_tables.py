"""Tables that stand on the page of a comparison alone, beside its drawings; all others are those of `tables`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradual.findings.record import ArmFindings, Comparison, Retest
from gradual.knowledge.levels import BEST_FIRST
from gradual.reporting.cells import NOTHING, number_cell, text_cell, time_cell
from gradual.reporting.comparison.cells import GROUP_NAMES
from gradual.reporting.comparison.figures import contrast_name, main_readings, mean_parts
from gradual.reporting.level_tables import transition_table
from gradual.reporting.table import Cell, Table, make_table
from gradual.statistics.measures import LevelCounts, Measure
from gradual.text import count_change_estimate, mean_count, percent, plural, span_name, stage_name

_RETEST_NAMES = {
    "again": "the same probe again",
    "exemplars": "other exemplars",
    "numerics": "another number format",
}


def readings_by_seed(comparison: Comparison) -> Table:
    """HighlyKnown facts of each finished run of the main arm per probe, and what each reading gives."""
    contrasts = main_readings(comparison)
    runs = [run for arm in comparison.arms if arm.name == comparison.main for run in arm.runs if run.seed in arm.seeds]
    num_probes = max((len(run.highly_known.counts) for run in runs), default=0)
    rows = []
    for run in runs:
        counts = [number_cell(number) for number in run.highly_known.counts]
        cells = [*counts, *[NOTHING] * (num_probes - len(counts))]
        for contrast in contrasts:
            for measure in (contrast.reading_a, contrast.reading_b):
                value = dict(zip(contrast.seeds, measure.values, strict=False)).get(run.seed)
                cells.append(Cell(percent(value), {"": value}))
        rows.append([Cell(str(run.seed), {"": run.seed}), *cells])
    columns = ["seed", *(stage_name(probe) for probe in range(num_probes))]
    columns += [f"({reading}) {contrast_name(contrast)}" for contrast in contrasts for reading in "ab"]
    title = f"By seed: HighlyKnown facts of {comparison.main}, and what each reading gives"
    return make_table("readings-by-seed", title, columns, rows if contrasts else [], "")


def highly_known_by_training(comparison: Comparison) -> list[Table]:
    """For the main arm and the reference: HighlyKnown facts by what was trained on, means over seeds."""
    arms = [comparison.arm(name) for name in dict.fromkeys((comparison.main, comparison.reference))]
    return [_split_table(comparison, arm) for arm in arms if arm is not None and arm.seeds and arm.split]


def _split_table(comparison: Comparison, arm: ArmFindings) -> Table:
    rows = []
    for name, words in GROUP_NAMES.items():
        if name in arm.split:
            group = arm.split[name]
            means = [group.total, group.base, group.after_stage_1, group.result]
            rows.append([text_cell(words), *map(_mean_cell, means), _gain_cell(group.base, group.result)])
    known = arm.highly_known
    ends = [known[0], known[1] if len(known) > 1 else None, arm.highly_known_result]
    cells = [number_cell(comparison.num_facts.get("train")), *(NOTHING if m is None else _mean_cell(m) for m in ends)]
    rows.append([text_cell("all", is_strong=True), *cells, _gain_cell(known[0], arm.highly_known_result)])
    role = " (reference)" if arm.name == comparison.reference else ""
    columns = ["facts", "number", "base model", "after stage 1", "at the end", "gain"]
    title = f"{arm.name}{role}: HighlyKnown facts by what was trained on{_over_seeds(arm)}"
    return make_table("highly-known-by-training", title, columns, rows, "")


def main_transitions(comparison: Comparison) -> list[Table]:
    """Transitions of the main arm, means over its seeds, from each probe to the next, then from first to last."""
    main = comparison.arm(comparison.main)
    runs = [run for run in main.runs if run.seed in main.seeds] if main is not None else []
    by_span: dict[tuple[int, int], list[Mapping[str, LevelCounts]]] = {}
    for run in runs:
        for transition in run.transitions:
            by_span.setdefault((transition.start, transition.end), []).append(transition.counts)
    tables = []
    for (start, end), counts in sorted(by_span.items(), key=lambda item: (item[0][1] - item[0][0] > 1, item[0])):
        few = f" ({plural(len(counts), 'seed')} of {len(runs)})" if len(counts) < len(runs) else ""
        title = f"{span_name(start, end)}{few}"
        tables.append(_mean_transitions(counts, title[0].upper() + title[1:]))
    return tables


def retest_transitions(comparison: Comparison) -> list[Table]:
    """The untrained model probed twice, a table for each way."""
    return [_mean_transitions([retest.transitions], _retest_title(retest)) for retest in comparison.retests]


def step_costs(comparison: Comparison) -> list[Table]:
    """What each step of an arm's runs took, means over seeds; a table for each arm that has finished some run."""
    tables = []
    for arm in comparison.arms:
        rows = [
            [
                text_cell(part.name),
                *(time_cell(part.seconds), number_cell(part.tokens), number_cell(part.steps or None)),
                text_cell("shared" if part.shared else ""),
            ]
            for part in mean_parts(arm)
        ]
        columns = ["step", "time", "tokens", "optimiser steps", ""]
        if rows:
            tables.append(make_table("step-costs", f"{arm.name}{_over_seeds(arm)}", columns, rows, ""))
    return tables


def _retest_title(retest: Retest) -> str:
    return f"Nothing learned: {_RETEST_NAMES.get(retest.kind, retest.kind)}"


def _mean_transitions(counts: Sequence[Mapping[str, LevelCounts]], title: str) -> Table:
    means = {
        level: {now: sum(each.get(level, {}).get(now, 0) for each in counts) / len(counts) for now in BEST_FIRST}
        for level in BEST_FIRST
    }
    return transition_table(means, title)


def _over_seeds(arm: ArmFindings) -> str:
    return f", mean over {len(arm.seeds)} seeds" if len(arm.seeds) > 1 else ""


def _mean_cell(measure: Measure) -> Cell:
    return Cell(mean_count(measure.value), {"": measure.value})


def _gain_cell(base: Measure, result: Measure) -> Cell:
    if base.value is None or result.value is None:
        return NOTHING
    gain = result.value - base.value
    return Cell(count_change_estimate(gain, None, None).number, {"": gain})
