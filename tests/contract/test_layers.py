"""The rule of the house: packages lie in layers, each imports only from those below, and says what it owns."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

SRC = Path(__file__).resolve().parents[2] / "src" / "gradual"

ORDER = (
    *("errors text progress", "files", "statistics", "knowledge", "selection", "config", "facts", "models", "engines"),
    *("probing training", "run", "comparison", "findings", "reporting", "environment", "api", "__init__"),
    *("cli testing", "__main__"),
)
"""Lowest first. Those of one line know nothing of each other, but for `errors`, `text` and `progress`."""
LOAD_MODELS = {"models", "engines", "training"}
"""Packages whose modules may load torch and its kind as they are loaded themselves; others load them when needed."""

HEAVY = {"accelerate", "datasets", "gguf", "huggingface_hub", "peft", "torch", "transformers", "trl"}
SLOW_TO_LOAD = {"pandas", "pyarrow", "scipy"}
MOST_MODULES = 13
MOST_LINES = 500
MOST_LINES_OF_A_FUNCTION = 60

RANK = {name: rank for rank, names in enumerate(ORDER) for name in names.split()}
TREES = {
    ".".join(file.relative_to(SRC).with_suffix("").parts): ast.parse(file.read_text(encoding="utf-8"))
    for file in sorted(SRC.rglob("*.py"))
}
"""Every module by its path below the package, such as `facts.matching` and `facts.__init__`."""


class Import(NamedTuple):
    """One imported name; `at_load`: as the module is loaded."""

    name: str
    at_load: bool


def imports_of(node: ast.AST, *, at_load: bool = True) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, at_load) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative import"
            yield from (Import(f"{child.module}.{alias.name}", at_load) for alias in child.names)
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            yield from imports_of(child, at_load=False)
        else:
            is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports_of(child, at_load=at_load and not is_function)


def own_module(name: str) -> str | None:
    """The module of this package that an import reaches: `gradual.facts.fact.Fact` -> facts.fact; None for others."""
    first, *rest = name.split(".")
    if first != "gradual":
        return None
    while rest and ".".join(rest) not in TREES and ".".join([*rest, "__init__"]) not in TREES:
        rest.pop()
    return ".".join(rest) if ".".join(rest) in TREES else ".".join([*rest, "__init__"])


def reached_by(module: str) -> set[str]:
    return {other for imported in imports_of(TREES[module]) if (other := own_module(imported.name)) is not None}


def package_of(module: str) -> str:
    return module.partition(".")[0]


def exported(package: str) -> list[str]:
    """The modules of a package that others may import."""
    for node in TREES[f"{package}.__init__"].body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    return []


PACKAGES = sorted({package_of(module) for module in TREES if "." in module})


def test_every_package_has_one_place_and_every_place_a_package() -> None:
    assert sorted(RANK) == sorted({package_of(module) for module in TREES})


@pytest.mark.parametrize("module", TREES)
def test_imports_only_from_packages_below(module: str) -> None:
    here = package_of(module)
    if here in ORDER[0].split():
        assert reached_by(module) <= set(ORDER[0].split())
        return
    assert {package_of(other) for other in reached_by(module) if RANK[package_of(other)] >= RANK[here]} <= {here}


def test_no_import_comes_back_to_where_it_started() -> None:
    graph = {module: {other for other in reached_by(module) if not other.endswith("__init__")} for module in TREES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("package", PACKAGES)
def test_others_import_what_a_package_exports_and_it_exports_what_others_import(package: str) -> None:
    wanted = {
        other.split(".")[1]
        for module in TREES
        if package_of(module) != package
        for other in reached_by(module)
        if package_of(other) == package
    }
    assert sorted(exported(package)) == sorted(wanted)


@pytest.mark.parametrize("module", TREES)
def test_no_private_name_is_imported(module: str) -> None:
    assert [
        i.name
        for i in imports_of(TREES[module])
        if own_module(i.name) and re.fullmatch(r"_[^_].*", i.name.split(".")[-1])
    ] == []


@pytest.mark.parametrize("module", TREES)
def test_libraries_for_models_are_loaded_by_the_packages_that_need_them(module: str) -> None:
    loaded = {imported.name.split(".")[0] for imported in imports_of(TREES[module]) if imported.at_load}
    assert sorted(loaded & (SLOW_TO_LOAD if package_of(module) in LOAD_MODELS else SLOW_TO_LOAD | HEAVY)) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_few_modules(package: str) -> None:
    folders = [tuple(module.split(".")[:-1]) for module in TREES if package_of(module) == package]
    assert max(folders.count(folder) for folder in set(folders)) <= MOST_MODULES + 1  # and __init__


@pytest.mark.parametrize("module", TREES)
def test_module_is_short_and_says_what_it_owns(module: str) -> None:
    assert ast.get_docstring(TREES[module])
    assert max((node.end_lineno or 0 for node in TREES[module].body), default=0) <= MOST_LINES


@pytest.mark.parametrize("module", TREES)
def test_functions_are_short(module: str) -> None:
    functions = [n for n in ast.walk(TREES[module]) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {f.name: (f.end_lineno or 0) - f.lineno + 1 for f in functions}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES_OF_A_FUNCTION} == {}
