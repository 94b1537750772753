"""What stages trained on, in the layouts of other toolkits and with settings that they document."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.small_run import small_run

from gradual.config.run import RunConfig
from gradual.config.stage import AnchorConfig, StageConfig
from gradual.config.yaml_file import parse_config
from gradual.errors import ConfigError
from gradual.exporting.export import ExportRequest, export
from gradual.exporting.stage_rows import StageData, StageRow, stage_data
from gradual.exporting.toolkits import write_toolkit
from gradual.facts.fact import Fact
from gradual.knowledge.levels import Level
from gradual.progress import Silent
from gradual.run.folder import RunDir
from gradual.run.stage_files import read_selection

LLAMA_FACTORY = """
    model_name_or_path stage do_train finetuning_type lora_rank lora_alpha lora_dropout lora_target dataset_dir dataset
    cutoff_len packing output_dir num_train_epochs per_device_train_batch_size gradient_accumulation_steps
    learning_rate weight_decay lr_scheduler_type warmup_steps max_grad_norm seed save_strategy report_to template
    adapter_name_or_path mask_history
"""
"""Arguments that its `hparams` define, or transformers' TrainingArguments, on which they build."""
AXOLOTL = """
    base_model adapter lora_r lora_alpha lora_dropout lora_target_linear lora_target_modules lora_model_dir datasets
    train_on_inputs sequence_len sample_packing val_set_size micro_batch_size gradient_accumulation_steps num_epochs
    optimizer learning_rate lr_scheduler warmup_steps weight_decay max_grad_norm seed bf16 output_dir chat_template
"""
"""Settings of its configuration reference."""
CHAD = Fact("a", "capital", "What is the capital of Chad?", ("N'Djamena", "Ndjamena"))
MALI = Fact("b", "capital", "What is the capital of Mali?", ("Bamako",))


def config_of(**probe: Any) -> RunConfig:
    return parse_config({"model": "me/base", "facts": "f", "probe": probe})


def data(number: int = 1, **settings: Any) -> StageData:
    stage = StageConfig(strategy="all", **{"batch_size": 12, "learning_rate": 1e-5, "num_train_epochs": 8} | settings)
    row = StageRow(CHAD, "new", Level.MAYBE_KNOWN, "N'Djamena", (MALI,))
    return StageData(number, stage, 5, (row,), ())


def written(toolkit: str, config: RunConfig, folder: Path, *stages: StageData) -> dict[str, Any]:
    """The files by name, read as the toolkit reads them: YAML 1.1."""
    folder.mkdir(exist_ok=True)
    write_toolkit(toolkit, stages or (data(),), config, "me/base", folder)
    found: dict[str, Any] = {}
    for path in folder.iterdir():
        text = path.read_text()
        if path.suffix == ".yaml":
            found[path.name] = yaml.safe_load(text)
        elif path.suffix == ".jsonl":
            found[path.name] = [json.loads(line) for line in text.splitlines()]
        else:
            found[path.name] = json.loads(text) if path.suffix == ".json" else text
    return found


# --- rows -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return small_run(tmp_path_factory.mktemp("runs") / "run", stages=2)


def test_a_stages_rows_are_the_facts_it_selected_with_shots_of_their_relation(run: RunDir) -> None:
    config = config_of(num_shots=1).model_copy(
        update={"stages": [StageConfig(select="True", num_shots=1, num_train_epochs=2)] * 2}
    )
    stage = stage_data(run, config, 2)
    assert sorted(row.fact.id for row in stage.rows) == [row.id for row in read_selection(run.selection(2))]
    for row in stage.rows:
        (shot,) = row.shots
        assert (shot.relation, shot.split) == (row.fact.relation, "exemplars")
        assert row.target == row.fact.answers[0]
    assert stage.num_epochs == 2
    assert stage_data(run, config, 2) == stage


def test_what_no_toolkit_can_be_told_is_said(run: RunDir) -> None:
    own = StageConfig(select="True", num_shots=1, anchor=AnchorConfig())
    told = stage_data(run, config_of().model_copy(update={"stages": [own]}), 1).not_carried
    assert [line.split(" ")[0] for line in told] == ["shots", "the", "no"]
    assert "the anchor (own_answers) is left out, with 0 facts" in told


def test_a_schedule_that_falls_is_given_all_its_epochs(run: RunDir) -> None:
    stages = [StageConfig(select="True", num_train_epochs=9, lr_scheduler_type=name) for name in ("linear", "constant")]
    config = config_of().model_copy(update={"stages": stages})
    assert [stage_data(run, config, number).num_epochs for number in (1, 2)] == [9, 2]  # epoch 2 of 2 was kept


# --- layouts --------------------------------------------------------------------------------------------------------

PROMPT = "Q: What is the capital of Mali?\nA: Bamako\nQ: What is the capital of Chad?\nA:"
TURNS = [
    {"role": "user", "content": "What is the capital of Mali?"},
    {"role": "assistant", "content": "Bamako"},
    {"role": "user", "content": "What is the capital of Chad?"},
]
ANSWER = {"role": "assistant", "content": "N'Djamena"}


