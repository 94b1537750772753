"""Reads forests of tokens with a Hugging Face causal language model.

Every new node of a row attends to its ancestors by a mask, at the position of its depth in the tree: so whatever shares
a beginning shares its computation. Knows tokens and logits only; what they mean is the probe's business.
Shapes: B rows, T new slots, S slots in all, N wanted nodes, V vocabulary.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers.cache_utils import DynamicCache

from gradual.chat_templates import open_template
from gradual.engines import NextTokens, Node, ReadCost
from gradual.errors import ModelError, OutOfMemoryError, ProbeError
from gradual.memory import free_memory, is_out_of_memory
from gradual.models import LoadedModel
from gradual.packing import ROOT, TokenTree
from gradual.prompts import ChatPrompts, PlainPrompts, PromptStyle, end_of_turn
from gradual.vocabulary import read_vocabulary

MAX_LOGITS_BYTES = 256 << 20
"""Most memory for the logits of one forward pass; longer reads are cut into several passes."""
TOKENS_PER_PASS = {"cpu": 512, "cuda": 16384}
"""Most tokens of one forward pass by kind of device, padding included: on a CPU what its caches hold is fastest."""
_CHECK_TOLERANCE = 0.03
"""Largest difference that rounding to 16 bits may make between two ways of reading, as a share of the logits' range."""
_TIE_ROOM = 24
"""Places beyond top_k that are looked at for ties; more ties than that take a slower path."""


