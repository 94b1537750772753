"""The fast way to read a forest: every node attends to its ancestors by a mask, at the position of its depth.

So whatever shares a beginning shares its computation. New nodes are read depth first, so that those of a pass have most
ancestors in common: only the keys and values of these are looked at. Where a model does not take such masks,
`path_forest` reads instead. Knows tokens and logits only; `probing` says what they mean.
Shapes: B rows of a pass, T new nodes of a row, E earlier nodes that they attend to, N wanted nodes, V vocabulary.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers.cache_utils import DynamicCache

from gradual.engines.engine import NextTokens, Node
from gradual.engines.next_tokens import logits_at, merge_parts, most_logits, top_tokens
from gradual.engines.reader import Reader
from gradual.engines.token_tree import TokenTree
from gradual.engines.tree_attention import tree_attention
from gradual.errors import OutOfMemoryError
from gradual.models.memory import calls_for_parts, free_memory

_MOST_PADDING = {"cpu": 64, "cuda": 512}
"""Tokens of a pass that may be padding; shorter rows wait for a pass of their own."""
_SHARING_WIDTH = {"cpu": 48, "cuda": 1024}
"""About so many new nodes of a row in a pass, where it has them, share the keys and values of what lies before them.

A CPU is faster with few at once, since the keys that only some of them attend to cost all of them time. On a GPU it is
padding and copying that cost: there hardly any row is cut."""


class _NodeCache(DynamicCache):  # type: ignore[misc]
    """Keys and values of all nodes read so far, each in a slot of its own; a pass sees the slots it asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.num_slots = 0
        self._buffers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # by layer, each (slots, heads, width)
        self._earlier_slots = torch.zeros(0, 0, dtype=torch.long)
        self._new_places = torch.zeros(0, dtype=torch.long)

    def begin(self, earlier: torch.Tensor, new: torch.Tensor) -> None:
        """Says what the coming pass sees and adds.

        Args:
            earlier: (B, E) slots that each row attends to.
            new: places of the nodes to keep among the B x T of the pass; they get the slots from `num_slots` on.
        """
        self._earlier_slots, self._new_places = earlier, new

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        states = [state.transpose(1, 2) for state in (key_states, value_states)]
        room = self._room(layer_idx, states)
        both = []
        for buffer, state in zip(room, states, strict=True):
            new_states = state.reshape(-1, *state.shape[2:]).index_select(0, self._new_places.to(state.device))
            buffer[self.num_slots : self.num_slots + len(self._new_places)] = new_states
            slots = self._earlier_slots.to(buffer.device)  # a layer may lie on another device than the first one
            earlier = buffer.index_select(0, slots.flatten()).view(*slots.shape, *buffer.shape[1:])
            both.append(torch.cat([earlier, state], dim=1).transpose(1, 2))
        return both[0], both[1]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return int(self._earlier_slots.shape[1])

    def _room(self, layer: int, states: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """The buffers of a layer, with room for the new nodes."""
        end = self.num_slots + len(self._new_places)
        old = self._buffers.get(layer)
        if old is None or len(old[0]) < end:
            larger = [state.new_empty(end * 3 // 2, *state.shape[2:]) for state in states]
            for before, after in zip(old or (), larger, strict=False):
                after[: self.num_slots] = before[: self.num_slots]
            self._buffers[layer] = (larger[0], larger[1])
        return self._buffers[layer]


def _rows_of_like_length(
    longest: Sequence[int], queues: Mapping[int, list[int]], width: int, most_padding: int
) -> Iterator[int]:
    """The first rows, the longest first, while at most `most_padding` places of a pass `width` wide stay unused."""
    padding = 0
    for row in longest:
        padding += width - min(width, len(queues[row]))
        if padding > most_padding:
            return
        yield row


class TreeForest:
    """A `Forest` with its keys and values on the model's device."""

    def __init__(self, reader: Reader, num_rows: int, top_k: int) -> None:
        self._reader = reader
        self._top_k = top_k
        self._tokens_per_pass = reader.tokens_per_pass
        self._sharing_width = _SHARING_WIDTH.get(reader.model.device.type, _SHARING_WIDTH["cuda"])
        self._most_padding = _MOST_PADDING.get(reader.model.device.type, _MOST_PADDING["cuda"])
        self.trees = [TokenTree() for _ in range(num_rows)]
        self._slots: list[npt.NDArray[np.int64]] = [np.zeros(0, dtype=np.int64) for _ in range(num_rows)]
        self._cache = _NodeCache()

    def read(self, wanted: Sequence[Node]) -> NextTokens:
        """See `Forest`."""
        place_of = {node: place for place, node in enumerate(wanted)}
        queues: dict[int, list[int]] = {}
        for row, tree in enumerate(self.trees):
            if nodes := tree.depth_first(len(self._slots[row])):
                queues[row] = nodes
        parts: list[tuple[list[int], NextTokens]] = []
        for row, nodes in queues.items():
            self._slots[row] = np.pad(self._slots[row], (0, len(nodes)), constant_values=-1)
        while queues:
            batch, part = self._read_within_memory(queues, place_of)
            parts.append(part)
            for row, nodes in batch.items():
                del queues[row][: len(nodes)]
                if not queues[row]:
                    del queues[row]
        return merge_parts(parts, len(wanted))

    def _read_within_memory(
        self, queues: Mapping[int, list[int]], place_of: Mapping[Node, int]
    ) -> tuple[dict[int, list[int]], tuple[list[int], NextTokens]]:
        """One forward pass; where memory runs out, of half as many tokens, and so on for the rest of this forest.

        Returns:
            The nodes that were read, by row; places in the request and the next tokens there.

        Raises:
            OutOfMemoryError: not even one token fits.
        """
        while True:
            batch = self._next_batch(queues, place_of)
            try:
                return batch, self._read_part(batch, place_of)
            except (MemoryError, RuntimeError) as error:
                if not calls_for_parts(error):
                    raise
            free_memory()
            if self._tokens_per_pass == 1:
                raise OutOfMemoryError("no memory for one token")
            self._tokens_per_pass //= 2

    def _next_batch(self, queues: Mapping[int, list[int]], place_of: Mapping[Node, int]) -> dict[int, list[int]]:
        """The nodes of the next pass, by row: of the rows that wait for most, as many as there is room for.

        There must be room for their tokens and for their logits, and little of it lost to padding.
        """
        longest = sorted(queues, key=lambda row: -len(queues[row]))
        most = len(queues[longest[0]])
        width = min(self._tokens_per_pass, max(self._sharing_width, self._tokens_per_pass // len(queues)))
        width = math.ceil(most / math.ceil(most / width))  # rows of like length then end together
        rows = list(_rows_of_like_length(longest[: self._tokens_per_pass // width], queues, width, self._most_padding))
        limit = most_logits(self._reader.model)
        while True:
            batch = {row: queues[row][:width] for row in rows}
            if sum((row, node) in place_of for row, nodes in batch.items() for node in nodes) <= limit:
                return batch
            if len(rows) > 1:
                rows = rows[: len(rows) // 2]
            else:
                width = (width + 1) // 2

    def _read_part(self, batch: Mapping[int, list[int]], place_of: Mapping[Node, int]) -> tuple[list[int], NextTokens]:
        start = time.perf_counter()
        places: list[int] = []
        cells: tuple[list[int], list[int]] = ([], [])
        for index, (row, nodes) in enumerate(batch.items()):
            for column, node in enumerate(nodes):
                if (place := place_of.get((row, node))) is not None:
                    places.append(place)
                    cells[0].append(index)
                    cells[1].append(column)
        result = top_tokens(self._forward(batch, cells), self._top_k)
        for row, nodes in batch.items():
            self._slots[row][nodes] = self._cache.num_slots + np.arange(len(nodes))
            self._cache.num_slots += len(nodes)
        widths = [len(nodes) for nodes in batch.values()]
        self._reader.add_cost(sum(widths), max(widths) * len(widths), time.perf_counter() - start)
        return places, result

    def _forward(self, batch: Mapping[int, list[int]], cells: tuple[list[int], list[int]]) -> torch.Tensor:
        """(N, V) logits at the (row, column) cells after running the nodes of a pass."""
        num, width = len(batch), max(len(nodes) for nodes in batch.values())
        context = {row: self._attended_nodes(row, nodes) for row, nodes in batch.items()}
        context_width = max(len(nodes) for nodes in context.values())
        ids = np.zeros((num, width), dtype=np.int64)
        is_node = np.zeros((num, width), dtype=bool)
        slots = np.zeros((num, context_width), dtype=np.int64)
        positions = np.zeros((num, context_width + width), dtype=np.int64)
        allowed = np.zeros((num, width, context_width + width), dtype=bool)
        allowed[:, np.arange(width), context_width + np.arange(width)] = True  # padding sees itself: no empty softmax
        for index, (row, nodes) in enumerate(batch.items()):
            tree, earlier, new, count = self.trees[row], context[row], np.array(nodes), len(nodes)
            ancestors = tree.ancestors()
            ids[index, :count] = [tree.tokens[node] for node in nodes]
            is_node[index, :count] = True
            slots[index, : len(earlier)] = self._slots[row][earlier]
            positions[index, : len(earlier)] = [tree.depths[node] for node in earlier]
            positions[index, context_width : context_width + count] = [tree.depths[node] for node in nodes]
            allowed[index, :count, : len(earlier)] = ancestors[np.ix_(new, earlier)]
            allowed[index, :count, context_width : context_width + count] = ancestors[np.ix_(new, new)]
        reader, device = self._reader, self._reader.model.device
        key_positions = torch.from_numpy(positions).to(device)
        query_positions = key_positions[:, context_width:]
        mask = reader.masks.masks(
            torch.from_numpy(allowed).to(device), query_positions, key_positions, reader.model.dtype
        )
        self._cache.begin(torch.from_numpy(slots).to(device), torch.from_numpy(np.flatnonzero(is_node)).to(device))
        with torch.inference_mode(), tree_attention(reader.model):
            return logits_at(
                reader.model,
                cells,
                input_ids=torch.from_numpy(ids).to(device),
                attention_mask=mask,
                position_ids=query_positions,
                past_key_values=self._cache,
                use_cache=True,
            )

    def _attended_nodes(self, row: int, nodes: Sequence[int]) -> npt.NDArray[np.int64]:
        """The nodes read before that some of these nodes attend to."""
        attended = np.any(self.trees[row].ancestors()[nodes], axis=0)
        attended[nodes] = False
        return np.flatnonzero(attended)
