"""`gradual probe --server` from the command line to the map, over a stub that reads with a tiny model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support.stub_server import StubServer
from typer.testing import CliRunner, Result

from gradual.cli.app import app
from gradual.config.model import ModelConfig
from gradual.engines.texts import stop_tokens
from gradual.engines.transformers_engine import TransformersEngine
from gradual.knowledge.map import read_map
from gradual.models.load import LoadedModel, load_model, load_tokenizer
from gradual.testing import FakeEngine

QUICK = ("num_exemplar_sets=2", "num_shots=1", "max_new_tokens=3", "num_samples=4", "top_k=20")


class TinyEngine(FakeEngine):
    """Tokens and logits of a tiny model, one path at a time."""

    def __init__(self, loaded: LoadedModel) -> None:
        super().__init__()
        self._model, self._texts = loaded.model, TransformersEngine(loaded)

    def encode(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[list[int]]:
        return self._texts.encode(texts, add_special_tokens=add_special_tokens)

    def logits(self, path: Sequence[int]) -> np.ndarray:
        with torch.inference_mode():
            values: np.ndarray = self._model(torch.tensor([list(path)])).logits[0, -1].numpy()
        return values


@pytest.fixture
def stub(tiny: LoadedModel) -> Iterator[StubServer]:
    with StubServer(TinyEngine(tiny), name="tiny").listening() as server:
        yield server


@pytest.fixture
def facts(tmp_path: Path, toys_writer: Callable[[Path, int, int], Path]) -> Path:
    return toys_writer(tmp_path / "facts.jsonl", 1, 6)


def probe(model: Path, facts: Path, out: Path, *more: object) -> Result:
    settings = [word for setting in QUICK for word in ("--set", f"probe.{setting}")]
    arguments = ["probe", "--model", model, "--facts", facts, "--out", out, "--dtype", "float32", "--json"]
    return CliRunner().invoke(app, [str(each) for each in (*arguments, *settings, *more)])


def test_the_map_is_that_of_the_own_engine(stub: StubServer, tiny_folder: Path, facts: Path, tmp_path: Path) -> None:
    out, own = tmp_path / "map", tmp_path / "own"
    result = probe(tiny_folder, facts, out, "--server", stub.url)
    assert result.exit_code == 0, result.output
    assert "from the local weights" in result.stderr
    assert json.loads(result.stdout)["num_open"] == 0
    assert probe(tiny_folder, facts, own).exit_code == 0
    found, expected = read_map(out), read_map(own)
    for fact in expected:
        assert (found.level_of(fact.id), found[fact.id].greedy_answer) == (fact.level, fact.greedy_answer)
        assert found[fact.id].p_sampled == pytest.approx(fact.p_sampled, abs=2e-3)
    assert found.info.model["server_model"] == "tiny"
    assert found.info.model["tokenizer"] == expected.info.model["tokenizer"]
    again = probe(tiny_folder, facts, out, "--server", stub.url)
    assert "finished; nothing is computed again" in again.stderr
    assert json.loads(again.stdout)["levels"] == json.loads(result.stdout)["levels"]
    stub.version = "2.0"
    other = probe(tiny_folder, facts, out, "--server", stub.url)
    assert "model.server_version: '1.0' in the folder, '2.0' now" in other.stderr


def test_levels_that_few_logprobs_leave_open_are_told_as_open(
    stub: StubServer, tiny_folder: Path, facts: Path, tmp_path: Path
) -> None:
    stub.most_logprobs = 2
    few = ("--set", "model.server.logprobs=2", "--set", "model.server.compare_weights=never")
    result = probe(tiny_folder, facts, tmp_path / "map", "--server", stub.url, *few)
    found = read_map(tmp_path / "map")
    open_ids = [fact.id for fact in found if found.open_levels(fact.id)]
    assert json.loads(result.stdout)["num_open"] == len(open_ids) > 0
    shown = CliRunner().invoke(app, ["show", str(tmp_path / "map"), open_ids[0]])
    assert "Unknown or WeaklyKnown, which is open" in shown.stdout
    assert probe(tiny_folder, facts, tmp_path / "own").exit_code == 0
    own = read_map(tmp_path / "own")
    for fact in own:
        assert fact.level in (found.open_levels(fact.id) or (found.level_of(fact.id),))
    compared = CliRunner().invoke(app, ["diff", str(tmp_path / "map"), str(tmp_path / "own"), "--json"])
    differences = json.loads(compared.stdout)
    assert set(differences["promoted"] + differences["demoted"]).isdisjoint(open_ids)
    assert any("is open in a map" in text for text in differences["warnings"])


def test_a_tokenizer_is_loaded_without_weights(tiny_folder: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in tiny_folder.iterdir():
        if file.suffix != ".safetensors":
            (bare / file.name).write_bytes(file.read_bytes())
    loaded = load_model(ModelConfig(name_or_path=str(tiny_folder), device="cpu"))
    for folder in (tiny_folder, bare):
        alone = load_tokenizer(ModelConfig(name_or_path=str(folder)))
        assert alone.vocab_size == loaded.model.config.vocab_size
        assert stop_tokens(alone.generation_config, alone.tokenizer) == {loaded.tokenizer.eos_token_id}
        assert alone.fingerprint["tokenizer"] == loaded.fingerprint["tokenizer"]
    (bare / "generation_config.json").unlink()
    alone = load_tokenizer(ModelConfig(name_or_path=str(bare)))
    assert stop_tokens(alone.generation_config, alone.tokenizer) == {loaded.tokenizer.eos_token_id}