def test_jsonl_has_everything(tmp_path: Path) -> None:
    found = written("jsonl", config_of(), tmp_path)
    (row,) = found["stage-1.jsonl"]
    assert row == {
        "id": "a",
        "relation": "capital",
        "role": "new",
        "level": "MaybeKnown",
        "question": "What is the capital of Chad?",
        "answers": ["N'Djamena", "Ndjamena"],
        "target": "N'Djamena",
        "prompt": PROMPT,
        "completion": " N'Djamena\n",
    }
    assert found["stage-1.yaml"]["stage"]["learning_rate"] == 1e-5


def test_trl_gets_prompts_and_completions_and_settings_for_its_classes(tmp_path: Path) -> None:
    found = written("trl", config_of(), tmp_path, data(1), data(2))
    assert found["stage-1.jsonl"] == [{"prompt": PROMPT, "completion": " N'Djamena\n"}]
    first, second = found["stage-1.yaml"], found["stage-2.yaml"]
    assert (first["start_from"], second["start_from"], second["data"]) == (None, "stage-1", "stage-2.jsonl")
    sft = first["sft"]
    assert (sft["per_device_train_batch_size"], sft["gradient_accumulation_steps"]) == (6, 2)  # 12 facts a step
    assert (sft["learning_rate"], sft["num_train_epochs"], sft["save_strategy"]) == (1e-5, 5, "no")
    assert (first["lora"]["r"], first["lora"]["target_modules"]) == (16, "all-linear")
    ast.parse(found["train.py"])
    assert "    python train.py stage-1.yaml\n    python train.py stage-2.yaml\n" in found["README.md"]


def test_llama_factory_gets_a_data_set_with_its_entry_and_documented_settings(tmp_path: Path) -> None:
    found = written("llama-factory", config_of(), tmp_path, data(1), data(2))
    assert found["stage-1.json"] == [{"instruction": PROMPT, "input": "", "output": " N'Djamena\n"}]
    settings = found["stage-2.yaml"]
    assert found["dataset_info.json"][settings["dataset"]]["file_name"] == "stage-2.json"
    assert settings.keys() <= set(LLAMA_FACTORY.split())
    assert (settings["lora_rank"], settings["lora_alpha"], settings["lora_target"]) == (16, 32, "all")
    assert (settings["template"], settings["adapter_name_or_path"]) == ("empty", "stage-1")
    assert "adapter_name_or_path" not in found["stage-1.yaml"]


def test_axolotl_gets_columns_and_documented_settings(tmp_path: Path) -> None:
    found = written("axolotl", config_of(), tmp_path, data(1), data(2))
    assert found["stage-1.jsonl"] == [{"prompt": PROMPT, "completion": " N'Djamena\n"}]
    settings = found["stage-2.yaml"]
    assert settings.keys() <= set(AXOLOTL.split())
    assert settings["datasets"][0]["type"]["format"] == "{instruction}"
    assert (settings["micro_batch_size"] * settings["gradient_accumulation_steps"], settings["num_epochs"]) == (12, 5)
    assert (settings["lora_model_dir"], settings["lora_target_linear"]) == ("stage-1", True)


def test_chats_keep_their_shots_as_turns_without_loss(tmp_path: Path) -> None:
    config = config_of(prompt_style="chat", system_prompt="Be brief.")
    turns = [{"role": "system", "content": "Be brief."}, *TURNS]
    assert written("trl", config, tmp_path / "t")["stage-1.jsonl"] == [{"prompt": turns, "completion": [ANSWER]}]
    factory = written("llama-factory", config, tmp_path / "l")
    assert factory["stage-1.json"] == [{"messages": [*turns, ANSWER]}]
    assert factory["stage-1.yaml"]["mask_history"] is True
    assert "template" not in factory["stage-1.yaml"]
    axolotl = written("axolotl", config, tmp_path / "a")
    assert [turn["training"] for turn in axolotl["stage-1.jsonl"][0]["messages"]] == [False] * 4 + [True]
    assert axolotl["stage-1.yaml"].keys() <= set(AXOLOTL.split())


def test_settings_without_a_form_are_refused(tmp_path: Path) -> None:
    pattern = config_of().model_copy(update={"lora": config_of().lora.model_copy(update={"target_modules": ".*q"})})
    with pytest.raises(ConfigError, match="expected names of layers, found the pattern"):
        written("axolotl", pattern, tmp_path)
    half = config_of().model_copy(update={"lora": config_of().lora.model_copy(update={"lora_alpha": 0.5})})
    with pytest.raises(ConfigError, match=r"LLaMA-Factory takes whole numbers, found 0\.5"):
        written("llama-factory", half, tmp_path)


def test_a_run_is_exported_for_a_toolkit_stage_by_stage(run: RunDir, tmp_path: Path) -> None:
    done = export(ExportRequest(run.path, tmp_path / "out", toolkit="trl"), online=False, progress=Silent())
    names = ["README.md", "export.json", "stage-1.jsonl", "stage-1.yaml", "stage-2.jsonl", "stage-2.yaml", "train.py"]
    assert done.file_names == names
    first = ExportRequest(run.path, tmp_path / "first", toolkit="jsonl", stage=1)
    assert "stage-2.jsonl" not in export(first, online=False, progress=Silent()).file_names
