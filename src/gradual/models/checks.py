"""Files of models that come from strangers: what is damaged, without end or runs code is refused before it is opened.

Looks at headers and settings only. Knows no torch and no model; `load` loads them.
"""

from __future__ import annotations

import json
import math
import re
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from gradual.errors import ModelError

SETTINGS_FILES = ("config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json")
WEIGHTS, WEIGHTS_INDEX = "model.safetensors", "model.safetensors.index.json"
_MOST_SETTINGS_BYTES = 20_000_000
_NUMBERS_OF_LAYERS = ("num_hidden_layers", "num_layers", "n_layers", "n_layer")
_ADAPTER_WEIGHTS = "adapter_model.safetensors"

_GGUF_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of each plain GGUF value, by the number of its type."""
_GGUF_TEXT, _GGUF_LIST, _GGUF_MOST_DEPTH = 8, 9, 4


PATTERN_SECONDS = 5
"""Processor time for all patterns and texts together."""
_MOST_MEMORY = 1 << 30
_MATCH_SCRIPT = f"""
import json, re, resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({_MOST_MEMORY}, {_MOST_MEMORY}))
resource.setrlimit(resource.RLIMIT_CPU, ({PATTERN_SECONDS}, {PATTERN_SECONDS}))
patterns, texts = json.load(sys.stdin)
for number, pattern in enumerate(patterns):
    print(number, flush=True)
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        continue
    for text in texts:
        compiled.match(text), compiled.fullmatch(text)
