"""What the tables of a comparison show, and that each says what its numbers are of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.comparisons import BASE, known, write_folder, write_noise

from gradual.errors import RunDirError
from gradual.files.storage import append_json_line, read_json_lines, write_json
from gradual.findings.read import read_comparison
from gradual.findings.record import Comparison
from gradual.knowledge.map import write_map
from gradual.reporting.comparison.tables import comparison_tables
from gradual.reporting.table import Table, as_csv, as_markdown
from gradual.run.folder import RunDir
from gradual.statistics.intervals import wilson


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    path = write_folder(tmp_path_factory.mktemp("comparison") / "out")
    write_noise(path)
    return read_comparison(path)


@pytest.fixture(scope="module")
def tables(comparison: Comparison) -> dict[str, Table]:
    return {table.name: table for table in comparison_tables(comparison)}


def shown(table: Table) -> dict[str, list[str]]:
    """The rows' texts by their first cell."""
    return {row[0].text: [cell.text.replace("\N{NO-BREAK SPACE}", " ") for cell in row[1:]] for row in table.rows}


def test_the_papers_twelve_tables_are_there_in_order(tables: dict[str, Table]) -> None:
    numbered = [table.title.split(".")[0] for table in tables.values() if table.title.startswith("Table ")]
    names = [*range(1, 5), "5a", "5b", "5c", *range(6, 13)]
    assert numbered == [f"Table {name}" for name in names]


@pytest.mark.parametrize(
    ("name", "denominator"),
    [
        ("arms", "4 test facts"),
        ("arms-highly-known", "8 training facts"),
        ("controls", "4 test facts"),
        ("levels-at-start", "8 training facts and 4 test facts"),
        ("transitions-stage-1", "8 training facts"),
        ("noise", "4 (again) and 8 (exemplars)"),
        ("validation-by-epoch", "4 validation facts"),
        ("test-by-stage", "4 test facts"),
        ("strategies-by-level", "1 HighlyKnown, 1 MaybeKnown, 1 WeaklyKnown and 1 Unknown"),
        ("highly-known", "8 training facts"),
        ("transitions-later", "8 training facts"),
    ],
)
def test_a_note_says_what_the_numbers_are_of(tables: dict[str, Table], name: str, denominator: str) -> None:
    assert denominator in tables[name].note


def test_all_arms(tables: dict[str, Table]) -> None:
    rows = shown(tables["arms"])
    assert rows["S5"][:3] == ["2", "75.0 % [30.1, 95.4]", "+50.0 [0.0, +100.0]"]
    assert rows["S5"][4] == "+25.0 [0.0, +50.0]"
    assert rows["S2"] == ["0", *["–"] * 6]
    known = shown(tables["arms-highly-known"])
    assert known["S5"][1:3] == ["+2 [0, +4]", "+100.0 % [0.0, +200.0]"]
    assert known["S5"][5:] == ["12", "1 min 10 s"]  # 16 s for the base model, 29 and 25 s for the stages


def test_when_it_does_not_know(tables: dict[str, Table]) -> None:
    table = tables["when-it-does-not-know"]
    rows = shown(table)
    # right, confidently wrong, that to the base, p, at least 0.9, of Unknown, AUROC, ECE, area
    assert rows["base"][1] == "50.0 % [50.0, 50.0]"  # one fact of each relation: whole relations are drawn
    assert rows["base"][2:4] == ["–"] * 2
    assert rows["base"][5].startswith("100.0 % [")
    assert rows["base"][8].startswith("0.479 [")
    assert rows["S5"][0] == "75.0 % [30.1, 95.4]"
    assert rows["S5"][1].startswith("25.0 % [")
    assert [rows["S5"][place].split(" ")[0] for place in (2, 6, 8)] == ["−25.0", "0.500", "0.208"]
    assert rows["worse"][6] == "–"  # nothing is right
    assert rows["S2"] == ["–"] * 9
    more = shown(tables["when-it-does-not-know-more"])
    # unsure and wrong, surest half right, area to the base; then confidently wrong, p and area to the reference
    assert [cell.split(" ")[0] for cell in more["S5"]] == ["0.0", "75.0", "−0.271", "0.0", "1", "−0.063"]
    assert "Of 4 test facts" in table.note
    assert "Unknown at the start (number: 1)" in table.note


def test_maps_without_confidence_give_no_table_of_it(tmp_path: Path) -> None:
    old = read_comparison(write_folder(tmp_path / "out", confidence={}))
    assert not {"when-it-does-not-know", "refusals"} & {table.name for table in comparison_tables(old)}


def test_the_main_arm_against_the_controls(tables: dict[str, Table]) -> None:
    rows = shown(tables["controls"])
    assert rows["same_steps"][1] == "+25.0 [0.0, +50.0]"
    assert rows["worse"][3] == "0.25"  # three facts gained, none lost: 2 / 2^3


