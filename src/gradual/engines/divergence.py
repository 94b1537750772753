"""How far an adapter moves the next-token chances of its base model: KL divergence and loss, place by place.

Knows a model with a PEFT adapter and rows of tokens; not where these come from.
Shapes: N places of a pass, V vocabulary.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch

from gradual.engines.next_tokens import logits_at
from gradual.errors import OutOfMemoryError, ProbeError
from gradual.knowledge.map import Cost
from gradual.models.memory import calls_for_parts, free_memory

TOKENS_PER_ROW = 256
"""Tokens that are read together, at most."""
_PLACES_AT_ONCE = 64
"""Places whose chances are held in float32, at most: of a large vocabulary they fill the memory."""


class Divergence(NamedTuple):
    """Sums over places; the divisions are for who tells the numbers."""

    kl: float
    """Sum over places of KL(base || tuned) of the next token, in nats, at least 0."""
    num_places: int
    base_loss: float
    """Sum of -log p of the token that follows, under the base model, in nats, over places that one follows."""
    tuned_loss: float
    num_targets: int

    def plus(self, other: Divergence) -> Divergence:
        """The sums of both."""
        return Divergence(
            self.kl + other.kl,
            self.num_places + other.num_places,
            self.base_loss + other.base_loss,
            self.tuned_loss + other.tuned_loss,
            self.num_targets + other.num_targets,
        )


NONE = Divergence(0.0, 0, 0.0, 0.0, 0)


def divergence(
    model: Any, rows: Sequence[Sequence[int]], *, at_ends: bool, progress: Callable[[int], None] = lambda _: None
) -> tuple[Divergence, Cost]:
    """What an adapter has changed at every place of some rows of tokens, and what reading them took.

    At a place t, with the base model's chances p and those with the adapter q over the whole vocabulary, at
    temperature 1: KL(p || q) = sum_v p(v | x_<=t) (log p(v | x_<=t) - log q(v | x_<=t)) (Kullback & Leibler 1951).
    It is the divergence that an anchor of kind `kl` holds down (`training.anchor_losses`).

    Args:
        model: with its adapter on; `disable_adapter` takes it off for the base model's chances.
        rows: token ids, none empty; a place sees the tokens of its own row alone.
        at_ends: count the last place of a row too, behind which no token is known (a prompt's answer begins there).
        progress: told how many rows have just been read.

    Raises:
        ProbeError: the logits are not numbers, or one row alone does not fit into memory.
    """
    start, total, num_passes = time.perf_counter(), NONE, 0
    for block in _blocks(rows):
        total = total.plus(_within_memory(model, block, at_ends=at_ends))
        num_passes += 2
        progress(len(block))
    cost = Cost(seconds=time.perf_counter() - start, tokens_read=2 * sum(map(len, rows)), forward_passes=num_passes)
    return total, cost


def _blocks(rows: Sequence[Sequence[int]]) -> Iterable[list[Sequence[int]]]:
    """Rows that are read together, in order: of at most `TOKENS_PER_ROW` tokens, padding included, or one."""
    block: list[Sequence[int]] = []
    for row in rows:
        width = max(len(row), *map(len, block)) if block else len(row)
        if block and width * (len(block) + 1) > TOKENS_PER_ROW:
            yield block
            block = []
        block.append(row)
    if block:
        yield block


def _within_memory(model: Any, rows: Sequence[Sequence[int]], *, at_ends: bool) -> Divergence:
    """The sums of some rows; where they do not fit into memory together, of their halves one after the other."""
    try:
        return _read(model, rows, at_ends=at_ends)
    except (OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not isinstance(error, OutOfMemoryError) and not calls_for_parts(error):
            raise
        if len(rows) == 1:
            raise ProbeError(
                f"a text of {len(rows[0])} tokens does not fit into memory twice - set evaluation.drift to false, or "
                "use a device with more memory"
            ) from None
    free_memory()
    middle = len(rows) // 2
    return _read_halves(model, rows[:middle], rows[middle:], at_ends=at_ends)


def _read_halves(model: Any, *halves: Sequence[Sequence[int]], at_ends: bool) -> Divergence:
    total = NONE
    for half in halves:
        total = total.plus(_within_memory(model, half, at_ends=at_ends))
    return total


def _read(model: Any, rows: Sequence[Sequence[int]], *, at_ends: bool) -> Divergence:
    width = max(map(len, rows))
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    is_token = torch.zeros_like(ids)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row)
        is_token[number, : len(row)] = 1
    mask = is_token.bool()
    if not at_ends:
        mask = mask & torch.nn.functional.pad(is_token[:, 1:], (0, 1)).bool()
    cells = mask.nonzero(as_tuple=True)
    places = zip(*(part.tolist() for part in cells), strict=True)
    following = [rows[row][place + 1] if place + 1 < len(rows[row]) else -1 for row, place in places]
    inputs = {"input_ids": ids.to(model.device), "attention_mask": is_token.to(model.device), "use_cache": False}
    with torch.inference_mode():
        tuned_NV = logits_at(model, cells, **inputs)
        with model.disable_adapter():
            base_NV = logits_at(model, cells, **inputs)
        return compare_logits(base_NV, tuned_NV, torch.tensor(following, device=base_NV.device))


def compare_logits(base_NV: torch.Tensor, tuned_NV: torch.Tensor, following_N: torch.Tensor) -> Divergence:
    """The sums over N places of two models' logits there.

    Args:
        base_NV: logits of the base model.
        tuned_NV: logits of the other.
        following_N: the token that follows each place, -1 where none is known.

    Raises:
        ProbeError: a chance is not a number.
    """
    kl = base_loss = tuned_loss = 0.0
    for start in range(0, len(base_NV), _PLACES_AT_ONCE):
        part = slice(start, start + _PLACES_AT_ONCE)
        log_p, log_q = (logits[part].float().log_softmax(dim=-1) for logits in (base_NV, tuned_NV))
        # A token that has no chance under the base model adds nothing, whatever the other gives it.
        ratio = torch.where(log_p.isneginf(), 0.0, log_p - log_q)
        kl += float((log_p.exp() * ratio).sum())
        known = following_N[part] >= 0
        targets = following_N[part][known][:, None]
        base_loss -= float(log_p[known].gather(1, targets).sum())
        tuned_loss -= float(log_q[known].gather(1, targets).sum())
    if not all(value == value for value in (kl, base_loss, tuned_loss)):
        raise ProbeError("expected finite logits, found NaN - the model's number format is broken; try dtype float32")
    return Divergence(max(0.0, kl), len(base_NV), base_loss, tuned_loss, int((following_N >= 0).sum()))
