"""The attention for trees computes what torch's does, and a model has its own again afterwards."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from gradual.engines import tree_attention as module
from gradual.engines.tree_attention import tree_attention
from gradual.models.load import LoadedModel

pytestmark = pytest.mark.tiny
TOLERANCE = {torch.float32: 1e-6, torch.bfloat16: 2e-2}


def states(heads: int, dtype: torch.dtype) -> list[torch.Tensor]:
    torch.manual_seed(1)
    shapes = [(3, heads, 7, 16), (3, 2, 11, 16), (3, 2, 11, 24)]  # values of another width than keys
    return [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]


def random_mask(dtype: torch.dtype) -> torch.Tensor:
    allowed = torch.rand(3, 1, 7, 11, generator=torch.Generator().manual_seed(2)) < 0.5
    allowed[..., 0] = True
    return torch.zeros(allowed.shape, dtype=dtype).masked_fill(~allowed, torch.finfo(dtype).min)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("heads", [2, 6], ids=["one query head a key head", "three"])
@pytest.mark.parametrize("scaling", [None, 0.3])
def test_output_and_gradients_are_those_of_the_fused_attention(
    dtype: torch.dtype, heads: int, scaling: float | None
) -> None:
    layer = SimpleNamespace(num_key_value_groups=heads // 2)
    ways = []
    for attend in (sdpa_attention_forward, module._attend_by_mask):
        inputs = states(heads, dtype)
        output, _ = attend(layer, *inputs, random_mask(dtype), scaling=scaling)
        output.float().square().sum().backward()
        ways.append((output, *(each.grad for each in inputs)))
    scale = {name: each.abs().max() for name, each in enumerate(ways[0])}
    for name, (expected, found) in enumerate(zip(*ways, strict=True)):
        assert found.dtype == dtype
        torch.testing.assert_close(found / scale[name], expected / scale[name], atol=TOLERANCE[dtype], rtol=0)


@pytest.mark.parametrize("others", [{"softcap": 5.0}, {"s_aux": 1}, {"position_bias": 1}, {"dropout": 0.1}], ids=str)
def test_what_it_does_not_compute_is_left_to_torch(others: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "sdpa_attention_forward", lambda *_, **__: ("torch's", None))
    layer = SimpleNamespace(num_key_value_groups=1)
    assert (
        module._attend_by_mask(layer, *states(2, torch.float32), random_mask(torch.float32), **others)[0] == "torch's"
    )
    assert module._attend_by_mask(layer, *states(2, torch.float32), None)[0] == "torch's"


def test_model_has_its_own_attention_again_also_after_an_error(tiny: LoadedModel) -> None:
    ids = torch.tensor([[5, 6, 7]])
    with torch.inference_mode():
        before = tiny.model(ids).logits
    with tree_attention(tiny.model):
        assert tiny.model.config._attn_implementation != "sdpa"
    with pytest.raises(IndexError), tree_attention(tiny.model):
        tiny.model(torch.tensor([[1 << 40]]))
    assert tiny.model.config._attn_implementation == "sdpa"
    with torch.inference_mode():
        assert torch.equal(tiny.model(ids).logits, before)


def test_model_with_another_attention_keeps_it(tiny: LoadedModel) -> None:
    tiny.model.set_attn_implementation("eager")
    with tree_attention(tiny.model):
        assert tiny.model.config._attn_implementation == "eager"