def test_highly_known_one_stage_against_two(tables: dict[str, Table]) -> None:
    rows = shown(tables["highly-known"])
    assert rows["trained on in stage 1"] == ["3", "0", "2", "3", "+1"]
    assert rows["trained on in a later stage only"] == ["2", "1", "0.5", "2", "+1.5"]
    assert rows["never trained on"] == ["3", "1", "1", "1", "0"]
    assert rows["held out: see the test accuracy by level"] == ["n/a"] * 5
    assert [cell.split()[0] for cell in rows["lost since the start"]] == ["2", "0", "0.5", "0", "\N{MINUS SIGN}0.5"]
    assert "S5 against same_steps: reading (a) +50.0" in tables["highly-known"].note
    assert "S5, stage 2 against 1: reading (a) +71.4" in tables["highly-known"].note
    assert "reading (b) undefined" in tables["highly-known"].note


def test_facts_added_have_the_interval_of_their_contrast(comparison: Comparison, tables: dict[str, Table]) -> None:
    added = next(row[-1] for row in tables["highly-known"].rows if row[0].text == "all")
    step = comparison.contrast("stage", "S5", 2)
    assert step is not None
    # 3 + 2 of two seeds: from 4 and 3 to 6 and 6 (S5 has no other stage after the second).
    assert (added.raw[""], added.raw["low"], added.raw["high"]) == (2.5, step.highly_known.low, step.highly_known.high)
    assert step.highly_known.low is not None


def test_gained_are_of_those_not_highly_known_at_the_start_and_lost_of_the_others(
    tables: dict[str, Table],
) -> None:
    rows = {row[0].text: row for row in tables["highly-known"].rows}
    gained, lost = (rows[f"{name} since the start"] for name in ("gained", "lost"))
    # Two of eight facts were HighlyKnown; at the end four more, and the two still.
    assert (gained[1].raw[""], gained[4].raw[""]) == (6, 4.0)
    assert (gained[4].raw["low"], gained[4].raw["high"]) == pytest.approx(tuple(6 * end for end in wilson(4, 6)))
    assert (lost[4].raw["low"], lost[4].raw["high"]) == pytest.approx(tuple(2 * end for end in wilson(0, 2)))


def test_the_main_arm_is_held_against_others_on_the_same_validation_facts(
    comparison: Comparison, tables: dict[str, Table]
) -> None:
    other, main = comparison.arm("same_steps"), comparison.arm("S5")
    assert other is not None
    assert main is not None
    assert (other.validation_result.value, main.validation_result.value) == (0.5, 0.75)
    held = comparison.contrast("reference", "S5")
    assert held is not None
    assert held.validation is not None
    # v3 of r2 is right with S5 alone, in both seeds: r2 drawn never, once, twice makes 0, 1/4, 1/2.
    assert (held.validation.value, held.validation.values) == (0.25, (0.25, 0.25))
    assert (held.validation.low, held.validation.high) == (0.0, 0.5)
    assert shown(tables["arms"])["same_steps"][-1] == "50.0 % [15.0, 85.0]"
    assert shown(tables["controls"])["same_steps"][-1] == "+25.0 [0.0, +50.0]"
    # The base model, before stage 1, was right on v1 alone.
    to_base = comparison.contrast("base", "S5")
    assert to_base is not None
    assert to_base.validation is not None
    assert to_base.validation.value == 0.5


def test_the_lead_over_the_reference_is_shown_by_relation(tables: dict[str, Table]) -> None:
    rows = {name: (cells[1], cells[3], cells[5]) for name, cells in shown(tables["relations-apart"]).items()}
    # t3 and v3 of r2 are right with S5 alone; of r1 more are HighlyKnown: two with seed 1, one with seed 2.
    assert rows["r2"][:2] == ("+1 [0, +2]", "+1 [0, +2]")
    assert rows["r1"][:2] == ("0 [0, 0]", "0 [0, 0]")
    assert rows["r1"][2].startswith("+1.5 [")


def test_validation_facts_without_verdicts_are_left_out(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "out")
    for seed in (1, 2):
        file = RunDir(path / "runs/same_steps" / str(seed)).epochs(1)
        lines = [{name: value for name, value in line.items() if name != "verdicts"} for line in read_json_lines(file)]
        file.unlink()
        for line in lines:
            append_json_line(file, line)
    held = read_comparison(path).contrast("reference", "S5")
    assert held is not None
    assert held.validation is None


def test_verdicts_on_other_validation_facts_are_refused(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "out")
    append_json_line(RunDir(path / "runs/S5/1").epochs(1), {"epoch": 1, "eval_accuracy": 0.5, "verdicts": "11"})
    with pytest.raises(RunDirError, match="epoch 1: expected 4 verdicts, found 2; make the run again"):
        read_comparison(path)


