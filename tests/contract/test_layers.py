"""The rule of the house: packages lie in layers, each imports only from those below, and says what it owns."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

from gradual.config.run import RunConfig

SRC = Path(__file__).resolve().parents[2] / "src" / "gradual"

ORDER = (
    *("errors text progress", "files", "statistics", "knowledge", "selection", "config", "facts", "models", "engines"),
    *(
        "workers",
        "probing training",
        "run",
        "asking comparison",
        "tuning",
        "findings",
        "reporting",
        "exporting",
        "environment",
    ),
    *("preparation opening", "afterwards api", "__init__", "cli testing", "__main__"),
)
"""Lowest first. Those of one line know nothing of each other, but for `errors`, `text` and `progress`."""
LOAD_MODELS = {"models", "engines", "training"}
"""Packages whose modules may load torch and its kind as they are loaded themselves; others load them when needed."""

HEAVY = {"accelerate", "datasets", "gguf", "huggingface_hub", "peft", "ray", "torch", "transformers", "trl"}
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


@cache
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


def modules_of(package: str) -> list[str]:
    return [module for module in TREES if package_of(module) == package]


@pytest.mark.parametrize("package", RANK)
def test_a_package_is_there_and_imports_only_from_those_below(package: str) -> None:
    assert modules_of(package)
    below = {name for name, rank in RANK.items() if rank < RANK[package]} | {package}
    if package in ORDER[0].split():
        below = set(ORDER[0].split())
    reached = {(module, package_of(other)) for module in modules_of(package) for other in reached_by(module)}
    assert sorted((module, other) for module, other in reached if other not in below) == []


def test_every_package_has_a_place() -> None:
    assert sorted(RANK) == sorted({package_of(module) for module in TREES})


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
        if package_of(other) == package and not other.endswith("__init__")
    }
    assert sorted(exported(package)) == sorted(wanted)


def test_no_private_name_is_imported() -> None:
    own = [
        (module, imported.name)
        for module in TREES
        for imported in imports_of(TREES[module])
        if own_module(imported.name) is not None
    ]
    assert [(module, name) for module, name in own if re.fullmatch(r"_[^_].*", name.split(".")[-1])] == []


@pytest.mark.parametrize("package", RANK)
def test_libraries_for_models_are_loaded_by_the_packages_that_need_them(package: str) -> None:
    kept_out = SLOW_TO_LOAD if package in LOAD_MODELS else SLOW_TO_LOAD | HEAVY
    loaded = {
        (module, library)
        for module in modules_of(package)
        for imported in imports_of(TREES[module])
        if imported.at_load and (library := imported.name.split(".")[0]) in kept_out
    }
    assert sorted(loaded) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_few_modules(package: str) -> None:
    folders = [tuple(module.split(".")[:-1]) for module in modules_of(package)]
    assert max(folders.count(folder) for folder in set(folders)) <= MOST_MODULES + 1  # and __init__


def test_modules_are_short_and_say_what_they_own() -> None:
    assert [module for module, tree in TREES.items() if not ast.get_docstring(tree)] == []
    lengths = {module: max((node.end_lineno or 0 for node in tree.body), default=0) for module, tree in TREES.items()}
    assert {module: length for module, length in lengths.items() if length > MOST_LINES} == {}


def test_functions_are_short() -> None:
    lengths = {
        f"{module}.{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: length for name, length in lengths.items() if length > MOST_LINES_OF_A_FUNCTION} == {}


def test_scripts_benchmarks_examples_and_tests_import_what_is_there() -> None:
    root = SRC.parents[1]
    folders = ("scripts", "benchmarks", "examples", "tests")
    wanted = {
        (file.name, module.removeprefix("gradual."), name)
        for folder in folders
        for file in sorted((root / folder).rglob("*.py"))
        for module, name in own_imports(ast.parse(file.read_text(encoding="utf-8")))
    }
    missing = {
        (file, module, name)
        for file, module, name in wanted
        if not {f"{module}.{name}", f"{module}.{name}.__init__"} & TREES.keys()
        if module not in TREES or name not in names_in(TREES[module])
        if file != "test_architecture.py"  # it writes packages of its own
    }
    assert len(wanted) > 500
    assert sorted(missing) == []


def test_modules_that_a_module_speaks_of_are_there() -> None:
    names = re.compile(rf"`((?:{'|'.join(PACKAGES)})\.\w+(?:\.\w+)*)`")
    spoken = {(module, name) for module in TREES for name in names.findall(source(module))}
    gone = {(module, name) for module, name in spoken if not name.endswith(".json") and not is_there(name)}
    assert len(spoken) > 50
    assert {each for each in gone if each[1].removeprefix("config.") not in RunConfig.model_fields} == set()


def source(module: str) -> str:
    return (SRC / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")


def is_there(name: str) -> bool:
    """Whether a dotted name is a module, something in one, or a method of a class in one."""
    module, parts = name, []
    while module and module not in TREES and f"{module}.__init__" not in TREES:
        module, _, part = module.rpartition(".")
        parts.append(part)
    return bool(module) and (not parts or (module in TREES and parts[-1] in names_in(TREES[module])))


def own_imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Modules of this package and the names that code imports from them, also code that stands in a text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("gradual."):
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "from gradual." in node.value:
            try:
                yield from own_imports(ast.parse(node.value))
            except SyntaxError:
                continue  # prose, or a template


def names_in(tree: ast.Module) -> set[str]:
    """What a module defines, assigns or imports at its top level."""
    named = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    named |= {
        alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    targets += [node.target for node in tree.body if isinstance(node, ast.AnnAssign)]
    return named | {target.id for target in targets if isinstance(target, ast.Name)}
