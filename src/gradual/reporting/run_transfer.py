"""What holds beyond the wording, and what else training changed: tables and sentences of a run's report.

Computes nothing; every number is in `summary.json`.
"""

from __future__ import annotations

from gradual.knowledge.levels import Level
from gradual.reporting.cells import NOTHING, number_cell, share_cell, text_cell
from gradual.reporting.table import Cell, Table, make_table
from gradual.run.measures.benchmarks import TaskScore
from gradual.run.summary.quality_file import FactShare
from gradual.run.summary.summary_file import Summary
from gradual.run.summary.transfer_file import BystanderLoss, Form, FormScores, Group
from gradual.text import NO_VALUE, count, decimal, join_words, plural, share_estimate, signed_decimal, stage_name

GROUPS: dict[Group, str] = {
    "became_highly_known": "became HighlyKnown",
    "became_and_trained": "of these, trained on",
    "became_not_trained": "of these, never trained on",
    "highly_known_all_along": "HighlyKnown all along",
    "test": "test facts",
}
FORMS: dict[Form, str] = {
    "usual": "as trained",
    "rewordings": "in other words",
    "reverse": "reversed",
    "zero_shot": "without shots",
    "chat": "as chat",
}


_MOST_TOLD = 3
"""Scores on other people's tasks that the sentence names."""


def transfer_table(summary: Summary) -> Table:
    """Facts that became HighlyKnown, and others, in each form that was asked, before and after."""
    rows = []
    for group in summary.transfer.groups if summary.transfer else ():
        for number, scores in enumerate(group.forms):
            name = text_cell(GROUPS[group.group], is_strong=True) if not number else Cell("", {"": GROUPS[group.group]})
            rows.append([name, text_cell(FORMS[scores.form]), *_score_cells(scores)])
    columns = ["facts", "asked", "number", "right before", "right after", "p before", "p after"]
    note = (
        "Right in every prompt of the form, with 95 % intervals (Wilson): as trained, training facts have those of the "
        "probe, by which they were chosen; else one for each wording, under the fixed exemplar set. What is memorised "
        "loses more from one form to another than what was known all along."
    )
    return make_table("transfer", "What holds beyond the wording", columns, rows, note)


def _score_cells(scores: FormScores) -> list[Cell]:
    before, after = scores.before, scores.after
    return [
        number_cell(after.right.total),
        _share_cell(before.right),
        _share_cell(after.right),
        Cell(decimal(before.p), {"": before.p}),
        Cell(decimal(after.p), {"": after.p}),
    ]


def _share_cell(share: FactShare) -> Cell:
    return share_cell(share.share, share.low, share.high) if share.total else NOTHING


def bystanders_table(summary: Summary) -> Table:
    """What was lost of relations never trained on, by level at the start."""
    bystanders = summary.bystanders
    rows = []
    if bystanders is not None:
        rows = [_loss_row(str(each.level), each) for each in bystanders.by_level]
        rows.append(_loss_row("HighlyKnown or MaybeKnown", bystanders.known))
    note = "Lost: right under the base model, wrong after the last stage; with 95 % intervals (Wilson)."
    title = "Bystanders: facts of relations never trained on"
    return make_table(
        "bystanders", title, ["level at the start", "facts", "right before", "lost", "gained"], rows, note
    )


def _loss_row(name: str, loss: BystanderLoss) -> list[Cell]:
    lost = share_cell(loss.lost.share, loss.lost.low, loss.lost.high) if loss.lost.total else NOTHING
    return [text_cell(name), number_cell(loss.num_facts), number_cell(loss.lost.total), lost, number_cell(loss.gained)]


def drift_table(summary: Summary) -> Table:
    """How far each stage moved the model on a text and on questions that it was not trained on."""
    rows = []
    for each in summary.drift or ():
        numbers = (each.text.kl, each.prompts.kl, each.text.perplexity_before, each.text.perplexity_after)
        digits = (4, 4, 2, 2)
        cells = [Cell(decimal(value, place), {"": value}) for value, place in zip(numbers, digits, strict=True)]
        rows.append([text_cell(stage_name(each.stage)), *cells])
    columns = ["", "KL on the text", "KL on questions", "perplexity before", "perplexity after"]
    note = "KL divergence of the model's next token from the base model's, mean over all places, in nats."
    return make_table("drift", "Drift: how far the model moved elsewhere", columns, rows, note)


