"""What holds beyond the wording and what else an arm changed: tables of transfer, bystanders and drift."""

from __future__ import annotations

from gradual.findings.beyond.record import BystanderFindings, FormFindings
from gradual.findings.record import Comparison
from gradual.reporting.cells import text_cell
from gradual.reporting.comparison.cells import accuracy_cell, arm_cell, mean_cell, points_cell, sd_cell
from gradual.reporting.run_transfer import FORMS
from gradual.reporting.table import Cell, Table, make_table


def tables_beyond_the_test(comparison: Comparison) -> list[Table]:
    """Three tables, those of what some arm measured."""
    every = (_transfer(comparison), _bystanders(comparison), _drift(comparison))
    return [table for table in every if table.rows]


def _transfer(comparison: Comparison) -> Table:
    rows = [
        [arm_cell(comparison, arm.name), text_cell(FORMS[found.form]), *_form_cells(found)]
        for arm in comparison.arms
        if arm.transfer
        for found in arm.transfer.forms
    ]
    columns = ["arm", "asked", "gained facts", "right before", "hold", "known all along", "these hold"]
    columns += ["gained behind known, points", "test facts right", "test to the base, points"]
    note = (
        "Gained: training facts that became HighlyKnown; known all along: those that every probe found HighlyKnown; "
        "both as trained, so by definition 100 % hold there. Hold: right in every prompt of the form at the end, under "
        "the fixed exemplar set. A part of what does not hold is chance, for facts known all along too: what is "
        "memorised shows as gained facts behind these. Numbers are means over seeds. Intervals: relations and seeds "
        "resampled, but Wilson's of test facts; an interval of no width means that all relations are alike, not that "
        "the share is sure."
    )
    return make_table("transfer", "What holds beyond the wording", columns, rows, note)


def _form_cells(found: FormFindings) -> list[Cell]:
    return [
        mean_cell(found.num_gained),
        accuracy_cell(found.gained_before),
        accuracy_cell(found.gained_after),
        mean_cell(found.num_known),
        accuracy_cell(found.known_after),
        points_cell(found.behind_known),
        accuracy_cell(found.test_after),
        points_cell(found.test_change),
    ]


def _bystanders(comparison: Comparison) -> Table:
    rows = [
        [arm_cell(comparison, arm.name), text_cell(found.level or "HighlyKnown or MaybeKnown"), *_loss_cells(found)]
        for arm in comparison.arms
        for found in arm.bystanders
    ]
    columns = ["arm", "level at the start", "facts", "right before", "lost", "gained", "change, points"]
    note = (
        "Facts of relations that were never trained on (facts.out_of_distribution). Lost: share of those right under "
        "the base model that are wrong at the end; gained: share of those wrong that are right; change: of accuracy, "
        "on all of them. Answers of MaybeKnown facts waver by themselves: hold lost against gained. Numbers are means "
        "over seeds. Intervals: relations and seeds resampled; with one relation, its facts."
    )
    return make_table("bystanders", "Bystanders: facts of relations never trained on", columns, rows, note)


def _loss_cells(found: BystanderFindings) -> list[Cell]:
    numbers = [mean_cell(found.num_facts), mean_cell(found.num_right)]
    return [*numbers, accuracy_cell(found.lost), accuracy_cell(found.gained), points_cell(found.change)]


def _drift(comparison: Comparison) -> Table:
    rows = []
    for arm in comparison.arms:
        if (found := arm.drift) is not None:
            kl = [sd_cell(measure, digits=4) for measure in (found.text_kl, found.prompts_kl)]
            perplexity = [sd_cell(measure, digits=2) for measure in (found.perplexity_before, found.perplexity_after)]
            rows.append([arm_cell(comparison, arm.name), *kl, *perplexity])
    columns = ["arm", "KL on the text", "KL on questions", "perplexity before", "perplexity after"]
    note = (
        "KL divergence of the model's next token from the base model's at the end, mean over all places of the "
        "reference text and of test facts' questions, in nats; perplexity of the text. Means over seeds with their "
        "standard deviation: the text is read whole, so there is no interval."
    )
    return make_table("drift", "Drift: how far each arm moved elsewhere", columns, rows, note)
