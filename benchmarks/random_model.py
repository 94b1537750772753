"""Models of random weights in the shapes of real ones, for measuring speed where no weights are at hand."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, __version__

from gradual.models.load import LoadedModel

_FIELDS = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
SHAPES = {
    "0.5b": dict(zip(_FIELDS, (896, 4864, 24, 14, 2), strict=True)),
    "1b": dict(zip(_FIELDS, (2048, 8192, 16, 32, 8), strict=True)),
    "8b": dict(zip(_FIELDS, (4096, 14336, 32, 32, 8), strict=True)),
}
"""Widths and depths of models of the Llama kind, by rough number of parameters."""


def random_model(shape: str, tokenizer_folder: str, device: str) -> LoadedModel:
    """A Llama of random bfloat16 weights, made on its device, with the tokenizer of a folder."""
    tokenizer: Any = AutoTokenizer.from_pretrained(tokenizer_folder)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    config = LlamaConfig(vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id, **SHAPES[shape])
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            model = LlamaForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(torch.float32)
    fingerprint = {
        "name": f"random weights, {shape}",
        "dtype": "bfloat16",
        "device": torch.device(device).type,
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "transformers": __version__,
    }
    return LoadedModel(model, tokenizer, tokenizer_folder, fingerprint)
