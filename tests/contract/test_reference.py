"""The reference says what the code says, the glossary has the project's words, and the site has every page."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from tests.support.scripts import load_script

import gradual
from gradual.config.run import RunConfig
from gradual.config.yaml_file import parse_config

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    return load_script("write_reference")


def rows(page: str, heading: str) -> dict[str, list[str]]:
    """The cells of the table below a heading, by the name in the first one."""
    section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = re.findall(r"^\| `([^`]+)` \| (.*) \|$", section, re.MULTILINE)
    return {name: re.split(r"(?<!\\) \| ", cells) for name, cells in lines}


def test_pages_are_what_the_code_says(reference: ModuleType) -> None:
    for path, text in reference.pages().items():
        assert path.read_text(encoding="utf-8") == text, "run: python scripts/write_reference.py"


def test_a_setting_is_told_with_its_values_its_default_and_its_docstring() -> None:
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    assert rows(page, "probe")["top_k"][:2] == ["whole number ≥ 2, ≤ 1000", "`40`"]
    assert rows(page, "probe")["top_k"][2].startswith("Tokens kept for sampling")
    assert rows(page, "probe")["method"][:2] == ["`exact`, `sampled`", "`exact`"]
    assert rows(page, "facts")["path"][1] == "required"
    assert rows(page, "stages.N")["replay"][0] == "[section](#stagesnreplay) or null"


def test_every_setting_of_a_run_has_a_row() -> None:
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    config = parse_config({"model": "m", "facts": "f"})
    for name, section in config:
        own = type(section).model_fields if hasattr(type(section), "model_fields") else None
        assert name in rows(page, "A run")
        assert own is None or set(rows(page, name)) == set(own)
    assert set(rows(page, "A run")) == set(RunConfig.model_fields)


def test_a_command_is_told_with_its_options_and_examples() -> None:
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert rows(page, "gradual fit")["--out RUN"] == ["Folder of the run; one that is there is continued.", "required"]
    assert rows(page, "gradual demo")["--out RUN"][1] == "`gradual-demo`"
    assert "\n    gradual fit config.yaml --out my-run\n" in page


def test_the_glossary_has_the_words_of_the_project() -> None:
    words = re.findall(r"^\| ([\w, ]+) \| \w", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE)
    wanted = {word for line in words for word in line.split(", ")} - {"word"}
    told = re.findall(r"^\| \*\*([^*]+)\*\* \|", (DOCS / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(wanted) > 15
    assert wanted <= set(told)
    assert told == sorted(told, key=str.lower)


def test_the_page_on_python_names_every_public_name_that_is_no_dunder() -> None:
    page = (DOCS / "python.md").read_text(encoding="utf-8")
    shown = {path.rpartition(".")[2] for path in re.findall(r"^::: ([\w.]+)$", page, re.MULTILINE)}
    elsewhere = {"GradualError", "RunConfig"}  # in the module `errors`, and the page of settings
    assert {name for name in gradual.__all__ if not name.startswith("__")} - elsewhere <= shown


def test_every_page_of_the_docs_is_in_the_navigation_of_the_site() -> None:
    site: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    named = re.findall(r"[\w/-]+\.md", str(site["nav"]))
    script = load_script("site_pages")
    assert sorted(named) == sorted(
        [*(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")), *script.PAGES.values()]
    )


@pytest.mark.parametrize(
    ("path", "link", "on_the_site"),
    [
        ("CONTRIBUTING.md", "docs/facts.md#what-is-right", "facts.md#what-is-right"),
        ("benchmarks/README.md", "growth.svg", "benchmarks/growth.svg"),
        ("docs/architecture.md", "../examples/own_engine.py", "examples/own_engine.py"),
        ("docs/guides/own-data.md", "../facts.md", "../facts.md"),
        ("docs/reliability.md", "../CHANGELOG.md", "changelog.md"),
        ("docs/index.md", "https://arxiv.org/abs/2410.05802", "https://arxiv.org/abs/2410.05802"),
        ("docs/index.md", "#here", "#here"),
    ],
)
def test_links_lead_to_where_a_page_lies_on_the_site(path: str, link: str, on_the_site: str) -> None:
    assert load_script("site_pages").relink(f"see [it]({link}).", path) == f"see [it]({on_the_site})."


def test_lower_bounds_are_what_a_requirement_says_first() -> None:
    wanted = ["pydantic>=2.10,<3", "markupsafe>=2.1", "mkdocs", "gradual-learning[train]>=0.1"]
    assert load_script("check_release").lower_bounds(wanted) == [
        "pydantic==2.10",
        "markupsafe==2.1",
        "gradual-learning==0.1",
    ]


def test_the_forge_runs_the_commands_that_people_run() -> None:
    workflow: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    made = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert made == ["make check PYTHON=python", "make test PYTHON=python", "make release-check PYTHON=python"]
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {"check", "test", "release-check"} <= set(targets)
