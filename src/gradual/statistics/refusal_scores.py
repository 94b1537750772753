"""Right, refused or wrong: what answers are worth when a model may say that it does not know.

Knows replies only, neither facts nor how a refusal is recognised. docs/confidence.md says what would bias each number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from gradual.statistics.measures import Share, share_of

TARGETS = (0.5, 0.75, 0.9)
"""Confidence targets that are told: those that Kalai et al. (2025) propose."""


class Reply(StrEnum):
    """What a greedy answer comes to."""

    RIGHT = "right"
    REFUSED = "refused"
    """It says that the model does not know."""
    WRONG = "wrong"


def coverage(replies: Iterable[Reply]) -> Share:
    """Share of facts that are answered, rightly or wrongly, with its 95 % Wilson interval."""
    return share_of(reply is not Reply.REFUSED for reply in replies)


def refusal_rate(replies: Iterable[Reply]) -> Share:
    """Share of facts that are refused, with its 95 % Wilson interval."""
    return share_of(reply is Reply.REFUSED for reply in replies)


def accuracy_of_answered(replies: Iterable[Reply]) -> Share:
    """Share of right answers among those that are given, with its 95 % Wilson interval.

    Selective accuracy: 1 minus the selective risk of El-Yaniv & Wiener (2010), JMLR 11. Rises when a model answers
    only what is easy, so it belongs beside the coverage.
    """
    return share_of(reply is Reply.RIGHT for reply in replies if reply is not Reply.REFUSED)


def score(reply: Reply, target: float) -> float:
    """What an answer is worth at a confidence target t: 1 if right, 0 if refused, -t / (1 - t) if wrong.

    A model that answers exactly where it is right with a chance above t has the highest mean: Kalai, Nachum, Vempala
    & Zhang (2025), "Why language models hallucinate", arXiv 2509.04664, section 4.2. A wrong answer costs 1 at t = 0.5,
    3 at 0.75 and 9 at 0.9. The mean over facts is at most 1 and has no lower bound of its own: it is what a reader
    gains who is led astray that dearly, and falls below the 0 of a model that says nothing where errors outweigh.

    Raises:
        ValueError: `target` is not in [0, 1).
    """
    if not 0 <= target < 1:
        raise ValueError(f"expected a confidence target of at least 0 and below 1, found {target}")
    return {Reply.RIGHT: 1.0, Reply.REFUSED: 0.0, Reply.WRONG: -target / (1 - target)}[reply]


def scores(replies: Mapping[str, Reply], target: float) -> dict[str, float]:
    """`score` of each fact, by id."""
    return {fact: score(reply, target) for fact, reply in replies.items()}
