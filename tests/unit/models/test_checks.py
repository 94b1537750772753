"""Headers and settings of models: whatever a file claims, it passes or is one line, at once and in little memory."""

from __future__ import annotations

import json
import math
import struct
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from gradual.errors import ModelError
from gradual.models.checks import check_adapter_folder, check_gguf, check_model_folder, safetensors_shapes

WEIGHTS = save({"a": np.zeros((4, 8), np.float32), "b": np.zeros(8, np.float32)})
SETTINGS = {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 4, "vocab_size": 8}


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def gguf(
    *,
    version: int = 3,
    tensors: int = 1,
    values: int = 2,
    body: bytes = text(b"name") + struct.pack("<I", 8) + text(b"tiny")
    + text(b"tokens") + struct.pack("<IIQ", 9, 8, 2) + text(b"a") + text(b"b"),
    tensor: bytes = text(b"w") + struct.pack("<IQQIQ", 2, 4, 8, 0, 0),
    data: bytes = bytes(128),
) -> bytes:  # fmt: skip
    return b"GGUF" + struct.pack("<IQQ", version, tensors, values) + body + tensor + data


def error_of(check: Callable[[Path], object], path: Path) -> str:
    tracemalloc.start()
    try:
        with pytest.raises(ModelError) as caught:
            check(path)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    said = str(caught.value)
    assert "\n" not in said
    assert str(path) in said
    return said.replace(str(path), "f")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "another kind of file"),
        (b"PK\x03\x04", "another kind of file"),
        (b"GGUF", "its end too early"),
        (gguf(version=99), "version 99, not 2 or 3"),
        (gguf(version=0x03000000), "version 50331648, not 2 or 3"),
        (gguf(tensors=1 << 62), "4611686018427387904 tensors and 2 values, more than the file can hold"),
        (gguf(values=1 << 62), "1 tensors and 4611686018427387904 values, more than the file can hold"),
        (gguf(values=3)[:150], "its end too early"),
        (gguf(values=1, body=struct.pack("<Q", 1 << 60)), "its end too early"),
        (gguf(values=1, body=struct.pack("<q", -1)), "its end too early"),
        (gguf(values=1, body=text(b"k") + struct.pack("<IIQ", 9, 4, 1 << 40)),
         "a list of 1099511627776 values, more than the file can hold"),
        (gguf(values=1, body=text(b"k") + struct.pack("<IIq", 9, 8, -1)),
         "a list of 18446744073709551615 values, more than the file can hold"),
        (gguf(values=1, body=text(b"k") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 9),
         "lists nested too deep"),
        (gguf(values=1, body=text(b"k") + struct.pack("<I", 77)), "a value of the unknown type 77"),
        (gguf(values=1, body=text(b"\xff\xfe") + struct.pack("<I", 0)), "text that is not UTF-8"),
        (gguf(tensor=text(b"w") + struct.pack("<I", 1 << 31)), "2147483648 dimensions in 'w', not 1 to 4"),
        (gguf(tensor=text(b"w") + struct.pack("<IQQIQ", 2, 1 << 31, 1 << 31, 0, 0)),
         "'w' of 2147483648 x 2147483648 weights, more than the file can hold"),
        (gguf(tensor=text(b"w") + struct.pack("<IQIQ", 1, 4, 0, 1 << 50)),
         "'w' of 4 weights, more than the file can hold"),
    ],
)  # fmt: skip
def test_hostile_gguf_header_is_one_line(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    assert error_of(check_gguf, path) == f"f: expected a GGUF file, found {found} - download it again"


def test_sound_gguf_header_passes(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf())
    check_gguf(path)


@given(st.integers(0, 150), st.binary(max_size=9), st.integers(0, 300))
def test_mutated_gguf_header_passes_or_is_one_line(
    tmp_path_factory: pytest.TempPathFactory, offset: int, damage: bytes, length: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.gguf"
    whole = gguf()
    path.write_bytes((whole[:offset] + damage + whole[offset + len(damage) :])[:length])
    try:
        check_gguf(path)
    except ModelError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017 - passing is as good


def with_header(change: Callable[[dict[str, dict[str, object]]], object]) -> bytes:
    length = struct.unpack("<Q", WEIGHTS[:8])[0]
    header = json.loads(WEIGHTS[8 : 8 + length])
    change(header)
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + WEIGHTS[8 + length :]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        WEIGHTS[:5],
        WEIGHTS[:40],
        WEIGHTS[:-1],
        WEIGHTS + b"more",
        struct.pack("<Q", 1 << 62) + WEIGHTS[8:],
        struct.pack("<q", -1) + WEIGHTS[8:],
        struct.pack("<Q", 99_999_999) + WEIGHTS[8:],
        WEIGHTS[:8] + b"\xff" * (len(WEIGHTS) - 8),
        b"\x80\x04\x95" + bytes(50),
        struct.pack("<Q", 2) + b"[]",
        with_header(lambda header: header["a"].update(shape=[-4, -8])),
        with_header(lambda header: header["a"].update(shape=[1 << 40, 1 << 40])),
        with_header(lambda header: header["a"].update(dtype="OBJ")),
        with_header(lambda header: header["a"].update(data_offsets=[0, 1 << 50])),
        with_header(lambda header: header["a"].update(data_offsets=[64, 0])),
        with_header(lambda header: header["b"].update(data_offsets=header["a"]["data_offsets"])),
        with_header(lambda header: header.pop("a")),
        with_header(lambda header: header.update({f"t{n}": header["a"] for n in range(100)})),
    ],
)
def test_hostile_safetensors_header_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    said = error_of(safetensors_shapes, path)
    assert said.startswith("f: expected a safetensors file, found something else (")
    assert said.endswith(") - download it again")
    assert len(said) < 220


