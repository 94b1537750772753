"""The quality of the answers in an evaluation map, counted by hand."""

from __future__ import annotations

import dataclasses

import pytest
from tests.support.maps import known_fact, make_map

from gradual.knowledge.answer_quality import answers_with_confidence, quality_by_level
from gradual.knowledge.levels import Level
from gradual.knowledge.map import FactKnowledge, KnowledgeMap


def answered(fact_id: str, is_right: bool, confidence: float | None) -> FactKnowledge:
    level = Level.HIGHLY_KNOWN if is_right else Level.UNKNOWN
    at_one = None if confidence is None else confidence / 2
    return dataclasses.replace(known_fact(fact_id, level), confidence=confidence, confidence_t1=at_one)


def evaluation(*facts: FactKnowledge) -> KnowledgeMap:
    return dataclasses.replace(make_map({}), facts=facts)


FIVE = evaluation(
    answered("a", True, 0.95),
    answered("b", False, 0.95),
    answered("c", False, 0.5),
    answered("d", False, 0.25),
    answered("e", True, 0.75),
)
LEVELS = {
    "a": Level.HIGHLY_KNOWN,
    "b": Level.UNKNOWN,
    "c": Level.UNKNOWN,
    "d": Level.WEAKLY_KNOWN,
}


def test_answers_are_counted_out_of_all_facts() -> None:
    found = quality_by_level(FIVE, LEVELS)
    assert found is not None
    told = found.all_facts
    assert [(each.count, each.total) for each in (told.right, told.confidently_wrong)] == [(2, 5), (2, 5)]
    assert (told.very_confidently_wrong.count, told.unsure_and_wrong.count) == (1, 1)
    assert told.confidence_of_right == pytest.approx(0.85)
    assert told.confidence_of_wrong == pytest.approx((0.95 + 0.5 + 0.25) / 3)
    # Pairs: a ties with b and is over c and d; e is under b and over c and d.
    assert told.auroc == pytest.approx((0.5 + 2 + 2) / 6)
    # Surest first, a and b in either order: 1/2, 1/2, 1/3, 2/4, 3/5 wrong.
    assert told.area_under_risk_coverage == pytest.approx((1 / 2 + 1 / 2 + 1 / 3 + 2 / 4 + 3 / 5) / 5)
    assert told.accuracy_of_surest_half == pytest.approx(2 / 3)
    assert told.accuracy_of_surest_80_percent == pytest.approx(2 / 4)
    assert told.calibration_error is not None


def test_levels_are_those_of_the_start_and_facts_without_one_count_among_all_alone() -> None:
    found = quality_by_level(FIVE, LEVELS)
    assert found is not None
    assert list(found.by_level) == [Level.UNKNOWN, Level.WEAKLY_KNOWN, Level.HIGHLY_KNOWN]
    unknown = found.by_level[Level.UNKNOWN]
    assert (unknown.right.count, unknown.confidently_wrong.count, unknown.right.total) == (0, 2, 2)
    assert unknown.auroc is None


def test_confidence_at_temperature_1_is_another() -> None:
    found = quality_by_level(FIVE, LEVELS, at_temperature_1=True)
    assert found is not None
    assert found.all_facts.confidently_wrong.count == 0
    assert found.all_facts.confidence_of_right == pytest.approx(0.425)


def test_a_map_without_confidence_has_no_quality() -> None:
    assert quality_by_level(evaluation(answered("a", True, None)), {}) is None


def test_maps_that_are_no_evaluation_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one exemplar set, found p_greedy 0\.5 for 'a'"):
        answers_with_confidence(evaluation(known_fact("a", Level.MAYBE_KNOWN)))
    with pytest.raises(ValueError, match="found one for 1 of 2"):
        answers_with_confidence(evaluation(answered("a", True, 0.5), answered("b", True, None)))