def test_unfinished_runs_take_no_part(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "out")
    write_noise(path)
    write_json(path / "runs/S5/2/run.json", {"status": "running"})
    found = read_comparison(path)
    tables = {table.name: table for table in comparison_tables(found)}
    assert "seed 1;" in tables["transitions-stage-1"].note
    assert [each.seeds for each in found.promotions] == [(1,), (1,)]
    assert {row[3].text for row in tables["validation-by-epoch"].rows} == {"1"}
    later = next(row for row in tables["transitions-later"].rows if row[1].text == "MaybeKnown")
    assert later[-1].text == "2"  # HHMMHHWU: c and d, and no mean with the three of seed 2


def test_transitions_show_mean_counts_and_row_shares(tables: dict[str, Table]) -> None:
    maybe = shown(tables["transitions-stage-1"])["MaybeKnown"]
    assert maybe[0].startswith("2 (66.7 % [")
    assert maybe[1].startswith("1 (33.3 % [")
    assert maybe[4] == "3"


def test_a_level_that_falls_is_flagged(tables: dict[str, Table]) -> None:
    rows = shown(tables["strategies-by-level"])
    assert rows["worse"][1] == "\N{MINUS SIGN}100.0 [\N{MINUS SIGN}100.0, \N{MINUS SIGN}100.0] ▼ falls"
    assert rows["base"][1] == "–"


def test_accuracy_by_stage_with_each_step_tested(tables: dict[str, Table]) -> None:
    rows = shown(tables["test-by-stage"])
    assert rows["base model"][:2] == ["25.0 % [4.6, 69.9]", "25.0"]
    assert rows["after stage 1"][1] == "25.0 to 50.0 (sd 17.7)"
    assert rows["after stage 2"][3].startswith("+37.5 [")


def test_an_exact_probe_again_moves_nothing(tables: dict[str, Table]) -> None:
    again = next(row for row in tables["noise-net"].rows if row[0].text == "again")
    assert [cell.raw["count"] for cell in again[2:5]] == [0, 0, 0]


@pytest.mark.parametrize(
    ("method", "dtypes", "said"),
    [
        (
            "exact",
            ("float32", "bfloat16"),
            "draws nothing, and nothing moved) and numerics (bfloat16 in place of float32)",
        ),
        (
            "sampled",
            ("bfloat16", "float32"),
            ": again (the same exemplars) and numerics (float32 in place of bfloat16).",
        ),
        ("sampled", ("", ""), ": again (the same exemplars) and numerics."),
    ],
)
def test_the_note_on_noise_says_what_the_maps_say(
    tmp_path: Path, method: str, dtypes: tuple[str, str], said: str
) -> None:
    path = write_folder(tmp_path / "out", arms=[{"name": "S5", "num_stages": 2}])
    for folder, dtype in (("runs/S5/1/probes/0", dtypes[0]), ("noise/again", dtypes[0]), ("noise/numerics", dtypes[1])):
        made = known(BASE)
        model = {"dtype": dtype} if dtype else {}
        write_map(replace(made, info=replace(made.info, probe={"method": method}, model=model)), path / folder)
    found = read_comparison(path)
    assert said in next(table.note for table in comparison_tables(found) if table.name == "noise")
    made = known("U" + BASE[1:])
    write_map(replace(made, info=replace(made.info, probe={"method": method})), path / "noise/again")
    note = next(table.note for table in comparison_tables(read_comparison(path)) if table.name == "noise")
    assert "nothing moved" not in note
    assert ("so what moved is how numbers are rounded" in note) == (method == "exact")


def test_what_is_missing_stands_in_the_remarks(tables: dict[str, Table]) -> None:
    remarks = [[cell.text for cell in row] for row in tables["remarks"].rows]
    assert ["missing", "S2, seeds 1 and 2: no run yet"] in remarks
    assert ["missing", "worse: one finished seed, so nothing is tested across seeds"] in remarks
    assert not any(row[0] == "not tested" for row in remarks)  # all of that is in the line above
    assert any("Owen 2007" in row[1] for row in remarks)


def test_every_table_can_be_written_in_each_form(tables: dict[str, Table]) -> None:
    for table in tables.values():
        lines = as_csv(table).splitlines()
        assert len(lines) == 1 + len(table.rows)
        assert as_markdown(table).startswith("### ")


def test_tables_of_a_folder_without_runs(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "out", arms=[{"name": "S5", "num_stages": 2}])
    for run in (path / "runs").iterdir():
        run.rename(tmp_path / run.name)
    tables = {table.name: table for table in comparison_tables(read_comparison(path))}
    assert tables["three-stages"].note == "No finished run has three stages."
    assert tables["highly-known"].rows == ()


def test_tables_where_the_main_arm_trains_nothing(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "out")
    plan = path / "comparison_plan.json"
    plan.write_text(plan.read_text().replace('"main": "S5"', '"main": "base"'))
    tables = {table.name: table for table in comparison_tables(read_comparison(path))}
    assert shown(tables["test-by-stage"]) == {"base model": ["25.0 % [4.6, 69.9]", "25.0", "–", "–", "–", "–"]}
    assert shown(tables["highly-known"])["lost since the start"][2] == "–"
