"""A process is offline unless it asks not to be, and says which package it lacks."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable

import pytest

import gradual
from gradual.config.yaml_file import parse_config
from gradual.environment import prepare_environment, require_packages
from gradual.errors import ModelError


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # Set first, so that what the code under test sets is undone.
    for name in (
        "TOKENIZERS_PARALLELISM",
        "HF_HUB_DISABLE_TELEMETRY",
        "HF_HUB_DISABLE_PROGRESS_BARS",
        "HF_HUB_OFFLINE",
    ):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("TRANSFORMERS_VERBOSITY", "debug")
    for name in ("huggingface_hub.constants", "datasets.config", "transformers"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.parametrize(("online", "value"), [(False, "1"), (True, "0")])
def test_network_is_used_only_when_asked_for(monkeypatch: pytest.MonkeyPatch, online: bool, value: str) -> None:
    constants = types.ModuleType("huggingface_hub.constants")
    monkeypatch.setitem(sys.modules, "huggingface_hub.constants", constants)
    prepare_environment(online=online)
    assert os.environ["HF_HUB_OFFLINE"] == value
    assert constants.HF_HUB_OFFLINE is not online


def test_what_the_user_has_set_stays() -> None:
    prepare_environment(online=False)
    assert os.environ["TRANSFORMERS_VERBOSITY"] == "debug"
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"


def test_missing_package_is_named_with_its_remedy() -> None:
    require_packages(["json"])
    with pytest.raises(ModelError, match=r"found no no_such_package - pip install 'gradual-learning\[train\]'"):
        require_packages(["json", "no_such_package"])


@pytest.mark.parametrize(
    "work", [lambda: gradual.probe("owner/model", "f.csv"), lambda: gradual.fit("run.yaml", "out")]
)
def test_what_needs_the_extra_says_so_first(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> None:
    monkeypatch.setattr("gradual.environment.util.find_spec", lambda _name: None)
    monkeypatch.setattr("gradual.api.settings_of", lambda _config: parse_config({"model": "m", "facts": "f.csv"}))
    with pytest.raises(ModelError, match=r"pip install 'gradual-learning\[train\]'"):
        work()
