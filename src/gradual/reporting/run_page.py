"""The report of a run: one self-contained HTML page made from the run folder alone.

Turns the record (`report_data`) into sentences (`report_story`), drawings (`charts`) and tables, and fills the template
with them. The same folder gives the same bytes. Knows no model and computes no result: every number is in the folder.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gradual import text
from gradual.facts.matching import Matching, Targets, recorded_matching
from gradual.files import storage
from gradual.knowledge.levels import BEST_FIRST, Level
from gradual.reporting import charts
from gradual.reporting.charts import Axis, Column, Estimate, make_axis
from gradual.reporting.run_story import tell, verdict
from gradual.run.record import Counts, Example, RunRecord, Scores, Share, Stage, Summary, Transition, read_run

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

WIDE, NARROW = 860, 344
"""Widths at which each large drawing is made; the page shows the one that fits the screen."""

_TRAINED = {
    "trained_stage_1": "trained on in stage 1",
    "trained_stage_2_only": "trained on in stage 2 only",
    "never_trained": "never trained on",
    "held_out": "held out",
}
_KINDS = {
    "promoted": "Promoted: known better at the end than at the start",
    "lost": "Lost: known less well at the end than before",
    "stuck": "Stuck: trained on or within reach, yet not moved",
}


@dataclass(frozen=True, slots=True)
class _Drawing:
    """One drawing for wide and one for narrow screens."""

    wide: Markup
    narrow: Markup


@dataclass(frozen=True, slots=True)
class _Cell:
    """Facts that went from one level to another, and their share of the row."""

    number: int
    share: float
    stayed: bool


@dataclass(frozen=True, slots=True)
class _Row:
    level: Level
    total: int
    cells: tuple[_Cell, ...]


@dataclass(frozen=True, slots=True)
class _Flow:
    """The transitions between two probes as row shares, with what HighlyKnown gained and lost."""

    start: int
    end: int
    rows: tuple[_Row, ...]
    gained: int
    lost: int


@dataclass(frozen=True, slots=True)
class _Test:
    """One paired test with what may be said of it."""

    start: int
    end: int
    gained: int
    lost: int
    p_value: float | None
    words: str


@dataclass(frozen=True, slots=True)
class _ScoreCell:
    share: Share
    strip: Markup


@dataclass(frozen=True, slots=True)
class _ScoreRow:
    """Test accuracy of a group at every stage; `fell` where it ends lower than it began."""

    name: str
    total: int
    cells: tuple[_ScoreCell, ...]
    fell: bool


@dataclass(frozen=True, slots=True)
class _RelationRow:
    """One relation: its levels per probe and its test accuracy per stage."""

    name: str
    total: int
    strips: tuple[Markup, ...]
    highly: tuple[int, ...]
    test: _ScoreRow | None


@dataclass(frozen=True, slots=True)
class _Seen:
    """A fact's level and greedy answer at one probe."""

    level: Level | None
    answer: str | None
    right: bool


@dataclass(frozen=True, slots=True)
class _Told:
    """One example fact as the page shows it."""

    relation: str
    question: str
    targets: str
    seen: tuple[_Seen, ...]


@dataclass(frozen=True, slots=True)
class _Trained:
    """One stage with its two curves."""

    stage: Stage
    loss: Markup
    accuracy: Markup


def report(run_dir: str | Path) -> Path:
    """Path of the page `report.html`, written anew into the run folder; a partial run gives a page that says so.

    Raises:
        RunDirError: the folder is not there or holds no part of a run, or a file in it has another shape,
            or the page cannot be written.
    """
    folder = Path(run_dir)
    page = render(read_run(folder))
    path = folder / "report.html"
    storage.write_bytes(path, page.encode())
    return path


def render(run: RunRecord) -> str:
    """The page of a record, as HTML text; the same record gives the same text."""
    summary = run.summary
    matching = recorded_matching(summary.settings)
    whole = summary.transition(0, len(summary.levels) - 1)
    return (
        page_environment()
        .get_template("report.html.j2")
        .render(
            run=run,
            summary=summary,
            sentences=tell(run),
            levels=BEST_FIRST,
            lost=whole.lost(Level.HIGHLY_KNOWN) if whole else None,
            sankey=_flow_drawing(summary),
            accuracy=_accuracy_drawing(summary),
            tests=_tests(summary),
            level_strips=[as_markup(charts.level_strip(counts)) for counts in summary.levels],
            flows=[_flow(transition) for transition in summary.transitions],
            trained_names=_TRAINED,
            by_level=[
                _scores(str(row.level), row) for row in sorted(summary.test_by_level, key=lambda r: -r.level.rank)
            ],
            relations=_relations(summary),
            kinds=_KINDS,
            examples={kind: [_told(each, matching) for each in summary.examples.get(kind, [])] for kind in _KINDS},
            stages=_stages(summary),
        )
    )


