"""Every table of a comparison: all arms, controls, the paper's twelve, noise, relations, seeds, other tests, cost.

Formats what `findings.record` holds. `write` puts them into the folder, `page` onto the page.
"""

from __future__ import annotations

from gradual.findings.record import ArmFindings, Comparison, Contrast, RunFindings, StageFindings
from gradual.findings.verdict import paper_bar_sentence
from gradual.reporting.cells import NOTHING, number_cell, p_cell, text_cell, time_cell
from gradual.reporting.comparison.beyond import tables_beyond_the_test
from gradual.reporting.comparison.cells import (
    FALLS_NOTE,
    accuracy_cell,
    arm_cell,
    change_cell,
    contrast_cells,
    count_cell,
    count_change_cell,
    facts_share_cell,
    facts_text,
    points_cell,
    seeds_text,
    spread_cell,
)
from gradual.reporting.comparison.confidence import confidence_tables
from gradual.reporting.comparison.paper_tables import paper_tables
from gradual.reporting.comparison.refusals import refusal_tables
from gradual.reporting.comparison.transitions import net_promotions
from gradual.reporting.table import Cell, Table, make_table
from gradual.text import NO_VALUE, count, plural, signed_decimal


def comparison_tables(comparison: Comparison) -> list[Table]:
    """All tables, those of all arms first, then the controls, the paper's twelve, and what else was measured."""
    return [
        _arms(comparison),
        _arms_highly_known(comparison),
        _controls(comparison),
        *confidence_tables(comparison),
        *refusal_tables(comparison),
        *tables_beyond_the_test(comparison),
        *paper_tables(comparison),
        net_promotions(comparison),
        _relations(comparison),
        _relations_apart(comparison),
        _other_tests(comparison),
        _seeds(comparison),
        _cost(comparison),
        _remarks(comparison),
    ]


def _arms(comparison: Comparison) -> Table:
    rows = []
    for arm in comparison.arms:
        base, reference = comparison.contrast("base", arm.name), comparison.contrast("reference", arm.name)
        cells = [accuracy_cell(arm.result), *contrast_cells(base), *contrast_cells(reference)]
        rows.append(
            [arm_cell(comparison, arm.name), number_cell(len(arm.seeds)), *cells, accuracy_cell(arm.validation_result)]
        )
    columns = ["arm", "seeds", "test accuracy", "to the base, points", "p"]
    columns += [f"to {comparison.reference}, points", f"p to {comparison.reference}", "validation accuracy"]
    note = (
        f"Of {facts_text(comparison, 'test')}, mean over finished seeds; in brackets Holm's p over all arms. An arm is "
        f"chosen by {facts_text(comparison, 'validation')}, at the epoch kept of the last stage. How intervals and "
        "tests were made, and what is missing, stands in the last table."
    )
    return make_table("arms", "All arms: test accuracy", columns, rows, note)


def _arms_highly_known(comparison: Comparison) -> Table:
    rows = []
    for arm in comparison.arms:
        reference = comparison.contrast("reference", arm.name)
        against = (
            [count_change_cell(reference.highly_known), change_cell(reference.reading_b)]
            if reference
            else [NOTHING] * 2
        )
        known = [count_cell(measure) for measure in (arm.highly_known_result, arm.gained, arm.lost)]
        cost = [spread_cell(arm.steps, digits=0), time_cell(arm.seconds.value)]
        rows.append([arm_cell(comparison, arm.name), known[0], *against, *known[1:], *cost])
    columns = ["arm", "HighlyKnown", f"to {comparison.reference}", f"reading (b) to {comparison.reference}"]
    columns += ["gained", "lost", "steps", "time"]
    note = (
        f"Of {facts_text(comparison, 'train')}, mean over finished seeds; gained and lost since the start. Steps of "
        "the optimiser and time of a whole run, shared parts in full. "
        f"{paper_bar_sentence(comparison.contrast('reference', comparison.main))}"
    ).strip()
    return make_table("arms-highly-known", "All arms: HighlyKnown training facts, and cost", columns, rows, note)


