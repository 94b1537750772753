"""What stages trained on, read by the toolkits it is written for: their own settings, and their own tokens and loss."""

from __future__ import annotations

import importlib.machinery
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoTokenizer

from gradual.config.stage import StageConfig
from gradual.config.yaml_file import parse_config
from gradual.exporting.stage_rows import StageData, StageRow
from gradual.exporting.toolkits import write_toolkit
from gradual.facts.fact import Fact
from gradual.knowledge.levels import Level

pytestmark = [
    pytest.mark.tiny,
    pytest.mark.filterwarnings("default"),  # the toolkits' own libraries
]
NOT_HERE = "make test-extras runs it, with the toolkit"
CHAD = Fact("a", "capital", "What is the capital of Chad?", ("N'Djamena",))
MALI = Fact("b", "capital", "What is the capital of Mali?", ("Bamako",))
PLAIN = "Q: What is the capital of Mali?\nA: Bamako\nQ: What is the capital of Chad?\nA: N'Djamena\n"
CHAT = (
    "system: Be brief.|user: What is the capital of Mali?|assistant: Bamako<eos>|"
    "user: What is the capital of Chad?|assistant: N'Djamena<eos>|"
)
STYLES: tuple[dict[str, Any], ...] = ({}, {"prompt_style": "chat", "system_prompt": "Be brief."})


def written(toolkit: str, probe: dict[str, Any], base: Path, folder: Path) -> list[dict[str, Any]]:
    """The settings of two stages that trained on one fact behind one shot; their data lies beside."""
    config = parse_config({"model": str(base), "facts": "f", "probe": probe})
    stage = StageConfig(strategy="all", batch_size=12, learning_rate=1e-5, num_train_epochs=8)
    row = StageRow(CHAD, "new", Level.MAYBE_KNOWN, "N'Djamena", (MALI,))
    stages = [StageData(number, stage, 5, (row,), ()) for number in (1, 2)]
    write_toolkit(toolkit, stages, config, str(base), folder)
    return [yaml.safe_load((folder / f"stage-{number}.yaml").read_text()) for number in (1, 2)]


def texts(tokenizer: Any, ids: Sequence[int], labels: Sequence[int]) -> tuple[str, str]:
    """All that is read, and what carries loss."""
    return tokenizer.decode(ids), tokenizer.decode([each for each in labels if each != -100])


@pytest.mark.parametrize("probe", STYLES)
def test_axolotl_knows_every_setting_and_trains_on_the_answer_alone(
    probe: dict[str, Any], tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AXOLOTL_DO_NOT_TRACK", "1")
    pytest.importorskip("axolotl", reason=NOT_HERE)
    from axolotl.prompt_strategies import load
    from axolotl.utils.dict import DictDefault
    from axolotl.utils.schemas.config import AxolotlInputConfig
    from datasets import load_dataset

    stages = written("axolotl", probe, tiny_folder, tmp_path)
    found = [AxolotlInputConfig(**settings).model_dump() for settings in stages]
    for settings, read in zip(stages, found, strict=True):  # what its schema does not know, it would leave out
        assert {name: read.get(name) for name in settings if name != "datasets"} == {
            name: value for name, value in settings.items() if name != "datasets"
        }
    config = DictDefault(found[0])
    data = config.datasets[0]
    kind = ("chat_template", data) if probe else ("user_defined", {k: v for k, v in data.type.items() if v is not None})
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    rows = load_dataset("json", data_files=str(tmp_path / data.path), split="train", cache_dir=str(tmp_path))
    read = load(kind[0], tokenizer, config, kind[1]).tokenize_prompt(rows[0])
    whole, answer = texts(tokenizer, read["input_ids"], read["labels"])
    assert (whole, answer) == ((CHAT, "N'Djamena<eos>") if probe else (PLAIN + "<eos>", " N'Djamena\n<eos>"))


@pytest.mark.parametrize("probe", STYLES)
def test_llama_factory_reads_the_data_set_and_trains_on_the_answer_alone(
    probe: dict[str, Any], tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISABLE_VERSION_CHECK", "1")  # it asks for an older transformers
    # It loads torchaudio, which has no build for this torch, and uses it for sound alone.
    sound = types.ModuleType("torchaudio")
    sound.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
    monkeypatch.setitem(sys.modules, "torchaudio", sound)
    pytest.importorskip("llamafactory", reason=NOT_HERE)
    from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args

    stages = written("llama-factory", probe, tiny_folder, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    model, data, training, finetuning, _ = get_train_args(stages[0])  # refuses what it does not know
    assert (finetuning.lora_rank, finetuning.lora_alpha, training.learning_rate, training.num_train_epochs) == (
        *(16, 32, 1e-5, 5),
    )
    assert training.per_device_train_batch_size * training.gradient_accumulation_steps == 12
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    template = get_template_and_fix_tokenizer(tokenizer, data)
    row = get_dataset(template, model, data, training, stage="sft", tokenizer=tokenizer)["train_dataset"][0]
    whole, answer = texts(tokenizer, row["input_ids"], row["labels"])
    assert (whole, answer) == ((CHAT, "N'Djamena<eos>|") if probe else (PLAIN, " N'Djamena\n"))
