"""What a comparison says, written beside its runs: numbers, tables, and the lines for the console.

Reads the folder alone, so that an unfinished comparison tells what there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gradual.findings.entities import entity_rows
from gradual.findings.read import read_comparison, write_comparison
from gradual.findings.record import Comparison
from gradual.findings.verdict import tell_comparison
from gradual.reporting.comparison.page import write_comparison_page
from gradual.reporting.comparison.tables import comparison_tables
from gradual.reporting.table import Table, write_tables


def write_results(folder: Path) -> Comparison:
    """The numbers of the comparison in `folder`, kept there as `comparison.json`, under `tables/` and in `report.html`.

    Raises:
        RunDirError: the folder holds no comparison, a file of a run is damaged, or the disk refused.
    """
    comparison = read_comparison(folder, entities=entity_rows(folder))
    write_comparison(comparison, folder)
    write_tables(comparison_tables(comparison), folder / "tables")
    write_comparison_page(comparison, folder)
    return comparison


def comparison_parts(comparison: Comparison) -> Iterator[Table | str]:
    """The verdict and all tables for a terminal."""
    verdict = tell_comparison(comparison)
    yield verdict.headline
    yield from (f"- {sentence}" for sentence in verdict.sentences)
    yield from comparison_tables(comparison)
