"""What README and docs show exists: commands, settings, files."""

from __future__ import annotations

import re
import shlex
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gradual.cli.app import app
from gradual.comparison.arms import ARMS, resolve_arms
from gradual.config.yaml_file import load_config, parse_config
from gradual.files.strict_yaml import read_yaml
from gradual.selection.expressions import parse_expression

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "gradual"
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 160


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^    gradual ([a-z]+)", TEXT, re.MULTILINE))))
def test_every_command_shown_exists_with_the_options_shown(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"})
    assert shown.exit_code == 0
    for line in re.findall(rf"^    gradual {command} (.*)$", TEXT, re.MULTILINE):
        for option in re.findall(r"--[a-z-]+", line.split("#")[0]):
            assert option in shown.output, (command, option)


def test_the_config_of_the_readme_loads() -> None:
    block = re.search(
        r"^    model: .*?\n\n", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    assert block
    config = parse_config(read_yaml(block.group(), "README"))
    assert [stage.resolve().name for stage in config.stages] == ["maybe_known", "S5"]


def test_the_page_on_comparing_tells_every_arm_and_no_other() -> None:
    page = (ROOT / "docs" / "comparing.md").read_text(encoding="utf-8")
    told = [
        name for cells in re.findall(r"^\| (`[^|]*) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)`", cells)
    ]
    assert sorted(told) == sorted(ARMS)


def test_the_arms_of_ones_own_on_the_page_on_comparing_can_be_resolved() -> None:
    page = (ROOT / "docs" / "comparing.md").read_text(encoding="utf-8")
    block = re.search(r"^    compare:\n(?:     .*\n)+", page, re.MULTILINE)
    assert block
    config = parse_config({"model": "m", "facts": "f"} | read_yaml(block.group(), "comparing.md"))
    arms = [arm.name for arm in resolve_arms(config)]
    assert arms == ["base", "one_stage", "same_steps", "S5", "promoted_first", "natural_guarded"]


def test_arms_that_a_command_line_makes_can_be_resolved() -> None:
    page = (ROOT / "docs" / "guides" / "larger-models.md").read_text(encoding="utf-8")
    command = re.search(r"^    gradual compare .*\n(?:        .*\n)+", page, re.MULTILINE)
    assert command
    words = shlex.split(command.group().replace("\\\n", " "))
    changes = [value for option, value in pairwise(words) if option == "--set"]
    config = parse_config({"model": "m", "facts": "f"}, changes)
    arms = resolve_arms(config, words[words.index("--arms") + 1].split(","))
    assert [(arm.name, [stage.learning_rate for stage in arm.stages]) for arm in arms] == [
        ("base", []),
        ("one_stage", [2e-4]),
        ("low", [5e-5]),
        ("high", [4e-4]),
    ]


def test_expressions_shown_can_be_read() -> None:
    expressions = re.findall(r'(?:select|pool): "([^"]+)"', TEXT)
    assert expressions
    for expression in expressions:
        parse_expression(expression)


def test_the_demo_config_loads() -> None:
    assert load_config(ROOT / "src" / "gradual" / "data" / "demo.yaml").model.name_or_path == "smollm2"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, _, anchor in re.findall(r"\]\(([^)#]*)(#([^)]+))?\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            linked = page.parent / target if target else page
            assert linked.exists(), target
            assert not anchor or anchor in anchors(linked), f"{linked.name}#{anchor}"


def anchors(page: Path) -> set[str]:
    """What headings of a page are linked by, as GitHub forms it: lower case, hyphens for spaces, no punctuation."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_results_are_short_and_the_log_is_newest_first() -> None:
    assert len((ROOT / "docs" / "results.md").read_text(encoding="utf-8").splitlines()) <= 220
    log = (ROOT / "docs" / "log.md").read_text(encoding="utf-8")
    dates = re.findall(r"^## (.{10}): ", log, re.MULTILINE)
    assert len(dates) == len(re.findall(r"^## ", log, re.MULTILINE))
    assert dates == sorted(dates, reverse=True)


def test_the_picture_of_a_report_is_small() -> None:
    picture = (ROOT / "docs" / "report.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert 20_000 < len(picture) < 200_000


def test_no_tracked_file_holds_the_marks_of_a_conflict() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout of git: what is tracked cannot be told")
    marks = r"^(<{7}|={7}|>{7}|\|{7})( |$)"
    found = subprocess.run(["git", "grep", "-nIE", marks], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (found.stdout, found.stderr, found.returncode) == ("", "", 1)  # 1: nothing matches


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_files_named_on_a_page_exist(page: Path) -> None:
    for name in re.findall(r"`((?:[\w.]+/)*\w+\.py)`", page.read_text(encoding="utf-8")):
        assert (SOURCE / name).is_file() or (ROOT / name).is_file(), name


def test_other_files_named_on_a_page_exist() -> None:
    for name in re.findall(r"`((?:tests|docs|src|scripts|examples|benchmarks)/[\w/.-]+)`", TEXT):
        assert (ROOT / name).exists(), name


def test_the_map_in_the_readme_names_every_package_and_no_other() -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Where things are")[2]
    named = re.findall(r"^    (\w+)  +\w", section, re.MULTILINE)
    assert sorted(named) == sorted(file.parent.name for file in SOURCE.glob("*/__init__.py"))
