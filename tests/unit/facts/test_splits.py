"""A division is disjoint, independent of order, near the wished shares; train shares no entity with the rest."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradual.config.run import SplitsConfig
from gradual.errors import DataError
from gradual.facts.fact import Fact
from gradual.facts.loading import load_facts
from gradual.facts.splits import Splits, entities, split_facts


def fact(relation: str, number: int, answer: str, *, subject: str = "", split: str = "") -> Fact:
    return Fact(f"{relation}-{number}", relation, f"{relation} {number}?", (answer,), subject=subject, split=split)


def unlinked(relation: str, count: int, *, split: str = "") -> list[Fact]:
    """Facts that share no entity."""
    return [
        fact(relation, number, f"{relation} answer {number}", subject=f"{relation} subject {number}", split=split)
        for number in range(count)
    ]


def sizes(splits: Splits) -> tuple[int, int, int, int]:
    return len(splits.train), len(splits.validation), len(splits.test), len(splits.exemplars)


def assert_no_shared_entity(splits: Splits) -> None:
    train = {entity for each in splits.train for entity in entities(each)}
    held_out = {entity for each in (*splits.validation, *splits.test) for entity in entities(each)}
    assert train.isdisjoint(held_out)


def test_entities_are_the_normalised_subject_and_answers() -> None:
    assert entities(Fact("1", "r", "Q?", ("The U.S.", "America"), subject="  Washington ")) == {
        "us", "america", "washington",
    }  # fmt: skip
    assert entities(Fact("1", "r", "Q?", ("x",))) == {"x"}


def test_shares_are_of_the_facts_without_exemplars() -> None:
    splits = split_facts(unlinked("r", 120), SplitsConfig(validation=0.1, test=0.3), seed=1)
    assert sizes(splits) == (60, 10, 30, 20)
    assert splits.dropped_for_overlap == 0
    assert splits.warnings == ()


def test_every_fact_is_in_one_part_and_says_which() -> None:
    facts = unlinked("a", 50) + unlinked("b", 60)
    splits = split_facts(facts, SplitsConfig(), seed=1)
    for part in ("train", "validation", "test", "exemplars"):
        assert {each.split for each in getattr(splits, part)} == {part}
        assert list(getattr(splits, part)) == sorted(getattr(splits, part), key=lambda each: (each.relation, each.id))
    together = [*splits.train, *splits.validation, *splits.test, *splits.exemplars]
    assert sorted(each.id for each in together) == sorted(each.id for each in facts)


def test_entity_stays_on_one_side() -> None:
    facts = [fact("country", number, f"land {number % 7}", subject=f"city {number}") for number in range(100)]
    facts += [fact("capital", number, f"city {number}", subject=f"land {number}") for number in range(40)]
    splits = split_facts(facts, SplitsConfig(exemplars_per_relation=5), seed=3)
    assert_no_shared_entity(splits)
    assert sum(sizes(splits)) + splits.dropped_for_overlap == 140
    assert splits.dropped_for_overlap < 20


def test_fact_that_links_the_sides_is_dropped_and_counted() -> None:
    # Two values, each of many facts, must come on different sides; then the one fact that has both has to go.
    facts = [fact("r", number, f"value {number % 2}", subject=f"s{number}") for number in range(200)]
    facts.append(Fact("link", "r", "Q?", ("value 0", "value 1")))
    splits = split_facts(facts, SplitsConfig(exemplars_per_relation=2, validation=0.25, test=0.25), seed=1)
    left = {each.id for each in (*splits.train, *splits.validation, *splits.test, *splits.exemplars)}
    assert splits.dropped_for_overlap == 1
    assert {each.id for each in facts} - left == {"link"}


def test_relation_with_one_value_is_told() -> None:
    facts = [fact("r", number, "same", subject=f"s{number}") for number in range(60)]
    splits = split_facts(facts, SplitsConfig(), seed=1)
    assert splits.dropped_for_overlap == 0
    assert min(len(splits.train), len(splits.test)) == 0
    assert any(text.endswith("as too few or too closely linked: r.") for text in splits.warnings)


def test_subjects_alone_are_kept_apart_where_that_is_wished() -> None:
    # One answer for 60 facts of as many subjects: with answers apart all stand on one side, else 20 are shots, and of
    # the other 40 a quarter is validation and a quarter test.
    facts = [fact("r", number, "same", subject=f"s{number}") for number in range(60)]
    splits = split_facts(facts, SplitsConfig(validation=0.25, test=0.25, keep_apart="subjects"), seed=1)
    assert sizes(splits) == (20, 10, 10, 20)
    assert splits.dropped_for_overlap == 0
    assert splits.warnings == (
        "Only subjects are kept apart (facts.splits.keep_apart): 10 of 10 test facts have an answer that a train fact "
        "has, so part of what is gained on them may be which answers are frequent.",
    )


def test_a_subject_stays_on_one_side_where_subjects_alone_are_kept_apart() -> None:
    facts = [fact("born", number, "Rome", subject=f"s{number}") for number in range(60)]
    facts += [fact("died", number, "Oslo", subject=f"s{number}") for number in range(60)]
    splits = split_facts(facts, SplitsConfig(exemplars_per_relation=2, keep_apart="subjects"), seed=1)
    train = {each.subject for each in splits.train}
    assert train
    assert train.isdisjoint({each.subject for each in (*splits.validation, *splits.test)})
    assert splits.validation
    assert splits.test


def test_a_fact_without_a_subject_is_kept_apart_by_its_answers() -> None:
    assert entities(Fact("1", "r", "Q?", ("Rome", "Roma"), subject="Italy"), "subjects") == {"italy"}
    assert entities(Fact("1", "r", "Q?", ("Rome", "Roma")), "subjects") == {"rome", "roma"}


def test_small_relation_gives_half_to_exemplars_and_is_told() -> None:
    splits = split_facts(unlinked("r", 11), SplitsConfig(validation=0.0, test=0.5), seed=1)
    assert sizes(splits) == (3, 0, 3, 5)
    assert splits.warnings == ("Fewer than 20 exemplars, half of the relation's facts: r (5).",)


def test_nothing_held_out_leaves_all_in_train() -> None:
    splits = split_facts(unlinked("r", 50), SplitsConfig(validation=0.0, test=0.0), seed=1)
    assert sizes(splits) == (30, 0, 0, 20)


def test_order_does_not_matter_and_the_seed_does() -> None:
    facts = [fact("r", number, f"v{number % 11}", subject=f"s{number % 37}") for number in range(200)]
    shuffled = random.Random(0).sample(facts, len(facts))
    assert split_facts(facts, SplitsConfig(), seed=1) == split_facts(shuffled, SplitsConfig(), seed=1)
    assert split_facts(facts, SplitsConfig(), seed=1) != split_facts(facts, SplitsConfig(), seed=2)


def test_exemplars_do_not_depend_on_other_relations() -> None:
    alone = split_facts(unlinked("a", 60), SplitsConfig(), seed=1)
    together = split_facts(unlinked("a", 60) + unlinked("b", 60), SplitsConfig(), seed=1)
    assert alone.exemplars == tuple(each for each in together.exemplars if each.relation == "a")


def test_caps_come_last() -> None:
    free = split_facts(unlinked("a", 120) + unlinked("b", 60), SplitsConfig(), seed=1)
    caps = SplitsConfig(max_train_per_relation=10, max_validation_per_relation=3, max_test_per_relation=4)
    capped = split_facts(unlinked("a", 120) + unlinked("b", 60), caps, seed=1)
    assert sizes(capped) == (20, 6, 8, 40)
    assert set(capped.train) < set(free.train)
    assert set(capped.test) < set(free.test)


def test_given_parts_are_kept() -> None:
    facts = [
        *unlinked("a", 40, split="train"),
        *unlinked("b", 10, split="validation"),
        *unlinked("c", 12, split="test"),
        *unlinked("d", 6, split="exemplars"),
    ]
    splits = split_facts(facts, SplitsConfig(), seed=1)
    assert sizes(splits) == (40, 10, 12, 6)


def test_missing_parts_are_made_from_train() -> None:
    facts = unlinked("a", 120, split="train") + unlinked("b", 12, split="test")
    splits = split_facts(facts, SplitsConfig(validation=0.15, test=0.3), seed=1)
    assert sizes(splits) == (85, 15, 12, 20)


def test_exemplars_from_elsewhere_leave_the_rest_to_be_divided() -> None:
    facts = unlinked("a", 100) + unlinked("b", 6, split="exemplars")
    assert sizes(split_facts(facts, SplitsConfig(validation=0.2, test=0.3), seed=1)) == (50, 20, 30, 6)


def test_overlap_of_given_parts_is_told_and_kept() -> None:
    facts = [fact("r", number, "same", split="train") for number in range(50)]
    facts += [fact("r", 50, "same", split="test"), fact("r", 51, "other", split="validation")]
    splits = split_facts(facts, SplitsConfig(), seed=1)
    assert sizes(splits) == (30, 1, 1, 20)
    assert splits.warnings == (
        "30 train facts share a subject or answer with the validation or test facts of the source.",
    )


def test_splits_without_train_are_refused() -> None:
    with pytest.raises(DataError, match="expected some whose split is train, found only test - name those"):
        split_facts(unlinked("a", 5, split="test"), SplitsConfig(), seed=1)


def test_unknown_split_is_refused() -> None:
    with pytest.raises(
        DataError, match="fact a-0: expected a split of train, validation, test or exemplars, found 'x'"
    ):
        split_facts(unlinked("a", 5, split="x"), SplitsConfig(), seed=1)


def test_no_facts_give_empty_parts() -> None:
    assert sizes(split_facts([], SplitsConfig(), seed=1)) == (0, 0, 0, 0)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(0, 12)), max_size=80),
    st.integers(0, 3),
    st.sampled_from([(0.15, 0.3), (0.0, 0.5), (0.4, 0.0), (0.45, 0.5)]),
)
def test_any_facts_are_divided_without_shared_entities(
    rows: list[tuple[int, int, int]], seed: int, shares: tuple[float, float]
) -> None:
    facts = [
        replace(fact(f"r{relation}", number, f"e{answer}", subject=f"e{subject}"))
        for number, (relation, subject, answer) in enumerate(rows)
    ]
    config = SplitsConfig(validation=shares[0], test=shares[1], exemplars_per_relation=3)
    splits = split_facts(facts, config, seed=seed)
    assert_no_shared_entity(splits)
    assert sum(sizes(splits)) + splits.dropped_for_overlap == len(facts)
    ids = [each.id for part in (splits.train, splits.validation, splits.test, splits.exemplars) for each in part]
    assert len(set(ids)) == len(ids)


def test_few_facts_of_the_atlas_are_lost_and_no_relation_is_one_sided() -> None:
    facts = load_facts("atlas")
    splits = split_facts(facts, SplitsConfig(), seed=42)
    assert_no_shared_entity(splits)
    assert splits.dropped_for_overlap < 0.06 * len(facts)
    assert splits.warnings == ()
    totals = Counter(each.relation for each in facts)
    for part, least in ((splits.train, 0.2), (splits.validation, 0.05), (splits.test, 0.1)):
        counts = Counter(each.relation for each in part)
        assert all(counts[name] >= least * (totals[name] - 20) for name in totals)