class TransformersEngine:
    """An `Engine` over a loaded model. Sees the model's weights as they are at each read, adapters included."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self.model = loaded.model
        self.fingerprint: Mapping[str, str] = loaded.fingerprint
        self.vocabulary = read_vocabulary(loaded.tokenizer, stop_tokens(loaded))
        self.masks = MaskKinds(self.model.config)
        self.tokens_per_pass = TOKENS_PER_PASS.get(self.model.device.type, TOKENS_PER_PASS["cuda"])
        self._cost = ReadCost(0, 0, 0, 0.0)
        self._has_control_tokens = False  # only a chat template writes control tokens; in plain prompts all is text

    def encode(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[list[int]]:
        """See `Engine`."""
        if not texts:
            return []
        ids: list[list[int]] = self.loaded.tokenizer(
            list(texts), add_special_tokens=add_special_tokens, split_special_tokens=not self._has_control_tokens
        )["input_ids"]
        return ids

    def prompt_style(self, name: str) -> PromptStyle:
        """See `Engine`.

        Raises:
            ModelError: `chat` with a tokenizer that has no chat template.
        """
        self._has_control_tokens = name != "plain"
        if name == "plain":
            return PlainPrompts()
        tokenizer, source = self.loaded.tokenizer, self.loaded.source
        if not tokenizer.chat_template:
            raise ModelError(
                'probe.prompt_style: "chat" needs a chat template, and the tokenizer of '
                f'"{source}" has none - use prompt_style "plain"'
            )
        text = tokenizer.get_chat_template()
        template = open_template(text, json.dumps(tokenizer.special_tokens_map, default=str), source)
        return ChatPrompts(template, end_of_turn(template) or tokenizer.eos_token, control_tokens(tokenizer, text))

    def new_forest(self, num_rows: int, *, top_k: int) -> TorchForest:
        """See `Engine`."""
        return TorchForest(self, num_rows, top_k)

    def cost(self) -> ReadCost:
        """See `Engine`."""
        return self._cost

    def add_cost(self, tokens: int, padded_tokens: int, seconds: float) -> None:
        """Counts one forward pass."""
        old = self._cost
        self._cost = ReadCost(
            old.tokens + tokens, old.padded_tokens + padded_tokens, old.forward_passes + 1, old.seconds + seconds
        )


def control_tokens(tokenizer: Any, template: str) -> tuple[str, ...]:
    """Texts that a tokenizer reads as one token with a meaning: special ones, and marks that its template writes."""
    added = tokenizer.added_tokens_decoder.values()
    return tuple(
        token.content
        for token in added
        if token.special or (token.content in template and not token.content.replace(" ", "").isalnum())
    )


def stop_tokens(loaded: LoadedModel) -> frozenset[int]:
    """The tokens that end a sequence for this model: its generation config's and its tokenizer's."""
    configured = getattr(loaded.model.generation_config, "eos_token_id", None)
    stops = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in [*stops, loaded.tokenizer.eos_token_id] if token is not None)


class MaskKinds:
    """Which attention masks an architecture wants: full, a sliding window, or one of each by layer type."""

    def __init__(self, config: Any) -> None:
        text_config = config.get_text_config()
        layer_types = set(getattr(text_config, "layer_types", None) or [])
        self.window: int | None = getattr(text_config, "sliding_window", None)
        if not layer_types:
            uses_window = self.window and getattr(text_config, "use_sliding_window", True)
            layer_types = {"sliding_attention" if uses_window else "full_attention"}
        unknown = layer_types - {"full_attention", "sliding_attention"}
        if unknown:
            raise ModelError(
                f"expected layers with full or sliding-window attention, found {', '.join(sorted(unknown))} in "
                f"{text_config.model_type} - this architecture cannot be probed yet"
            )
        self.layer_types = sorted(layer_types)

    def masks(self, allowed: Any, query_positions: Any, key_positions: Any, dtype: Any) -> Any:
        """Additive (B, 1, T, S) mask from a boolean one: a tensor, or one per layer type where there are several."""
        made = {}
        for kind in self.layer_types:
            seen = allowed
            if kind == "sliding_attention":
                seen = allowed & (query_positions[:, :, None] - key_positions[:, None, :] < self.window)
            bias = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
            made[kind] = bias.masked_fill_(~seen, torch.finfo(dtype).min)[:, None]
        return made if len(made) > 1 else next(iter(made.values()))


class _SlotCache(DynamicCache):  # type: ignore[misc]
    """Keys and values of all slots of a forest, written in place; only the rows at work are read."""

    def __init__(self, num_rows: int) -> None:
        super().__init__()
        self._num_rows = num_rows
        self._buffers: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.start = 0
        self.rows = slice(0, num_rows)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        end = self.start + key_states.shape[-2]
        while len(self._buffers) <= layer_idx:
            self._buffers.append(self._room(key_states, value_states, end))
        if self._buffers[layer_idx][0].shape[-2] < end:
            old = self._buffers[layer_idx]
            new = self._room(key_states, value_states, end * 3 // 2)
            for before, after in zip(old, new, strict=True):
                after[:, :, : self.start] = before[:, :, : self.start]
            self._buffers[layer_idx] = new
        keys, values = self._buffers[layer_idx]
        keys[self.rows, :, self.start : end] = key_states
        values[self.rows, :, self.start : end] = value_states
        return keys[self.rows, :, :end], values[self.rows, :, :end]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.start

    def _room(self, keys: torch.Tensor, values: torch.Tensor, slots: int) -> tuple[torch.Tensor, torch.Tensor]:
        # Zeros, not whatever memory held: a masked slot with NaN in it would still spoil the sum.
        made = [state.new_zeros(self._num_rows, state.shape[1], slots, state.shape[3]) for state in (keys, values)]
        return made[0], made[1]


class TorchForest:
    """A `Forest` with its keys and values on the model's device."""

    def __init__(self, engine: TransformersEngine, num_rows: int, top_k: int) -> None:
        self._engine = engine
        self._top_k = top_k
        self._tokens_per_pass = engine.tokens_per_pass
        self.trees = [TokenTree() for _ in range(num_rows)]
        self._slots: list[list[int]] = [[] for _ in range(num_rows)]  # per row: slot of each node read so far
        self._cache = _SlotCache(num_rows)
        self._positions = np.zeros((num_rows, 0), dtype=np.int64)  # (B, S) depth of the node in each slot
        self._used = np.zeros(num_rows, dtype=np.int64)  # (B,) slots of each row that are taken, padding included

    def read(self, wanted: Sequence[Node]) -> NextTokens:
        """See `Forest`."""
        asked: dict[Node, int] = {node: place for place, node in enumerate(wanted)}
        parts: list[tuple[list[int], NextTokens]] = []
        while any(len(slots) < len(tree) for slots, tree in zip(self._slots, self.trees, strict=True)):
            parts.append(self._read_within_memory(asked))
        return _in_order(parts, len(wanted))

    def _read_within_memory(self, asked: Mapping[Node, int]) -> tuple[list[int], NextTokens]:
        """One forward pass; where memory runs out, of half as many tokens, and so on for the rest of this forest.

        Raises:
            OutOfMemoryError: not even one token of each row fits.
        """
        while True:
            taken, used = [len(slots) for slots in self._slots], self._used.copy()
            try:
                return self._read_part(asked)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            for slots, count in zip(self._slots, taken, strict=True):
                del slots[count:]
            self._used = used
            free_memory()
            if self._tokens_per_pass <= len(self.trees):
                raise OutOfMemoryError(f"no memory for one token each of {len(self.trees)} rows")
            self._tokens_per_pass //= 2

    def _read_part(self, asked: Mapping[Node, int]) -> tuple[list[int], NextTokens]:
        """One forward pass over the next nodes of all rows that have any."""
        started = time.perf_counter()
        pending = [len(tree) - len(slots) for tree, slots in zip(self.trees, self._slots, strict=True)]
        busy = [row for row, count in enumerate(pending) if count]
        first, last = busy[0], busy[-1] + 1
        begins = [len(self._slots[row]) for row in range(first, last)]
        width = min(max(pending), max(1, self._tokens_per_pass // (last - first)))
        limit = max(last - first, MAX_LOGITS_BYTES // self._logits_bytes())
        while True:
            counts = [min(pending[row], width) for row in range(first, last)]
            places, picked = _asked_places(asked, first, begins, counts)
            if len(places) <= limit:
                break
            width = (width + 1) // 2
        logits = self._forward(slice(first, last), begins, counts, width, picked)
        result = top_tokens(logits, self._top_k)
        self._engine.add_cost(sum(counts), width * (last - first), time.perf_counter() - started)
        return places, result

    def _forward(
        self, rows: slice, begins: list[int], counts: list[int], width: int, picked: tuple[list[int], list[int]]
    ) -> torch.Tensor:
        """(N, V) logits at the picked (row, column) places after running `width` new slots of the rows."""
        engine, num = self._engine, rows.stop - rows.start
        start = int(self._used[rows].max())
        self._take_slots(rows, start + width)
        ids = np.zeros((num, width), dtype=np.int64)
        positions = np.zeros((num, width), dtype=np.int64)
        allowed = np.zeros((num, width, start + width), dtype=bool)
        allowed[:, np.arange(width), start + np.arange(width)] = True  # a padding slot sees itself: no empty softmax
        for index, (begin, count) in enumerate(zip(begins, counts, strict=True)):
            row = rows.start + index
            tree, slots = self.trees[row], self._slots[row]
            slots.extend(range(start, start + count))
            ids[index, :count] = tree.tokens[begin : begin + count]
            positions[index, :count] = tree.depths[begin : begin + count]
            allowed[index, :count, slots] = tree.ancestors(begin)[:count, : begin + count].T
        self._positions[rows, start : start + width] = positions
        device = engine.model.device
        query_positions = torch.from_numpy(positions).to(device)
        mask = engine.masks.masks(
            torch.from_numpy(allowed).to(device),
            query_positions,
            torch.from_numpy(self._positions[rows, : start + width]).to(device),
            engine.model.dtype,
        )
        self._cache.start, self._cache.rows = start, rows
        with torch.inference_mode():
            return logits_at(
                engine.model,
                picked,
                input_ids=torch.from_numpy(ids).to(device),
                attention_mask=mask,
                position_ids=query_positions,
                past_key_values=self._cache,
                use_cache=True,
            )

    def _take_slots(self, rows: slice, end: int) -> None:
        """Counts the slots of these rows before `end` as taken: only rows that are read together lie side by side."""
        missing = end - self._positions.shape[1]
        if missing > 0:
            self._positions = np.pad(self._positions, ((0, 0), (0, max(missing, end // 2))))
        self._used[rows] = end

    def _logits_bytes(self) -> int:
        """Memory of one node's logits."""
        return int(self._engine.model.get_output_embeddings().weight.shape[0]) * int(self._engine.model.dtype.itemsize)


def _asked_places(
    asked: Mapping[Node, int], first_row: int, begins: Sequence[int], counts: Sequence[int]
) -> tuple[list[int], tuple[list[int], list[int]]]:
    """Which asked-for nodes lie in this pass: their places in the request, and their (rows, columns) in the pass."""
    places: list[int] = []
    rows: list[int] = []
    columns: list[int] = []
    for index, (begin, count) in enumerate(zip(begins, counts, strict=True)):
        for column in range(count):
            place = asked.get((first_row + index, begin + column))
            if place is not None:
                places.append(place)
                rows.append(index)
                columns.append(column)
    return places, (rows, columns)


_CHECK_TEXTS = ("Q: Which is the first?\nA: this one", "Q: Which is the second of them?\nA: that one")


def check_reading(loaded: LoadedModel) -> None:
    """Holds what a branching tree gives against plain forward passes, on two short texts.

    Raises:
        ModelError: the model does not take the mask and positions of a tree, so its answers could not be trusted.
    """
    engine = TransformersEngine(loaded)
    forest = engine.new_forest(1, top_k=10)
    paths = engine.encode(_CHECK_TEXTS, add_special_tokens=True)
    found = forest.read([(0, forest.trees[0].add(ROOT, path)[-1]) for path in paths])
    for path, tokens, logits in zip(paths, found.tokens, found.logits, strict=True):
        with torch.inference_mode():
            plain = loaded.model(torch.tensor([path], device=loaded.model.device)).logits[0, -1].float()
        kept = torch.from_numpy(tokens[:10]).to(plain.device)
        difference = float((plain[kept] - torch.from_numpy(logits[:10]).to(plain.device)).abs().max())
        if not difference <= _CHECK_TOLERANCE * float(plain.max() - plain.min()):
            raise ModelError(
                "expected a model that takes an attention mask and positions of its own, found that "
                f"{loaded.model.config.model_type} answers otherwise with them - this architecture cannot be probed yet"
            )


def logits_at(model: Any, picked: tuple[Any, Any], **inputs: Any) -> torch.Tensor:
    """(N, V) logits at N picked (row, column) places of one forward pass; the output layer sees no other place.

    A hook in front of the output layer picks, so that whatever a model does after it (scaling, capping) still happens.
    """
    rows, columns = (torch.as_tensor(part, dtype=torch.long) for part in picked)

    def pick(_: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        hidden = args[0]
        return (hidden[rows.to(hidden.device), columns.to(hidden.device)][None],)

    hook = model.get_output_embeddings().register_forward_pre_hook(pick)
    try:
        logits: torch.Tensor = model(**inputs).logits[0]
    finally:
        hook.remove()
    return logits


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
        kept = int((logits >= values[:, top_k - 1 : top_k]).sum(dim=-1).max())
        values, tokens = logits.topk(kept, dim=-1)
    found, ids = values.float().cpu().numpy(), tokens.cpu().numpy().astype(np.int64)
    kept_mask = found >= found[:, top_k - 1 : top_k]
    found = np.where(kept_mask, found, -np.inf).astype(np.float32)
    ids = np.where(kept_mask, ids, -1)
    order = np.lexsort((np.where(kept_mask, ids, vocabulary), -found), axis=-1)
    return NextTokens(np.take_along_axis(ids, order, -1), np.take_along_axis(found, order, -1))


def _in_order(parts: Sequence[tuple[list[int], NextTokens]], count: int) -> NextTokens:
    """The parts' rows at the places they were asked for, padded to one width."""
    width = max((part.tokens.shape[1] for _, part in parts), default=1)
    tokens = np.full((count, width), -1, dtype=np.int64)
    logits = np.full((count, width), -np.inf, dtype=np.float32)
    found = 0
    for places, part in parts:
        tokens[places, : part.tokens.shape[1]] = part.tokens
        logits[places, : part.logits.shape[1]] = part.logits
        found += len(places)
    if found != count:
        raise ProbeError(
            f"expected {count} next-token distributions, found {found} - a node was asked for twice or too late"
        )
    return NextTokens(tokens, logits)
