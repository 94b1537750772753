"""The report of a comparison: one self-contained HTML page made from its numbers alone.

Fills the template with the verdict (`comparison_story`), the drawings (`comparison_figures`) and the tables. The same
numbers give the same bytes. Knows no run folder and computes no result: every number is in the record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gradual import text
from gradual.files import storage
from gradual.findings.record import ArmFindings, Comparison, GroupResult, NetPromotion, Retest
from gradual.findings.verdict import bare_points, bounds, difference, relative, tell_comparison
from gradual.knowledge.levels import BEST_FIRST, Level
from gradual.reporting.comparison import figures
from gradual.reporting.comparison.cells import GROUP_NAMES
from gradual.reporting.comparison.entities import entity_tables
from gradual.reporting.run_page import as_markup, page_environment
from gradual.reporting.table import Table
from gradual.statistics.measures import LevelCounts, Measure

if TYPE_CHECKING:
    from markupsafe import Markup

LONGEST_TEXT = 2_000
"""Characters shown of one text; methods and problems need more than a question or an answer."""
RETEST_NAMES = {
    "again": "the same probe again",
    "exemplars": "other exemplars",
    "numerics": "another number format",
}


@dataclass(frozen=True, slots=True)
class _Figure:
    """One drawing for wide and one for narrow screens, ready for the page."""

    wide: Markup
    narrow: Markup


@dataclass(frozen=True, slots=True)
class _HeatCell:
    """Facts that went from one level to another, and their share of the row."""

    number: float
    share: float
    stayed: bool


@dataclass(frozen=True, slots=True)
class _HeatRow:
    level: Level
    total: float
    cells: tuple[_HeatCell, ...]


@dataclass(frozen=True, slots=True)
class _Heat:
    """Transitions between two looks at the training facts."""

    title: str
    rows: tuple[_HeatRow, ...]


@dataclass(frozen=True, slots=True)
class _Promotion:
    """A net promotion with the retest that it is net of."""

    name: str
    found: NetPromotion


@dataclass(frozen=True, slots=True)
class _SeedRow:
    """HighlyKnown facts of one run of the main arm per probe, and the readings of each of `figures.main_readings`."""

    seed: int
    counts: tuple[int, ...]
    readings: tuple[tuple[float | None, float | None], ...]


def write_comparison_page(comparison: Comparison, tables: Sequence[Table], folder: Path) -> Path:
    """Path of the page `report.html`, written anew into the comparison's folder.

    A partial comparison gives a page that says what is missing.

    Raises:
        RunDirError: the page cannot be written.
    """
    path = folder / "report.html"
    storage.write_bytes(path, render_comparison(comparison, tables, name=folder.resolve().name).encode())
    return path


def render_comparison(comparison: Comparison, tables: Sequence[Table], *, name: str) -> str:
    """The page as HTML text; the same numbers give the same text. `name` is its heading."""
    environment = page_environment(longest=LONGEST_TEXT)
    writers: tuple[Callable[..., str], ...] = (
        bare_points,
        bounds,
        relative,
        difference,
        text.mean_count,
        text.signed_decimal,
        text.listed,
    )
    environment.filters.update({writer.__name__: writer for writer in writers})
    environment.filters |= {"signed_mean": _signed_mean, "share": _share, "mean": _mean, "bare_p": _bare_p}
    main = comparison.arm(comparison.main)
    trained = [arm for arm in comparison.arms if not arm.is_base]
    return environment.get_template("comparison.html.j2").render(
        name=name,
        comparison=comparison,
        verdict=tell_comparison(comparison),
        main=main if main is not None and main.seeds else None,
        against=comparison.contrast("reference", comparison.main),
        over_base=comparison.contrast("base", comparison.main),
        base=next((arm for arm in comparison.arms if arm.is_base and arm.seeds), None),
        trained=trained,
        unfinished=_unfinished(comparison),
        levels=BEST_FIRST,
        arms_forest=_figure(figures.arms_forest(comparison)),
        level_bars=_figure(figures.level_bars(comparison)),
        gain_bars=_figure(figures.gain_bars(comparison)),
        readings_forest=_figure(figures.readings_forest(comparison)),
        levels_forest=_figure(figures.levels_forest(comparison)),
        cost_bars=_figure(figures.cost_bars(comparison)),
        readings=figures.main_readings(comparison),
        seed_rows=_seed_rows(comparison),
        splits=_splits(comparison),
        group_names=GROUP_NAMES,
        retest_names=RETEST_NAMES,
        heats=_heats(main) if main is not None else [],
        retests=[_retest(retest) for retest in comparison.retests],
        promotions=[_Promotion(RETEST_NAMES.get(each.kind, each.kind), each) for each in comparison.promotions],
        level_groups=_level_groups(trained),
        entity_tables=[table for table in entity_tables(comparison) if table.rows],
        with_ood=[arm for arm in trained if arm.ood is not None],
        with_zero_shot=[arm for arm in trained if arm.zero_shot is not None],
        cost_kinds=figures.COST_KINDS,
        arm_parts=[(arm, figures.mean_parts(arm)) for arm in comparison.arms if figures.mean_parts(arm)],
        tables=tables,
    )


def _figure(drawing: figures.Drawing) -> _Figure:
    return _Figure(as_markup(drawing.wide), as_markup(drawing.narrow))


def _unfinished(comparison: Comparison) -> list[str]:
    """Arms that lack seeds of the plan, a line each."""
    lines = []
    for arm in comparison.arms:
        missing = [str(seed) for seed in comparison.seeds if seed not in arm.seeds]
        if missing and not arm.is_base:
            noun = "seed" if len(missing) == 1 else "seeds"
            lines.append(f"{arm.name}: {noun} {text.listed(missing)} not finished")
    roles = ((comparison.main, "main"), (comparison.reference, "reference"))
    lines += [f"{name}: the {role} arm is not here" for name, role in roles if comparison.arm(name) is None]
    return lines


def _seed_rows(comparison: Comparison) -> list[_SeedRow]:
    main = comparison.arm(comparison.main)
    if main is None:
        return []
    contrasts = figures.main_readings(comparison)
    rows = []
    for run in main.runs:
        if run.seed not in main.seeds:
            continue
        readings = []
        for contrast in contrasts:
            by_seed = (
                dict(zip(contrast.seeds, measure.values, strict=False))
                for measure in (contrast.reading_a, contrast.reading_b)
            )
            a, b = (values.get(run.seed) for values in by_seed)
            readings.append((a, b))
        rows.append(_SeedRow(run.seed, run.highly_known.counts, tuple(readings)))
    return rows


def _splits(comparison: Comparison) -> list[ArmFindings]:
    """The arms whose HighlyKnown facts are shown by what was trained on: the main arm and the reference."""
    names = dict.fromkeys((comparison.main, comparison.reference))
    arms = [comparison.arm(name) for name in names]
    return [arm for arm in arms if arm is not None and arm.seeds and arm.split]


def _heats(main: ArmFindings) -> list[_Heat]:
    """Transitions of the main arm, means over its seeds, from each probe to the next, then from first to last."""
    runs = [run for run in main.runs if run.seed in main.seeds]
    found: dict[tuple[int, int], list[Mapping[str, LevelCounts]]] = {}
    for run in runs:
        for moved in run.transitions:
            found.setdefault((moved.start, moved.end), []).append(moved.counts)
    heats = []
    for (start, end), counts in sorted(found.items(), key=lambda item: (item[0][1] - item[0][0] > 1, item[0])):
        few = f" ({text.plural(len(counts), 'seed')} of {len(runs)})" if len(counts) < len(runs) else ""
        title = f"{text.stage_name(start)} to {text.stage_name(end).removeprefix('after ')}{few}"
        heats.append(_heat(title[0].upper() + title[1:], counts))
    return heats


def _heat(title: str, counts: Sequence[Mapping[str, LevelCounts]]) -> _Heat:
    rows = []
    for level in BEST_FIRST:
        means = [sum(each.get(level, {}).get(now, 0) for each in counts) / len(counts) for now in BEST_FIRST]
        total = sum(means)
        cells = tuple(
            _HeatCell(number, number / total if total else 0.0, stayed=now == level)
            for now, number in zip(BEST_FIRST, means, strict=True)
        )
        rows.append(_HeatRow(level, total, cells))
    return _Heat(title, tuple(rows))


def _retest(retest: Retest) -> tuple[Retest, _Heat]:
    name = RETEST_NAMES.get(retest.kind, retest.kind)
    return retest, _heat(f"Nothing learned: {name}", [retest.transitions])


def _level_groups(arms: Iterable[ArmFindings]) -> list[tuple[ArmFindings, list[GroupResult | None]]]:
    """The arms that have results by level, each with its groups in the order of `BEST_FIRST`."""
    rows = []
    for arm in arms:
        groups = {group.name: group for group in arm.by_level}
        if groups:
            rows.append((arm, [groups.get(level) for level in BEST_FIRST]))
    return rows


def _share(measure: Measure) -> str:
    """An accuracy with its interval: `44.8 % [41.0, 48.7]`."""
    return f"{text.percent(measure.value)} {text.interval(measure.low, measure.high)}".rstrip()


def _bare_p(p: float | None) -> str:
    """A p-value for a column: `0.034`, `< 0.0001`."""
    return text.p_value(p).removeprefix(f"={text.NBSP}")


def _signed_mean(number: float) -> str:
    """A difference of two mean counts: `+154`, `-0.3` with a minus sign."""
    return text.signed_decimal(number, 0 if abs(number - round(number)) < 0.05 else 1)


def _mean(measure: Measure, *, with_sd: bool = False) -> str:
    """A mean count, with its standard deviation over seeds where asked and known."""
    told = text.mean_count(measure.value)
    return f"{told} ± {text.decimal(measure.sd, 1)}" if with_sd and measure.sd is not None else told
