"""The drawings on the page of a comparison: which numbers of the record go into which drawing.

Turns a `Comparison` into the rows and bars of `charts` and `forest`. Knows no HTML.
"""

from __future__ import annotations

from gradual.findings.record import ArmFindings, Comparison, Contrast, CostPart
from gradual.findings.verdict import PAPER_GAIN
from gradual.knowledge.levels import BEST_FIRST
from gradual.reporting.charts import Balance, Bar, Segment, balance_bars, stacked_bars
from gradual.reporting.forest import ForestCell, ForestRow, Panel, forest
from gradual.reporting.svg import NOTHING, WIDE_SCREEN, Drawing, draw_both
from gradual.run.steps import Purpose
from gradual.statistics.measure_text import accuracy_text, change_text, points_text
from gradual.statistics.measures import Measure
from gradual.text import NO_VALUE, Estimate, duration, mean_count, percent

COST_KINDS: dict[Purpose, str] = {"probing": "probing for levels", "training": "training", "testing": "testing"}
"""What a step of a run is for, in the order of a bar."""


def arms_forest(comparison: Comparison) -> Drawing:
    """Test accuracy of every arm at its end, less the base model's and less the reference's."""
    rows = []
    for arm in _arms_with_training(comparison):
        base = _points_cell(comparison.contrast("base", arm.name))
        is_it = arm.name == comparison.reference
        against = _words_only("the reference") if is_it else _points_cell(comparison.contrast("reference", arm.name))
        rows.append(ForestRow(arm.name, (base, against), strong=arm.name == comparison.main))
    panels = [Panel("against the base model, points"), Panel(f"against {comparison.reference}, points")]
    return draw_both(lambda width: forest("Difference in test accuracy", *_with_values(panels, rows), width=width))


def confidence_forest(comparison: Comparison) -> Drawing:
    """The share of test facts on which every arm, the base model first, is confidently wrong; and the difference."""
    rows = []
    for arm in comparison.arms:
        if arm.answers is not None:
            share, base = arm.answers.confidently_wrong, comparison.contrast("base", arm.name)
            less = _change_cell(base.answers.confidently_wrong) if base and base.answers else _words_only("")
            cells = (_forest_cell(share, accuracy_text(share)), less)
            rows.append(ForestRow(arm.name, cells, strong=arm.name == comparison.main))
    panels = [Panel("share of test facts", unit=" %", is_difference=False), Panel("against the base model, points")]
    if not rows:
        return Drawing(NOTHING, NOTHING)
    return draw_both(lambda width: forest("Confidently wrong", *_with_values(panels, rows), width=width))


def readings_forest(comparison: Comparison) -> Drawing:
    """Readings (a) and (b) of the main arm: each stage against the one before it, and its end against the reference."""
    landmark = (100 * PAPER_GAIN, f"the paper's {percent(PAPER_GAIN, digits=0)}")
    panels = [Panel("(a) level", unit=" %"), Panel("(b) gain", unit=" %", landmark=landmark)]
    rows = [
        ForestRow(contrast_name(each), tuple(_forest_cell(m, change_text(m)) for m in (each.reading_a, each.reading_b)))
        for each in main_readings(comparison)
    ]
    return draw_both(lambda width: forest("HighlyKnown training facts", *_with_values(panels, rows), width=width))


def main_readings(comparison: Comparison) -> list[Contrast]:
    """The contrasts that both readings are given for: the main arm's stages, and the main arm against the reference."""
    stages = [c for c in comparison.contrasts if c.kind == "stage" and c.arm == comparison.main and c.against_stage]
    reference = comparison.contrast("reference", comparison.main)
    return [c for c in (*stages, reference) if c is not None and c.seeds]


def levels_forest(comparison: Comparison) -> Drawing:
    """Change in test accuracy by the test fact's level at the start, a panel per level; one scale for all."""
    arms = [arm for arm in _arms_with_training(comparison) if arm.by_level]
    names = [level for level in BEST_FIRST if any(group.name == level for arm in arms for group in arm.by_level)]
    rows = []
    for arm in arms:
        groups = {group.name: group for group in arm.by_level}
        cells = [_change_cell(groups[name].change) if name in groups else _words_only(NO_VALUE) for name in names]
        rows.append(ForestRow(arm.name, tuple(cells), strong=arm.name == comparison.main))
    panels = [Panel(str(name), with_words=False) for name in names]
    title = "Change in test accuracy by level at the start, points"
    return Drawing(forest(title, panels, rows, width=WIDE_SCREEN, same=True), NOTHING)


