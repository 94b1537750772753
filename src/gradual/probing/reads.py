"""What follows at the nodes of a forest: tokens with their chances, each node being read by the model once.

Knows engines and the sampler's arithmetic; what the answers mean is for `exact` and `sampled`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gradual.config.run import ProbeConfig
from gradual.engines.engine import Forest, NextTokens, Node


class Choices(NamedTuple):
    """What can follow at one node, likeliest first; padded with token -1."""

    tokens: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float32]
    chances: npt.NDArray[np.float64]
    """With which the probe's sampler draws each token."""
    chances_t1: npt.NDArray[np.float64]
    """The same with temperature 1; all 0 where confidence is not asked."""


class NodeReads:
    """Reads nodes of a forest; where confidence or refusals are asked, remembers them: these come back to nodes."""

    def __init__(self, forest: Forest, settings: ProbeConfig) -> None:
        self._forest = forest
        self._settings = settings
        self._at_one = settings.model_copy(update={"temperature": 1.0}) if settings.confidence else None
        self._remembers = settings.confidence or bool(settings.refusals)
        self._known: dict[Node, Choices] = {}

    def at(self, nodes: Sequence[Node]) -> list[Choices]:
        """What follows at each of some nodes, all different; each is new to the forest or was asked for before."""
        new = [node for node in nodes if node not in self._known]
        if not new:
            return [self._known[node] for node in nodes]
        found = self._forest.read(new)
        chances = sampling_chances(found, self._settings)
        chances_t1 = sampling_chances(found, self._at_one) if self._at_one else np.zeros_like(chances)
        if not self._remembers:
            return [Choices(*rows) for rows in zip(*found, chances, chances_t1, strict=True)]
        self._known |= {node: Choices(*rows) for node, *rows in zip(new, *found, chances, chances_t1, strict=True)}
        return [self._known[node] for node in nodes]


def sampling_chances(found: NextTokens, settings: ProbeConfig) -> npt.NDArray[np.float64]:
    """(N, K) probabilities with which a sampler draws each token: temperature, then top-k, then top-p, renormalised.

    The order and the ties (all logits >= the k-th are kept) are those of the `transformers` sampler.
    """
    scaled = found.logits.astype(np.float64) / settings.temperature
    weights = np.exp(scaled - scaled[:, :1])
    chances: npt.NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    if settings.top_p < 1.0:
        before = np.cumsum(chances, axis=1) - chances
        chances = np.where(before < settings.top_p, chances, 0.0)
        chances /= chances.sum(axis=1, keepdims=True)
    return chances
