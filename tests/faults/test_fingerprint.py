"""Whatever can change a result is in the fingerprint of a run, under a name of its own."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch

from gradual.config.yaml_file import parse_config
from gradual.errors import RunDirError
from gradual.facts.prepare import RunFacts
from gradual.models.load import load_model
from gradual.run.checks import run_fingerprint
from gradual.run.folder import open_run
from gradual.testing import make_tiny_model, toy_facts

pytestmark = pytest.mark.tiny

FACTS = tuple(toy_facts(1, 4))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("saved") / "model")


@pytest.fixture
def model(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "model"))


def fingerprint(model: Path, facts: tuple[Any, ...] = FACTS, dropped: int = 0, **settings: Any) -> dict[str, str]:
    plain = {"model": {"name_or_path": str(model), "dtype": "float32"}, "facts": {"path": "toys"}}
    config = parse_config({**plain, **settings})
    run_facts = RunFacts(facts[:1], facts[1:2], facts[2:3], {"toy-0": facts[3:]}, dropped, ())
    return run_fingerprint(config, run_facts, load_model(config.model).fingerprint)


def flip_a_bit_of_the_weights(model: Path) -> None:
    path = model / "model.safetensors"
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # neither its size nor its time tells


def lower_the_text_first(model: Path) -> None:
    path = model / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"normalizer": {"type": "Lowercase"}}))


def change_the_chat_template(model: Path) -> None:
    path = model / "chat_template.jinja"
    path.write_text(path.read_text() + "!")


def change_the_settings_of_the_model(model: Path) -> None:
    path = model / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"rms_norm_eps": 0.001}))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (flip_a_bit_of_the_weights, "model.weights"),
        (change_the_settings_of_the_model, "model.weights"),
        (lower_the_text_first, "model.tokenizer"),
        (change_the_chat_template, "model.chat_template"),
    ],
)
def test_changed_file_of_the_model_is_refused_by_name(
    model: Path, tmp_path: Path, change: Callable[[Path], None], field: str
) -> None:
    before = fingerprint(model)
    change(model)
    after = fingerprint(model)
    assert {name for name in before if before[name] != after[name]} == {field}
    with open_run(tmp_path / "run", before, config_yaml=""):
        pass
    with (
        pytest.raises(RunDirError, match=f"{field}: '{before[field]}' in the folder, '{after[field]}' now"),
        open_run(tmp_path / "run", after, config_yaml=""),
    ):
        pytest.fail("opened")


@pytest.mark.parametrize(
    "change",
    [
        {"question": "What is the colour of thing 01 then?"},
        {"answers": ("mauve",)},
        {"relation": "toy-1"},
        {"id": "other"},
        {"subject": "thing 99"},
        {"split": "test"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_changed_fact_is_noticed(saved: Path, change: dict[str, Any]) -> None:
    before, changed = fingerprint(saved), (FACTS[0], dataclasses.replace(FACTS[1], **change), *FACTS[2:])
    after = fingerprint(saved, changed)
    assert {name for name in before if before[name] != after[name]} == {"facts.digest"}


def test_an_answer_is_no_split(saved: Path) -> None:
    named = dataclasses.replace(FACTS[1], answers=("red", "train"), split="")
    divided = dataclasses.replace(FACTS[1], answers=("red",), split="train")
    both = [fingerprint(saved, (FACTS[0], each, *FACTS[2:])) for each in (named, divided)]
    assert both[0]["facts.digest"] != both[1]["facts.digest"]


def test_number_of_facts_left_out_is_part_of_it(saved: Path) -> None:
    before, after = fingerprint(saved), fingerprint(saved, dropped=1)
    assert {name for name in before if before[name] != after[name]} == {"facts.digest"}


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"seed": 7}, "config.seed"),
        ({"probe": {"temperature": 0.7}}, "config.probe.temperature"),
        ({"lora": {"lora_dropout": 0.1}}, "config.lora.lora_dropout"),
        ({"evaluation": {"exemplar_seed": 1}}, "config.evaluation.exemplar_seed"),
        ({"probe": {"confidence": True}}, "config.probe.confidence"),
    ],
)
def test_changed_setting_is_noticed_by_name(saved: Path, settings: dict[str, Any], field: str) -> None:
    before, after = fingerprint(saved), fingerprint(saved, **settings)
    assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} == {field}


def test_a_run_that_asks_for_no_confidence_has_the_fingerprint_of_runs_before_there_was_any(saved: Path) -> None:
    without = fingerprint(saved, evaluation={"confidence": False})
    assert not [name for name in without if "confidence" in name]
    assert fingerprint(saved)["config.evaluation.confidence"] == "true"


def test_number_of_threads_is_part_of_it(saved: Path) -> None:
    before, threads = fingerprint(saved), torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        after = fingerprint(saved)
    finally:
        torch.set_num_threads(threads)
    assert {name for name in before if before[name] != after[name]} == {"model.threads"}


@pytest.mark.parametrize(
    ("package", "field"),
    [
        ("gradual-learning", "model.gradual"),
        ("jinja2", "model.jinja2"),
        ("numpy", "model.numpy"),
        ("tokenizers", "model.tokenizers"),
        ("transformers", "model.transformers"),
        ("accelerate", "version.accelerate"),
        ("peft", "version.peft"),
        ("pyarrow", "version.pyarrow"),
        ("safetensors", "version.safetensors"),
        ("trl", "version.trl"),
    ],
)
def test_other_version_of_a_package_is_noticed_by_name(
    saved: Path, monkeypatch: pytest.MonkeyPatch, package: str, field: str
) -> None:
    before, version = fingerprint(saved), metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: version(name) + ".other" * (name == package))
    after = fingerprint(saved)
    assert {name for name in before if before[name] != after[name]} == {field}
    assert after[field] == version(package) + ".other"


def test_other_torch_and_python_are_noticed_by_name(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(saved)
    assert (before["model.torch"], before["model.python"]) == (torch.__version__, "{}.{}".format(*sys.version_info))
    monkeypatch.setattr(platform, "python_version_tuple", lambda: ("3", "99", "0"))
    after = fingerprint(saved)
    assert {name for name in before if before[name] != after[name]} == {"model.python"}


def test_version_that_changes_no_result_is_no_part_of_it(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, version = fingerprint(saved), metadata.version
    others = ("datasets", "filelock", "pydantic", "pyyaml", "rich", "scipy", "typer")
    monkeypatch.setattr(metadata, "version", lambda name: version(name) + ".other" * (name in others))
    assert fingerprint(saved) == before


def test_where_a_run_reports_to_is_no_part_of_it(saved: Path) -> None:
    assert fingerprint(saved) == fingerprint(saved, report_to=["tensorboard"])