def page_environment(*, longest: int = text.LONGEST_TEXT) -> Environment:
    """The template's surroundings: everything is escaped, and invisible characters of foreign texts are shown.

    Texts of more than `longest` characters are cut.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def finalize(value: object) -> object:
        return (
            text.visible(text.clipped(value, longest=longest))
            if isinstance(value, str) and not isinstance(value, Markup)
            else value
        )

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    writers = (
        text.count,
        text.signed,
        text.percent,
        text.interval,
        text.p_value,
        text.decimal,
        text.duration,
        text.stage_name,
        text.plural,
    )
    environment.filters.update({writer.__name__: writer for writer in writers})
    environment.filters |= {"compact_json": _compact_json, "short": charts.short_name}
    return environment


def as_markup(svg: str) -> Markup:
    """A drawing as markup. The only place that trusts a text: `charts` or `comparison_charts` made it."""
    from markupsafe import Markup

    return Markup(svg)


def _compact_json(value: object) -> str:
    """A setting as its value would stand in JSON, texts without quotation marks."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _flow_drawing(summary: Summary) -> _Drawing:
    columns = [Column(label=text.stage_name(k), counts=counts) for k, counts in enumerate(summary.levels)]
    flows = [summary.transition(k, k + 1) for k in range(len(columns) - 1)]
    known = [flow.counts if flow else None for flow in flows]
    return _Drawing(*(as_markup(charts.sankey(columns, known, width=width)) for width in (WIDE, NARROW)))


def _accuracy_drawing(summary: Summary) -> _Drawing:
    shares = enumerate(summary.test_accuracy)
    estimates = [e for k, share in shares if (e := _estimate(text.stage_name(k), share)) is not None]
    return _Drawing(*(as_markup(charts.accuracy_chart(estimates, width=width)) for width in (WIDE, NARROW)))


def _estimate(label: str, share: Share) -> Estimate | None:
    if share.accuracy is None or share.low is None or share.high is None:
        return None
    return Estimate(label=label, value=share.accuracy, low=share.low, high=share.high)


def _tests(summary: Summary) -> list[_Test]:
    scores = summary.test_accuracy
    rows = []
    for test in summary.mcnemar:
        there = max(test.start, test.end) < len(scores)
        words = verdict(scores[test.start], scores[test.end], test) if there else ""
        rows.append(_Test(test.start, test.end, test.gained, test.lost, test.p_value, words))
    return rows


def _flow(transition: Transition) -> _Flow:
    rows = []
    for level in BEST_FIRST:
        row = transition.row(level)
        total = sum(row.values())
        cells = tuple(
            _Cell(number=row.get(now, 0), share=row.get(now, 0) / total if total else 0.0, stayed=now == level)
            for now in BEST_FIRST
        )
        rows.append(_Row(level=level, total=total, cells=cells))
    gained, lost = transition.gained(Level.HIGHLY_KNOWN), transition.lost(Level.HIGHLY_KNOWN)
    return _Flow(start=transition.start, end=transition.end, rows=tuple(rows), gained=gained, lost=lost)


def _scores(name: str, scores: Scores) -> _ScoreRow:
    cells = []
    for stage, share in enumerate(scores.stages):
        estimate = _estimate(text.stage_name(stage), share)
        cells.append(_ScoreCell(share=share, strip=as_markup(charts.estimate_strip(estimate) if estimate else "")))
    values = [share.accuracy for share in scores.stages if share.accuracy is not None]
    return _ScoreRow(name=name, total=scores.total, cells=tuple(cells), fell=bool(values) and values[-1] < values[0])


def _relations(summary: Summary) -> list[_RelationRow]:
    tests = {row.relation: row for row in summary.test_by_relation}
    rows = []
    for relation in sorted(summary.relations, key=lambda r: r.relation):
        test = tests.pop(relation.relation, None)
        rows.append(_relation_row(relation.relation, relation.total, relation.levels, test))
    rows += [_relation_row(name, 0, [], tests[name]) for name in sorted(tests)]
    return rows


def _relation_row(name: str, total: int, levels: Sequence[Counts], test: Scores | None) -> _RelationRow:
    return _RelationRow(
        name=name,
        total=total,
        strips=tuple(as_markup(charts.level_strip(counts)) for counts in levels),
        highly=tuple(counts.get(Level.HIGHLY_KNOWN, 0) for counts in levels),
        test=_scores(name, test) if test else None,
    )


def _told(example: Example, matching: Matching) -> _Told:
    targets = Targets(tuple(example.answers), matching)
    seen = []
    for probe in range(max(len(example.levels), len(example.greedy))):
        level = example.levels[probe] if probe < len(example.levels) else None
        answer = example.greedy[probe] if probe < len(example.greedy) else None
        seen.append(_Seen(level=level, answer=answer, right=answer is not None and targets.accepts(answer)))
    return _Told(
        relation=example.relation, question=example.question, targets=" / ".join(example.answers), seen=tuple(seen)
    )


def _stages(summary: Summary) -> list[_Trained]:
    """Every stage with its curves; all stages share the two scales, so that their heights compare."""
    epochs = [epoch for stage in summary.stages for epoch in stage.epochs]
    losses = make_axis([0.0, *(epoch.loss for epoch in epochs if epoch.loss is not None)], floor=0.0)
    scores = [epoch.eval_accuracy for epoch in epochs if epoch.eval_accuracy is not None]
    shares = make_axis(scores, floor=0.0, ceiling=1.0)
    return [
        _Trained(
            stage=stage, loss=_curve(stage, losses, number, "loss"), accuracy=_curve(stage, shares, number, "accuracy")
        )
        for number, stage in enumerate(summary.stages, start=1)
    ]


def _curve(stage: Stage, axis: Axis, number: int, what: str) -> Markup:
    shares = what == "accuracy"
    values = [(epoch.epoch, epoch.eval_accuracy if shares else epoch.loss) for epoch in stage.epochs]
    points = [(epoch, value) for epoch, value in values if value is not None]
    title = f"Stage {number}: {'validation accuracy' if shares else 'training loss'} by epoch"
    return as_markup(charts.curve(points, axis, title=title, best=stage.best_epoch, shares=shares))
