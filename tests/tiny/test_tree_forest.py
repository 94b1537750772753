"""A forest read in many small passes, with little room or after failures, is the same forest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.out_of_memory import ERRORS, limit_memory

from gradual.engines import tree_forest
from gradual.engines.engine import NextTokens, Node
from gradual.engines.token_tree import ROOT
from gradual.engines.transformers_engine import TransformersEngine
from gradual.engines.tree_forest import TreeForest

pytestmark = pytest.mark.tiny


def grow(forest: TreeForest) -> Iterator[Sequence[Node]]:
    """Three rounds of forks over rows of unequal length; the nodes wanted in each."""
    drawn = np.random.default_rng(1)
    ends = []
    for row, tree in enumerate(forest.trees):
        shots = tree.add(ROOT, drawn.integers(5, 90, 20 + 7 * row).tolist())
        ends += [(row, tree.add(shots[-1], drawn.integers(5, 90, 6).tolist())[-1]) for _ in range(2 + 3 * row)]
    yield ends
    for _ in range(2):
        ends = [
            (row, forest.trees[row].add(node, drawn.integers(5, 90, 1 + row).tolist())[-1]) for row, node in ends[::-1]
        ]
        yield ends


def read_all(forest: TreeForest) -> list[NextTokens]:
    return [forest.read(list(dict.fromkeys(wanted))) for wanted in grow(forest)]


def assert_same(found: Sequence[NextTokens], expected: Sequence[NextTokens]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert (one.tokens[:, 0] == other.tokens[:, 0]).all()
        np.testing.assert_allclose(one.logits, other.logits, atol=2e-5)


def shapes_of_passes(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int, int]]:
    """Rows, new nodes, keys looked at and wanted logits of each pass that follows."""
    shapes = []
    original = tree_forest.logits_at

    def note(model: Any, picked: Any, **inputs: Any) -> torch.Tensor:
        shapes.append((*inputs["input_ids"].shape, inputs["attention_mask"].shape[-1], len(picked[0])))
        return original(model, picked, **inputs)

    monkeypatch.setattr(tree_forest, "logits_at", note)
    return shapes


@pytest.mark.parametrize("tokens_per_pass", [1, 7, 60, 512])
def test_however_little_is_read_at_once_the_numbers_are_the_same(
    tiny_engine: TransformersEngine, tokens_per_pass: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read_all(TreeForest(tiny_engine.reader, 4, 10))
    tiny_engine.reader.tokens_per_pass = tokens_per_pass
    shapes = shapes_of_passes(tiny_engine, monkeypatch)
    assert_same(read_all(TreeForest(tiny_engine.reader, 4, 10)), expected)
    assert max(rows * width for rows, width, *_ in shapes) <= tokens_per_pass


@pytest.mark.parametrize("sharing_width", [4, 1024])
def test_shorter_rows_wait_where_too_much_would_be_padding(
    tiny_engine: TransformersEngine, sharing_width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read_all(TreeForest(tiny_engine.reader, 4, 10))
    monkeypatch.setitem(tree_forest._SHARING_WIDTH, "cpu", sharing_width)
    monkeypatch.setitem(tree_forest._MOST_PADDING, "cpu", 5)
    shapes = shapes_of_passes(tiny_engine, monkeypatch)
    before = tiny_engine.cost()
    assert_same(read_all(TreeForest(tiny_engine.reader, 4, 10)), expected)
    after = tiny_engine.cost()
    padding = after.padded_tokens - before.padded_tokens - (after.tokens - before.tokens)
    assert padding <= 5 * len(shapes)
    assert len({width for _, width, *_ in shapes}) > 1


def test_no_pass_has_more_logits_than_there_is_room_for(
    tiny_engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read_all(TreeForest(tiny_engine.reader, 4, 10))
    monkeypatch.setattr(tree_forest, "most_logits", lambda _: 3)
    shapes = shapes_of_passes(tiny_engine, monkeypatch)
    assert_same(read_all(TreeForest(tiny_engine.reader, 4, 10)), expected)
    assert max(wanted for *_, wanted in shapes) == 3


def test_a_pass_looks_only_at_what_its_nodes_attend_to(
    tiny_engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    forest = TreeForest(tiny_engine.reader, 1, 10)
    tree = forest.trees[0]
    shots = tree.add(ROOT, range(5, 15))
    ends = [tree.add(shots[-1], [first, *range(20, 60)])[-1] for first in (70, 71, 72)]
    forest.read([(0, end) for end in ends])
    shapes = shapes_of_passes(tiny_engine, monkeypatch)
    forest.read([(0, tree.add(ends[0], [80])[0])])
    assert shapes == [(1, 1, len(shots) + 41 + 1, 1)]


def test_what_a_failed_pass_has_written_is_not_used(
    tiny_engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read_all(TreeForest(tiny_engine.reader, 4, 10))
    failures = limit_memory(tiny_engine.model, monkeypatch, lambda ids: ids.numel() <= 30, ERRORS["cpu"])
    assert_same(read_all(TreeForest(tiny_engine.reader, 4, 10)), expected)
    assert failures
