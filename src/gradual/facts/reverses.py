"""Facts that ask another fact the other way round: links checked, and followed in both directions.

A link is stated once, by `Fact.reverse_of`; it holds both ways. Knows facts and rows, no model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from gradual.facts.fact import Fact
from gradual.facts.problems import Problems, shown
from gradual.facts.reading.rows import StatedFact


def without_missing_reverses(stated: Sequence[StatedFact], problems: Problems) -> list[StatedFact]:
    """The facts whose `reverse_of` is empty or names another fact, as no fact before does; the others are noted."""
    ids = {each.fact.id for each in stated}
    first: dict[str, StatedFact] = {}
    kept: list[StatedFact] = []
    for each in stated:
        named, expected, found = each.fact.reverse_of, "the id of another fact in reverse_of", ""
        if named and (named not in ids or named == each.fact.id):
            found = shown(named) if named in ids else f"{shown(named)}, which no fact has"
        elif named and first.setdefault(named, each).fact.id != each.fact.id:
            expected, found = "one reverse of each fact", f"another of {shown(named)} at {first[named].where}"
        if not found:
            kept.append(each)
            continue
        remedy = "correct the id, or leave it out"
        problems.add(each.where, expected=expected, found=found, remedy=remedy, row=dataclasses.asdict(each.fact))
    return kept


def reverses(facts: Iterable[Fact]) -> dict[str, Fact]:
    """The fact that asks each fact the other way round, by the id of the latter; a link holds in both directions.

    A fact that names another is that one's reverse before any that it names itself is.
    """
    by_id = {fact.id: fact for fact in facts}
    links = [(fact, by_id[fact.reverse_of]) for fact in by_id.values() if fact.reverse_of in by_id]
    return {fact.id: other for fact, other in links} | {other.id: fact for fact, other in links}
