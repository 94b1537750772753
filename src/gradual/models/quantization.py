"""Weights of 4 or 8 bits, and models in parts on several devices: what `from_pretrained` is told for them.

bitsandbytes quantises while it loads. Knows settings and packages; what a quantised model computes is between it and
transformers.
"""

from __future__ import annotations

import logging
from importlib import metadata, util
from typing import Any

from gradual.config.model import ModelConfig
from gradual.errors import ModelError

_PACKAGE = "bitsandbytes"
_KINDS_OF_DEVICE = ("cpu", "cuda", "xpu")


def check_quantization(settings: ModelConfig) -> None:
    """Finds out, without loading anything, whether the model can be quantised here.

    Raises:
        ModelError: bitsandbytes is not installed, or does not know the kind of device.
    """
    if settings.quantization == "none":
        return
    if util.find_spec(_PACKAGE) is None:
        raise ModelError(
            f"model.quantization: {settings.quantization} needs the package {_PACKAGE}, found none - "
            "pip install 'gradual-learning[quant]'"
        )
    kind = settings.device.partition(":")[0]
    if kind not in ("auto", *_KINDS_OF_DEVICE):
        raise ModelError(
            f"model.quantization: {settings.quantization} needs one of {', '.join(_KINDS_OF_DEVICE)}, found "
            f"model.device {settings.device} - use another device, or quantization none"
        )


def placement_options(settings: ModelConfig, device: str, dtype: Any) -> dict[str, Any]:
    """Arguments of `from_pretrained` for weights that are quantised or placed as they are loaded; none for others."""
    if settings.quantization == "none":
        return {"device_map": settings.device_map} if settings.device_map else {}
    from transformers import BitsAndBytesConfig

    logging.getLogger(_PACKAGE).setLevel(logging.ERROR)  # it tells of every cast, in every pass
    if settings.quantization == "nf4":  # as in QLoRA (arXiv 2305.14314, section 3), double quantisation included
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    else:  # LLM.int8() (arXiv 2208.07339)
        quantization = BitsAndBytesConfig(load_in_8bit=True)
    return {"quantization_config": quantization, "device_map": settings.device_map or {"": device}}


def placement_fingerprint(settings: ModelConfig) -> dict[str, str]:
    """What of it can change an answer; nothing for a model as it is."""
    if settings.quantization == "none":
        return {}
    return {"quantization": settings.quantization, _PACKAGE: metadata.version(_PACKAGE)}
