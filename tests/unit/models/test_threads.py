"""Threads of torch sleep while they wait, unless the user says otherwise; importing the package alone sets nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
AS_TORCH_IS_LOADED = """
import os, sys
class Probe:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"), flush=True)
            os._exit(0)
sys.meta_path.insert(0, Probe())
"""
"""Prints the policy, and ends, where torch is about to be loaded."""


def printed_by(statements: str, **variables: str) -> str:
    """What a new interpreter prints, under no other variables for threads than those given."""
    env = {name: value for name, value in os.environ.items() if name not in VARIABLES} | variables
    done = subprocess.run([sys.executable, "-c", statements], capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "statement",
    [
        "import gradual.models.adapters",
        "import gradual.engines.transformers_engine",
        "import gradual.engines.token_tree; import torch",
        "import gradual.training.train",
        "from gradual.testing import make_tiny_model; make_tiny_model('tiny')",
    ],
)
def test_threads_are_told_to_sleep_before_torch_is_loaded(statement: str) -> None:
    assert printed_by(AS_TORCH_IS_LOADED + statement) == "PASSIVE"


@pytest.mark.parametrize(
    ("variable", "value", "policy"),
    [("OMP_WAIT_POLICY", "ACTIVE", "ACTIVE"), ("GOMP_SPINCOUNT", "100", "None"), ("KMP_BLOCKTIME", "200", "None")],
)
def test_what_the_user_has_set_stays(variable: str, value: str, policy: str) -> None:
    statements = f"import os, gradual.models; print(os.environ.get('OMP_WAIT_POLICY'), os.environ['{variable}'])"
    assert printed_by(statements, **{variable: value}) == f"{policy} {value}"


@pytest.mark.parametrize("module", ["gradual", "gradual.api", "gradual.cli.app"])
def test_importing_the_package_leaves_the_environment_alone(module: str) -> None:
    assert printed_by(f"import os; before = dict(os.environ); import {module}; print(before == os.environ)") == "True"
