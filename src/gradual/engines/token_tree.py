"""Many token sequences as one tree: what they share is stored, read and computed once.

Owns the tree and the order of its nodes, for probing and training alike. Knows token ids only: no text and no tensors
(forests turn a tree into forward passes in which every node attends to its ancestors).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

ROOT = -1
"""Parent of a sequence's first token."""


class TokenTree:
    """A growing prefix tree of tokens. Nodes are numbered in the order they are added, parents before children."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self.depths: list[int] = []
        self._children: dict[tuple[int, int], int] = {}
        self._ancestors = np.zeros((0, 0), dtype=bool)
        self._num_ancestor_rows = 0

    def __len__(self) -> int:
        return len(self.tokens)

    def add(self, parent: int, tokens: Sequence[int]) -> list[int]:
        """The nodes of a chain of tokens under `parent`, new ones made where the tree lacks them."""
        nodes = []
        for token in tokens:
            node = self._children.get((parent, token))
            if node is None:
                node = len(self.tokens)
                self._children[parent, token] = node
                self.tokens.append(token)
                self.depths.append(self.depths[parent] + 1 if parent != ROOT else 0)
                self.parents.append(parent)
            nodes.append(node)
            parent = node
        return nodes

    def path(self, node: int) -> list[int]:
        """Tokens from the root down to a node, the node's own last; empty for -1, which stands before the root."""
        tokens = []
        while node >= 0:
            tokens.append(self.tokens[node])
            node = self.parents[node]
        return tokens[::-1]

    def depth_first(self, start: int = 0) -> list[int]:
        """The nodes from `start` on, each followed by those under it; under older nodes, in the order of adding."""
        under: dict[int, list[int]] = {}
        waiting: list[int] = []
        for node in reversed(range(start, len(self.tokens))):
            parent = self.parents[node]
            (under.setdefault(parent, []) if parent >= start else waiting).append(node)
        order: list[int] = []
        while waiting:
            node = waiting.pop()
            order.append(node)
            waiting += under.get(node, ())
        return order

    def ancestors(self) -> npt.NDArray[np.bool_]:
        """(N, N) mask: row i says which nodes node i attends to, itself included."""
        count = len(self.tokens)
        if count > self._ancestors.shape[0]:
            grown = np.zeros((max(count, 256) * 3 // 2,) * 2, dtype=bool)
            num_rows = self._num_ancestor_rows
            grown[:num_rows, :num_rows] = self._ancestors[:num_rows, :num_rows]
            self._ancestors = grown
        for node in range(self._num_ancestor_rows, count):
            parent = self.parents[node]
            if parent != ROOT:
                self._ancestors[node] = self._ancestors[parent]
            self._ancestors[node, node] = True
        self._num_ancestor_rows = count
        return self._ancestors[:count, :count]
