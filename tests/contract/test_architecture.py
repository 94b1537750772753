"""The page on how it is built keeps up with the code: its drawing, and every file and name on it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import ModuleType

import pytest
from tests.support.scripts import load_file

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "gradual"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
MODULE_WITH_NAMES = re.compile(r"`([\w/]+\.py)`((?:,? `[A-Za-z]\w*`)*)")
NAMED = [
    (module, name)
    for module, names in MODULE_WITH_NAMES.findall(PAGE)
    if not module.startswith(("docs/", "examples/", "scripts/", "tests/"))
    for name in re.findall(r"`(\w+)`", names) or [""]
]
"""Modules with each name that stands behind them; an empty name where none does."""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_file(ROOT / "scripts" / "draw_packages.py")


def write_packages(folder: Path, imports: dict[str, str]) -> Path:
    for name, line in imports.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f'"""What {name} owns.\n\nAnd more."""\n{line}\n')
    return folder


def test_the_drawing_shows_what_the_code_imports_now(script: ModuleType) -> None:
    drawn = script.draw(script.read_graph())
    assert script.DRAWING.read_text(encoding="utf-8") == drawn, "run: python scripts/draw_packages.py"


def test_the_graph_is_read_from_the_code_wherever_an_import_stands(script: ModuleType, tmp_path: Path) -> None:
    imports = {
        "low": "",
        "middle": "from gradual.low import thing",
        "high": "def later():\n    import gradual.middle\n    from gradual import low",
    }
    graph = script.read_graph(write_packages(tmp_path, imports))
    assert graph == {"low": frozenset(), "middle": {"low"}, "high": {"low", "middle"}}


def test_a_row_lies_above_all_that_it_imports_from(script: ModuleType) -> None:
    graph = {"low": frozenset(), "left": frozenset({"low"}), "right": frozenset(), "high": frozenset({"left", "right"})}
    assert script.rows_of(graph) == [["low"], ["left", "right"], ["high"]]


def test_an_arrow_that_a_longer_way_shows_is_left_out(script: ModuleType) -> None:
    graph = {"low": frozenset(), "middle": frozenset({"low"}), "high": frozenset({"low", "middle"})}
    assert script.without_detours(graph)["high"] == {"middle"}


def test_packages_that_import_from_each_other_are_named(script: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"in a circle: \['one', 'other'\]"):
        script.rows_of({"one": frozenset({"other"}), "other": frozenset({"one"})})


def test_the_page_names_modules_and_what_is_in_them() -> None:
    assert len([name for _, name in NAMED if name]) > 30


@pytest.mark.parametrize(("module", "name"), NAMED, ids=lambda part: part or "module")
def test_what_the_page_names_is_there(module: str, name: str) -> None:
    assert (SOURCE / module).is_file(), f"docs/architecture.md names {module}, which is not there"
    assert not name or name in defined(SOURCE / module), f"docs/architecture.md names {name} in {module}"


def defined(file: Path) -> set[str]:
    """Functions, classes and constants at the top of a module."""
    names: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {ast.unparse(target) for target in targets}
    return names
