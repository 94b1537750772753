"""Reads forests of tokens with a Hugging Face causal language model.

Every new node of a row attends to its ancestors by a mask, at the position of its depth in the tree: so whatever shares
a beginning shares its computation. Where a model does not take such masks, `path_forest` reads instead.
Knows tokens and logits only; what they mean is the probe's business.
Shapes: B rows, T new slots, S slots in all, N wanted nodes, V vocabulary.
"""

from __future__ import annotations

import json
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers.cache_utils import DynamicCache

from gradual.chat_templates import open_template
from gradual.engines import Forest, NextTokens, Node, ReadCost
from gradual.errors import GradualError, ModelError, OutOfMemoryError
from gradual.memory import free_memory, is_out_of_memory
from gradual.models import LoadedModel
from gradual.next_tokens import in_order, logits_at, most_logits, top_tokens
from gradual.packing import ROOT, TokenTree
from gradual.path_forest import PathForest
from gradual.prompts import ChatPrompts, PlainPrompts, PromptStyle, end_of_turn
from gradual.vocabulary import read_vocabulary

TOKENS_PER_PASS = {"cpu": 512, "cuda": 16384}
"""Most tokens of one forward pass by kind of device, padding included: on a CPU what its caches hold is fastest."""
_CHECK_TOLERANCE = {torch.float32: 1e-3}
_CHECK_TOLERANCE_16_BIT = 0.03
"""Largest difference that rounding may make between two ways of reading, as a share of the logits' range."""


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

    @property
    def reads_trees(self) -> bool:
        """Whether the model takes the mask and positions of a tree; see `reads_trees`."""
        return reads_trees(self.loaded)

    def new_forest(self, num_rows: int, *, top_k: int) -> Forest:
        """See `Engine`."""
        return TorchForest(self, num_rows, top_k) if self.reads_trees else PathForest(self, num_rows, top_k)

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
        return in_order(parts, len(wanted))

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
        limit = max(last - first, most_logits(self._engine.model))
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


_REFUSALS = (AssertionError, AttributeError, GradualError, LookupError, RuntimeError, TypeError, ValueError)
"""How models fail that do not expect a mask for every pair of tokens."""
_CHECK_TEXTS = (
    "Q: Which is the first?\nA: this one",
    "Q: Which is the first?\nA: this two",
    "Q: Which is the second of them?\nA: that one",
    "Q: Which is the second of them?\nA: that!",
)
"""Read in this order: where a fork lies near the end, a model that heeds no mask shows what it should not have seen."""


_FOUND: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()
"""What `reads_trees` has found, by base model: a property of its architecture, which no adapter changes."""


def reads_trees(loaded: LoadedModel) -> bool:
    """Whether the model takes the mask and positions of a tree: short texts read so are held against plain passes.

    Found out once per base model.

    Raises:
        ProbeError: a logit of a plain pass is NaN.
    """
    model = loaded.model
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    if base not in _FOUND:
        _FOUND[base] = _find_out(loaded)
    return _FOUND[base]


def reading_warnings(loaded: LoadedModel) -> list[str]:
    """What a user should know about how this model is read, before it takes long."""
    if reads_trees(loaded):
        return []
    name = loaded.model.config.model_type
    return [f"this architecture ({name}) does not take tree masks: questions are read one by one, slower"]


def _find_out(loaded: LoadedModel) -> bool:
    engine = TransformersEngine(loaded)
    paths = engine.encode(_CHECK_TEXTS, add_special_tokens=True)
    with torch.inference_mode():
        plain = [loaded.model(torch.tensor([path], device=loaded.model.device)).logits[0, -1].float() for path in paths]
    top_tokens(torch.stack(plain), 1)  # refuses what is not a number, however it is read
    if not engine.masks.are_known:
        return False
    tolerance = _CHECK_TOLERANCE.get(loaded.model.dtype, _CHECK_TOLERANCE_16_BIT)
    forest = TorchForest(engine, 1, 10)
    try:
        found = forest.read([(0, forest.trees[0].add(ROOT, path)[-1]) for path in paths])
    except (OutOfMemoryError, torch.OutOfMemoryError):
        raise
    except _REFUSALS:
        return False
    for expected, tokens, logits in zip(plain, found.tokens, found.logits, strict=True):
        kept = torch.from_numpy(tokens[:10]).to(expected.device)
        difference = float((expected[kept] - torch.from_numpy(logits[:10]).to(expected.device)).abs().max())
        if not difference <= tolerance * float(expected.max() - expected.min()):
            return False
    return True
