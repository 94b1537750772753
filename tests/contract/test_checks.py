"""What is checked before a commit is what `make check` checks, in the same order."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def commands_of_make_check() -> list[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    rule = re.search(r"^check:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert rule
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in rule[1].splitlines()]


def hooks() -> list[dict[str, object]]:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repository["repo"] for repository in config["repos"]] == ["local"]  # nothing is fetched
    found: list[dict[str, object]] = config["repos"][0]["hooks"]
    return found


def test_hooks_run_the_commands_of_make_check() -> None:
    assert [hook["entry"] for hook in hooks()] == commands_of_make_check()
    assert len(hooks()) == 6


def test_hooks_run_once_for_all_files_and_install_nothing() -> None:
    assert {(hook["language"], hook["pass_filenames"]) for hook in hooks()} == {("system", False)}
