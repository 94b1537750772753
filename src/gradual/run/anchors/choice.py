"""Which facts a stage teaches to refuse or holds to a reference, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence

from gradual.config.stage import StageConfig
from gradual.selection.expressions import FactState
from gradual.selection.other_roles import with_anchors, with_refusals
from gradual.selection.strategies import Selection


def with_anchors_and_refusals(
    selection: Selection, states: Sequence[FactState], stage: StageConfig, *, rng_seed: str
) -> Selection:
    """The selection with the facts that the stage's `abstain` and `anchor` name; as it is where it has neither."""
    if stage.abstain is not None:
        abstain = stage.abstain
        selection = with_refusals(selection, states, abstain.select, abstain.share, rng_seed=rng_seed)
    if stage.anchor is not None and stage.anchor.chooses_facts:
        selection = with_anchors(selection, states, stage.anchor.select, stage.anchor.share, rng_seed=rng_seed)
    return selection


def anchor_warnings(selection: Selection, stage: StageConfig) -> list[str]:
    """What to say of a stage whose anchor or refusals match no fact."""
    found = []
    if stage.anchor is not None and stage.anchor.chooses_facts and not selection.num_anchor:
        found.append(f"no fact beside those trained on matches anchor.select `{stage.anchor.select}`: nothing is held")
    if stage.abstain is not None and not selection.num_abstain:
        found.append(f"no fact matches abstain.select `{stage.abstain.select}`: no refusal is taught")
    return found


def anchor_options(stage: StageConfig, selection: Selection | None) -> list[str]:
    """What is out of the ordinary about a stage with an anchor or refusals; with counts where they are known."""
    options = []
    if stage.abstain is not None:
        count = "" if selection is None else f": {selection.num_abstain}"
        options.append(f'taught to say "{stage.abstain.answer}" where {stage.abstain.select}{count}')
    if stage.anchor is not None and not stage.anchor.chooses_facts:
        options.append(f"weights of the adapter held to where they begin, l2 by {stage.anchor.weight:g}")
    elif stage.anchor is not None:
        count = "" if selection is None else f": {selection.num_anchor}"
        options.append(f"anchored by {stage.anchor.kind} where {stage.anchor.select}{count}")
    return options
