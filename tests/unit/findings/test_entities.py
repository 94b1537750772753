"""The entity tables of `tests/support/comparisons.py` over two seeds, every number worked out by hand.

Stage 1 of S5 trains on b, c and f. Facts d, g and h were out of reach: d shares an entity with b, g one with d, h none.
With seed 1 d comes within reach and with seed 2 g does. Of the test facts only t1 shares an entity with b.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.comparisons import TEST, TRAIN, VALIDATION, write_folder

from gradual.facts.fact import Fact
from gradual.findings.entities import entity_rows
from gradual.findings.read import read_comparison
from gradual.findings.record import Entities
from gradual.reporting.comparison.tables import comparison_tables
from gradual.reporting.table import Table
from gradual.run.folder import RunDir, write_facts
from gradual.statistics.intervals import wilson

ENTITIES = {"b": ("Bern",), "t1": ("Bern",), "d": ("Bern", "Davos"), "g": ("Davos",)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_folder(tmp_path_factory.mktemp("comparison") / "out")
    splits = dict.fromkeys(TRAIN, "train") | dict.fromkeys(TEST, "test") | dict.fromkeys(VALIDATION, "validation")
    ids = list(splits)
    named = {each: ENTITIES.get(each, (f"only {each}",)) for each in ids}
    facts = [
        Fact(
            id=each,
            relation="r1" if each in "abcd" or each in TEST[:2] else "r2",
            question=f"{each}?",
            answers=(named[each][-1],),
            subject=named[each][0],
            split=splits[each],
        )
        for each in ids
    ]
    for seed in (1, 2):
        write_facts(facts, RunDir(path / f"runs/S5/{seed}").facts)
    return path


@pytest.fixture(scope="module")
def found(folder: Path) -> Entities:
    rows = entity_rows(folder)
    assert rows is not None
    return rows


@pytest.fixture(scope="module")
def tables(folder: Path, found: Entities) -> dict[str, Table]:
    return {table.name: table for table in comparison_tables(read_comparison(folder, entities=found))}


def test_facts_by_distance_are_means_over_seeds_with_those_of_each(found: Entities) -> None:
    assert found.seeds == (1, 2)
    rows = {row.distance: row for row in found.distances}
    assert list(rows) == ["0", "1", "none"]
    near, one, none = rows.values()
    assert [row.facts.values for row in (near, one, none)] == [(1.0, 1.0)] * 3
    assert (near.within_reach.value, near.within_reach.values) == (0.5, (1.0, 0.0))
    assert (near.rate.value, near.rate.values) == (0.5, (1.0, 0.0))
    assert (none.rate.value, none.rate.low, none.rate.high) == (0.0, *wilson(0, 1))
    assert (near.share.values, one.share.values) == ((1.0, 0.0), (0.0, 1.0))
    # No two of them are of one relation and have as many links, so that no permutation changes anything.
    assert near.p_values == (None, None)
    assert near.reasons == (
        "no stratum of relation and degree lets the number of promoted facts at this distance be another one",
    )


def test_odds_that_no_seed_can_tell_are_none_and_say_why(found: Entities) -> None:
    by_name = {row.compared: row for row in found.odds}
    # Of d alone in its relation nothing can be said; in one table d is the only one that came within reach.
    within = by_name["facts of one relation"]
    assert (within.ratio.value, within.ratio.values) == (None, (None, None))
    assert within.reasons[0].startswith("no stratum has both")
    together = by_name["all facts together"]
    assert together.ratio.values == (None, 0.0)  # seed 1: only d of d, g, h; seed 2: only g
    assert together.ratio.value is None


def test_linked_test_facts_with_wilson_intervals(found: Entities) -> None:
    rows = {row.linked: row for row in found.tests}
    assert list(rows) == ["next to a trained fact", "without a path"]
    linked, rest = rows.values()
    # t1 is right under the base model, with seed 1, and not with seed 2; of t2 to t4 none, then t2, then t3.
    assert (linked.facts.value, linked.before.value, linked.after.values) == (1.0, 1.0, (1.0, 0.0))
    assert (rest.facts.value, rest.before.value) == (3.0, 0.0)
    assert rest.after.value == pytest.approx(1 / 3)
    assert (rest.after.low, rest.after.high) == wilson(1, 3)
    assert rest.p_values == (1.0, 1.0)


def test_each_part_is_a_table_of_its_own(tables: dict[str, Table]) -> None:
    near = tables["entities"].rows[0]
    shown = [cell.text.replace("\N{NO-BREAK SPACE}", " ") for cell in near[:4]]
    assert shown == [
        "0",
        "1",
        "0.5",
        "50.0 % [0.0, 79.3]",
    ]
    assert near[-1].text.startswith("no stratum of relation and degree")
    assert "mean over seeds 1 and 2" in tables["entities"].note
    assert tables["entity-odds"].rows[0][0].text == "all facts together"
    assert tables["entity-tests"].rows[1][3].raw["low"] == wilson(1, 3).low


def test_without_a_first_stage_nothing_is_made(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "out", arms=[{"name": "S5", "num_stages": 2}])
    (path / "runs/S5").rename(tmp_path / "S5")
    assert entity_rows(path) is None
    tables = {table.name: table for table in comparison_tables(read_comparison(path))}
    for name in ("entities", "entity-odds", "entity-tests"):
        assert (tables[name].rows, tables[name].note) == ((), "Not made for this comparison.")