print("done")
"""


def check_model_folder(folder: Path, *, trust_remote_code: bool = False) -> None:
    """Looks at the settings and the headers of the weights of a saved model.

    Raises:
        ModelError: a file is not what its name says, weights would be read from elsewhere or from pickle, the settings
            ask for more layers than there are weights, or for code that comes with the model (unless that is trusted).
    """
    settings = {name: read_settings(folder / name) for name in SETTINGS_FILES if (folder / name).is_file()}
    if not trust_remote_code:
        for name, values in settings.items():
            _refuse_fetched_code(folder / name, values)
    adapter = folder / "adapter_config.json"
    if adapter.is_file():
        check_adapter_folder(folder)
        for pattern in adapter_patterns(read_settings(adapter)):  # before it is matched nobody knows with what
            _refuse(adapter, "names of layers", f"the pattern {pattern[:80]!r}", "give the folder as model.adapter")
    shapes = {name: shape for file in _weight_files(folder) for name, shape in safetensors_shapes(file).items()}
    if shapes and "config.json" in settings:
        _refuse_oversized(folder / "config.json", settings["config.json"], shapes)


def check_adapter_folder(folder: Path) -> None:
    """Looks at the settings and the header of the weights of a PEFT adapter.

    Raises:
        ModelError: there are no safetensors, or the settings name classes to import.
    """
    path = folder / "adapter_config.json"
    mapping = read_settings(path).get("auto_mapping")
    library = mapping.get("parent_library") if isinstance(mapping, dict) else mapping
    if library is not None and not str(library).startswith("transformers."):
        _refuse(path, "a class of transformers in auto_mapping", json.dumps(library)[:80], "set auto_mapping to null")
    if not (folder / _ADAPTER_WEIGHTS).is_file():
        names = ", ".join(sorted(each.name for each in folder.glob("adapter_model*"))) or "none"
        _refuse(folder, f"weights in {_ADAPTER_WEIGHTS}", names, "save the adapter as safetensors")
    safetensors_shapes(folder / _ADAPTER_WEIGHTS)


def adapter_patterns(settings: Mapping[str, Any]) -> list[str]:
    """The regular expressions in the settings of an adapter that may be slow, as PEFT matches them with layers."""
    forms = {
        "target_modules": "{}",
        "exclude_modules": "{}",
        "modules_to_save": r"(^|.*\.){}($|\..*)",
        "layers_pattern": r"(?:^|.*?\.){}\.(?P<idx>\d+)\.",
        "rank_pattern": r"(.*\.)?({})$",
        "alpha_pattern": r"(.*\.)?({})$",
    }
    return [
        form.replace("{}", text)
        for name, form in forms.items()
        for text in _texts_in(settings.get(name))
        if may_be_endless(text)
    ]


def _texts_in(value: object) -> list[str]:
    """A text, or the texts of a list, or the names of an object; nothing of anything else."""
    if isinstance(value, str):
        return [value]
    return [each for each in value if isinstance(each, str)] if isinstance(value, list | dict) else []


def read_settings(path: Path) -> dict[str, Any]:
    """The JSON object in a file beside a model's weights.

    Raises:
        ModelError: it is too long, no JSON, or no object.
    """
    with path.open("rb") as file:
        raw = file.read(_MOST_SETTINGS_BYTES + 1)
    if len(raw) > _MOST_SETTINGS_BYTES:
        _refuse(path, f"at most {_MOST_SETTINGS_BYTES:,} bytes of settings", "more")
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        _refuse(path, "a JSON object", "broken JSON")
    if not isinstance(value, dict):
        _refuse(path, "a JSON object", f"a value of type {type(value).__name__}")
    return value


def safetensors_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The name and shape of each tensor in a safetensors file; only its header is read.

    Raises:
        ModelError: the header is damaged, or does not fit the file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, ValueError) as error:
        reason = str(error).removeprefix("Error while deserializing header: ").split(" at line ")[0]
        _refuse(path, "a safetensors file", f"something else ({' '.join(reason.split())[:120]})")


def count_parameters(folder: Path) -> int | None:
    """Numbers in the weights of a saved model, from the headers of its files; None where it has no safetensors.

    Raises:
        ModelError: a file is damaged or missing.
    """
    files = _weight_files(folder)
    return sum(math.prod(shape) for file in files for shape in safetensors_shapes(file).values()) if files else None


def check_gguf(path: Path) -> None:
    """Reads the header of a GGUF file to its end, whatever it claims, without keeping any of it.

    Raises:
        ModelError: it is not GGUF, ends too early, or claims more than the file can hold.
    """
    with path.open("rb") as stream:
        _GgufHeader(path, stream).check()


def _refuse_fetched_code(path: Path, settings: dict[str, Any]) -> None:
    """Kernels named as `owner/name` would be fetched and run."""
    for key, value in _walk_settings(settings):
        if "implementation" in key and isinstance(value, str) and "/" in value:
            remedy = f"delete {key}; if you trust that code, allow it with --trust-remote-code"
            _refuse(path, f"an implementation that comes with transformers in {key}", json.dumps(value)[:80], remedy)


def _walk_settings(settings: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """Every name in the settings with its value, however deep."""
    stack: list[tuple[str, object]] = list(settings.items())
    while stack:
        key, value = stack.pop()
        yield key, value
        if isinstance(value, dict):
            stack += value.items()
        elif isinstance(value, list):
            stack += [(key, inner) for inner in value]


def _weight_files(folder: Path) -> list[Path]:
    """The files that a model's weights are read from, all in the folder itself."""
    single, index = folder / WEIGHTS, folder / WEIGHTS_INDEX
    if single.is_file() or not index.is_file():
        return [single] if single.is_file() else []
    shards = weight_shards(index)
    missing = [shard for shard in shards if not (folder / shard).is_file()]
    if missing:
        _refuse(folder, f"the weights in {missing[0]}", "no such file")
    return [folder / shard for shard in shards]


def weight_shards(index: Path) -> list[str]:
    """Names of the files that an index of safetensors spreads the weights over, sorted; all beside the index.

    Raises:
        ModelError: it is no index, or names anything else.
    """
    shards = read_settings(index).get("weight_map")
    if not isinstance(shards, dict):
        _refuse(index, 'an object in "weight_map"', f"a value of type {type(shards).__name__}")
    for shard in shards.values():
        if not isinstance(shard, str) or not re.fullmatch(r"[\w.-]+\.safetensors", shard):
            name = json.dumps(shard)[:80]
            _refuse(index, "names of .safetensors files in the same folder", name, "save the model as safetensors")
    return sorted(set(shards.values()))


