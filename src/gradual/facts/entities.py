"""Which entities a fact is about, and the graph of facts that share them: how far a fact is from those trained on.

The graph is a bipartite matrix, facts by entities; facts are never set against facts. Knows nothing of levels and
verdicts: `linkage` asks what the distances mean.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gradual.facts.fact import Fact, by_relation
from gradual.facts.languages.wording import BLANK, names, telling_words, wordings
from gradual.facts.matching import normalise
from gradual.facts.splits import entities as stated_entities

EntitySource = Literal["field", "template", "wording", "none"]
"""Where the entity that a question asks about comes from.

field: the fact's subject. template: what varies between the questions of its relation that are worded alike. wording:
the names in a question that is worded like few others, or without names its rarest words. none: there is nothing.
"""
_SOURCES: tuple[EntitySource, ...] = ("field", "template", "wording", "none")
_SHARED_TEMPLATE = 0.1
"""A template is shared if at least this share of the relation's facts without subject, and at least two, have it."""


class Distance(StrEnum):
    """How far a fact is from the nearest fact trained on.

    Counted between entities, where each fact joins its own: 0 if the fact has an entity of a trained fact, 1 if one
    other fact lies between them, 2 if two do. Read so, table 5 of arXiv 2410.05802 (share of promoted facts linked to a
    trained fact at 0, 1 and 2 hops) has something in its column for 0: if 0 stood for being trained oneself, it would
    be empty, as the promoted were not trained.
    """

    TRAINED = "trained"
    DIRECT = "0"
    ONE = "1"
    TWO = "2"
    FURTHER = "further"
    """More than two facts lie between."""
    NONE = "none"
    """No path leads to a trained fact."""


DISTANCES = tuple(Distance)
"""All distances, nearest first; the codes of `EntityGraph.distance_codes` are places in it."""


@dataclass(frozen=True, slots=True)
class FactEntities:
    """The entities of one fact."""

    id: str
    relation: str
    entities: tuple[str, ...]
    """Normalised (`matching.normalise`), each once, sorted: accepted answers, and what the question asks about."""
    source: EntitySource


def find_entities(facts: Iterable[Fact]) -> tuple[FactEntities, ...]:
    """The entities of each fact, sorted by id; the order of the facts makes no difference.

    Subject and accepted answers are always entities (`splits.entities`). Without a subject, what the question asks
    about is told from the question (see `EntitySource`). Parts of a shared template that are the same in all its
    questions ("U.S." in "In which U.S. state is McKinney?") are none. Nothing tells two meanings of one text apart: the
    element Mt and the domain .mt are one.

    Raises:
        ValueError: an id occurs twice.
    """
    sequence = sorted(facts, key=lambda fact: fact.id)
    for one, other in pairwise(sequence):
        if one.id == other.id:
            raise ValueError(f"expected every fact once, found id {one.id!r} twice")
    topics = _topics_of_questions(sequence)
    all_entities: list[FactEntities] = []
    for fact in sequence:
        texts, source = topics.get(fact.id, ((), "field"))
        entities = stated_entities(fact) | {normalise(text) for text in texts}
        all_entities.append(FactEntities(fact.id, fact.relation, tuple(sorted(entities)), source))
    return tuple(all_entities)