def _controls(comparison: Comparison) -> Table:
    rows = []
    for contrast in comparison.contrasts:
        if contrast.kind == "main":
            arm = comparison.arm(contrast.against)
            about = text_cell(arm.doc if arm else "")
            mcnemar = text_cell(", ".join(p_cell(test.p_value).text for test in contrast.mcnemar) or NO_VALUE)
            cells = [count_change_cell(contrast.highly_known), change_cell(contrast.reading_b)]
            cells.append(points_cell(contrast.validation) if contrast.validation else NOTHING)
            rows.append([text_cell(contrast.against), about, *contrast_cells(contrast), mcnemar, *cells])
    columns = ["against", "what it is", "test, points", "p", "McNemar p by seed"]
    columns += ["HighlyKnown", "reading (b)", "validation, points"]
    note = (
        f"What {comparison.main} has over each other arm on the same {facts_text(comparison, 'test')}, "
        f"{facts_text(comparison, 'train')} (HighlyKnown) and {facts_text(comparison, 'validation')}, with the same "
        "seeds; in brackets Holm's p over all of these. Arms are chosen by the validation facts, at the epochs kept."
    )
    return make_table("controls", f"{comparison.main} against every other arm", columns, rows, note)


def _relations(comparison: Comparison) -> Table:
    main = comparison.arm(comparison.main)
    rows = [
        [
            text_cell(group.name),
            number_cell(group.total),
            accuracy_cell(group.base),
            accuracy_cell(group.result),
            points_cell(group.change, falls=group.falls),
        ]
        for group in (main.by_relation if main else ())
    ]
    seeds = seeds_text(main.seeds if main else ())
    note = f"Of each relation's test facts, {seeds}. Intervals: facts and seeds resampled. {FALLS_NOTE}"
    columns = ["relation", "test facts", "base model", "at the end", "change, points"]
    return make_table("relations", f"Test accuracy by relation ({comparison.main})", columns, rows, note)


def _relations_apart(comparison: Comparison) -> Table:
    main, reference = comparison.main, comparison.reference
    contrast = next((c for c in comparison.contrasts if (c.kind, c.against) == ("main", reference)), None)
    rows = [
        [
            text_cell(group.name),
            *(number_cell(group.num_test_facts), count_change_cell(group.test)),
            *(number_cell(group.num_validation_facts or None), count_change_cell(group.validation)),
            *(number_cell(group.num_training_facts), count_change_cell(group.highly_known)),
        ]
        for group in comparison.by_relation
    ]
    several = " and seeds" if contrast and len(contrast.seeds) > 1 else ""
    note = (
        f"What {main} has more than {reference} on the same facts ({seeds_text(contrast.seeds if contrast else ())}): "
        "right test facts, right validation facts at the epochs kept, and HighlyKnown training facts. A lead that one "
        f"relation makes says little of others. Intervals: this relation's facts{several}, drawn with replacement; "
        "[0, 0] where no fact differs."
    )
    if not rows:
        note = "There is nothing to split: no seed of both is finished, or both are one arm or the base model."
    columns = ["relation", "test facts", "more test facts right", "validation facts", "more validation facts right"]
    columns += ["training facts", "more HighlyKnown"]
    return make_table("relations-apart", f"{main} against {reference}, relation by relation", columns, rows, note)


def _other_tests(comparison: Comparison) -> Table:
    rows = []
    for arm in comparison.arms:
        for name, test in (("other relations", arm.ood), ("no shots", arm.zero_shot)):
            if test is not None:
                contrast = comparison.contrast("reference", arm.name)
                against = (contrast.ood if name == "other relations" else contrast.zero_shot) if contrast else None
                cells = [accuracy_cell(test.base), accuracy_cell(test.result), points_cell(test.change)]
                last = [points_cell(against) if against else NOTHING, accuracy_cell(test.lost)]
                rows.append(
                    [arm_cell(comparison, arm.name), text_cell(name), number_cell(test.num_facts), *cells, *last]
                )
    note = (
        "Other relations: facts of relations that were never trained on. No shots: the test facts asked alone. "
        "Lost of what was right: the share of facts that the base model has right and the arm has not."
    )
    if not rows:
        note = "Neither other relations nor questions without shots were asked."
    columns = [
        "arm",
        "asked",
        "facts",
        "base model",
        "at the end",
        "change, points",
        f"to {comparison.reference}, points",
        "lost of what was right",
    ]
    return make_table("other-tests", "Other relations, and no shots", columns, rows, note)


