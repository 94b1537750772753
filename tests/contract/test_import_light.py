"""Importing the package and asking for help loads none of the libraries that take seconds."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import pytest

SLOW = ("accelerate", "datasets", "jinja2", "pandas", "peft", "pyarrow", "scipy", "torch", "transformers", "trl")
HELP = """
import contextlib, io, sys
from gradual.cli.app import main
sys.argv = ["gradual", *{arguments!r}]
with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
    main()
assert {expected!r} in shown.getvalue(), shown.getvalue()
"""


def loaded_by(statements: str) -> set[str]:
    """Names of all modules that a new interpreter has loaded after some statements."""
    code = f"{statements}\nimport sys\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_the_package_loads_no_other_package() -> None:
    before = {name.split(".")[0] for name in loaded_by("")}
    packages = {name.split(".")[0] for name in loaded_by("import gradual")} - before
    assert packages - sys.stdlib_module_names == {"gradual"}


@pytest.mark.parametrize(
    "name", ["Fact", "Level", "GradualError", "RunConfig", "load_config", "load_facts", "fit", "read_map"]
)
def test_a_public_name_loads_nothing_slow(name: str) -> None:
    assert sorted(loaded_by(f"import gradual; gradual.{name}") & set(SLOW)) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--help"], "demo"),
        (["probe", "--help"], "--model"),
        (["fit", "--help"], "--out"),
        (["report", "--help"], "report"),
    ],
    ids=["gradual", "probe", "fit", "report"],
)
def test_help_loads_nothing_slow(
    arguments: list[str], expected: str, record_property: Callable[[str, object], None]
) -> None:
    start = time.perf_counter()
    loaded = loaded_by(HELP.format(arguments=arguments, expected=expected))
    record_property("seconds", round(time.perf_counter() - start, 2))
    assert sorted(loaded & set(SLOW)) == []
