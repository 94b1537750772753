"""Successive halving: all candidates are trained a little, the better ones longer, until two are trained to the end.

The inner loop of Hyperband (Li et al. 2018, arXiv 1603.06560, algorithm 1), at its most thrifty: s as large as the
epochs allow. Knows no model and no fact; how a candidate does after so many epochs, the caller finds out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

ETA = 3
"""Of the candidates of a rung one in so many goes on, for so many times the epochs; Hyperband's default."""
FINALISTS = 2
"""Candidates of the last rung, at least: a choice is told with its runner-up."""

Score = tuple[float, ...]
"""How good a candidate is, the higher the better; compared place by place."""


class Rung(NamedTuple):
    """A step of halving."""

    num_epochs: int
    """Epochs that a candidate has had at its end, those of earlier rungs included."""
    num_candidates: int


def rungs(num_candidates: int, max_epochs: int) -> list[Rung]:
    """The rungs for so many candidates, of which the last ones are trained for `max_epochs`.

    With R = max_epochs and s = floor(log_eta R), rung i = 0 ... s has max(2, floor(n / eta^i)) candidates, n at most,
    and ends after R / eta^(s - i) epochs, rounded. Rungs that drop nobody are left out.

    Raises:
        ValueError: there is no candidate or no epoch.
    """
    if num_candidates < 1 or max_epochs < 1:
        raise ValueError(f"expected candidates and epochs, found {num_candidates} and {max_epochs}")
    last = 0
    while ETA ** (last + 1) <= max_epochs:
        last += 1
    found = [
        Rung(round(max_epochs / ETA ** (last - i)), min(num_candidates, max(FINALISTS, num_candidates // ETA**i)))
        for i in range(last + 1)
    ]
    return [each for each, after in zip(found, [*found[1:], None], strict=True) if after is None or _drops(each, after)]


def _drops(rung: Rung, after: Rung) -> bool:
    return rung.num_candidates > after.num_candidates


def halve(candidates: Sequence[str], max_epochs: int, score: Callable[[str, int], Score | None]) -> list[str]:
    """The candidates of the last rung, the best first; of equals the one that comes first in `candidates`.

    Args:
        candidates: names, the likeliest or plainest first.
        max_epochs: of the last rung.
        score: trains a candidate until it has had so many epochs and says how good it is then; None: it cannot be
            trained, and is out.
    """
    left = list(candidates)
    for rung in rungs(len(left), max_epochs):
        left = left[: rung.num_candidates]
        scores = {name: found for name in left if (found := score(name, rung.num_epochs)) is not None}
        left = sorted(scores, key=lambda name: (scores[name], -candidates.index(name)), reverse=True)
        if not left:
            return []
    return left
