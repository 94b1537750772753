"""The report of a run: one self-contained HTML page made from the run folder alone.

Turns the record (`run.record`) into sentences (`run_story`), tables (`run_tables`) and drawings (`charts`, `forest`).
The same folder gives the same bytes. Knows no model and computes no result: every number is in the folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gradual.facts.matching import Matching, Targets, recorded_matching
from gradual.files import storage
from gradual.knowledge.levels import Level
from gradual.reporting import run_tables
from gradual.reporting.charts import FlowColumn, curve, level_flow
from gradual.reporting.forest import ForestCell, ForestRow, Panel, forest
from gradual.reporting.level_tables import levels_table, transition_table
from gradual.reporting.page import render_page
from gradual.reporting.run_quality import quality_section
from gradual.reporting.run_story import tell
from gradual.reporting.run_transfer import benchmarks_table, bystanders_table, drift_table, transfer_table
from gradual.reporting.svg import Axis, Drawing, Svg, draw_both, make_axis
from gradual.reporting.table import Table
from gradual.reporting.tuning import tuning_sentences, tuning_table
from gradual.run.record import RunRecord, read_run
from gradual.run.summary.summary_file import AccuracyShare, ExampleFact, LevelMoves, StageSummary, Summary
from gradual.text import NBSP, share_estimate, span_name, stage_name
from gradual.tuning.record import TuningFile, read_tuning

_KINDS = {
    "promoted": "Promoted: known better at the end than at the start",
    "lost": "Lost: known less well at the end than before",
    "stuck": "Stuck: trained on or within reach, yet not moved",
}


@dataclass(frozen=True, slots=True)
class _ProbedAnswer:
    """A fact's level and greedy answer at one probe."""

    stage: str
    level: Level | None
    answer: str | None
    is_right: bool


@dataclass(frozen=True, slots=True)
class _ExampleFact:
    """One fact with what every probe found."""

    relation: str
    question: str
    targets: str
    answers: tuple[_ProbedAnswer, ...]


@dataclass(frozen=True, slots=True)
class _StageCurves:
    """One stage with its two curves."""

    stage: StageSummary
    loss: Svg
    accuracy: Svg
    area: Svg
    """Empty where the epoch was not kept by the area under the risk-coverage curve."""


def report(run_dir: str | Path) -> Path:
    """Path of the page `report.html`, written anew into the run folder; a partial run gives a page that says so.

    Raises:
        RunDirError: the folder is not there or holds no part of a run, or a file in it has another shape,
            or the page cannot be written.
    """
    folder = Path(run_dir)
    page = render(read_run(folder), read_tuning(folder))
    path = folder / "report.html"
    storage.write_bytes(path, page.encode())
    return path


def render(run: RunRecord, tuning: TuningFile | None = None) -> str:
    """The page of a record, and of the tuning that chose its recipe; as HTML text, the same for the same record."""
    summary = run.summary
    matching = recorded_matching(summary.settings)
    whole = summary.transition(0, len(summary.levels) - 1)
    return render_page(
        "run.html.j2",
        run=run,
        summary=summary,
        sentences=(*(tuning_sentences(tuning) if tuning else ()), *tell(run)),
        tuning=tuning_table(tuning) if tuning else None,
        lost=whole.lost(Level.HIGHLY_KNOWN) if whole else None,
        flow=_flow_drawing(summary),
        accuracy=_accuracy_drawing(summary.test_accuracy),
        tests=run_tables.paired_tests_table(summary),
        quality=quality_section(summary),
        refusals=run_tables.refusals_table(summary),
        transfer=transfer_table(summary),
        elsewhere=[bystanders_table(summary), drift_table(summary), benchmarks_table(summary)],
        levels_by_probe=levels_table(summary.levels, [stage_name(probe) for probe in range(len(summary.levels))]),
        transitions=[_transition_table(moved) for moved in summary.transitions],
        highly_known_moves=run_tables.highly_known_moves_table(summary),
        highly_known=run_tables.highly_known_table(summary),
        by_level=run_tables.by_level_table(summary),
        relations=run_tables.relations_table(summary),
        kinds=_KINDS,
        examples={kind: [_example(each, matching) for each in summary.examples.get(kind, [])] for kind in _KINDS},
        stages=_stages(summary),
        costs=[run_tables.steps_table(run.cost), run_tables.training_cost_table(run)],
        settings=[
            run_tables.settings_table("settings", summary.settings),
            run_tables.settings_table("fingerprints", summary.fingerprint),
        ],
    )


