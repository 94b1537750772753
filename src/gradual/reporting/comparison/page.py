"""The report of a comparison: one self-contained HTML page made from its numbers alone.

Fills the template with the verdict (`findings.verdict`), the drawings (`figures`) and the tables. The same numbers give
the same bytes. Knows no run folder and computes no result: every number is in the record.
"""

from __future__ import annotations

from pathlib import Path

from gradual.files import storage
from gradual.findings.record import Comparison, Contrast
from gradual.findings.verdict import tell_comparison
from gradual.reporting.comparison import figures, page_tables
from gradual.reporting.comparison.tables import comparison_tables
from gradual.reporting.page import render_page
from gradual.statistics.measure_text import change_text, count_text, points_text
from gradual.text import NBSP, join_words, p_equals

_LONGEST_TEXT = 2_000
"""Characters shown of one text; methods and problems need more than a question or an answer."""


def write_comparison_page(comparison: Comparison, folder: Path) -> Path:
    """Path of the page `report.html`, written anew into the comparison's folder.

    A partial comparison gives a page that says what is missing.

    Raises:
        RunDirError: the page cannot be written.
    """
    path = folder / "report.html"
    storage.write_bytes(path, render_comparison(comparison, name=folder.resolve().name).encode())
    return path


def render_comparison(comparison: Comparison, *, name: str) -> str:
    """The page as HTML text; the same numbers give the same text. `name` is its heading."""
    tables = comparison_tables(comparison)
    main = comparison.arm(comparison.main)
    return render_page(
        "comparison.html.j2",
        longest=_LONGEST_TEXT,
        name=name,
        comparison=comparison,
        verdict=tell_comparison(comparison),
        main=main if main is not None and main.seeds else None,
        key_figures=_key_figures(comparison),
        unfinished=_lacking_seeds(comparison),
        arms_forest=figures.arms_forest(comparison),
        level_bars=figures.level_bars(comparison),
        gain_bars=figures.gain_bars(comparison),
        readings_forest=figures.readings_forest(comparison),
        levels_forest=figures.levels_forest(comparison),
        confidence_forest=figures.confidence_forest(comparison),
        cost_bars=figures.cost_bars(comparison),
        readings=figures.main_readings(comparison),
        readings_by_seed=page_tables.readings_by_seed(comparison),
        by_training=page_tables.highly_known_by_training(comparison),
        transitions=page_tables.main_transitions(comparison),
        retest_transitions=page_tables.retest_transitions(comparison),
        step_costs=page_tables.step_costs(comparison),
        cost_kinds=figures.COST_KINDS,
        tables=tables,
        named={table.name: table for table in tables},
    )


def _key_figures(comparison: Comparison) -> list[tuple[str, str, str]]:
    """The numbers below the headline: what each is, its size, and its interval."""
    against, base = (comparison.contrast(kind, comparison.main) for kind in ("reference", "base"))
    rows = [_accuracy_figure(each) for each in (against, base) if each is not None and each.test.value is not None]
    if against is not None and against.seeds:
        gain = change_text(against.reading_b)
        why = "no interval" if against.reading_b.value is not None else against.reading_b.note
        title = f"HighlyKnown gain against {against.against}, reading (b)"
        rows.append((title, gain.number, gain.interval or why))
    main = comparison.arm(comparison.main)
    if main is not None and main.seeds and main.lost.value is not None:
        at_start, gained = count_text(main.highly_known[0]).number, count_text(main.gained).number
        rows.append(("HighlyKnown facts lost", count_text(main.lost).number, f"of {at_start}; {gained} gained"))
    return rows


def _accuracy_figure(contrast: Contrast) -> tuple[str, str, str]:
    against = "the base model" if contrast.kind == "base" else contrast.against
    words = points_text(contrast.test, unit=f"{NBSP}points")
    holm = f", Holm {p_equals(contrast.p_holm)}" if contrast.p_holm is not None else ""
    return f"Test accuracy against {against}", words.number, f"{words.interval or 'no interval'}{holm}"


def _lacking_seeds(comparison: Comparison) -> list[str]:
    """Arms that lack seeds of the plan, a line each."""
    lines = []
    for arm in comparison.arms:
        missing = [str(seed) for seed in comparison.seeds if seed not in arm.seeds]
        if missing and not arm.is_base:
            noun = "seed" if len(missing) == 1 else "seeds"
            lines.append(f"{arm.name}: {noun} {join_words(missing)} not finished")
    roles = ((comparison.main, "main"), (comparison.reference, "reference"))
    lines += [f"{name}: the {role} arm is not here" for name, role in roles if comparison.arm(name) is None]
    return lines
