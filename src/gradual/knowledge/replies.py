"""What a model's answers come to in an evaluation map where it may refuse: right, refused or wrong, fact by fact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gradual.knowledge.levels import Level
from gradual.knowledge.map import FactKnowledge, KnowledgeMap
from gradual.statistics.refusal_scores import Reply

KNOWN = (Level.MAYBE_KNOWN, Level.HIGHLY_KNOWN)
"""Levels of facts that a model answers rightly at least at times: to refuse these is the harm that refusing does."""


def reply_of(fact: FactKnowledge) -> Reply:
    """What the greedy answer comes to, under the one exemplar set of an evaluation; never refused if not asked."""
    if fact.p_greedy > 0:
        return Reply.RIGHT
    return Reply.REFUSED if fact.p_greedy_refuse else Reply.WRONG


def replies(evaluation: KnowledgeMap) -> dict[str, Reply]:
    """Each fact's reply, by id; empty where the map was made without refusals.

    Args:
        evaluation: a map with one exemplar set; its answers need not be read (`read_map(with_answers=False)`).
    """
    return {fact.id: reply_of(fact) for fact in evaluation} if evaluation.has_refusals else {}


def known_at_start(facts: Iterable[str], levels: Mapping[str, Level]) -> list[str]:
    """Those of the facts that were HighlyKnown or MaybeKnown at the start."""
    return [fact for fact in facts if levels.get(fact) in KNOWN]
