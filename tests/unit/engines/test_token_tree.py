from __future__ import annotations

from gradual.engines.token_tree import ROOT, TokenTree


def test_shared_beginnings_are_stored_once() -> None:
    tree = TokenTree()
    assert tree.add(ROOT, [5, 6, 7]) == [0, 1, 2]
    assert tree.add(ROOT, [5, 6, 8]) == [0, 1, 3]
    assert tree.add(1, [7]) == [2]
    assert tree.add(2, [9]) == [4]
    assert (tree.tokens, tree.parents, tree.depths) == ([5, 6, 7, 8, 9], [-1, 0, 1, 1, 2], [0, 1, 2, 2, 3])


def test_a_node_attends_to_its_ancestors_only_also_after_growing() -> None:
    tree = TokenTree()
    tree.add(ROOT, [5, 6, 7])
    tree.add(0, [8])
    assert tree.ancestors().tolist() == [
        [True, False, False, False],
        [True, True, False, False],
        [True, True, True, False],
        [True, False, False, True],
    ]
    tree.add(3, [9] * 300)
    mask = tree.ancestors()
    assert mask.shape == (304, 304)
    assert mask[303, :5].tolist() == [True, False, False, True, True]


def test_depth_first_order_keeps_together_what_shares_a_beginning() -> None:
    tree = TokenTree()
    tree.add(ROOT, [5, 6])
    tree.add(ROOT, [7, 8])
    tree.add(1, [9])
    assert tree.depth_first() == [0, 1, 4, 2, 3]
    tree.add(3, [1])
    tree.add(0, [2, 3])
    tree.add(3, [4])
    assert tree.depth_first(5) == [5, 6, 7, 8]
    tree.add(5, [1])
    assert tree.depth_first(5) == [5, 9, 6, 7, 8]
    assert tree.depth_first(10) == []
