"""The twelve tables of the Gradual Learning paper (arXiv 2410.05802) for any comparison, by its numbers.

Formats what `findings.record` holds and adds up nothing but means over seeds of counts shown beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gradual.findings.record import ArmFindings, Comparison, Contrast, RunFindings
from gradual.knowledge.levels import BEST_FIRST, WEAKLY_KNOWN_CHANCE, Level
from gradual.reporting.cells import NOTHING, number_cell, p_cell, text_cell
from gradual.reporting.comparison.cells import (
    FALLS_NOTE,
    GROUP_NAMES,
    accuracy_cell,
    arm_cell,
    change_cell,
    contrast_cells,
    count_cell,
    count_change_cell,
    facts_share_cell,
    facts_text,
    num_stages,
    number_estimate_cell,
    points_cell,
    seeds_text,
    spread_cell,
)
from gradual.reporting.comparison.entities import entity_tables
from gradual.reporting.comparison.transitions import first_transitions, later_transitions, noise_transitions
from gradual.reporting.table import Cell, Table, make_table
from gradual.statistics.measures import Measure, mean_accuracy, mean_number, mean_over_seeds, share
from gradual.text import NO_VALUE, count, join_words, plural, stage_name

SECOND_STAGES = ("S1", "S2", "S3", "S4", "S5")
"""The paper's strategies."""
NOT_MEASURED = Cell("n/a", {"": None})

_DEFINITIONS = {
    Level.HIGHLY_KNOWN: "the greedy answer is right behind every exemplar set: P(T=0) = 1",
    Level.MAYBE_KNOWN: "behind some of them: 0 < P(T=0) < 1",
    Level.WEAKLY_KNOWN: f"behind none, but sampling shows a right one with a chance of {WEAKLY_KNOWN_CHANCE:g} or more",
    Level.UNKNOWN: "neither",
}


def paper_tables(comparison: Comparison) -> list[Table]:
    """Tables 1 to 12, in order, 5 in three parts; one whose evidence is missing has no rows and a note that says so."""
    main = comparison.arm(comparison.main)
    return [
        _level_definitions(),
        _levels_at_start(comparison),
        first_transitions(comparison),
        noise_transitions(comparison),
        *entity_tables(comparison),
        _by_epoch(main),
        _by_stage(comparison, main),
        _strategies(comparison),
        _strategies_by_level(comparison),
        _highly_known(comparison, main),
        _three_stages(comparison),
        later_transitions(comparison),
    ]


def _table(
    number: int, name: str, title: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]], note: str
) -> Table:
    return make_table(name, f"Table {number}. {title}", columns, rows, note)


def _level_definitions() -> Table:
    rows = [[text_cell(str(level)), text_cell(_DEFINITIONS[level])] for level in reversed(Level)]
    note = (
        "Levels of SliCK (arXiv 2405.05904); exact probabilities in place of samples, so no level is drawn by chance."
    )
    return _table(1, "level-definitions", "What the levels mean", ["level", "a fact is so known if"], rows, note)


def _levels_at_start(comparison: Comparison) -> Table:
    runs = _one_run_a_seed(comparison)
    train, test = comparison.num_facts.get("train", 0), comparison.num_facts.get("test", 0)
    rows = []
    for level in BEST_FIRST if runs else ():
        cells = []
        of_test = [sum(group.total for group in run.by_level if group.name == level) for run in runs]
        for counts, total in (([run.levels[0][level] for run in runs], train), (of_test, test)):
            mean = sum(counts) / len(counts)
            cells += [number_cell(mean), facts_share_cell(share(round(mean), total))]
        rows.append([text_cell(level), *cells])
    note = f"Of {facts_text(comparison, 'train')} and {facts_text(comparison, 'test')}, base model; Wilson intervals."
    columns = ["level", "training facts", "share of training facts", "test facts", "share of test facts"]
    return _table(2, "levels-at-start", "Levels at the start", columns, rows, note)