def benchmarks_table(summary: Summary) -> Table:
    """What the model scores on other people's tasks before training and after the last stage."""
    rows = []
    for before, after in _score_pairs(summary):
        number = NOTHING if before.num_examples is None else number_cell(before.num_examples)
        change = after.value - before.value
        told = Cell(signed_decimal(change, 4), {"": change})
        rows.append(
            [text_cell(before.task), text_cell(before.metric), number, *map(_score_cell, (before, after)), told]
        )
    columns = ["task", "metric", "examples", "before", "after", "difference"]
    note = (
        "By lm-evaluation-harness, under the base model and after the last stage, with the standard errors it gives. "
        "Both models answered the same examples, so the difference is surer than these errors say."
    )
    return make_table("benchmarks", "Benchmarks: what it costs on other tasks", columns, rows, note)


def _score_pairs(summary: Summary) -> list[tuple[TaskScore, TaskScore]]:
    """Each number of each task, of the base model and after the last stage."""
    stages = summary.benchmarks or []
    if len(stages) < 2:
        return []
    after = {(each.task, each.metric): each for each in stages[-1].scores}
    return [(each, after[key]) for each in stages[0].scores if (key := (each.task, each.metric)) in after]


def _score_cell(score: TaskScore) -> Cell:
    error = score.standard_error
    words = decimal(score.value, 4) if error is None else f"{decimal(score.value, 4)} ± {decimal(error, 4)}"
    return Cell(words, {"": score.value, "standard_error": error})


def what_else_changed(summary: Summary) -> str:
    """A sentence for each of these: what bystanders lost, how far the model drifted, scores on other people's tasks."""
    parts = (_bystanders(summary), _drift(summary), _benchmarks(summary))
    return " ".join(sentence for sentence in parts if sentence)


def _benchmarks(summary: Summary) -> str:
    pairs = _score_pairs(summary)
    told = [
        f"{each.task} ({each.metric}) from {decimal(each.value, 3)} to {decimal(after.value, 3)}"
        for each, after in pairs
    ]
    if not told:
        return ""
    more = f" ({len(told) - _MOST_TOLD} more in the table)" if len(told) > _MOST_TOLD else ""
    return f"On other tasks: {join_words(told[:_MOST_TOLD])}{more}."


def _bystanders(summary: Summary) -> str:
    bystanders = summary.bystanders
    if bystanders is None:
        return ""
    highly = next((each for each in bystanders.by_level if each.level is Level.HIGHLY_KNOWN), BystanderLoss())
    maybe = next((each for each in bystanders.by_level if each.level is Level.MAYBE_KNOWN), BystanderLoss())
    parts = [
        f"{count(each.lost.count)} of {plural(each.lost.total, f'{name} fact')} "
        f"({share_estimate(each.lost.share, each.lost.low, each.lost.high)})"
        for name, each in (("HighlyKnown", highly), ("MaybeKnown", maybe))
        if each.lost.total
    ]
    if not parts:
        return "What else changed: of relations never trained on the base model answered nothing rightly that it knew."
    return (
        f"What else changed: of relations never trained on, the model lost {join_words(parts)} that it had answered "
        f"rightly, and gained {plural(bystanders.known.gained, 'other')}."
    )


def _drift(summary: Summary) -> str:
    if not summary.drift:
        return ""
    last = summary.drift[-1]
    sentence = f"drift from the base model is {_nats(last.text.kl)} a token on a reference text"
    if last.prompts.kl is not None:
        sentence += f" and {_nats(last.prompts.kl)} on questions never trained on"
    before, after = last.text.perplexity_before, last.text.perplexity_after
    if before is not None and after is not None:
        sentence += f"; the text's perplexity went from {decimal(before)} to {decimal(after)}"
    beginning = "Its" if summary.bystanders is not None else "What else changed: its"
    return f"{beginning} {sentence}."


def _nats(value: float | None) -> str:
    return NO_VALUE if value is None else f"{decimal(value, 4)} nats"
