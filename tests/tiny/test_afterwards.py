"""What comes after a run, with a real model: merged weights, questions, and data that TRL's own classes take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import gradual
from gradual.config.yaml_file import parse_config
from gradual.knowledge.map import read_map
from gradual.run.folder import RunDir

pytestmark = pytest.mark.tiny


@pytest.fixture(scope="module")
def run(
    tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory, toys_writer: Callable[[Path, int, int], Path]
) -> RunDir:
    folder = tmp_path_factory.mktemp("afterwards")
    settings = {
        "model": {"name_or_path": str(tiny_folder), "dtype": "float32", "device": "cpu"},
        "facts": {"path": str(toys_writer(folder / "toys.jsonl", 1, 40)), "splits": {"exemplars_per_relation": 6}},
        "probe": {"num_exemplar_sets": 2, "num_shots": 1, "max_new_tokens": 4, "tolerance": 0.1},
        "lora": {"r": 4},
        "stages": [{"strategy": "all", "learning_rate": 0.01, "num_train_epochs": 1, "num_shots": 1, "batch_size": 8}],
    }
    return gradual.fit(parse_config(settings), folder / "run")


def test_merged_weights_answer_as_base_and_adapter_do(run: RunDir, tmp_path: Path) -> None:
    done = gradual.export(run.path, tmp_path / "merged", merge=True)
    card = (done.folder / "README.md").read_text()
    assert "in float32. Read back" in card
    (asked,) = gradual.ask(run.path, ["What is the colour of thing 03?"])
    before, after = asked.answers
    assert (asked.relation, before.said.num_sets, after.stage) == ("toy-0", 2, 1)
    assert after.said != before.said
    (alone,) = gradual.ask(done.folder, ["What is the colour of thing 03?"])
    assert (alone.relation, [answer.said.num_sets for answer in alone.answers]) == ("", [1])


def test_trl_takes_data_and_settings(run: RunDir, tmp_path: Path) -> None:
    from datasets import load_dataset
    from peft import LoraConfig
    from trl import SFTConfig

    folder = gradual.export(run.path, tmp_path / "trl", toolkit="trl").folder
    stage = yaml.safe_load((folder / "stage-1.yaml").read_text())
    rows = load_dataset(
        "json", data_files=str(folder / stage["data"]), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert rows.column_names == ["prompt", "completion"]
    assert len(rows) == len(read_map(run.probe(0)))  # strategy: all
    settings = SFTConfig(**stage["sft"], bf16=False, use_cpu=True)
    assert (settings.learning_rate, settings.num_train_epochs, settings.warmup_steps) == (0.01, 1, 3)
    assert settings.per_device_train_batch_size * settings.gradient_accumulation_steps == 8
    assert LoraConfig(**stage["lora"]).r == 4
