"""A limit on what a stage does not know: in each relation, no more than a share of its facts may be Unknown.

Knows a selection and the facts it was made from; takes facts out, never adds any. `strategies` chose them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from gradual.errors import TrainingError
from gradual.knowledge.levels import Level
from gradual.selection.expressions import FactState
from gradual.selection.strategies import Selection, draw


def limit_unknown(
    selection: Selection, states: Sequence[FactState], max_share: float | None, *, rng_seed: int | str
) -> Selection:
    """The selection without the surplus of Unknown facts; as it is where `max_share` is None or nowhere exceeded.

    All facts that are trained on count, the replay included, by the level now. A relation with k facts that are not
    Unknown keeps at most max_share / (1 - max_share) * k that are. A replay stays as large as it was drawn for the
    whole selection. Fine-tuning on Unknown facts does harm (SliCK, arXiv 2405.05904); a relation that is trained on
    nothing else does the most.

    Args:
        selection: what a stage would train on.
        states: the facts it was selected from.
        max_share: in [0, 1).
        rng_seed: seed of the draw of the Unknown facts that stay; a fact's place depends on the seed and its id only.

    Raises:
        TrainingError: new facts were selected, and none of them is left.
    """
    if max_share is None:
        return selection
    ids = {row.id for row in selection.rows}
    unknown: dict[str, list[FactState]] = {}
    num_others: dict[str, int] = {}
    for state in (state for state in states if state.id in ids):
        if state.now is Level.UNKNOWN:
            unknown.setdefault(state.relation, []).append(state)
        else:
            num_others[state.relation] = num_others.get(state.relation, 0) + 1
    share = Fraction(str(max_share))  # as written: 0.6 / 0.4 is 1.5, not a little less
    surplus: set[str] = set()
    for relation, facts in unknown.items():
        most = math.floor(share / (1 - share) * num_others.get(relation, 0))
        stay = {state.id for state in draw(facts, most, f"{rng_seed}/unknown")}
        surplus |= {state.id for state in facts} - stay
    limited = replace(
        selection,
        rows=tuple(row for row in selection.rows if row.id not in surplus),
        num_left_out=len(surplus),
    )
    if selection.num_new and not limited.num_new:
        raise TrainingError(
            f"max_unknown_share {max_share:g}: expected new facts to train on, found that all {selection.num_new} are "
            "Unknown and in relations with too few facts that are not - raise it, or select facts that are known better"
        )
    return limited
