"""The map of the package: what each module may import, how long it may be, and that it says what it owns.

A module imports from its own layer or those below it, never in a circle. A new module gets its place in `LAYERS`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "gradual"

LAYERS = {
    "pure": """
        arms chat_worker comparison_record config drawing entities entity_record errors expressions facts guards
        levels linkage matching measured measures noise_record odds_ratios packing problems progress prompts report_text
        resampling run_status selection settings sharing splits stage_config statistics stopping strict_yaml
        training_rows weighting wording
        """,
    "files": """
        chat_templates checkpoints columns config_file knowledge_map loading model_files patterns refusals result_tables
        rows rundir sources stage_records storage tables units
        """,
    "models": """
        adapters asking engines epochs memory models next_tokens packed_loss path_forest training transformers_engine
        tree_attention tree_forest vocabulary
        """,
    "work": """
        begun_arms checking comparing_maps comparison comparison_arms comparison_contrasts comparison_data
        comparison_entities comparison_estimate comparison_noise comparison_runs exact pipeline planning
        preparing probe_folder probing retesting sampled showing stages summary
        """,
    "surface": """
        __init__ __main__ api charts cli commands comparison_charts comparison_figures comparison_page
        comparison_results comparison_story comparison_tables console console_tables entity_tables environment options
        paper_tables report_data report_page report_story table_cells testing transition_tables
        """,
}
"""Lowest first. pure: decides, touches no file. files: reads and writes. models: the only layer that loads torch and
its kind with a module. work: puts those together. surface: what users and readers meet."""

HEAVY = {"accelerate", "datasets", "gguf", "huggingface_hub", "peft", "torch", "transformers", "trl"}
SLOW_TO_LOAD = {"pandas", "pyarrow", "scipy"}
MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 60

RANK = {module: rank for rank, modules in enumerate(LAYERS.values()) for module in modules.split()}
FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {file.stem: ast.parse(file.read_text(encoding="utf-8")) for file in FILES}


class Import(NamedTuple):
    """One imported name; `at_load`: as the module is loaded; `for_types`: seen by a type checker only."""

    name: str
    at_load: bool
    for_types: bool


def imports_of(node: ast.AST, *, at_load: bool = True, for_types: bool = False) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, at_load, for_types) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative import"
            yield from (Import(f"{child.module}.{alias.name}", at_load, for_types) for alias in child.names)
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            for statement in child.body:
                yield from imports_of(ast.Module([statement], []), at_load=at_load, for_types=True)
        else:
            is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports_of(child, at_load=at_load and not is_function, for_types=for_types)


def own_module(name: str) -> str | None:
    """The module of this package that an import reaches: `gradual.facts.Fact` -> facts; None for other packages."""
    package, _, rest = name.partition(".")
    if package != "gradual":
        return None
    module = rest.partition(".")[0]
    return module if module in TREES else "__init__"


def functions_of(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_module_has_one_place_and_every_place_a_module() -> None:
    placed = [module for modules in LAYERS.values() for module in modules.split()]
    assert sorted(placed) == [file.stem for file in FILES]


def test_modules_lie_in_one_folder() -> None:
    assert {file.parent for file in FILES} == {PACKAGE}


@pytest.mark.parametrize("module", TREES)
def test_imports_only_from_its_layer_or_below(module: str) -> None:
    reached = {own_module(imported.name) for imported in imports_of(TREES[module])} - {None}
    upward = sorted(other for other in reached if other is not None and RANK.get(other, 99) > RANK.get(module, 99))
    assert upward == []


def test_no_import_comes_back_to_where_it_started() -> None:
    graph = {
        module: {own_module(imported.name) for imported in imports_of(tree) if not imported.for_types}
        - {None, "__init__"}
        for module, tree in TREES.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("module", TREES)
def test_only_the_models_layer_loads_torch_and_its_kind_with_the_module(module: str) -> None:
    loaded = {imp.name.split(".")[0] for imp in imports_of(TREES[module]) if imp.at_load and not imp.for_types}
    forbidden = SLOW_TO_LOAD if module in LAYERS["models"].split() else SLOW_TO_LOAD | HEAVY
    assert sorted(loaded & forbidden) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_module_is_short(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("module", TREES)
def test_functions_are_short(module: str) -> None:
    lengths = {f.name: (f.end_lineno or 0) - f.lineno + 1 for f in functions_of(TREES[module])}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES_OF_A_FUNCTION} == {}


@pytest.mark.parametrize("module", TREES)
def test_module_says_what_it_owns(module: str) -> None:
    assert ast.get_docstring(TREES[module])
