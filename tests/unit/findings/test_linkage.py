"""Whether the promoted lie near the trained facts: against chance, by odds ratios, and in accuracy."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradual.facts.entities import Distance, EntityGraph, build_graph
from gradual.facts.fact import Fact
from gradual.findings.linkage import Linkage, PromotedAtDistance, linkage, linked_accuracy
from gradual.knowledge.levels import Level
from gradual.statistics.intervals import wilson
from gradual.statistics.odds_ratios import TwoByTwo, mantel_haenszel

LOW, WEAK, MAYBE, HIGH = Level


def fact(fact_id: str, relation: str, *entities: str) -> Fact:
    return Fact(fact_id, relation, "?", entities)


# All of r have one link: t1-a, t2-b, t3-c to trained facts, d-e and f-g among themselves.
FACTS = (
    *(fact(f"t{n}", "t", f"E{n}") for n in (1, 2, 3)),
    *(fact(name, "r", f"E{n}") for n, name in enumerate("abc", start=1)),
    *(fact(name, "r", "D") for name in "de"),
    *(fact(name, "r", "F") for name in "fg"),
)
TRAINED = {"t1", "t2", "t3"}
BEFORE = {each.id: MAYBE if each.id in TRAINED else WEAK for each in FACTS}


def after(**changes: Level) -> dict[str, Level]:
    return BEFORE | changes


def row(found: Linkage, distance: Distance) -> PromotedAtDistance:
    return next(each for each in found.distances if each.distance is distance)


def run(levels: dict[str, Level], *, num_permutations: int = 2000) -> Linkage:
    return linkage(build_graph(FACTS), BEFORE, levels, TRAINED, seed=7, num_permutations=num_permutations)


def test_observed_and_expected_shares_by_hand() -> None:
    # Promoted a, b, d: 2 of 3 linked; of the 7 candidates 3 are linked, so 3/7 are expected.
    found = run(after(a=MAYBE, b=HIGH, d=MAYBE))
    assert (found.num_trained, found.num_candidates, found.num_promoted, found.num_comparable) == (3, 7, 3, 7)
    assert [str(each.distance) for each in found.distances] == ["0", "1", "2", "further", "none"]
    linked = row(found, Distance.DIRECT)
    assert (linked.candidates, linked.promoted, linked.rate) == (3, 2, pytest.approx(2 / 3))
    assert (linked.rate_low, linked.rate_high) == wilson(2, 3)
    assert (linked.share, linked.null_mean) == (pytest.approx(2 / 3), pytest.approx(3 / 7))
    assert (linked.null_low, linked.null_high, linked.reason) == (0, 1, "")
    assert row(found, Distance.NONE).null_mean == pytest.approx(4 / 7)
    assert found.within_relation == mantel_haenszel([TwoByTwo(2, 1, 1, 3)])
    assert found.within_relation.odds_ratio == pytest.approx(6)


def test_p_value_agrees_with_all_permutations() -> None:
    # Two-sided: twice the share of the 35 ways to promote 3 of 7 that have all 3 linked facts, or as many.
    ways = [sum(each in "abc" for each in chosen) for chosen in itertools.combinations("abcdefg", 3)]
    for promoted, linked in (("abc", 3), ("abd", 2), ("ade", 1), ("def", 0)):
        at_least = sum(each >= linked for each in ways) / len(ways)
        at_most = sum(each <= linked for each in ways) / len(ways)
        found = row(run(after(**dict.fromkeys(promoted, MAYBE)), num_permutations=100_000), Distance.DIRECT)
        assert found.p_value == pytest.approx(min(1, 2 * min(at_least, at_most)), abs=0.005)


def test_p_value_is_never_zero() -> None:
    # One permutation, far from the observed or not: (1 + 0) / (1 + 1) doubled is 1.
    assert row(run(after(a=MAYBE, b=MAYBE, c=MAYBE), num_permutations=1), Distance.NONE).p_value in (None, 1.0)
    many = [fact(f"u{n}", "r", f"U{n // 2}") for n in range(60)]
    near = [fact(f"n{n}", "r", "E1x" if n < 1 else f"N{n}") for n in range(30)]
    trained = [fact(f"s{n}", "t", "E1x" if n < 1 else f"N{n}") for n in range(30)]
    levels = {each.id: WEAK for each in (*many, *near)} | {each.id: MAYBE for each in trained}
    promoted = levels | {each.id: MAYBE for each in near}
    ids = {each.id for each in trained}
    found = linkage(build_graph([*many, *near, *trained]), levels, promoted, ids, seed=1, num_permutations=99)
    assert row(found, Distance.DIRECT).p_value == pytest.approx(2 / 100)


def test_labels_are_permuted_within_relations() -> None:
    # In r every candidate is linked and promoted, in s none is either: chance gives the same, so no p-value.
    facts = [
        fact("t", "t", "E"),
        *(fact(f"r{n}", "r", "E") for n in range(3)),
        *(fact(f"s{n}", "s", "S") for n in (0, 1, 2)),
    ]
    before = {each.id: LOW for each in facts}
    now = before | {f"r{n}": MAYBE for n in range(3)}
    found = linkage(build_graph(facts), before, now, {"t"}, seed=1)
    linked = row(found, Distance.DIRECT)
    assert (linked.share, linked.null_mean, linked.p_value, found.num_comparable) == (1, None, None, 0)
    assert "no stratum of relation and degree" in linked.reason
    assert found.within_relation.odds_ratio is None
    assert found.unstratified.reason.startswith("infinite")


def test_labels_are_permuted_within_degrees() -> None:
    # In one relation: two facts with three links are linked and promoted, two with one link are neither.
    facts = [
        fact("t", "t", "E"),
        *(fact(name, "r", "E", "F") for name in "ab"),
        *(fact(name, "r", "G") for name in "cd"),
    ]
    graph = build_graph(facts)
    assert graph.degrees.tolist() == [3, 3, 1, 1, 2]
    before = {each.id: LOW for each in facts}
    found = linkage(graph, before, before | {"a": MAYBE, "b": MAYBE}, {"t"}, seed=1)
    assert found.num_comparable == 0
    assert found.within_relation.reason.startswith("infinite")
    assert "no stratum" in found.within_relation_and_degree.reason


def test_promoted_are_those_half_known_now_that_were_not_and_were_not_trained() -> None:
    before = BEFORE | {"t1": LOW, "a": LOW, "f": MAYBE, "g": HIGH}
    levels = {"a": WEAK, "b": MAYBE, "c": HIGH, "d": LOW, "t1": MAYBE, "g": MAYBE}
    found = linkage(build_graph(FACTS), before, before | levels, TRAINED, seed=1)
    assert (found.num_candidates, found.num_promoted) == (5, 2)


def test_nothing_promoted() -> None:
    found = run(after())
    assert {each.reason for each in found.distances} == {"no fact was promoted"}
    assert {each.share for each in found.distances} == {None}
    assert {found.within_relation.p_value, found.unstratified.odds_ratio} == {None}


def test_nothing_linked_and_everything_linked() -> None:
    levels = after(a=MAYBE, d=MAYBE)
    unlinked = linkage(build_graph(FACTS), BEFORE, levels, set(), seed=1)
    assert row(unlinked, Distance.DIRECT).reason == "no fact that could be promoted lies at this distance"
    assert row(unlinked, Distance.NONE).p_value is None
    linked = linkage(build_graph([fact(each, "r", "E") for each in BEFORE]), BEFORE, levels, TRAINED, seed=1)
    assert (row(linked, Distance.DIRECT).share, row(linked, Distance.DIRECT).p_value) == (1, None)
    for found in (unlinked, linked):
        assert found.within_relation.odds_ratio is None
        assert found.within_relation.reason


def test_no_candidates() -> None:
    found = linkage(build_graph([]), {}, {}, set(), seed=1)
    assert (found.num_candidates, found.num_promoted, found.within_relation.odds_ratio) == (0, 0, None)


def test_facts_must_be_the_same_and_known() -> None:
    graph = build_graph(FACTS)
    with pytest.raises(ValueError, match="found 1 on one side, such as 'a'"):
        linkage(graph, {"a": LOW}, {}, set(), seed=1)
    with pytest.raises(ValueError, match="found 1 others, such as 'z'"):
        linkage(graph, {"z": LOW}, {"z": LOW}, set(), seed=1)
    with pytest.raises(ValueError, match="at least one permutation"):
        linkage(graph, BEFORE, BEFORE, TRAINED, seed=1, num_permutations=0)
    with pytest.raises(ValueError, match="such as 'b'"):
        linked_accuracy(graph, TRAINED, {"a": True}, {"a": True, "b": True})


@settings(max_examples=25)
@given(st.randoms(use_true_random=False), st.lists(st.sampled_from(list(Level)), min_size=7, max_size=7))
def test_order_makes_no_difference(rng: random.Random, levels: list[Level]) -> None:
    now = after(**dict(zip("abcdefg", levels, strict=True)))

    def shuffled(values: dict[str, Level]) -> dict[str, Level]:
        return dict(rng.sample(list(values.items()), len(values)))

    graph = build_graph(rng.sample(FACTS, len(FACTS)))
    trained = rng.sample(sorted(TRAINED), 3)
    assert linkage(graph, shuffled(BEFORE), shuffled(now), trained, seed=7, num_permutations=50) == run(
        now, num_permutations=50
    )


def chain() -> EntityGraph:
    """A trained fact, then a, b, c, d and e one behind the other, and z apart."""
    ends = ["t", *"abcde"]
    return build_graph([*(fact(name, "r", f"E{n}", f"E{n + 1}") for n, name in enumerate(ends)), fact("z", "r", "Z")])


def test_accuracy_of_linked_facts_by_hand() -> None:
    before = {"a": False, "b": False, "c": True, "d": False, "e": True, "z": True, "t": False}
    now = {"a": True, "b": True, "c": False, "d": False, "e": True, "z": True, "t": True}
    found = linked_accuracy(chain(), {"t"}, before, now)
    assert (found.linked.num_facts, found.through_path.num_facts, found.unlinked.num_facts) == (1, 4, 1)
    assert found.linked.after == (1, 1, 1.0, *wilson(1, 1))
    assert (found.through_path.before.accuracy, found.through_path.after.accuracy) == (0.5, 0.5)
    assert found.through_path.changes == (1, 1, 1, 1)
    assert found.through_path.p_value == 1.0
    assert list(found.num_by_distance.values()) == [1, 1, 1, 2, 1]
    assert found.note == ""


def test_missing_links_are_told() -> None:
    found = linked_accuracy(chain(), {"t"}, {"b": True}, {"b": True})
    assert "paths through other facts" in found.note
    assert (found.linked.num_facts, found.linked.before.accuracy, found.linked.p_value) == (0, None, None)
    assert found.num_by_distance == {"0": 0, "1": 1, "2": 0, "further": 0, "none": 0}
    assert found.through_path.after.correct == 1