def _seeds(comparison: Comparison) -> Table:
    every = [(arm, run) for arm in comparison.arms for run in arm.runs]
    on_test = any(stage.optimism is not None for _, run in every for stage in run.stages)
    rows = [[*_seed_row(comparison, arm, run), *([_optimism(run)] if on_test else [])] for arm, run in every]
    columns = ["arm", "seed", "status", "test accuracy", "McNemar p to the base", "HighlyKnown", "gained", "lost"]
    columns += ["facts trained on", "kept epochs", "validation accuracy", "steps", "time"]
    note = f"Each run at the last stage it came to; of {facts_text(comparison, 'test')}."
    if on_test:
        columns.append("optimism by stage, points")
        note += (
            " Optimism: test accuracy at the epoch that test facts chose, less that at the one validation facts choose."
        )
    return make_table("seeds", "Every run", columns, rows, note)


def _seed_row(comparison: Comparison, arm: ArmFindings, run: RunFindings) -> list[Cell]:
    base = comparison.contrast("base", arm.name)
    stages, known = run.stages, run.highly_known
    validation = stages[-1].validation if stages else None
    return [
        arm_cell(comparison, arm.name),
        Cell(str(run.seed), {"": run.seed}),
        text_cell(run.note or run.status),
        facts_share_cell(run.test[-1]) if run.test else NOTHING,
        p_cell(_p_of_seed(base, run.seed)),
        number_cell(known.counts[-1] if known.counts else None),
        number_cell(known.gained[-1] if known.gained else None),
        number_cell(known.lost[-1] if known.lost else None),
        text_cell(", ".join(map(_training_size, stages)) or NO_VALUE),
        text_cell(", ".join(str(stage.best_epoch) for stage in stages) or NO_VALUE),
        facts_share_cell(validation) if validation else NOTHING,
        number_cell(run.cost.steps),
        time_cell(run.cost.seconds),
    ]


def _training_size(stage: StageFindings) -> str:
    short = f" ({count(stage.new_shortfall)} fewer than asked for)" if stage.new_shortfall else ""
    beside = "" if stage.num_anchor is None else f" + {plural(stage.num_anchor, 'anchor')}"
    beside += "" if stage.num_abstain is None else f" + {plural(stage.num_abstain, 'refusal')}"
    return f"{count(stage.num_new + stage.num_replay)}{short}{beside}"


def _optimism(run: RunFindings) -> Cell:
    """By how much test accuracy flatters, stage by stage; the last one is the raw value."""
    values = [stage.optimism for stage in run.stages]
    text = ", ".join(signed_decimal(None if value is None else 100 * value) for value in values)
    return Cell(text or NO_VALUE, {"": values[-1] if values else None})


def _p_of_seed(contrast: Contrast | None, seed: int) -> float | None:
    return next((test.p_value for test in contrast.mcnemar if test.seed == seed), None) if contrast else None


def _cost(comparison: Comparison) -> Table:
    whole = comparison.cost
    rows = [
        [text_cell(part.name), number_cell(part.steps), number_cell(part.tokens), time_cell(part.seconds)]
        for part in whole.parts
    ]
    rows.append([text_cell("all"), number_cell(whole.steps), number_cell(whole.tokens), time_cell(whole.seconds)])
    note = (
        "Of all runs together; what several runs share is counted once here, and in full in the table of all arms. "
        "Tokens: read by a probe, trained on by a stage."
    )
    return make_table(
        "cost", "What the whole comparison took", ["step", "optimiser steps", "tokens", "time"], rows, note
    )


def _remarks(comparison: Comparison) -> Table:
    several = {arm.name for arm in comparison.arms if len(arm.seeds) > 1}  # of the others `problems` tells already
    untested = [
        f"{contrast.name}: {contrast.note}"
        for contrast in comparison.contrasts
        if contrast.note and {contrast.arm, contrast.against} - {"base"} <= several
    ]
    parts = (
        ("how", comparison.methods),
        ("what can be seen", comparison.power),
        ("missing", comparison.problems),
        ("not tested", untested),
    )
    rows = [[text_cell(name), text_cell(sentence)] for name, sentences in parts for sentence in sentences]
    return make_table("remarks", "How it was measured, and what is missing", ["about", "remark"], rows, "")
