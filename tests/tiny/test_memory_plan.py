"""Memory is counted with shapes alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.training import make_rows

from gradual.config.run import LoraSettings, ModelConfig
from gradual.engines.transformers_engine import TransformersEngine
from gradual.engines.tree_attention import MaskKinds
from gradual.models.adapters import add_adapter
from gradual.models.hollow import LiveBytes, hollow_model
from gradual.models.load import LoadedModel
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