def level_bars(comparison: Comparison) -> Drawing:
    """Training facts by level, at the start and at the end of every arm; means over the seeds of the arm."""
    bars = []
    for arm in comparison.arms:
        counts = mean_levels(arm)
        if not counts:
            continue
        total = sum(counts.values())
        segments = tuple(
            Segment(f"lv-{level}", counts[level], mean_count(counts[level]), f"{level} {mean_count(counts[level])}")
            for level in BEST_FIRST
        )
        bars.append(Bar(arm.name, segments, strong=arm.name == comparison.main) if total else Bar(arm.name, ()))
    return draw_both(lambda width: stacked_bars("Training facts by level at the end", bars, width=width))


def mean_levels(arm: ArmFindings) -> dict[str, float]:
    """Training facts by level at the arm's end, mean over its finished seeds; empty without one."""
    ends = [run.levels[-1] for run in arm.runs if run.seed in arm.seeds and run.levels]
    return {level: sum(end.get(level, 0) for end in ends) / len(ends) for level in BEST_FIRST} if ends else {}


def gain_bars(comparison: Comparison) -> Drawing:
    """HighlyKnown training facts gained and lost by every arm, from start to end."""
    bars = [
        Balance(
            arm.name,
            gained,
            lost,
            f"+{mean_count(gained)}" if gained else "0",
            f"\N{MINUS SIGN}{mean_count(lost)}" if lost else "0",
            strong=arm.name == comparison.main,
        )
        for arm in _arms_with_training(comparison)
        if (gained := arm.gained.value) is not None and (lost := arm.lost.value) is not None
    ]
    return draw_both(lambda width: balance_bars("HighlyKnown training facts gained and lost", bars, width=width))


def cost_bars(comparison: Comparison) -> Drawing:
    """Seconds of every arm by what they were for, mean over its runs; shared steps are marked."""
    bars = []
    for arm in comparison.arms:
        parts = mean_parts(arm)
        segments = []
        for kind, name in COST_KINDS.items():
            for is_shared in (True, False):
                seconds = sum(part.seconds for part in parts if part.purpose == kind and part.shared == is_shared)
                if seconds:
                    title = f"{name}{', shared' if is_shared else ''} {duration(seconds)}"
                    segments.append(Segment(f"cost-{kind}{' shared' if is_shared else ''}", seconds, "", title))
        if segments:
            whole = duration(sum(part.seconds for part in parts))
            bars.append(Bar(arm.name, tuple(segments), whole, strong=arm.name == comparison.main))
    return draw_both(lambda width: stacked_bars("Seconds per run", bars, width=width))


def mean_parts(arm: ArmFindings) -> list[CostPart]:
    """The steps of an arm's runs in order, means over its finished runs; shared steps stand apart from others."""
    runs = [run for run in arm.runs if run.seed in arm.seeds]
    by_step: dict[tuple[str, Purpose, bool], list[CostPart]] = {}
    for run in runs:
        for part in run.cost.parts:
            by_step.setdefault((part.name, part.purpose, part.shared), []).append(part)
    return [
        CostPart(
            name,
            purpose,
            sum(part.seconds for part in parts) / len(runs),
            round(sum(part.tokens for part in parts) / len(runs)),
            round(sum(part.steps for part in parts) / len(runs)),
            is_shared,
        )
        for (name, purpose, is_shared), parts in by_step.items()
    ]


def _arms_with_training(comparison: Comparison) -> list[ArmFindings]:
    return [arm for arm in comparison.arms if not arm.is_base]


def _with_values(panels: list[Panel], rows: list[ForestRow]) -> tuple[list[Panel], list[ForestRow]]:
    """The panels in which some row has a value, and the rows' cells of those."""
    places = [k for k in range(len(panels)) if any(row.cells[k].value is not None for row in rows)]
    short_rows = [ForestRow(row.label, tuple(row.cells[k] for k in places), row.strong) for row in rows]
    return [panels[k] for k in places], short_rows


def contrast_name(contrast: Contrast) -> str:
    """What a contrast of the main arm is against, in short: `stage 2 vs 1`, `vs same_steps`."""
    return (
        f"stage {contrast.stage} vs {contrast.against_stage}" if contrast.kind == "stage" else f"vs {contrast.against}"
    )


def _points_cell(contrast: Contrast | None) -> ForestCell:
    if contrast is None or contrast.test.value is None:
        return _words_only("no finished seed")
    return _forest_cell(contrast.test, points_text(contrast.test))


def _change_cell(measure: Measure) -> ForestCell:
    return _forest_cell(measure, points_text(measure)) if measure.value is not None else _words_only(NO_VALUE)


def _forest_cell(measure: Measure, words: Estimate) -> ForestCell:
    value, low, high = (None if part is None else 100 * part for part in (measure.value, measure.low, measure.high))
    points = () if value is None else tuple(100 * each for each in measure.values if each is not None)
    return ForestCell(value, low, high, points, str(words))


def _words_only(words: str) -> ForestCell:
    return ForestCell(None, None, None, (), words)
