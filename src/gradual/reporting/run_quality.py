"""What the page of a run shows of answers that are confidently wrong: two drawings, and the answers worth reading.

Every number is in `summary.json`.
"""

from __future__ import annotations

from dataclasses import dataclass

from gradual.reporting.charts import Bar, RiskCurve, Segment, risk_curves, stacked_bars
from gradual.reporting.run_tables import answer_quality_table
from gradual.reporting.svg import Drawing, draw_both
from gradual.reporting.table import Table
from gradual.run.summary.quality_file import AnswerScores, QualityFile, WrongAnswerGroup
from gradual.run.summary.summary_file import Summary
from gradual.text import count, decimal, plural, stage_name

KINDS = {
    "right": "right",
    "refused": "refused",
    "unsure": "wrong, confidence below 0.5",
    "sure": "wrong, 0.5 to 0.9",
    "very-sure": "wrong, at least 0.9",
}
"""How answers are told apart in a bar, by CSS class: `answer-right` and so on."""


@dataclass(frozen=True, slots=True)
class WrongAnswerList:
    """One kind of wrong answers, ready for the page."""

    title: str
    note: str
    group: WrongAnswerGroup


@dataclass(frozen=True, slots=True)
class QualitySection:
    """The section "When it does not know" of a run's page."""

    table: Table
    risk: Drawing
    bars: Drawing
    kinds: dict[str, str]
    lists: tuple[WrongAnswerList, ...]
    """Those with at least one answer."""


def quality_section(summary: Summary) -> QualitySection | None:
    """The section; None where the run did not ask how sure the model is."""
    if summary.answer_quality is None or not summary.answer_quality.stages:
        return None
    refuses = any(each.all_facts.refused.count for each in summary.answer_quality.stages)
    return QualitySection(
        table=answer_quality_table(summary),
        risk=_risk_drawing(summary.answer_quality),
        bars=_bars_drawing(summary.answer_quality),
        kinds={kind: words for kind, words in KINDS.items() if refuses or kind != "refused"},
        lists=_wrong_answer_lists(summary),
    )


def _risk_drawing(quality: QualityFile) -> Drawing:
    curves = [
        RiskCurve(
            f"{stage_name(each.stage)}, area {decimal(each.all_facts.area_under_risk_coverage)}",
            tuple((point.coverage, point.risk) for point in each.risk_coverage),
        )
        for each in quality.stages
    ]
    return draw_both(lambda width: risk_curves("Share of wrong answers among the surest", curves, width=width))


def _bars_drawing(quality: QualityFile) -> Drawing:
    bars = [Bar(stage_name(each.stage), _segments(each.all_facts)) for each in quality.stages]
    return draw_both(lambda width: stacked_bars("Test answers by confidence", bars, width=width))


def _segments(scores: AnswerScores) -> tuple[Segment, ...]:
    very_sure = scores.very_confidently_wrong.count
    numbers = (
        scores.right.count,
        scores.refused.count,
        scores.unsure_and_wrong.count,
        scores.confidently_wrong.count - very_sure,
        very_sure,
    )
    return tuple(
        Segment(f"answer-{kind}", number, count(number), f"{count(number)} {words}")
        for (kind, words), number in zip(KINDS.items(), numbers, strict=True)
        if number or kind != "refused"
    )


def _wrong_answer_lists(summary: Summary) -> tuple[WrongAnswerList, ...]:
    if summary.wrong_answers is None:
        return ()
    groups = {
        "Became confidently wrong: right or unsure under the base model": summary.wrong_answers.became,
        "Remained confidently wrong": summary.wrong_answers.remained,
    }
    return tuple(WrongAnswerList(title, _note(group), group) for title, group in groups.items() if group.total)


def _note(group: WrongAnswerGroup) -> str:
    """How many are answers that were taught, beside how many were such answers before anything was taught."""
    return (
        f"Of {plural(group.total, 'answer')}, {count(group.taught_elsewhere)} are the answer of another fact that a "
        f"stage trained on; of the base model's answers to the same facts, {count(group.taught_elsewhere_before)} "
        "were wrong and such an answer already."
    )
