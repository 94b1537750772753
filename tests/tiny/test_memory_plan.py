"""Memory is counted with shapes alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.training import make_rows

from gradual.config.model import ModelConfig
from gradual.config.run import LoraSettings
from gradual.config.stage import AnchorConfig
from gradual.engines.transformers_engine import TransformersEngine
from gradual.engines.tree_attention import MaskKinds
from gradual.models.adapters import add_adapter
from gradual.models.load import LoadedModel
from gradual.models.shapes import LiveBytes, hollow_model
from gradual.training.anchor_losses import Base, KlAnchorLoss
from gradual.training.loss import pack_tensors, packed_loss
from gradual.training.memory import step_bytes

pytestmark = pytest.mark.tiny


def test_a_step_is_counted_by_shapes_alone_as_it_is_with_numbers(tiny: LoadedModel, tiny_folder: Path) -> None:
    packs = make_rows(TransformersEngine(tiny)).step(0, 0)
    settings = ModelConfig(name_or_path=str(tiny_folder), dtype="float32", device="cpu")
    peaks = {}
    for again in (False, True):
        hollow = replace(tiny, model=hollow_model(settings))
        peaks[again] = step_bytes(hollow, packs, LoraSettings(r=4), on_cpu=True, activation_checkpointing=again)
    model = add_adapter(tiny, LoraSettings(r=4), None).train()
    trained = sum(4 * each.numel() for each in model.parameters() if each.requires_grad)
    batch, masks = pack_tensors(packs, tiny.tokenizer.pad_token_id), MaskKinds(tiny.model.config)
    with LiveBytes() as live:
        packed_loss(model, batch, masks).backward()
    assert peaks[False] == pytest.approx(live.peak + 3 * trained, rel=0.02)
    assert peaks[True] < 0.8 * peaks[False]


def test_what_an_anchor_keeps_and_reads_is_counted(tiny: LoadedModel, tiny_folder: Path) -> None:
    held = {f"toy-{relation}-{number}": 0.5 for relation in (0, 1) for number in range(10)}
    long = {fact: [[(number,) * 40]] for number, fact in enumerate(held)}  # so that most of a step is its predictions
    packs = make_rows(TransformersEngine(tiny), kl=held, own_answers=long, num_shots=0, pack_size=1).step(0, 0)
    settings = ModelConfig(name_or_path=str(tiny_folder), dtype="float32", device="cpu")

    def counted(anchor: AnchorConfig | None) -> int:
        hollow, kl = replace(tiny, model=hollow_model(settings)), held if anchor and anchor.kind != "l2" else {}
        how = {"on_cpu": True, "activation_checkpointing": False, "anchor": anchor, "kl": kl}
        return step_bytes(hollow, packs, LoraSettings(r=4), **how)

    model = add_adapter(tiny, LoraSettings(r=4), None).train()
    adapter = sum(4 * each.numel() for each in model.parameters() if each.requires_grad)
    batch = pack_tensors(packs, tiny.tokenizer.pad_token_id, held)
    with LiveBytes() as live:
        KlAnchorLoss(Base())(model, batch, None).backward()
    plain, kl = counted(None), counted(AnchorConfig(kind="kl"))
    assert kl == pytest.approx(live.peak + 3 * adapter, rel=0.02)
    assert kl > plain + 8 * 40 * tiny.model.config.vocab_size * 4  # the reference's chances at 40 tokens of 8 facts
    assert counted(AnchorConfig(kind="kl_first_epoch")) == kl + adapter
    assert counted(AnchorConfig(kind="l2")) >= plain + adapter  # where the weights began