def _one_run_a_seed(comparison: Comparison) -> list[RunFindings]:
    runs = [
        next(
            (run for arm in comparison.arms for run in arm.runs if run.seed == seed and run.levels and run.by_level),
            None,
        )
        for seed in comparison.seeds
    ]
    return [run for run in runs if run is not None]


# --- accuracy ------------------------------------------------------------------------------------------------------


def _by_epoch(main: ArmFindings | None) -> Table:
    runs = [run for run in main.runs if run.stages and run.seed in main.seeds] if main else []
    epochs = [epoch for run in runs for epoch in run.stages[0].epochs]
    on_test = any(epoch.test is not None for epoch in epochs)
    by_area = any(epoch.area is not None for epoch in epochs)
    numbers = sorted({epoch.epoch for epoch in epochs})
    rows = [_epoch_row(runs, number, with_test=on_test, with_area=by_area) for number in numbers]
    num, num_test = epochs[0].validation.total if epochs else 0, next((e.test.total for e in epochs if e.test), 0)
    choice = (
        f"The epoch is chosen on {plural(num_test, 'test fact')} (evaluation.protocol: paper); their accuracy flatters."
        if on_test
        else "The epoch is chosen on these facts."
    )
    columns = ["epoch", "validation accuracy", "over seeds", *(["test accuracy"] if on_test else [])]
    columns += [*(["area"] if by_area else []), "seeds that trained it", "seeds that kept it"]
    title = (
        "Accuracy by epoch in stage 1, chosen on test facts" if on_test else "Validation accuracy by epoch in stage 1"
    )
    area = " Area: under the risk-coverage curve; it chooses the epoch, the lower the better." if by_area else ""
    note = f"Of {plural(num, 'validation fact')}; epoch 0 is before training. {choice}{area}"
    return _table(6, "validation-by-epoch", title, columns, rows, note)


def _epoch_row(runs: Sequence[RunFindings], number: int, *, with_test: bool, with_area: bool) -> list[Cell]:
    epochs = [epoch for run in runs for epoch in run.stages[0].epochs if epoch.epoch == number]
    measure = mean_accuracy([epoch.validation for epoch in epochs])
    num_best = sum(run.stages[0].best_epoch == number for run in runs)
    accuracy = [accuracy_cell(measure), spread_cell(measure, times=100.0)]
    accuracy += [accuracy_cell(mean_accuracy([epoch.test for epoch in epochs]))] if with_test else []
    accuracy += [number_estimate_cell(mean_over_seeds([epoch.area for epoch in epochs]))] if with_area else []
    return [number_cell(number), *accuracy, number_cell(len(epochs)), number_cell(num_best)]


def _by_stage(comparison: Comparison, main: ArmFindings | None) -> Table:
    rows = [] if main is None else [_stage_row(comparison, main, stage) for stage in range(len(main.test))]
    note = (
        f"Of {facts_text(comparison, 'test')}, {seeds_text(main.seeds if main else ())}. Differences are paired; p is "
        "that of the difference to the stage before, McNemar p the same by seed."
    )
    columns = [
        "",
        "test accuracy",
        "over seeds",
        "to the base, points",
        "to the stage before, points",
        "p",
        "McNemar p",
    ]
    title = f"Test accuracy: original, one stage, two stages ({comparison.main})"
    return _table(7, "test-by-stage", title, columns, rows, note)


def _stage_row(comparison: Comparison, arm: ArmFindings, stage: int) -> list[Cell]:
    step = comparison.contrast("stage", arm.name, stage)
    is_last = stage == len(arm.test) - 1
    whole = comparison.contrast("base", arm.name) if is_last and stage else None
    to_base = points_cell(whole.test) if whole else _plain_difference(arm.test[stage], arm.test[0], stage)
    return [
        text_cell(stage_name(stage)),
        accuracy_cell(arm.test[stage]),
        spread_cell(arm.test[stage], times=100.0),
        points_cell(step.test) if stage == 1 and step else to_base,
        points_cell(step.test) if step else NOTHING,
        p_cell(step.p_value) if step else NOTHING,
        text_cell(_mcnemar(step)),
    ]


