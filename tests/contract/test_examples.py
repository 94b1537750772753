"""The examples do what they say they print; those that need torch are run in `tests/tiny/test_examples.py`."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from tests.support.comparisons import write_folder
from tests.support.scripts import load_file

from gradual.config.yaml_file import load_config
from gradual.findings.read import read_comparison, write_comparison
from gradual.reporting.comparison.tables import comparison_tables
from gradual.reporting.table import write_tables

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FILES = sorted(EXAMPLES.glob("*.py"))


def printed(name: str, *arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    load_file(EXAMPLES / name).main()
    return capsys.readouterr().out


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_is_short_and_says_how_to_run_it(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    assert f"    python examples/{file.name}" in (ast.get_docstring(ast.parse(text)) or "")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_example_is_run_by_a_test(file: Path) -> None:
    tests = [Path(__file__), Path(__file__).parents[1] / "tiny" / "test_examples.py"]
    assert any(f'"{file.name}"' in test.read_text(encoding="utf-8") for test in tests)


def test_the_papers_protocol_is_a_config_that_asks_170_answers_and_trains_three_stages() -> None:
    config = load_config(EXAMPLES / "paper.yaml")
    probe = config.probe
    assert (probe.num_exemplar_sets * (1 + probe.num_samples), probe.num_shots, probe.method) == (170, 4, "exact")
    assert [stage.strategy for stage in config.stages] == ["maybe_known", "S5", "S5"]
    assert [(stage.learning_rate, stage.weight_decay) for stage in config.stages[1:]] == [(1.5e-4, 0.01)] * 2
    assert all(stage.replay is not None and stage.replay.ratio == 0.2 for stage in config.stages[1:])
    assert config.evaluation.exemplar_seed == 42


def test_an_engine_of_ones_own_is_probed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed("own_engine.py", monkeypatch=monkeypatch, capsys=capsys).splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "HighlyKnown p 0.75 Where is the Bundeshaus? Bern",  # 0.6, and 0.15 with a full stop
        "Unknown p 0.00 Where is the Hermitage? Moscow",
        "HighlyKnown p 1.00 Where is the Louvre? Paris",
        "WeaklyKnown p 0.10 Where is the Prado? Seville",  # 1 - 0.9 ** 32 is more than a half
    ]


def test_a_strategy_of_ones_own_selects(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed("own_strategy.py", monkeypatch=monkeypatch, capsys=capsys)
    assert out.endswith("3 new, 1 replayed of 6 facts\n")  # one is a quarter of four
    assert [line.split()[0] for line in out.splitlines()[:-1]] == ["new", "new", "new", "replay"]
    assert "still unknown" not in out


def test_a_strategy_of_ones_own_selects_from_the_maps_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    probes = write_folder(tmp_path) / "runs" / "S5" / "1" / "probes"
    out = printed("own_strategy.py", str(probes / "0"), str(probes / "1"), monkeypatch=monkeypatch, capsys=capsys)
    # HMMWHMUU became HHMMHHWU: d alone came within reach, and for one new fact a third of one is replayed: none.
    assert out.splitlines()[0].split()[:5] == ["new", "WeaklyKnown", "->", "MaybeKnown", "d"]
    assert out.endswith("1 new, 0 replayed of 8 facts\n")


def test_a_comparison_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    comparison = read_comparison(write_folder(tmp_path))
    write_comparison(comparison, tmp_path)
    write_tables(comparison_tables(comparison), tmp_path / "tables")
    out = printed("read_comparison.py", str(tmp_path), monkeypatch=monkeypatch, capsys=capsys)
    assert "S5            test accuracy 0.75" in out
    against = out.split("  same_steps\n")[1].splitlines()
    assert against[0] == "    test accuracy, points: +25.0 [+0.0, +50.0], p 0.5"
    assert "  S2\n    test accuracy, points: no finished run, p -" in out
