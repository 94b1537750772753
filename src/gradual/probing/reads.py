"""What follows at the nodes of a forest: tokens with their chances, each node being read by the model once.

Knows engines and the sampler's arithmetic; what the answers mean is for `exact` and `sampled`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gradual.config.run import ProbeConfig
from gradual.engines.engine import Forest, NextTokens, Node, UnseenTokens


class Choices(NamedTuple):
    """What can follow at one node, likeliest first; padded with token -1."""

    tokens: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float32]
    chances: npt.NDArray[np.float64]
    """With which the probe's sampler draws each token."""
    chances_t1: npt.NDArray[np.float64]
    """The same with temperature 1; all 0 where confidence is not asked."""
    unseen: float
    """The chance that is left for tokens that the engine does not tell: those above may have as much more in all."""
    unseen_t1: float
    """The same with temperature 1."""


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
        next_tokens = self._forest.read(new)
        chances, unseen = sampling_chances(next_tokens, self._settings)
        chances_t1, unseen_t1 = np.zeros_like(chances), np.zeros_like(unseen)
        if self._at_one:
            chances_t1, unseen_t1 = sampling_chances(next_tokens, self._at_one)
        parts = (next_tokens.tokens, next_tokens.logits, chances, chances_t1, unseen, unseen_t1)
        choices = [Choices(*rows) for rows in zip(*parts, strict=True)]
        if not self._remembers:
            return choices
        self._known |= dict(zip(new, choices, strict=True))
        return [self._known[node] for node in nodes]


def sampling_chances(
    next_tokens: NextTokens, settings: ProbeConfig
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Probabilities with which a sampler draws each token: temperature, then top-k, then top-p, renormalised.

    The order and the ties (all logits >= the k-th are kept) are those of the `transformers` sampler.

    Returns:
        (N, K) what each token has at least, and (N,) what remains: 0 where all tokens are told. The remainder may go to
        tokens that are told (the others weigh less than they might) or to others (they weigh all that they might), so
        a chance of right answers is at least what the first add up to, and at most that and the remainder.
    """
    logits = next_tokens.logits.astype(np.float64) / settings.temperature
    weights = np.exp(logits - logits[:, :1])
    if next_tokens.unseen is not None and bool((next_tokens.unseen.mass > 0.0).any()):
        return _bounded_chances(
            weights, _unseen_weights(next_tokens, next_tokens.unseen, settings.temperature), settings.top_p
        )
    chances: npt.NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    if settings.top_p < 1.0:
        before = np.cumsum(chances, axis=1) - chances
        chances = np.where(before < settings.top_p, chances, 0.0)
        chances /= chances.sum(axis=1, keepdims=True)
    return chances, np.zeros(len(chances))


def _unseen_weights(next_tokens: NextTokens, unseen: UnseenTokens, temperature: float) -> npt.NDArray[np.float64]:
    """(N,) the most that the weights of unseen tokens may come to, that of the likeliest token being 1.

    Each is at most as likely as the last token that is told (probability q), and all together have at most the mass R:
    the sum of their r^a, a being 1 / temperature, is then at most R q^(a-1) where a >= 1 (r^a is convex: as many as
    possible have q), and n min(q, R/n)^a for n tokens in either case. Ties with the k-th likeliest are among them.
    """
    power, first = 1.0 / temperature, next_tokens.logits[:, 0].astype(np.float64)
    last = np.where(next_tokens.tokens >= 0, next_tokens.logits, np.inf).min(axis=1).astype(np.float64)
    most = np.zeros(len(first))
    rows = unseen.mass > 0.0
    mass, last, first = np.log(unseen.mass[rows]), last[rows], first[rows]
    number = np.log(unseen.num_tokens)
    bound = number + power * np.minimum(last, mass - number)
    if power >= 1.0:
        bound = np.minimum(number + power * last, mass + (power - 1.0) * last)
    most[rows] = np.exp(bound - power * first)
    return most


def _bounded_chances(
    weights: npt.NDArray[np.float64], unseen: npt.NDArray[np.float64], top_p: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """As `sampling_chances`, from (N, K) weights and the most that (N,) further tokens may weigh."""
    if top_p < 1.0:
        before, mass = np.cumsum(weights, axis=1) - weights, weights.sum(axis=1, keepdims=True)
        most = mass + unseen[:, None]
        is_sure, is_possible = before < top_p * mass, before < top_p * most
        reaches_unseen = (mass < top_p * most)[:, 0]
        unseen = np.where(is_possible & ~is_sure, weights, 0.0).sum(axis=1) + np.where(reaches_unseen, unseen, 0.0)
        weights = np.where(is_sure, weights, 0.0)
    total = weights.sum(axis=1) + unseen
    return weights / total[:, None], unseen / total
