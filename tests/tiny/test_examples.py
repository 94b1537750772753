"""The examples that need torch, on a tiny random model."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.support.scripts import load_file

import gradual

pytestmark = pytest.mark.tiny
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_facts_from_ones_own_rows_are_loaded_and_asked(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["own_facts.py", str(tiny_folder)])
    load_file(EXAMPLES / "own_facts.py").main()
    read, answered = capsys.readouterr().out.split("\n\n")
    assert [line.split()[1:3] for line in read.splitlines()][:2] == [["capital", "France"], ["capital", "Italy"]]
    assert read.splitlines()[2].endswith("Japan   Tokyo, Tokio")
    assert len(answered.splitlines()) == 8
    assert {line.split()[0] for line in answered.splitlines()} <= set(gradual.Level)