@dataclass(frozen=True, eq=False)
class EntityGraph:
    """Facts and the entities they share; facts sorted by id, which is the order of all arrays."""

    facts: tuple[FactEntities, ...]
    incidence: Any
    """scipy.sparse.csr_array of 0 and 1, facts x entities."""

    @cached_property
    def places(self) -> Mapping[str, int]:
        """The row of each fact, by id."""
        return {fact.id: place for place, fact in enumerate(self.facts)}

    @cached_property
    def degrees(self) -> npt.NDArray[np.int64]:
        """Links of each fact: (facts), the sum over its entities of the other facts that have them.

        A fact that shares two entities counts twice; to count it once would take the facts x facts matrix.
        """
        facts_of_entity = self.incidence.sum(axis=0)
        return np.asarray(self.incidence @ (facts_of_entity - 1), dtype=np.int64)

    @cached_property
    def components(self) -> npt.NDArray[np.int64]:
        """Number of the connected part that each fact lies in: (facts)."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        num_facts, num_entities = self.incidence.shape
        links = self.incidence.tocoo()
        size = num_facts + num_entities
        both = coo_array((links.data, (links.row, links.col + num_facts)), shape=(size, size))
        return np.asarray(connected_components(both, directed=False)[1][:num_facts], dtype=np.int64)

    def distance_codes(self, trained: Collection[str]) -> npt.NDArray[np.int64]:
        """The distance of each fact from the trained ones: (facts), as places in `DISTANCES`.

        Raises:
            ValueError: a trained fact is not in the graph.
        """
        missing = sorted(set(trained) - self.places.keys())
        if missing:
            raise ValueError(
                f"expected trained facts of the graph, found {len(missing)} others, such as {missing[0]!r}"
            )
        codes = np.full(len(self.facts), DISTANCES.index(Distance.NONE))
        is_trained = np.zeros(len(self.facts), dtype=bool)
        is_trained[[self.places[each] for each in trained]] = True
        codes[np.isin(self.components, np.unique(self.components[is_trained]))] = DISTANCES.index(Distance.FURTHER)
        reach = is_trained
        nearest = DISTANCES.index(Distance.TRAINED)
        codes[reach] = nearest
        for code in range(nearest + 1, DISTANCES.index(Distance.TWO) + 1):
            their_entities = self.incidence.T @ reach.astype(np.int64) > 0
            nearby = self.incidence @ their_entities.astype(np.int64) > 0
            codes[nearby & ~reach] = code
            reach = reach | nearby
        return codes

    def distances(self, trained: Collection[str]) -> dict[str, Distance]:
        """The distance of each fact, by id; see `distance_codes`."""
        codes = self.distance_codes(trained)
        return {fact.id: DISTANCES[code] for fact, code in zip(self.facts, codes.tolist(), strict=True)}

    def num_by_source(self) -> dict[EntitySource, int]:
        """How many facts have their entities from each source; all are present."""
        counts = Counter(fact.source for fact in self.facts)
        return {source: counts[source] for source in _SOURCES}

    def as_dict(self) -> dict[str, Any]:
        """The size of the graph as JSON values."""
        facts_of_entity = self.incidence.sum(axis=0)
        return {
            "num_facts": len(self.facts),
            "num_entities": int(self.incidence.shape[1]),
            "num_shared_entities": int((facts_of_entity > 1).sum()),
            "num_facts_without_links": int((self.degrees == 0).sum()),
            "num_components": len(np.unique(self.components)),
            "num_by_source": self.num_by_source(),
        }


def build_graph(facts: Iterable[Fact]) -> EntityGraph:
    """The entity graph of facts: training facts, and whatever else may lie between them or be asked about.

    Raises:
        ValueError: an id occurs twice.
    """
    from scipy.sparse import csr_array

    entities = find_entities(facts)
    columns = {
        entity: place for place, entity in enumerate(sorted({each for fact in entities for each in fact.entities}))
    }
    indices = np.array([columns[entity] for fact in entities for entity in fact.entities], dtype=np.int64)
    starts = np.cumsum([0, *(len(fact.entities) for fact in entities)], dtype=np.int64)
    ones = np.ones(len(indices), dtype=np.int64)
    return EntityGraph(entities, csr_array((ones, indices, starts), shape=(len(entities), len(columns))))


_Topics = tuple[tuple[str, ...], EntitySource]
"""Texts, none of which normalises to nothing, and where they come from."""


def _topics_of_questions(facts: Sequence[Fact]) -> dict[str, _Topics]:
    """What the questions of facts without a subject ask about, by id."""
    without = [fact for fact in facts if not normalise(fact.subject)]
    topics: dict[str, _Topics] = {}
    for group in by_relation(without).values():
        topics |= _topics_by_template(group)
    rest = [fact for fact in without if fact.id not in topics]
    if rest:
        # Counted in all questions, so that the words most of them have are not taken for the rare ones.
        counts = Counter(word for fact in facts for word in set(telling_words(fact.question)))
        topics |= {fact.id: _topics_by_words(fact.question, counts) for fact in rest}
    return topics


def _topics_by_template(group: Sequence[Fact]) -> dict[str, _Topics]:
    """What varies in those questions of a relation whose template others of it share, by id."""
    minimum = max(2, math.ceil(_SHARED_TEMPLATE * len(group)))
    types = wordings([fact.question for fact in group], minimum=minimum)
    alike: dict[str, dict[str, tuple[str, ...]]] = {}
    for fact, each in zip(group, types, strict=True):
        if each.template != BLANK:
            parts = (each.subject,) if each.subject else names(fact.question)
            alike.setdefault(each.template, {})[fact.id] = parts
    topics: dict[str, _Topics] = {}
    for questions in alike.values():
        if len(questions) >= minimum:
            varies = [len(set(values)) > 1 for values in zip(*questions.values(), strict=True)]
            for fact_id, parts in questions.items():
                texts = tuple(part for part, does in zip(parts, varies, strict=True) if does and normalise(part))
                topics |= {fact_id: (texts, "template")} if texts else {}
    return topics


def _topics_by_words(question: str, counts: Mapping[str, int]) -> _Topics:
    """The names in a question; without names its rarest words, all of them if there are several."""
    proper_names = tuple(name for name in names(question) if normalise(name))
    if proper_names:
        return proper_names, "wording"
    words = [word for word in telling_words(question) if normalise(word)]
    rarest = min((counts[word] for word in words), default=0)
    return tuple(word for word in words if counts[word] == rarest), "wording" if words else "none"