def _plain_difference(after: Measure, before: Measure, stage: int) -> Cell:
    if not stage or after.value is None or before.value is None:
        return NOTHING
    pairs = zip(after.values, before.values, strict=True)
    return points_cell(mean_over_seeds([a - b if a is not None and b is not None else None for a, b in pairs]))


def _mcnemar(contrast: Contrast | None) -> str:
    return join_words([f"{p_cell(test.p_value).text}" for test in contrast.mcnemar]) if contrast else NO_VALUE


def _strategies(comparison: Comparison) -> Table:
    rows = []
    for arm in _second_stages(comparison):
        step = comparison.contrast("stage", arm.name, 2)
        cells = [*contrast_cells(comparison.contrast("base", arm.name)), *contrast_cells(step)]
        trained = count_cell(arm.trained[1]) if len(arm.trained) > 1 else number_cell(None)
        gain = change_cell(step.reading_b) if step else NOTHING
        rows.append(
            [arm_cell(comparison, arm.name), text_cell(arm.doc), trained, accuracy_cell(arm.result), *cells, gain]
        )
    note = (
        f"Of {facts_text(comparison, 'test')}, mean over seeds; in brackets Holm's p over all arms held against the "
        "base model, or over all later stages held against the one before. Reading (b): HighlyKnown training facts "
        "gained, over those of the same runs' first stage."
    )
    columns = ["strategy", "trains on", "facts in stage 2", "test accuracy", "to the base, points", "p"]
    columns += ["to its stage 1, points", "p to its stage 1", "reading (b)"]
    return _table(8, "strategies", "Strategies of the second stage", columns, rows, note)


def _second_stages(comparison: Comparison) -> list[ArmFindings]:
    """Arms that are one of the paper's strategies, by name or by what their second stage was."""
    return [
        arm
        for arm in comparison.arms
        if arm.name in SECOND_STAGES
        or (arm.num_stages == 2 and any(len(r.stages) == 2 and r.stages[1].strategy in SECOND_STAGES for r in arm.runs))
    ]


def _strategies_by_level(comparison: Comparison) -> Table:
    arms = [arm for arm in comparison.arms if arm.by_level]
    rows = []
    for arm in arms:
        groups = {group.name: group for group in arm.by_level}
        cells = [arm_cell(comparison, arm.name)]
        for level in BEST_FIRST:
            group = groups.get(level)
            change = None if group is None or arm.is_base else group.change
            falls = group.falls if group and not arm.is_base else None
            cells.append(accuracy_cell(group.result) if group else number_cell(None))
            cells.append(points_cell(change, falls=falls) if change else NOTHING)
        rows.append(cells)
    totals = join_words([f"{count(group.total)} {group.name}" for group in arms[0].by_level]) if arms else "none"
    note = f"Test facts by level under the base model: {totals}. Change to the base, points. {FALLS_NOTE}"
    columns = ["arm", *(name for level in BEST_FIRST for name in (level, f"{level}, change"))]
    title = "Test accuracy by the fact's level at the start"
    return _table(9, "strategies-by-level", title, columns, rows, note)


# --- HighlyKnown facts ---------------------------------------------------------------------------------------------


