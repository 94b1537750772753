"""Weights of 4 and 8 bits: read with trees, trained with an adapter in 32 bits. Needs the extra `quant`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.support.training import make_rows
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from gradual.config.model import ModelConfig
from gradual.config.run import LoraSettings
from gradual.config.stage import StageConfig
from gradual.engines.transformers_engine import TransformersEngine, reading_warnings, reads_trees
from gradual.models.load import load_model
from gradual.models.shapes import hollow_model, weight_bytes
from gradual.training.epochs import EpochRecord, Score
from gradual.training.train import train_stage

pytest.importorskip("bitsandbytes")
pytestmark = [pytest.mark.tiny, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def wide_folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the tiny Llama, but wide enough for blocks of 64 weights."""
    folder, tokenizer = tmp_path_factory.mktemp("wide"), AutoTokenizer.from_pretrained(tiny_folder)
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 2}
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    torch.manual_seed(0)
    shape: dict[str, Any] = {"vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 128}
    LlamaForCausalLM(LlamaConfig(**shape, **heads, **ends, initializer_range=0.3)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["nf4", "int8"])
def test_a_quantised_model_is_read_with_trees_and_trained(wide_folder: Path, tmp_path: Path, kind: Any) -> None:
    settings = ModelConfig(name_or_path=str(wide_folder), dtype="float32", device="cpu", quantization=kind)
    loaded = load_model(settings)
    assert loaded.fingerprint["quantization"] == kind
    assert loaded.model.model.layers[0].mlp.up_proj.weight.dtype == {"nf4": torch.uint8, "int8": torch.int8}[kind]
    assert reads_trees(loaded)
    assert reading_warnings(loaded) == []
    records: list[EpochRecord] = []
    train_stage(
        loaded, make_rows(TransformersEngine(loaded)),
        StageConfig(select="True", num_train_epochs=2, learning_rate=0.01, warmup_steps=0),
        lora=LoraSettings(r=4), start_adapter=None, folder=tmp_path, score=lambda model: Score(0.0, 0.0), seed=3,
        on_epoch=records.append,
    )  # fmt: skip
    assert records[2].loss < records[1].loss
    adapter = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert {weights.dtype for weights in adapter.values()} == {torch.float32}
    assert any(bool((weights != weights.bfloat16().float()).any()) for weights in adapter.values())  # not rounded


def test_the_bytes_of_quantised_weights_are_known_before_they_are_loaded(wide_folder: Path) -> None:
    settings = ModelConfig(name_or_path=str(wide_folder), dtype="float32", device="cpu", quantization="int8")
    expected = sum(each.numel() * each.element_size() for each in load_model(settings).model.parameters())
    assert weight_bytes(hollow_model(settings), "int8") == pytest.approx(expected, rel=0.01)
