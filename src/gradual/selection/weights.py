"""How much each fact of a stage counts: weights of the loss by what the model knows, as the exact probe measured it.

Knows probabilities only. `run` takes them from the current map, `training` multiplies losses by the weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal

from gradual.errors import TrainingError

Weighting = Literal["none", "p", "1-p", "p(1-p)"]

_WEIGHTS: dict[Weighting, Callable[[float], float]] = {
    "p": lambda p: p,
    "1-p": lambda p: 1.0 - p,
    "p(1-p)": lambda p: p * (1.0 - p),
}


def fact_weights(p: Mapping[str, float], weighting: Weighting) -> dict[str, float]:
    """Weight of each fact's loss, with a mean of 1 over the facts, so that a learning rate keeps its meaning.

    `p` makes certain what is nearly known: since grad p = p * grad log p, it follows the gradient of the expected
    number of right answers, with p as it was when the stage began. `1-p` turns to what is least known, `p(1-p)` to what
    is least decided. A fact of weight 0 adds nothing to the loss, but counts in the mean.

    Args:
        p: mean probability in [0, 1] of a right sampled answer (`FactKnowledge.p_sampled`) of every fact trained on;
            no facts have no weights.
        weighting: formula; `none` gives no weights, which means that all are 1.

    Raises:
        TrainingError: every weight is 0, so there is nothing to learn.
    """
    if weighting == "none" or not p:
        return {}
    raw = {fact_id: _WEIGHTS[weighting](value) for fact_id, value in p.items()}
    total = math.fsum(raw.values())
    if total <= 0.0:
        values = ", ".join(f"{value:g}" for value in sorted(set(p.values())))
        raise TrainingError(
            f"weighting {weighting}: expected a fact with a weight above 0, found none among {len(p)} (p is {values} "
            "for all) - use another weighting, or select other facts"
        )
    return {fact_id: value * len(raw) / total for fact_id, value in raw.items()}
