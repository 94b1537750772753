"""The notebook of the docs runs from top to bottom on a tiny random model, in one namespace as in a kernel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.tiny
NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "tutorial.ipynb"


def cells() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return found


def test_every_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for cell in cells():
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    out = capsys.readouterr().out
    assert "48 facts in Counter({'toy-0': 24, 'toy-1': 24})" in out
    assert sum(names["before"].levels().values()) == 48
    assert [stage.select for stage in names["plan"].stages] == ["True", "now <= MaybeKnown"]
    assert [stage["stage"] for stage in names["summary"]["test_accuracy"]] == [0, 1, 2]
    assert (tmp_path / "tutorial" / "run" / "report.html").is_file()


def test_no_cell_shows_what_an_older_version_printed() -> None:
    code = [cell for cell in cells() if cell["cell_type"] == "code"]
    assert len(code) > 5
    assert [(cell["outputs"], cell["execution_count"]) for cell in code] == [([], None)] * len(code)
