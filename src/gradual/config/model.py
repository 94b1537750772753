"""The settings of a model: which one, and how or by whom it is loaded.

`base` says what holds for all settings, `run` puts them into the settings of a run.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from gradual.config.base import NonEmptyText, Settings
from gradual.errors import ConfigError


class ServerConfig(Settings):
    """An inference server that reads in place of this process (docs/larger.md)."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s/@]+(/[^\s@]*)?$")]
    """Where it listens: `http://host:8000`, with or without `/v1`. A key is read from the environment
    (`GRADUAL_API_KEY`, else `OPENAI_API_KEY`), never from here."""
    model: NonEmptyText | None = None
    """Name under which it serves the model; null: the only one it has."""
    logprobs: Annotated[int, Field(ge=2)] | None = None
    """Log-probabilities that it gives at most, where that is less than `probe.top_k`: bounds are then wider, and
    still certain. null: all that the probe needs."""
    adapter_path: NonEmptyText | None = None
    """Where the server finds the folder of `model.adapter`; null: at the same path as here."""
    compare_weights: Literal["auto", "always", "never"] = "auto"
    """Hold the server's answers to 16 short prompts against the weights in `model.name_or_path`, before the probe.

    auto: where they lie in a folder here, take at most 4 GB, and torch is installed."""
    connections: Annotated[int, Field(ge=1, le=256)] = 8
    """Requests that are under way at once."""
    prompts_per_request: Annotated[int, Field(ge=1, le=1024)] = 32
    """Prompts that one request asks."""
    timeout: Annotated[float, Field(gt=0.0)] = 300.0
    """Seconds that one request may take."""
    retry_seconds: Annotated[float, Field(ge=0.0)] = 300.0
    """For so long a request is repeated that the server cannot answer for now (429, 5xx, a dropped connection)."""


class ModelConfig(Settings):
    """Which model, and how it is loaded."""

    EARLIER: ClassVar = {"server": None, "quantization": "none", "device_map": None, "fsdp": None}

    name_or_path: NonEmptyText
    """Hugging Face id or local folder (from the current directory) of the model; `smollm2` is the embedded model."""
    revision: str | None = None
    """Branch, tag or commit of a Hub model."""
    gguf_file: str | None = None
    """File name inside the folder, when the weights are GGUF; they are dequantised."""
    adapter: str | None = None
    """Folder of a PEFT adapter to load on top of the model."""
    dtype: Literal["auto", "bfloat16", "float32", "float16"] = "auto"
    """auto: bfloat16 where the processor multiplies it natively, float32 otherwise."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?|mps|xpu)$")] = "auto"
    """auto: the first GPU if there is one, else the CPU."""
    quantization: Literal["none", "nf4", "int8"] = "none"
    """Weights of 4 (nf4) or 8 bits (int8), quantised while they are loaded, for probing and training (extra `quant`).

    nf4 is QLoRA's; the adapter stays in 32 bits. int8 rounds what is read together by its largest values, so
    probabilities hang a little on what a question is read with, as in 16 bits."""
    device_map: Literal["auto"] | None = None
    """auto: a model that fits on no single GPU is spread over all of them and the CPU's memory; for probing only."""
    fsdp: Literal["full_shard"] | None = None
    """full_shard: the layers of a model that fits on no single GPU lie in parts on those of a launch of several
    processes (FSDP2), for `fit`; all of them pass through the model together, so probes are not dealt out. Other
    commands load it whole."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Only the command line may switch it on."""
    server: ServerConfig | None = None
    """A probe may ask a server: `name_or_path` is then where the tokenizer and the settings are, without weights."""

    @model_validator(mode="after")
    def _is_placed_once(self) -> Self:
        if self.device_map is not None and self.device != "auto":
            raise ConfigError(
                f"model.device_map: {self.device_map} chooses the devices, found device: {self.device} as well; leave "
                "one of them out"
            )
        if self.fsdp is not None and (self.quantization != "none" or self.device_map is not None):
            other = "device_map" if self.device_map is not None else "quantization"
            raise ConfigError(f"model.fsdp: {self.fsdp} does not go with {other}; leave one of them out")
        return self
