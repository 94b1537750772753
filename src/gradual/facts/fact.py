"""What a fact is: a closed-book question with its accepted answers, in a relation.

Knows neither files (`loading`) nor how a set of facts is divided (`splits`) nor what a right answer is (`matching`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing to know. `answers` are the accepted answers (targets), the first being the one to train on."""

    id: str
    relation: str
    question: str
    answers: tuple[str, ...]
    subject: str = ""
    """The entity asked about, where it is known; empty otherwise."""
    split: str = ""
    """train, validation, test or exemplars, where the source says so; empty otherwise."""
    system: str = ""
    """The turn of the system that chat prompts begin with, where the source has one; empty otherwise."""
    rewordings: tuple[str, ...] = ()
    """The question in other words: never trained on, never a shot."""
    reverse_of: str = ""
    """Id of the fact that this one asks the other way (Paris is the capital of ...?); empty for none."""


def fact_id(relation: str, question: str) -> str:
    """Stable id of a fact that came without one: 16 hex digits from its relation and question."""
    return hashlib.blake2b(f"{relation}\x00{question}".encode(), digest_size=8).hexdigest()


def by_relation(facts: Iterable[Fact]) -> Mapping[str, list[Fact]]:
    """Facts grouped by relation, relations in sorted order, facts in the order given."""
    groups: dict[str, list[Fact]] = {}
    for fact in facts:
        groups.setdefault(fact.relation, []).append(fact)
    return {relation: groups[relation] for relation in sorted(groups)}


def spread(facts: Sequence[Fact], count: int) -> list[Fact]:
    """About `count` of the facts, spread evenly over them in the order of relation and id."""
    sequence = sorted(facts, key=lambda fact: (fact.relation, fact.id))
    if count >= len(sequence):
        return sequence
    return [sequence[place * len(sequence) // count] for place in range(count)]
