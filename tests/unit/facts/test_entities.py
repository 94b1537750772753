"""Entities come from fields first, then from templates, then from wording; distances are counted through facts."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradual.facts.entities import Distance, build_graph, find_entities
from gradual.facts.fact import Fact

# a and b share Paris, b and c share Europe, c and d Asia, d and e Africa, e and f Oceania; g and h share Mars.
CHAIN = (
    Fact("a", "r", "?", ("Paris",), subject="France"),
    Fact("b", "r", "?", ("Europe",), subject="paris"),
    Fact("c", "r", "?", ("Asia",), subject="Europe"),
    Fact("d", "s", "?", ("Africa",), subject="Asia"),
    Fact("e", "s", "?", ("Oceania",), subject="Africa"),
    Fact("f", "s", "?", ("Perth",), subject="the Oceania!"),
    Fact("g", "s", "?", ("Mars",), subject="Ares"),
    Fact("h", "s", "?", ("Deimos", "Phobos"), subject="Mars"),
)


def told(*facts: Fact) -> dict[str, tuple[tuple[str, ...], str]]:
    return {fact.id: (fact.entities, fact.source) for fact in find_entities(facts)}


def asked(*questions: str, relation: str = "r") -> list[Fact]:
    """Facts without subject, with ids 0, 1 ... and the answers x0, x1 ..."""
    return [Fact(str(n), relation, question, (f"x{n}",)) for n, question in enumerate(questions)]


def test_subject_and_answers_are_entities_normalised() -> None:
    fact = Fact("1", "capital", "What is Rome?", ("The Rome", "Roma", "roma!"), subject=" Italy ")
    assert told(fact) == {"1": (("italy", "roma", "rome"), "field")}


def test_without_subject_what_varies_in_a_shared_template_is_the_entity() -> None:
    facts = asked("What is the capital of France?", "What is the capital of Chad?")
    assert told(*facts) == {"0": (("france", "x0"), "template"), "1": (("chad", "x1"), "template")}


def test_part_that_all_questions_of_a_template_share_is_no_entity() -> None:
    facts = asked("In which U.S. state is McKinney?", "In which U.S. state is Reno?")
    assert told(*facts) == {"0": (("mckinney", "x0"), "template"), "1": (("reno", "x1"), "template")}


def test_all_varying_parts_of_a_template_are_entities() -> None:
    facts = asked("When did Ajax beat Benfica?", "When did Celtic beat Benfica?", "When did Ajax beat Arsenal?")
    assert told(*facts)["0"] == (("ajax", "benfica", "x0"), "template")


def test_names_are_the_fallback_for_rare_wordings() -> None:
    facts = asked("When did Goethe publish Faust?", 'Who sang "yellow river" first?')
    assert told(*facts) == {"0": (("faust", "goethe", "x0"), "wording"), "1": (("x1", "yellow river"), "wording")}


def test_rarest_words_are_the_fallback_without_names() -> None:
    facts = asked("what county is galveston in texas?", "which county has dallas in texas?")
    assert told(*facts) == {"0": (("galveston", "x0"), "wording"), "1": (("dallas", "x1"), "wording")}


def test_question_of_empty_words_has_no_entity_but_its_answers() -> None:
    assert told(*asked("what is it?")) == {"0": (("x0",), "none")}


def test_words_are_counted_in_all_questions() -> None:
    # In its own question texas is as rare as galveston; the other facts have a subject and still count.
    others = [Fact(str(n), "s", "where in texas is it?", ("x",), subject="y") for n in (7, 8)]
    assert told(*asked("is galveston of texas?"), *others)["0"] == (("galveston", "x0"), "wording")


def test_template_is_told_within_a_relation() -> None:
    facts = [*asked("Who wrote Faust?"), replace(asked("Who wrote Emma?")[0], id="1", relation="s")]
    assert {fact.source for fact in find_entities(facts)} == {"wording"}


def test_sources_are_counted() -> None:
    facts = [*asked("Who wrote Faust?", "Who wrote Emma?", "When was Rome sacked?"), CHAIN[0]]
    assert build_graph(facts).num_by_source() == {"field": 1, "template": 2, "wording": 1, "none": 0}


def test_a_fact_that_occurs_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="id 'a' twice"):
        build_graph([CHAIN[0], CHAIN[0]])


def test_distances_are_counted_through_facts() -> None:
    assert build_graph(CHAIN).distances({"a"}) == {
        "a": Distance.TRAINED,
        "b": Distance.DIRECT,
        "c": Distance.ONE,
        "d": Distance.TWO,
        "e": Distance.FURTHER,
        "f": Distance.FURTHER,
        "g": Distance.NONE,
        "h": Distance.NONE,
    }


def test_nearest_trained_fact_counts() -> None:
    found = build_graph(CHAIN).distances({"a", "e", "h"})
    assert [str(found[each]) for each in "bcdfg"] == ["0", "1", "0", "0", "0"]


def test_nothing_trained_is_near_to_nothing() -> None:
    assert set(build_graph(CHAIN).distances([]).values()) == {Distance.NONE}


def test_trained_fact_that_is_not_in_the_graph_is_refused() -> None:
    with pytest.raises(ValueError, match="found 1 others, such as 'z'"):
        build_graph(CHAIN).distances({"a", "z"})


def test_degree_counts_links_to_other_facts() -> None:
    hub = [*CHAIN, Fact("i", "s", "?", ("Paris", "Mars"), subject="Io")]
    # Paris: a b i, Mars: g h i; i has two links by each.
    assert build_graph(hub).degrees.tolist() == [2, 3, 2, 2, 2, 1, 2, 2, 4]


def test_size_of_a_graph_by_hand() -> None:
    lone = Fact("z", "s", "?", ("Nowhere",))
    assert build_graph([*CHAIN, lone]).as_dict() == {
        "num_facts": 9,
        "num_entities": 12,  # france paris europe asia africa oceania perth ares mars deimos phobos nowhere
        "num_shared_entities": 6,
        "num_facts_without_links": 1,
        "num_components": 3,
        "num_by_source": {"field": 8, "template": 0, "wording": 0, "none": 1},
    }


def test_graph_of_no_facts() -> None:
    assert build_graph([]).as_dict()["num_facts"] == 0
    assert build_graph([]).distances([]) == {}


texts = st.sampled_from(["", "Paris", "Rome", "the Paris", "Mt", ".mt", "Who wrote Faust?", "where is rome?", "!"])
some_facts = st.lists(
    st.builds(
        Fact, st.just(""), st.sampled_from("rs"), texts, st.lists(texts, min_size=1, max_size=3).map(tuple), texts
    ),
    max_size=12,
).map(lambda facts: [replace(fact, id=str(number)) for number, fact in enumerate(facts)])


@given(some_facts, st.randoms(use_true_random=False))
def test_order_makes_no_difference(facts: list[Fact], rng: random.Random) -> None:
    shuffled = rng.sample(facts, len(facts))
    graph, other = build_graph(facts), build_graph(shuffled)
    assert graph.facts == other.facts
    assert graph.degrees.tolist() == other.degrees.tolist()


@given(some_facts, st.sets(st.integers(0, 11)))
def test_distances_agree_with_walking_from_fact_to_fact(facts: list[Fact], chosen: set[int]) -> None:
    graph = build_graph(facts)
    trained = {str(each) for each in chosen if each < len(facts)}
    entities = {fact.id: set(fact.entities) for fact in graph.facts}
    steps = dict.fromkeys(trained, 0)
    for step in range(1, len(facts) + 1):
        ends = {each for each, at in steps.items() if at == step - 1}
        near = {each for each in entities if any(entities[each] & entities[end] for end in ends)}
        steps |= dict.fromkeys(near - steps.keys(), step)
    names = {0: "trained", 1: "0", 2: "1", 3: "2", None: "none"}
    expected = {each: names.get(steps.get(each), "further") for each in entities}
    assert {each: str(distance) for each, distance in graph.distances(trained).items()} == expected


def test_incidence_never_grows_to_facts_by_facts() -> None:
    facts = [Fact(str(n), "r", "?", ("Paris",), subject=f"s{n}") for n in range(1000)]
    graph = build_graph(facts)
    assert graph.incidence.nnz == 2000
    assert graph.degrees.tolist() == [999] * 1000
    assert np.unique(graph.distance_codes({"0"})[1:]).tolist() == [1]
