"""From one forward pass to next tokens: logits where they are wanted, and the likeliest tokens there.

Knows models only as something to call; the forests decide which sequences or trees are read.
Shapes: N wanted places, V vocabulary, K kept tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from gradual.engines.engine import NextTokens
from gradual.errors import ProbeError

_MAX_LOGITS_BYTES = {"cpu": 256 << 20, "cuda": 1 << 30}
"""Most memory for the logits of one forward pass by kind of device; longer reads are cut into several passes."""
_KERNELS = [
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
    SDPBackend.OVERRIDEABLE,
]
"""torch's attention kernels, all but cuDNN's: that one plans anew for every shape, and here no two passes have one."""
_TIE_ROOM = 24
"""Places beyond top_k that are looked at for ties; more ties than that take a slower path."""


def most_logits(model: Any) -> int:
    """Places whose logits one forward pass may give: as many as fit into the memory for them, at least one."""
    output = model.get_output_embeddings().weight
    room = _MAX_LOGITS_BYTES.get(model.device.type, _MAX_LOGITS_BYTES["cuda"])
    return max(1, room // (int(output.shape[0]) * int(model.dtype.itemsize)))


def logits_at(model: Any, cells: tuple[Any, Any], **inputs: Any) -> torch.Tensor:
    """(N, V) logits at N (row, column) cells of one forward pass; the output layer sees no other place.

    A hook in front of the output layer picks, so that whatever a model does after it (scaling, capping) still happens.
    """
    rows, columns = (torch.as_tensor(part, dtype=torch.long) for part in cells)

    def pick(_: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        hidden = args[0]
        return (hidden[rows.to(hidden.device), columns.to(hidden.device)][None],)

    hook = model.get_output_embeddings().register_forward_pre_hook(pick)
    try:
        with attention_kernels():
            logits: torch.Tensor = model(**inputs).logits[0]
    finally:
        hook.remove()
    return logits


def attention_kernels() -> AbstractContextManager[None]:
    """Within it, torch computes attention with the kernels that suit passes of ever other shapes."""
    kernels: AbstractContextManager[None] = sdpa_kernel(_KERNELS)
    return kernels


def top_tokens(logits: torch.Tensor, top_k: int) -> NextTokens:
    """The tokens of each row of (N, V) logits that are at least as likely as the k-th, likeliest first.

    Raises:
        ProbeError: a logit is NaN or infinite.
    """
    if logits.shape[0] == 0:
        return NextTokens(np.zeros((0, 1), np.int64), np.zeros((0, 1), np.float32))
    vocabulary = logits.shape[1]
    top_k = min(top_k, vocabulary)
    room = min(top_k + _TIE_ROOM, vocabulary)
    values, tokens = logits.topk(room, dim=-1)
    if not bool(values[:, 0].isfinite().all()):
        what = "NaN" if bool(values[:, 0].isnan().any()) else "infinite ones"
        raise ProbeError(
            f"expected finite logits, found {what} - the model's weights or number format are broken; try dtype float32"
        )
    if room < vocabulary and bool((values[:, -1] >= values[:, top_k - 1]).any()):
        count = int((logits >= values[:, top_k - 1 : top_k]).sum(dim=-1).max())
        values, tokens = logits.topk(count, dim=-1)
    scores, ids = values.float().cpu().numpy(), tokens.cpu().numpy().astype(np.int64)
    kept_mask = scores >= scores[:, top_k - 1 : top_k]
    scores = np.where(kept_mask, scores, -np.inf).astype(np.float32)
    ids = np.where(kept_mask, ids, -1)
    order = np.lexsort((np.where(kept_mask, ids, vocabulary), -scores), axis=-1)
    return NextTokens(np.take_along_axis(ids, order, -1), np.take_along_axis(scores, order, -1))


def merge_parts(parts: Sequence[tuple[list[int], NextTokens]], count: int) -> NextTokens:
    """The parts' rows at the places they were asked for, padded to one width."""
    width = max((part.tokens.shape[1] for _, part in parts), default=1)
    tokens = np.full((count, width), -1, dtype=np.int64)
    logits = np.full((count, width), -np.inf, dtype=np.float32)
    num_rows = 0
    for places, part in parts:
        tokens[places, : part.tokens.shape[1]] = part.tokens
        logits[places, : part.logits.shape[1]] = part.logits
        num_rows += len(places)
    if num_rows != count:
        raise ProbeError(
            f"expected {count} next-token distributions, found {num_rows} - a node was asked for twice or too late"
        )
    return NextTokens(tokens, logits)