def _highly_known(comparison: Comparison, main: ArmFindings | None) -> Table:
    rows: list[list[Cell]] = []
    num = comparison.num_facts.get("train", 0)
    if main is not None and main.seeds:
        one = main.highly_known[1] if len(main.highly_known) > 1 else main.highly_known_result
        ends = [main.highly_known[0], one, main.highly_known_result]
        start = main.highly_known[0].value or 0.0
        addition = _difference_cell(one, main.highly_known_result, comparison.contrast("stage", main.name, 2), main)
        rows.append([text_cell("all"), number_cell(num), *map(count_cell, ends), addition])
        for name, label in GROUP_NAMES.items():
            group = main.split[name]
            ends = [group.base, group.after_stage_1, group.result]
            cells = [
                count_cell(group.total),
                *map(count_cell, ends),
                _difference_cell(group.after_stage_1, group.result),
            ]
            rows.append([text_cell(label), *cells])
        rows.append([text_cell("held out: see the test accuracy by level"), *[NOT_MEASURED] * 5])
        for label, values in (("gained since the start", "gained"), ("lost since the start", "lost")):
            after_one = [_after_one(getattr(run.highly_known, values)) for run in main.runs if run.seed in main.seeds]
            total = round(start if values == "lost" else num - start)
            measures = [mean_number(after_one, total), getattr(main, values)]
            rows.append(
                [
                    text_cell(label),
                    number_cell(total),
                    number_cell(0),
                    *map(count_cell, measures),
                    _difference_cell(*measures),
                ]
            )
    note = (
        f"Mean numbers over seeds of {facts_text(comparison, 'train')}; replayed facts count as trained. "
        f"{_readings(comparison)} Gained are of the facts that were "
        "not HighlyKnown at the start, lost of those that were. Levels of test facts are not measured after training."
    )
    columns = ["training facts", "facts", "base model", "after one stage", f"at the end ({comparison.main})"]
    columns.append("added after one stage")
    return _table(10, "highly-known", "HighlyKnown training facts, one stage against two", columns, rows, note)


def _after_one(counts: Sequence[int]) -> int | None:
    return counts[1] if len(counts) > 1 else None


def _difference_cell(one: Measure, end: Measure, step: Contrast | None = None, main: ArmFindings | None = None) -> Cell:
    """The difference; with its interval where a contrast is of the same two stages and seeds."""
    if step is not None and main is not None and num_stages(main) == 2 and step.seeds == main.seeds:
        return count_change_cell(step.highly_known)
    pairs = zip(end.values, one.values, strict=True)
    return count_change_cell(mean_over_seeds([b - a for b, a in pairs if a is not None and b is not None]))


def _readings(comparison: Comparison) -> str:
    """Readings (a) and (b) of the main arm against its first stage and against the reference arm, in words."""
    sentences = []
    contrasts = (comparison.contrast("stage", comparison.main, 2), comparison.contrast("reference", comparison.main))
    for contrast in contrasts:
        if contrast is not None and contrast.seeds:
            a, b = change_cell(contrast.reading_a).text, change_cell(contrast.reading_b).text
            sentences.append(f"{contrast.name}: reading (a) {a}, reading (b) {b}.")
    return " ".join(sentences) or "No second stage is finished."


def _three_stages(comparison: Comparison) -> Table:
    rows: list[list[Cell]] = []
    for arm in comparison.arms:
        for stage in range(num_stages(arm) + 1) if num_stages(arm) > 2 else ():
            step = comparison.contrast("stage", arm.name, stage)
            gain = change_cell(step.reading_b) if step and stage > 1 else NOTHING
            known = count_cell(arm.highly_known[stage])
            cells = [accuracy_cell(arm.test[stage]), *contrast_cells(step), known, gain]
            rows.append([arm_cell(comparison, arm.name), text_cell(stage_name(stage)), *cells])
    facts = f"{facts_text(comparison, 'test')} and {facts_text(comparison, 'train')}"
    note = f"Of {facts}, mean over seeds; held against the stage before, in brackets Holm's p over all later stages."
    if not rows:
        note = "No finished run has three stages."
    columns = ["arm", "", "test accuracy", "to the stage before, points", "p", "HighlyKnown", "reading (b)"]
    return _table(11, "three-stages", "Three stages", columns, rows, note)
