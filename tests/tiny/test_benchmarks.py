"""lm-evaluation-harness scores a run before and after, on tasks of our own, without a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.tiny.conftest import write_toys

import gradual
from gradual.config.run import RunConfig
from gradual.config.yaml_file import parse_config
from gradual.errors import ConfigError
from gradual.files import storage
from gradual.run.folder import RunDir
from gradual.run.measures.benchmarks import check_benchmarks

pytest.importorskip("lm_eval", reason="make test-extras runs it, with the extra lm-eval")
pytestmark = [
    pytest.mark.tiny,
    pytest.mark.filterwarnings("default"),  # the harness and its own libraries
]
TASK = """
task: own_capitals
dataset_path: json
dataset_kwargs: {data_files: {test: DATA}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{q}}"
doc_to_choice: "{{choices}}"
doc_to_target: gold
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
metadata: {version: 1}
"""


@pytest.fixture
def settings(tiny_folder: Path, tmp_path: Path) -> dict[str, Any]:
    """Of a run with a task of four questions, two answers each: 'red' is right in all."""
    questions = [{"q": f"Colour {number} is", "choices": ["red", "blue"], "gold": 0} for number in range(4)]
    data = tmp_path / "capitals.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in questions))
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "own.yaml").write_text(TASK.replace("DATA", str(data)))
    return {
        "model": {"name_or_path": str(tiny_folder), "dtype": "float32", "device": "cpu"},
        "facts": {"path": str(write_toys(tmp_path / "f.jsonl", 1, 16)), "splits": {"exemplars_per_relation": 3}},
        "probe": {"num_exemplar_sets": 1, "num_shots": 1, "max_new_tokens": 3, "tolerance": 0.5},
        "evaluation": {
            "lm_eval": ["own_capitals"],
            "lm_eval_limit": 3,
            "lm_eval_tasks": str(tmp_path / "tasks"),
            "confidence": False,
            "drift": False,
        },
        "lora": {"r": 2},
        "stages": [{"strategy": "all", "num_train_epochs": 1, "num_shots": 1, "batch_size": 8, "warmup_steps": 0}],
    }


def config_of(settings: dict[str, Any], *names: str) -> RunConfig:
    evaluation = settings["evaluation"] | ({"lm_eval": list(names)} if names else {})
    return parse_config(settings | {"evaluation": evaluation}, ["model.trust_remote_code=true"])


def test_a_run_is_scored_before_and_after_and_never_twice(settings: dict[str, Any], tmp_path: Path) -> None:
    config, run = config_of(settings), RunDir(tmp_path / "run")
    gradual.fit(config, run.path)
    summary = storage.read_json(run.summary)
    assert [each["stage"] for each in summary["benchmarks"]] == [0, 1]
    for each in summary["benchmarks"]:
        (score,) = each["scores"]
        assert (score["task"], score["metric"], score["num_examples"]) == ("own_capitals", "acc", 3)
        p = score["value"]
        assert p in (0.0, pytest.approx(1 / 3), pytest.approx(2 / 3), 1.0)
        assert score["standard_error"] == pytest.approx((p * (1 - p) / 2) ** 0.5)  # of a mean of 3: sd / sqrt(3)
    assert "Benchmarks" in (run.report.read_text() if run.report.is_file() else gradual.report(run.path).read_text())
    before = (run.benchmarks(1) / "cost.json").read_bytes()
    gradual.fit(config, run.path)
    assert (run.benchmarks(1) / "cost.json").read_bytes() == before


def test_unknown_tasks_and_missing_data_are_told_before_a_model_is_loaded(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "capitals.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"own_capitals with the data, found that they cannot be loaded .*--online"):
        check_benchmarks(config_of(settings))
    with pytest.raises(ConfigError, match=r"found own_capital; did you mean 'own_capitals'\?"):
        check_benchmarks(config_of(settings, "own_capital"))