def _refuse_oversized(path: Path, settings: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> None:
    """A model of the size that the settings state is made before its weights are read: they must belong together."""
    weights = sum(math.prod(shape) for shape in shapes.values())
    for each in (settings, settings.get("text_config")):
        if not isinstance(each, dict):
            continue
        for name in _NUMBERS_OF_LAYERS:
            layers = each.get(name)
            if isinstance(layers, int) and layers > len(shapes):
                _refuse(path, f"{name} of at most {len(shapes)}, as there are so many tensors", str(layers))
        width = each.get("hidden_size")
        for name in ("vocab_size", "intermediate_size"):
            height = each.get(name)
            # Packed weights hold up to eight numbers in one.
            if isinstance(width, int) and isinstance(height, int) and width * height > 8 * weights:
                size = f"{width} x {height}"
                _refuse(path, f"hidden_size x {name} of at most the {weights:,} weights", size)


def _refuse(path: Path, expected: str, found: str, remedy: str = "download it again") -> NoReturn:
    raise ModelError(f"{path}: expected {expected}, found {found} - {remedy}")


class _GgufHeader:
    """The header of a GGUF file, read once from front to back."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self._path, self._stream = path, stream
        self._size = path.stat().st_size

    def check(self) -> None:
        if self._stream.read(4) != b"GGUF":
            self._refuse("another kind of file")
        (version,) = self._numbers("I")
        if version not in (2, 3):
            self._refuse(f"version {version}, not 2 or 3")
        num_tensors, num_values = self._numbers("QQ")
        if num_tensors * 24 + num_values * 13 > self._size:
            self._refuse(f"{num_tensors} tensors and {num_values} values, more than the file can hold")
        for _ in range(num_values):
            self._text()
            self._value(self._numbers("I")[0], depth=0)
        for _ in range(num_tensors):
            self._tensor()

    def _tensor(self) -> None:
        name = self._text()
        (num_dimensions,) = self._numbers("I")
        if not 0 < num_dimensions <= 4:
            self._refuse(f"{num_dimensions} dimensions in {name[:60]!r}, not 1 to 4")
        dimensions = self._numbers(f"{num_dimensions}Q")
        _, offset = self._numbers("IQ")
        # The densest of its number formats has a quarter of a byte for a weight; 8 leaves room for new ones.
        if math.prod(dimensions) > 8 * self._size or offset > self._size:
            self._refuse(f"{name[:60]!r} of {' x '.join(map(str, dimensions))} weights, more than the file can hold")

    def _value(self, kind: int, *, depth: int) -> None:
        if kind == _GGUF_TEXT:
            self._text()
        elif kind == _GGUF_LIST:
            inner, count = self._numbers("IQ")
            if depth >= _GGUF_MOST_DEPTH:
                self._refuse("lists nested too deep")
            if count * _GGUF_SIZES.get(inner, 8) > self._size:
                self._refuse(f"a list of {count} values, more than the file can hold")
            if inner in _GGUF_SIZES:
                self._skip(count * _GGUF_SIZES[inner])
            else:
                for _ in range(count):
                    self._value(inner, depth=depth + 1)
        elif kind in _GGUF_SIZES:
            self._skip(_GGUF_SIZES[kind])
        else:
            self._refuse(f"a value of the unknown type {kind}")

    def _numbers(self, form: str) -> tuple[int, ...]:
        return struct.unpack(f"<{form}", self._read(struct.calcsize(f"<{form}")))

    def _text(self) -> str:
        (length,) = self._numbers("Q")
        try:
            return self._read(length).decode()
        except UnicodeDecodeError:
            self._refuse("text that is not UTF-8")

    def _read(self, count: int) -> bytes:
        if count > self._size - self._stream.tell():
            self._refuse("its end too early")
        return self._stream.read(count)

    def _skip(self, count: int) -> None:
        if count > self._size - self._stream.tell():
            self._refuse("its end too early")
        self._stream.seek(count, 1)

    def _refuse(self, found: str) -> NoReturn:
        _refuse(self._path, "a GGUF file", found)


def may_be_endless(pattern: str) -> bool:
    """Whether a pattern holds a sign of repetition without end; most are plain names."""
    return any(sign in pattern for sign in "*+{")


def endless_pattern(patterns: Sequence[str], texts: Sequence[str]) -> str | None:
    """The first pattern that takes more than `PATTERN_SECONDS` or a gigabyte against all the texts; None if none does.

    What is no regular expression is left to whoever uses it.
    """
    if not patterns:
        return None
    process = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _MATCH_SCRIPT],
        input=json.dumps([list(patterns), list(texts)]),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        check=False,
    )
    *_, last = ["0", *process.stdout.split()]
    return None if last == "done" else patterns[int(last)]