def _flow_drawing(summary: Summary) -> Drawing:
    columns = [FlowColumn(label=stage_name(k), counts=counts) for k, counts in enumerate(summary.levels)]
    flows = [summary.transition(k, k + 1) for k in range(len(columns) - 1)]
    counts = [flow.counts if flow else None for flow in flows]
    return draw_both(lambda width: level_flow(columns, counts, width=width))


def _accuracy_drawing(shares: Sequence[AccuracyShare]) -> Drawing:
    panel = Panel("", unit=f"{NBSP}%", is_difference=False)
    rows = [ForestRow(stage_name(k), (_accuracy_cell(share),)) for k, share in enumerate(shares)]
    rows = rows if any(row.cells[0].value is not None for row in rows) else []
    return draw_both(lambda width: forest("Test accuracy with 95 % intervals", [panel], rows, width=width))


def _accuracy_cell(share: AccuracyShare) -> ForestCell:
    value, low, high = (None if part is None else 100 * part for part in (share.accuracy, share.low, share.high))
    return ForestCell(value, low, high, (), str(share_estimate(share.accuracy, share.low, share.high)))


def _transition_table(moved: LevelMoves) -> Table:
    title = span_name(moved.start, moved.end)
    return transition_table(moved.counts, title[0].upper() + title[1:])


def _example(example: ExampleFact, matching: Matching) -> _ExampleFact:
    targets = Targets(tuple(example.answers), matching)
    answers = []
    for probe in range(max(len(example.levels), len(example.greedy))):
        level = example.levels[probe] if probe < len(example.levels) else None
        answer = example.greedy[probe] if probe < len(example.greedy) else None
        is_right = answer is not None and targets.accepts(answer)
        answers.append(_ProbedAnswer(stage_name(probe), level, answer, is_right))
    return _ExampleFact(example.relation, example.question, " / ".join(example.answers), tuple(answers))


def _stages(summary: Summary) -> list[_StageCurves]:
    """Every stage with its curves; all stages share the two scales, so that their heights compare."""
    epochs = [epoch for stage in summary.stages for epoch in stage.epochs]
    losses = make_axis([0.0, *(epoch.loss for epoch in epochs if epoch.loss is not None)], floor=0.0)
    shares = make_axis([epoch.eval_accuracy for epoch in epochs], floor=0.0, ceiling=1.0)
    areas = make_axis([epoch.eval_area for epoch in epochs if epoch.eval_area is not None], floor=0.0, ceiling=1.0)
    return [
        _StageCurves(
            stage=stage,
            loss=_curve(stage, losses, number, "loss"),
            accuracy=_curve(stage, shares, number, "accuracy"),
            area=_curve(stage, areas, number, "area"),
        )
        for number, stage in enumerate(summary.stages, start=1)
    ]


_CURVES = {
    "loss": "training loss",
    "accuracy": "validation accuracy",
    "area": "area under the risk-coverage curve of validation facts",
}


def _curve(stage: StageSummary, axis: Axis, number: int, what: Literal["loss", "accuracy", "area"]) -> Svg:
    values = [
        (epoch.epoch, {"loss": epoch.loss, "accuracy": epoch.eval_accuracy, "area": epoch.eval_area}[what])
        for epoch in stage.epochs
    ]
    points = [(epoch, value) for epoch, value in values if value is not None]
    title = f"Stage {number}: {_CURVES[what]} by epoch"
    return curve(points, axis, title=title, best=stage.best_epoch, shares=what == "accuracy")
