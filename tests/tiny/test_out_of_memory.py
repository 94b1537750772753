"""When memory runs out, less is done at once and the results stay: probabilities, gradients, adapters."""

from __future__ import annotations

import ctypes
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.out_of_memory import ERRORS, limit_memory
from tests.support.training import make_rows

from gradual.config.run import LoraSettings, ProbeConfig
from gradual.config.stage import StageConfig
from gradual.engines.transformers_engine import TransformersEngine, reads_trees
from gradual.errors import ProbeError, TrainingError
from gradual.knowledge.map import KnowledgeMap
from gradual.models.load import LoadedModel
from gradual.models.memory import free_memory
from gradual.probing.probe import probe_facts
from gradual.testing import toy_facts
from gradual.training.epochs import Score
from gradual.training.loss import pack_tensors
from gradual.training.rows import Pack, TrainingExample, split_packs
from gradual.training.train import train_stage

pytestmark = pytest.mark.tiny

FACTS = toy_facts(2, 12)


def probe(tiny: LoadedModel, **settings: Any) -> KnowledgeMap:
    exemplars = {name: [fact for fact in FACTS if fact.relation == name] for name in ("toy-0", "toy-1")}
    config = ProbeConfig(num_exemplar_sets=3, num_shots=2, max_new_tokens=4, **settings)
    return probe_facts(FACTS, exemplars, TransformersEngine(tiny), config, seed=1)


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("method", ["exact", "sampled"])
def test_probe_reads_less_at_once_and_finds_the_same(
    tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch, error: Exception, method: str
) -> None:
    expected = probe(tiny, method=method)
    failures = limit_memory(tiny.model, monkeypatch, lambda ids: ids.numel() <= 40, error)
    found = probe(tiny, method=method)
    assert failures
    for fact in expected:
        assert found.level_of(fact.id) is fact.level
        for one, other in zip(fact.sets, found[fact.id].sets, strict=True):
            assert one.greedy_correct == other.greedy_correct
            assert one.p_lower == pytest.approx(other.p_lower, abs=1e-4)


def test_other_errors_of_a_model_are_not_taken_for_it(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = limit_memory(tiny.model, monkeypatch, lambda ids: False, RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        probe(tiny)
    assert len(failures) == 1


def test_fact_that_does_not_fit_alone_is_named(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reads_trees(tiny)  # found out before a run, while there is room
    limit_memory(tiny.model, monkeypatch, lambda ids: False, ERRORS["gpu"])
    with pytest.raises(ProbeError, match=r'^fact "toy-0-0": its prompts do not fit into memory even alone .*num_shots'):
        probe(tiny)


def train(tiny: LoadedModel, folder: Path) -> tuple[dict[str, torch.Tensor], list[float | None]]:
    from safetensors.torch import load_file

    stage = StageConfig(select="True", num_train_epochs=2, learning_rate=0.01, warmup_steps=0)
    losses: list[float | None] = []
    train_stage(
        tiny, make_rows(TransformersEngine(tiny)), stage, lora=LoraSettings(r=4), start_adapter=None, folder=folder,
        score=lambda model: Score(0.5, 0.0), seed=3, on_epoch=lambda record: losses.append(record.loss),
    )  # fmt: skip
    return load_file(folder / "adapter" / "adapter_model.safetensors"), losses


@pytest.mark.parametrize("facts_at_once", [1, 4, 7], ids=["single facts", "single packs", "all but the largest steps"])
def test_training_in_parts_gives_the_same_adapter(
    tiny: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts_at_once: int
) -> None:
    expected, losses = train(tiny, tmp_path / "whole")
    rows = make_rows(TransformersEngine(tiny))
    steps = [rows.step(epoch, step) for epoch in (0, 1) for step in range(rows.steps_per_epoch)]
    parts = [part for packs in steps for part in split_packs(packs, facts_at_once)]
    most = max(pack_tensors(part, 1)["input_ids"].numel() for part in parts)
    failures = limit_memory(tiny.model, monkeypatch, lambda ids: ids.numel() <= most, ERRORS["cpu"])
    found, losses_in_parts = train(tiny, tmp_path / "parts")
    assert failures
    assert losses_in_parts[1:] == pytest.approx(losses[1:], rel=1e-4)
    for name, weights in expected.items():
        torch.testing.assert_close(found[name], weights, rtol=1e-3, atol=2e-4)


def test_fact_that_cannot_be_trained_on_alone_is_named(
    tiny: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_memory(tiny.model, monkeypatch, lambda ids: False, ERRORS["gpu"])
    with pytest.raises(TrainingError, match=r'^fact "toy-\d-\d+": training on it does not fit into memory even alone'):
        train(tiny, tmp_path)


def test_packs_are_divided_in_order_into_parts_of_at_most_so_many_facts() -> None:
    packs = [
        Pack(tuple(TrainingExample(f"{pack}{number}", [1], [2]) for number in range(size)))
        for pack, size in zip("abc", (3, 2, 4), strict=True)
    ]
    ids = [[[e.fact_id for e in pack.examples] for pack in part] for part in split_packs(packs, 3)]
    assert ids == [[["a0", "a1", "a2"]], [["b0", "b1"]], [["c0", "c1", "c2"]], [["c3"]]]
    assert [[len(pack.examples) for pack in part] for part in split_packs(packs, 5)] == [[3, 2], [4]]
    assert split_packs(packs, 9) == [packs]
    assert len(split_packs(packs, 1)) == 9


def megabytes_held() -> float:
    """Memory of this process (`man proc`: resident pages)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="glibc alone keeps the gaps")
def test_memory_that_tensors_of_many_sizes_leave_is_given_back() -> None:
    drawn, kept = random.Random(0), []
    for _ in range(2000):
        kept.append(torch.zeros(drawn.randrange(10_000, 2_000_000)))
        if len(kept) > 60:
            kept.pop(drawn.randrange(60))
    del kept[1:]
    held = megabytes_held()
    free_memory()
    assert megabytes_held() < held - 100
