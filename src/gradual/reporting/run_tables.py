"""The tables of one run, which its page and the console share: test accuracy, HighlyKnown facts, relations, cost.

Computes nothing but differences of numbers that stand beside them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from gradual.knowledge.levels import Level
from gradual.reporting.cells import (
    NOTHING,
    course_cell,
    number_cell,
    p_cell,
    share_cell,
    signed_cell,
    text_cell,
    time_cell,
)
from gradual.reporting.charts import level_strip, share_strip
from gradual.reporting.run_story import verdict
from gradual.reporting.svg import stack
from gradual.reporting.table import Cell, Table, make_table
from gradual.run.cost import RunCost
from gradual.run.record import RunRecord
from gradual.run.summary.quality_file import ConfidenceScores, FactShare
from gradual.run.summary.refusals_file import TargetScore
from gradual.run.summary.summary_file import AccuracyShare, GroupScores, Summary
from gradual.text import NO_VALUE, count, decimal, percent, share_estimate, signed_decimal, span_name, stage_name

_TRAINED = {
    "trained_stage_1": "trained on in stage 1",
    "trained_stage_2_only": "trained on in stage 2 only",
    "never_trained": "never trained on",
    "held_out": "held out",
}
_FELL = "▼ fell"


def accuracy_table(summary: Summary) -> Table:
    """Test accuracy of each stage with its 95 % Wilson interval."""
    rows = [
        [
            text_cell(stage_name(place if share.stage is None else share.stage)),
            Cell(f"{count(share.correct)} of {count(share.total)}", {"": share.correct, "of": share.total}),
            share_cell(share.accuracy, share.low, share.high),
        ]
        for place, share in enumerate(summary.test_accuracy)
    ]
    title = "Test accuracy (greedy, one fixed exemplar set per relation; 95 % intervals)"
    return make_table("test-accuracy", title, ["", "right", "accuracy"], rows, "")


def paired_tests_table(summary: Summary) -> Table:
    """Paired tests between evaluations, and what may be said of each."""
    scores = summary.test_accuracy
    rows = []
    for test in summary.mcnemar:
        is_known = max(test.start, test.end) < len(scores)
        words = verdict(scores[test.start], scores[test.end], test) if is_known else ""
        changes = [number_cell(test.gained), number_cell(test.lost), signed_cell(test.gained - test.lost)]
        rows.append([text_cell(span_name(test.start, test.end)), *changes, p_cell(test.p_value), text_cell(words)])
    title = "The same test facts before and after (exact McNemar test)"
    return make_table("paired-tests", title, ["", "gained", "lost", "net", "p", "what may be said"], rows, "")


def answer_quality_table(summary: Summary) -> Table:
    """Right and confidently wrong answers to the test facts at each stage, and how well confidence tells them apart."""
    rows = []
    for each in summary.answer_quality.stages if summary.answer_quality else ():
        scores, unknown = each.all_facts, each.by_level.get(Level.UNKNOWN)
        rows.append(
            [
                text_cell(stage_name(each.stage)),
                _plain_share_cell(scores.right),
                _share_cell(scores.confidently_wrong),
                _plain_share_cell(scores.very_confidently_wrong),
                _share_cell(unknown.confidently_wrong) if unknown else NOTHING,
                _plain_share_cell(scores.unsure_and_wrong),
                Cell(decimal(scores.auroc), {"": scores.auroc}),
                _calibration_cell(each.at_temperature_1),
                Cell(decimal(scores.area_under_risk_coverage), {"": scores.area_under_risk_coverage}),
            ]
        )
    columns = ("right", "confidently wrong", "at least 0.9", "the same of Unknown facts")
    measures = ("unsure and wrong", "AUROC", "ECE at temperature 1", "area")
    title = "When it does not know: wrong test answers by confidence (confidently: at least 0.5)"
    return make_table("answer-quality", title, ["", *columns, *measures], rows, "")


def refusals_table(summary: Summary) -> Table:
    """What the model refuses to answer at each stage, and what its answers are worth for that; empty if not asked."""
    rows = []
    for each in summary.refusals.stages if summary.refusals else ():
        scores, unknown = each.all_facts, each.by_level.get(Level.UNKNOWN)
        rows.append(
            [
                text_cell(stage_name(each.stage)),
                _share_cell(scores.coverage),
                _share_cell(scores.accuracy_of_answered),
                _share_cell(each.known_refused) if each.known_refused.total else NOTHING,
                _share_cell(unknown.refused) if unknown else NOTHING,
                *map(_score_cell, each.scores),
            ]
        )
    targets = summary.refusals.stages[0].scores if summary.refusals and summary.refusals.stages else []
    columns = ("answered", "right of these", "known facts refused", "Unknown facts refused")
    worth = [f"score at {each.target:g}" for each in targets]
    title = "When it says that it does not know"
    return make_table("refusals", title, ["", *columns, *worth], rows, "")


def _score_cell(score: TargetScore) -> Cell:
    """A mean score of answers, with its interval."""
    raw = {"": score.value, "low": score.low, "high": score.high}
    if score.value is None:
        return Cell(NO_VALUE, raw)
    bounds = [signed_decimal(bound, 2) for bound in (score.low, score.high) if bound is not None]
    return Cell(signed_decimal(score.value, 2), raw, f"[{', '.join(bounds)}]" if bounds else "")


def _share_cell(share: FactShare) -> Cell:
    return share_cell(share.share, share.low, share.high)


def _plain_share_cell(share: FactShare) -> Cell:
    """A share without its interval; CSV has it."""
    return Cell(percent(share.share), {"": share.share, "low": share.low, "high": share.high})


def _calibration_cell(scores: ConfidenceScores | None) -> Cell:
    """The calibration error, and what a calibrated model would show."""
    if scores is None or scores.calibration_error is None:
        return NOTHING
    chance = scores.calibration_error_if_calibrated
    raw = {"": scores.calibration_error, "if calibrated": chance}
    return Cell(decimal(scores.calibration_error, 3), raw, f"(chance {decimal(chance, 3)})")


def highly_known_moves_table(summary: Summary) -> Table:
    """HighlyKnown training facts gained and lost between probes."""
    rows = []
    for transition in summary.transitions:
        gained, lost = transition.gained(Level.HIGHLY_KNOWN), transition.lost(Level.HIGHLY_KNOWN)
        cells = [number_cell(gained), number_cell(lost), signed_cell(gained - lost)]
        rows.append([text_cell(span_name(transition.start, transition.end)), *cells])
    title = "HighlyKnown training facts: gained and lost"
    return make_table("highly-known-moves", title, ["", "gained", "lost", "net"], rows, "")


def highly_known_table(summary: Summary) -> Table:
    """HighlyKnown training facts at every probe, by what was trained on; without rows before the second probe."""
    known = summary.highly_known
    groups = {"all": known.counts, **{_TRAINED.get(name, name): counts for name, counts in known.split.items()}}
    rows = [[text_cell(name), *_change_cells(counts, len(known.counts))] for name, counts in groups.items()]
    names = [stage_name(probe) for probe in range(len(known.counts))]
    is_known = len(known.counts) > 1
    title = "HighlyKnown training facts by what was trained on"
    return make_table("highly-known", title, ["facts", *names, "change"], rows if is_known else [], "")


def _change_cells(counts: Sequence[int], num_probes: int) -> list[Cell]:
    cells = [number_cell(number) for number in counts][:num_probes]
    change = signed_cell(counts[-1] - counts[0]) if counts else NOTHING
    return [*cells, *[NOTHING] * (num_probes - len(cells)), change]


def by_level_table(summary: Summary) -> Table:
    """Test accuracy at every stage by the test fact's level at the start, best first."""
    scores = sorted(summary.test_by_level, key=lambda group: -group.level.rank)
    num_stages = max((len(group.stages) for group in scores), default=0)
    rows = [_scores_row(group.level, group, num_stages) for group in scores]
    columns = ["level at the start", "facts", *(stage_name(stage) for stage in range(num_stages))]
    return make_table("test-by-level", "Test accuracy by level at the start", columns, rows, "")


