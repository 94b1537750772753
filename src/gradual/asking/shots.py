"""Solved facts to put before any question: those of the relation whose questions are worded most like it.

Knows facts and their wording; no model and no run folder.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from gradual.errors import DataError
from gradual.facts.fact import Fact, by_relation
from gradual.text import did_you_mean

_WORD = re.compile(r"\w+")


class Shots:
    """Solved facts to put before a question, and whose wording it is likest."""

    def __init__(self, facts: Iterable[Fact], *, num_shots: int) -> None:
        """Sort facts by relation; relations with fewer than `num_shots` + 1 exemplars cannot be used.

        Exemplars are the facts with that split; without any, all facts are.

        Raises:
            DataError: no relation has enough exemplars.
        """
        facts = list(facts)
        marked = [fact for fact in facts if fact.split == "exemplars"]
        groups = by_relation(marked or facts)
        self.exemplars = {name: group for name, group in groups.items() if len(group) > num_shots}
        if num_shots and not self.exemplars:
            raise DataError(
                f"expected a relation with at least {num_shots + 1} exemplars for {num_shots} shots, found none - "
                "add facts, or ask without shots (--set probe.num_shots=0)"
            )
        self._known = {_plain(fact.question): fact for fact in facts}
        self._words = {name: [_words(fact.question) for fact in group] for name, group in by_relation(facts).items()}

    def check_relation(self, relation: str) -> None:
        """Finds out whether a relation can be asked with.

        Raises:
            DataError: it has too few exemplars, or there is none of that name.
        """
        if relation not in self.exemplars:
            hint = did_you_mean(relation, self.exemplars) or f"; expected one such as {min(self.exemplars)!r}"
            raise DataError(f"--relation {relation!r}: no relation with enough exemplars has this name{hint}")

    def fact_of(self, question: str) -> Fact | None:
        """The fact with this question, whatever its case and white space; None where it is none of them."""
        return self._known.get(_plain(question))

    def relation_of(self, question: str) -> str:
        """The relation that a question is asked in.

        That of the fact with this question, else the one with the question that shares the largest part of its words
        (Jaccard: words in both / words in either). Of equal ones the one with more exemplars, then the first by name.
        """
        fact = self.fact_of(question)
        if fact is not None and fact.relation in self.exemplars:
            return fact.relation
        words = _words(question)

        def likeness(name: str) -> tuple[float, int]:
            best = max((_jaccard(words, other) for other in self._words[name]), default=0.0)
            return best, len(self.exemplars[name])

        return max(sorted(self.exemplars), key=likeness)


def _plain(question: str) -> str:
    return " ".join(question.casefold().split())


def _words(question: str) -> frozenset[str]:
    """The words of a question whatever their case; scripts without spaces give single characters."""
    words: set[str] = set()
    for word in _WORD.findall(question.casefold()):
        is_wide = any(unicodedata.east_asian_width(letter) == "W" for letter in word)
        words.update(word if is_wide else [word])
    return frozenset(words)


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one or other else 0.0
