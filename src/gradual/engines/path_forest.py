"""The slow but sure way to read a forest: every path from a root as a plain sequence of its own.

For architectures that do not take the mask of a tree (`transformers_engine` finds out). Only what every causal model
offers is used: right-padded sequences, a mask of what is padding, no cache. Knows tokens and logits only.
Shapes: B sequences, T tokens, N wanted nodes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from gradual.engines.engine import NextTokens, Node
from gradual.engines.next_tokens import logits_at, merge_parts, most_logits, top_tokens
from gradual.engines.reader import Reader
from gradual.engines.token_tree import ROOT, TokenTree
from gradual.errors import OutOfMemoryError
from gradual.models.memory import calls_for_parts


class _Sequence(NamedTuple):
    """A path from its root on, and what is wanted of it: (place in the request, column)."""

    tokens: list[int]
    cells: list[tuple[int, int]]


class PathForest:
    """A `Forest` that computes every wanted path anew and nothing else; nodes that are not wanted cost nothing."""

    def __init__(self, reader: Reader, num_rows: int, top_k: int) -> None:
        self._reader = reader
        self._top_k = top_k
        self.trees: Sequence[TokenTree] = [TokenTree() for _ in range(num_rows)]

    def read(self, wanted: Sequence[Node]) -> NextTokens:
        """See `Forest`.

        Raises:
            OutOfMemoryError: a pass does not fit.
        """
        place_of = {node: place for place, node in enumerate(wanted)}
        sequences = sorted(_paths_to(self.trees, place_of), key=lambda sequence: len(sequence.tokens), reverse=True)
        try:
            parts = [self._read_part(batch) for batch in self._batches(sequences)]
        except (MemoryError, RuntimeError) as error:
            if not calls_for_parts(error):
                raise
            raise OutOfMemoryError(f"no memory for paths of {len(sequences[0].tokens)} tokens") from error
        return merge_parts(parts, len(wanted))

    def _batches(self, sequences: Sequence[_Sequence]) -> Iterator[list[_Sequence]]:
        """The sequences, longest first, in passes of so many tokens and logits as there is room for."""
        most = most_logits(self._reader.model)
        batch: list[_Sequence] = []
        num_cells = 0
        for sequence in sequences:
            num_cells += len(sequence.cells)
            padded = len((batch or [sequence])[0].tokens) * (len(batch) + 1)
            if batch and (padded > self._reader.tokens_per_pass or num_cells > most):
                yield batch
                batch, num_cells = [], len(sequence.cells)
            batch.append(sequence)
        if batch:
            yield batch

    def _read_part(self, batch: Sequence[_Sequence]) -> tuple[list[int], NextTokens]:
        """One forward pass over some sequences, the longest first: places in the request, next tokens there."""
        start = time.perf_counter()
        model, width = self._reader.model, len(batch[0].tokens)
        ids = np.full((len(batch), width), self._reader.pad_token, dtype=np.int64)
        is_token = np.zeros((len(batch), width), dtype=np.int64)
        for row, sequence in enumerate(batch):
            ids[row, : len(sequence.tokens)] = sequence.tokens
            is_token[row, : len(sequence.tokens)] = 1
        rows = [row for row, sequence in enumerate(batch) for _ in sequence.cells]
        columns = [column for sequence in batch for _, column in sequence.cells]
        with torch.inference_mode():
            logits = logits_at(
                model,
                (rows, columns),
                input_ids=torch.from_numpy(ids).to(model.device),
                attention_mask=torch.from_numpy(is_token).to(model.device),
                use_cache=False,
            )
        next_tokens = top_tokens(logits, self._top_k)
        self._reader.add_cost(int(is_token.sum()), is_token.size, time.perf_counter() - start)
        return [place for sequence in batch for place, _ in sequence.cells], next_tokens


def _paths_to(trees: Sequence[TokenTree], place_of: Mapping[Node, int]) -> Iterator[_Sequence]:
    """As few paths as hold all nodes asked for: a node on the way to another is served by the longer path."""
    path_nodes: set[Node] = set()
    for row, node in sorted(place_of, reverse=True):  # children have greater numbers than their parents
        if (row, node) in path_nodes:
            continue
        tree, path = trees[row], []
        while node != ROOT:
            path.append(node)
            node = tree.parents[node]
        path.reverse()
        fresh = [(row, each) for each in path if (row, each) in place_of and (row, each) not in path_nodes]
        path_nodes.update(fresh)
        cells = [(place_of[each], tree.depths[each[1]]) for each in fresh]
        yield _Sequence([tree.tokens[each] for each in path], cells)