def _scores_row(name: str, scores: GroupScores, num_stages: int) -> list[Cell]:
    cells = []
    for stage, share in enumerate(scores.stages):
        plain = share_cell(share.accuracy, share.low, share.high)
        strip = share_strip(stage_name(stage), share.accuracy, share.low, share.high)
        mark = _FELL if stage == len(scores.stages) - 1 and _fell(scores.stages) else ""
        cells.append(Cell(plain.value, plain.raw, plain.detail, mark, drawing=strip))
    return [text_cell(name), number_cell(scores.total), *cells, *[NOTHING] * (num_stages - len(cells))]


def _fell(stages: Sequence[AccuracyShare]) -> bool:
    """Whether the last accuracy that is known lies below the first."""
    values = [share.accuracy for share in stages if share.accuracy is not None]
    return bool(values) and values[-1] < values[0]


def relations_table(summary: Summary) -> Table:
    """Each relation: levels of its training facts at every probe, and its test accuracy at every stage."""
    tests = {group.relation: group for group in summary.test_by_relation}
    rows = []
    for relation in sorted(summary.relations, key=lambda each: each.relation):
        highly = [counts.get(Level.HIGHLY_KNOWN, 0) for counts in relation.levels]
        course = course_cell([count(number) for number in highly], highly[-1] if highly else None)
        levels = Cell("", {}, drawing=stack(level_strip(counts) for counts in relation.levels))
        facts = [number_cell(relation.total), levels, course]
        rows.append([text_cell(relation.relation), *facts, *_test_cells(tests.pop(relation.relation, None))])
    for name in sorted(tests):
        rows.append([text_cell(name), number_cell(0), NOTHING, NOTHING, *_test_cells(tests[name])])
    columns = ["relation", "facts", "levels", "HighlyKnown", "test facts", "test accuracy"]
    return make_table("relations", "Relations", columns, rows, "")


