"""Facts that a stage trains on otherwise than with their own targets: those that anchor it, and those it is to refuse.

Knows a selection and the facts it was made from. What an anchor's loss is, `training` knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from gradual.selection.expressions import FactState, parse_expression
from gradual.selection.strategies import Role, SelectedFact, Selection, draw


def with_refusals(
    selection: Selection, states: Sequence[FactState], select: str, share: float, *, rng_seed: int | str
) -> Selection:
    """The selection in which a share of the facts that match `select` have the role `abstain`.

    They need not have been selected; where they were, with their own target, they no longer are, and are no longer
    asked for. Teaching a model to
    refuse what it does not know: SliCK (arXiv 2405.05904, appendix K), R-Tuning (arXiv 2311.09677).

    Args:
        selection: what a stage would train on.
        states: the facts it was selected from.
        select: expression.
        share: in (0, 1]; round(share * matching facts) are drawn.
        rng_seed: seed of the draw; a fact's place depends on the seed and its id only.
    """
    return _with_role(selection, states, select, share, "abstain", f"{rng_seed}/abstain")


def with_anchors(
    selection: Selection, states: Sequence[FactState], select: str, share: float, *, rng_seed: int | str
) -> Selection:
    """The selection and, with the role `anchor`, a share of the facts that match `select` and are not in it.

    Args:
        selection: what a stage would train on.
        states: the facts it was selected from.
        select: expression.
        share: in (0, 1]; round(share * matching facts) are drawn.
        rng_seed: seed of the draw; a fact's place depends on the seed and its id only.
    """
    ids = {row.id for row in selection.rows}
    others = [state for state in states if state.id not in ids]
    return _with_role(selection, others, select, share, "anchor", f"{rng_seed}/anchor")


def _with_role(
    selection: Selection, states: Sequence[FactState], select: str, share: float, role: Role, seed: str
) -> Selection:
    matches = parse_expression(select)
    pool = [state for state in states if matches(state)]
    sample = draw(pool, round(share * len(pool)), seed)
    reason = f"{role}, {len(sample)} of {len(pool)} facts, from {select}"
    additions = {s.id: SelectedFact(s.id, role, s.first, s.before, s.now, reason) for s in sample}
    rest = [row for row in selection.rows if row.id not in additions]
    displaced = Counter(row.role for row in selection.rows if row.id in additions)
    return replace(
        selection,
        rows=tuple(sorted([*rest, *additions.values()], key=lambda row: row.id)),
        new_wanted=selection.new_wanted - displaced["new"],
        replay_wanted=selection.replay_wanted - displaced["replay"],
    )
