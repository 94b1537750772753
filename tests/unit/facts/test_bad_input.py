"""Each bad file is one clear line that names the place and what to do; no file at all is a traceback or a hang."""

from __future__ import annotations

import json
import random
import warnings
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.bad_input import BadFile, bad_files

from gradual.config.yaml_file import load_config
from gradual.errors import GradualError
from gradual.facts.loading import load_facts

FILES = bad_files()
CONFIG = """\
model: {name_or_path: m, dtype: float32}
facts: {path: f.jsonl, relations: [capital], splits: {test: 0.2}}
probe: {num_shots: 4, temperature: 0.5, method: exact}
lora: {r: 8, target_modules: [q_proj, v_proj]}
stages:
- {strategy: maybe_known, learning_rate: 2e-4}
- {select: "now == MaybeKnown and first <= WeaklyKnown", replay: {pool: "now == HighlyKnown", ratio: 0.2, of: mixture}}
seed: 42
"""
PIECES = ("&a ", "*a", "<<: ", "!!python/name:os ", "[", "]", "{", "}", ": ", "- ", "\n", "\t", "#", "'", '"', "|", ">",
          "---\n", "...\n", "%YAML 9.9\n", "? ", "null", "1e999", ".nan", "0" * 20,
          "\x00", "\ufeff", "\ud7ff", "é", "\x85")  # fmt: skip


def read(path: Path) -> str | None:
    """What is said of a file; None where it can be used."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if path.suffix == ".yaml" and path.name != "f.yaml":
                load_config(path)
            else:
                load_facts(path)
        except GradualError as error:
            return str(error)
    return None


@pytest.mark.parametrize("file", FILES, ids=[f"{number}-{file.name}" for number, file in enumerate(FILES)])
def test_bad_file_is_one_line(file: BadFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read(Path(file.write())) == file.message


def test_table_is_large_and_its_messages_name_the_place_and_the_remedy() -> None:
    kinds = Counter(Path(file.name).suffix for file in FILES)
    assert len(FILES) >= 60
    assert all(kinds[kind] >= 5 for kind in (".jsonl", ".json", ".csv", ".parquet", ".yaml")), kinds
    for file in FILES:
        assert file.message.startswith(f"{file.name}:")
        assert "\n" not in file.message
        assert file.message.isprintable()
        assert len(file.message) < 400
        if file.name != "c.yaml":  # what is expected of a setting is what to do
            assert " - " in file.message
    assert len({(file.name, json.dumps(file.content)) for file in FILES}) == len(FILES)


@settings(deadline=20_000, max_examples=150)
@given(data=st.data())
def test_mutated_config_is_settings_or_clear_lines(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    text = CONFIG
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = start + data.draw(st.integers(0, 12))
        text = text[:start] + data.draw(st.sampled_from(PIECES) | st.text(max_size=4)) + text[end:]
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(text.encode(errors="surrogatepass"))
    assert (read(path) or "x").encode()


@settings(deadline=20_000, max_examples=100)
@given(st.binary(max_size=60))
def test_any_bytes_as_config_are_clear_lines(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    assert read(path)


@settings(deadline=20_000, max_examples=200)
@given(
    st.sampled_from([file for file in FILES if file.name != "c.yaml" and isinstance(file.content, str)]), st.integers()
)
def test_mutated_bad_files_are_facts_or_clear_lines(
    tmp_path_factory: pytest.TempPathFactory, file: BadFile, seed: int
) -> None:
    draw = random.Random(seed)
    content = bytearray(file.content.encode())
    for _ in range(draw.randint(1, 6)):
        place = draw.randrange(len(content) + 1)
        content[place : place + draw.randrange(3)] = draw.choice(
            [b'"', b"{", b"]", b"\n", b"\r", b",", b"\xff", b"\0", b""]
        )
    path = tmp_path_factory.getbasetemp() / f"any{Path(file.name).suffix}"
    path.write_bytes(bytes(content))
    assert len((read(path) or "x").splitlines()) <= 21