def _test_cells(scores: GroupScores | None) -> list[Cell]:
    if scores is None or not scores.stages:
        return [NOTHING if scores is None else number_cell(scores.total), NOTHING]
    last = scores.stages[-1]
    course = course_cell([percent(share.accuracy, digits=0) for share in scores.stages], last.accuracy)
    detail = share_estimate(last.accuracy, last.low, last.high, digits=0).interval
    return [number_cell(scores.total), Cell(course.value, course.raw, detail, _FELL if _fell(scores.stages) else "")]


def steps_table(cost: RunCost) -> Table:
    """What each step of the run took, and the whole."""
    rows = []
    for step in cost.steps:
        rate = step.tokens / step.seconds if step.tokens and step.seconds else None
        rows.append([text_cell(step.name), time_cell(step.seconds), number_cell(step.tokens), number_cell(rate)])
    if rows and cost.total_seconds is not None:
        whole = text_cell("whole run", is_strong=True)
        rows.append([whole, time_cell(cost.total_seconds), Cell("", {}), Cell("", {})])
    return make_table("steps", "All steps", ["step", "time", "tokens", "tokens per second"], rows, "")


def training_cost_table(run: RunRecord) -> Table:
    """What each stage of training took, and what it trained on besides targets where any stage did."""
    rows = []
    besides = {
        name: counts
        for name, counts in (
            ("facts anchored", [stage.num_anchor for stage in run.summary.stages]),
            ("refusals taught", [stage.num_abstain for stage in run.summary.stages]),
        )
        if any(number is not None for number in counts)
    }
    for number, stage in enumerate(run.summary.stages, start=1):
        cost = run.stage_cost(number)
        rate = Cell(decimal(cost.seconds_per_step), {"": cost.seconds_per_step})
        cells = [time_cell(cost.seconds), number_cell(stage.tokens), number_cell(stage.steps), rate]
        cells += [number_cell(counts[number - 1]) for counts in besides.values()]
        rows.append([text_cell(f"stage {number}"), *cells])
    columns = ["training", "time", "tokens", "steps", "seconds per step", *besides]
    return make_table("training-cost", "Training", columns, rows, "")


def settings_table(title: str, values: Mapping[str, JsonValue]) -> Table:
    """Settings by their dotted names, each as it would stand in JSON, texts without quotation marks."""
    rows = [
        [text_cell(name), text_cell(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))]
        for name, value in values.items()
    ]
    return make_table(title, title, ["name", "value"], rows, "")
