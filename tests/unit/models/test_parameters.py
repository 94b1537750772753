"""How large a model is, from the headers of its weights alone."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from gradual.models.checks import count_parameters


def write_weights(path: Path, **shapes: list[int]) -> None:
    """Tensors of one byte a number."""
    header: dict[str, object] = {}
    start = 0
    for name, shape in shapes.items():
        size = 1
        for side in shape:
            size *= side
        header[name] = {"dtype": "I8", "shape": shape, "data_offsets": [start, start + size]}
        start += size
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(start))


def test_parameters_are_counted_over_all_files(tmp_path: Path) -> None:
    assert count_parameters(tmp_path) is None
    write_weights(tmp_path / "one.safetensors", a=[2, 3], b=[4])
    write_weights(tmp_path / "two.safetensors", c=[5])
    places = {"a": "one.safetensors", "b": "one.safetensors", "c": "two.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    assert count_parameters(tmp_path) == 15  # 2 x 3 + 4 + 5
