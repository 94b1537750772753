"""Models of random weights in the shapes of real ones, for measuring speed where no weights are at hand."""

from __future__ import annotations

import tempfile
from pathlib import Path

_FIELDS = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
SHAPES = {
    "0.5b": dict(zip(_FIELDS, (896, 4864, 24, 14, 2), strict=True)),
    "1b": dict(zip(_FIELDS, (2048, 8192, 16, 32, 8), strict=True)),
    "8b": dict(zip(_FIELDS, (4096, 14336, 32, 32, 8), strict=True)),
}
"""Widths and depths of models of the Llama kind, by rough number of parameters."""


def make_random_model(shape: str) -> Path:
    """Saves a Llama of random bfloat16 weights with the embedded model's tokenizer; returns its folder."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from gradual.config import ModelConfig
    from gradual.models import load_model

    tokenizer = AutoTokenizer.from_pretrained(load_model(ModelConfig(name_or_path="smollm2")).source)
    folder = Path(tempfile.mkdtemp(prefix=f"random-{shape}-"))
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    try:
        model = LlamaForCausalLM(
            LlamaConfig(vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id, **SHAPES[shape])
        )
    finally:
        torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