@given(st.integers(0, len(WEIGHTS)), st.binary(max_size=9), st.integers(0, len(WEIGHTS) + 20))
def test_mutated_safetensors_header_passes_or_is_one_line(
    tmp_path_factory: pytest.TempPathFactory, offset: int, damage: bytes, length: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    path.write_bytes((WEIGHTS[:offset] + damage + WEIGHTS[offset + len(damage) :])[:length])
    try:
        shapes = safetensors_shapes(path)
    except ModelError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017 - passing is as good
    else:
        assert all(math.prod(shape) <= 40 for shape in shapes.values())


def model(folder: Path, *, config: object = SETTINGS, files: Mapping[str, object] | None = None) -> Path:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    for name, value in {"config.json": config, **(files or {})}.items():
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        (folder / name).write_bytes(content)
    return folder


def test_sound_folder_passes(tmp_path: Path) -> None:
    check_model_folder(model(tmp_path / "m", files={"tokenizer_config.json": {"model_max_length": int(1e30)}}))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (b"{", "expected a JSON object, found broken JSON"),
        (b"\xff\xfe", "expected a JSON object, found broken JSON"),
        (b"[" * 100_000, "expected a JSON object, found broken JSON"),
        (b'{"a": ' * 100_000, "expected a JSON object, found broken JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "expected a JSON object, found broken JSON"),
        (b" " * 20_000_001, "expected at most 20,000,000 bytes of settings, found more"),
        ([1], "expected a JSON object, found a value of type list"),
        (SETTINGS | {"num_hidden_layers": 10**7},
         "expected num_hidden_layers of at most 2, as there are so many tensors, found 10000000"),
        (SETTINGS | {"text_config": {"n_layer": 10**7}},
         "expected n_layer of at most 2, as there are so many tensors, found 10000000"),
        (SETTINGS | {"hidden_size": 10**9},
         "expected hidden_size x vocab_size of at most the 40 weights, found 1000000000 x 8"),
        (SETTINGS | {"intermediate_size": 10**9},
         "expected hidden_size x intermediate_size of at most the 40 weights, found 4 x 1000000000"),
    ],
)  # fmt: skip
def test_settings_that_fit_no_model_are_one_line(tmp_path: Path, config: object, said: str) -> None:
    path = model(tmp_path / "m", config=config) / "config.json"
    with pytest.raises(ModelError) as caught:
        check_model_folder(path.parent)
    assert str(caught.value) == f"{path}: {said} - download it again"


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "generation_config.json"])
@pytest.mark.parametrize("key", ["_attn_implementation", "attn_implementation", "_attn_implementation_internal"])
@pytest.mark.parametrize("depth", [0, 1, 300])
def test_code_to_fetch_is_refused_unless_it_is_trusted(tmp_path: Path, name: str, key: str, depth: int) -> None:
    value: dict[str, object] = {key: "evil/kernel"}
    for _ in range(depth):
        value = {"inner": [value]}
    folder = model(tmp_path / "m", files={name: value})
    with pytest.raises(ModelError, match=f'found "evil/kernel" - delete {key}; if you trust that code, allow it with'):
        check_model_folder(folder)
    check_model_folder(folder, trust_remote_code=True)


@pytest.mark.parametrize("shard", ["evil.bin", "../m/model.safetensors", "/m.safetensors", 3, None, "a/b.safetensors"])
def test_weights_elsewhere_or_in_pickle_are_refused(tmp_path: Path, shard: object) -> None:
    index = {"weight_map": {"a": shard}}
    folder = model(tmp_path / "m", files={"model.safetensors.index.json": index})
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"expected names of \.safetensors files in the same folder, found"):
        check_model_folder(folder)


def test_missing_shard_is_named(tmp_path: Path) -> None:
    index = {"weight_map": {"a": "model-1.safetensors"}}
    folder = model(tmp_path / "m", files={"model.safetensors.index.json": index})
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"expected the weights in model-1\.safetensors, found no such file"):
        check_model_folder(folder)


def test_adapter_without_safetensors_or_with_classes_to_import_is_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"auto_mapping": {"parent_library": "os"}}')
    with pytest.raises(ModelError, match='expected a class of transformers in auto_mapping, found "os" - set auto_map'):
        check_adapter_folder(tmp_path)
    (tmp_path / "adapter_config.json").write_text('{"auto_mapping": null}')
    (tmp_path / "adapter_model.bin").write_bytes(b"\x80")
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors, found adapter_model\.bin - save the adapter as"):
        check_adapter_folder(tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(WEIGHTS)
    check_adapter_folder(tmp_path)
