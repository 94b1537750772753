"""Tiny random models, made once for all tests of this folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from gradual.config.model import ModelConfig
from gradual.engines.transformers_engine import TransformersEngine
from gradual.models.load import LoadedModel, load_model
from gradual.testing import make_tiny_model, toy_facts


def write_toys(path: Path, num_relations: int, facts_per_relation: int) -> Path:
    """A file of invented facts."""
    rows = [
        {"id": fact.id, "relation": fact.relation, "question": fact.question, "answers": list(fact.answers)}
        for fact in toy_facts(num_relations, facts_per_relation)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def toys_writer() -> Callable[[Path, int, int], Path]:
    """See `write_toys`."""
    return write_toys


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved random Llama with two layers."""
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "llama")


@pytest.fixture(scope="session")
def windowed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved random Mistral whose attention sees 16 tokens."""
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "mistral", sliding_window=16)


@pytest.fixture
def tiny(tiny_folder: Path) -> LoadedModel:
    """The tiny Llama, loaded in float32."""
    return load_model(ModelConfig(name_or_path=str(tiny_folder), dtype="float32", device="cpu"))


@pytest.fixture
def tiny_engine(tiny: LoadedModel) -> TransformersEngine:
    """An engine over the tiny Llama."""
    return TransformersEngine(tiny)


def make_treeless_model(folder: Path, name: str, tokenizer: Any) -> Path:
    """Saves a random model whose architecture cannot read a tree of tokens, with the tokenizer; returns the folder."""
    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "bos_token_id": tokenizer.eos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "initializer_range": 0.3,
        "tie_word_embeddings": False,
    }
    attention = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64}
    torch.manual_seed(1)
    if name == "bloom":  # wants the positions' bias made from a 2-D mask
        model = transformers.BloomForCausalLM(transformers.BloomConfig(**shape, n_layer=2, n_head=4))
    elif name == "mamba":  # a recurrent state, and a 2-D mask
        model = transformers.MambaForCausalLM(transformers.MambaConfig(**shape, num_hidden_layers=2, state_size=8))
    elif name == "rwkv":  # a recurrent state that takes any mask, and heeds none
        model = transformers.RwkvForCausalLM(transformers.RwkvConfig(**shape, num_hidden_layers=2))
    else:  # convolutions beside attention
        layers = ["conv", "full_attention"]
        model = transformers.Lfm2ForCausalLM(transformers.Lfm2Config(**shape, **attention, layer_types=layers))
    letters = set("abcdefghijklmnopqrstuvwxyz")
    others = [i for i in range(len(tokenizer)) if not set(tokenizer.decode([i])) <= letters]
    with torch.no_grad():
        model.get_output_embeddings().weight[others] = 0.0  # seldom the likeliest: what is written is words of a kind
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def treeless_folders(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Saved random models of architectures that cannot read trees, by name."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_folder)
    folder = tmp_path_factory.mktemp("treeless")
    return {name: make_treeless_model(folder / name, name, tokenizer) for name in ("bloom", "mamba", "rwkv", "lfm2")}
