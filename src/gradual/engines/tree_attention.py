"""Attention in which a token sees its ancestors in a tree: the masks for it, and a fast way to compute it on a CPU.

torch's fused attention takes a mask of its own on a CPU at a small share of the speed of a matrix multiplication. Here
the query heads that share keys become rows of one multiplication; the scores are kept in float32, which takes memory of
T x S for each head and row.
Shapes: B rows, T queries, S keys, H query heads, K key heads, D width of a head.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from gradual.errors import ModelError

_ATTENTION_NAME = "gradual_tree"
"""Under which `transformers` knows `_attend_by_mask`."""


class MaskKinds:
    """Which attention masks an architecture wants: full, a sliding window, or one of each by layer type.

    `are_known` is False where it has layers of other kinds, for which no masks can be made.
    """

    def __init__(self, config: Any) -> None:
        text_config = config.get_text_config()
        layer_types = set(getattr(text_config, "layer_types", None) or [])
        self.window: int | None = getattr(text_config, "sliding_window", None)
        if not layer_types:
            uses_window = self.window and getattr(text_config, "use_sliding_window", True)
            layer_types = {"sliding_attention" if uses_window else "full_attention"}
        self.layer_types = sorted(layer_types)
        self.are_known = layer_types <= {"full_attention", "sliding_attention"}

    def masks(self, allowed: Any, query_positions: Any, key_positions: Any, dtype: Any) -> Any:
        """Additive (B, 1, T, S) mask from a boolean one: a tensor, or one per layer type where there are several.

        Raises:
            ModelError: the model has layers of another kind.
        """
        if not self.are_known:
            raise ModelError(
                "expected layers with full or sliding-window attention only, found "
                f"{', '.join(self.layer_types)} - read one sequence a row"
            )
        masks = {}
        for kind in self.layer_types:
            visible = allowed
            if kind == "sliding_attention":
                visible = allowed & (query_positions[:, :, None] - key_positions[:, None, :] < self.window)
            bias = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
            masks[kind] = bias.masked_fill_(~visible, torch.finfo(dtype).min)[:, None]
        return masks if len(masks) > 1 else next(iter(masks.values()))


@contextmanager
def tree_attention(model: Any) -> Iterator[None]:
    """Within it, a model on a CPU that uses torch's fused attention computes its attention by `_attend_by_mask`."""
    config = model.config
    parts = [config, *(part for name in config.sub_configs if (part := getattr(config, name, None)) is not None)]
    is_fused = all(part._attn_implementation == "sdpa" for part in parts)
    if model.device.type != "cpu" or not is_fused or not model._can_set_attn_implementation():
        yield
        return
    model.set_attn_implementation(_ATTENTION_NAME)
    try:
        yield
    finally:
        model.set_attn_implementation("sdpa")


def _attend_by_mask(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """(B, T, H, D) attention of queries (B, H, T, D) to keys and values (B, K, S, D), by a mask (B, 1, T, S)."""
    is_plain = attention_mask is not None and attention_mask.is_floating_point() and not dropout
    if not is_plain or any(others.get(name) is not None for name in ("position_bias", "softcap", "s_aux")):
        fused: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, **others
        )
        return fused
    rows, heads, queries, width = query.shape
    key_heads, keys = key.shape[1:3]
    batch_shape = (rows * key_heads, heads // key_heads * queries)
    scale = width**-0.5 if scaling is None else scaling
    with torch.autocast("cpu", enabled=False):  # it would multiply in 16 bits
        scores = torch.bmm(
            (query.float() * scale).reshape(*batch_shape, width), key.float().reshape(-1, keys, width).transpose(1, 2)
        )
    scores = scores.view(rows, heads, queries, keys).add_(attention_mask)
    chances = scores.softmax(dim=-1).to(value.dtype).view(*batch_shape, keys)
    sums = torch.bmm(chances, value.reshape(-1, keys, value.shape[-1]))
    return sums.view(rows, heads, queries, value.shape[-1]).transpose(1, 2).contiguous(), None


AttentionInterface.register(_ATTENTION_NAME, _attend_by_mask)
