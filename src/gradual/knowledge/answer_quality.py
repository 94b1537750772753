"""How good a model's answers are in an evaluation map: right, surely wrong, and whether confidence tells the two apart.

Maps in, numbers out; what each number is and its source stand in `statistics.calibration`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gradual.knowledge.levels import Level
from gradual.knowledge.map import KnowledgeMap
from gradual.knowledge.replies import reply_of
from gradual.statistics.calibration import (
    VERY_CONFIDENT,
    AnsweredFact,
    CalibrationError,
    accuracy_of_surest,
    area_under_risk_coverage,
    auroc,
    calibration_error,
    confidently_wrong,
    mean_confidence,
    unsure_and_wrong,
)
from gradual.statistics.measures import Share, share_of
from gradual.statistics.refusal_scores import Reply


@dataclass(frozen=True, slots=True)
class AnswerQuality:
    """The greedy answers to some facts; every share is out of all of them."""

    right: Share
    confidently_wrong: Share
    """Wrong with a confidence of at least 0.5: hallucinated."""
    very_confidently_wrong: Share
    """Wrong with a confidence of at least 0.9; counted in `confidently_wrong` too."""
    unsure_and_wrong: Share
    """Wrong with a confidence below 0.5."""
    refused: Share
    """Neither right nor wrong; none where the map was made without refusals."""
    confidence_of_right: float | None
    """Mean confidence of right answers; None where there is none."""
    confidence_of_wrong: float | None
    calibration_error: CalibrationError | None
    auroc: float | None
    """None where all answers are right, or all are wrong."""
    area_under_risk_coverage: float | None
    accuracy_of_surest_half: float | None
    accuracy_of_surest_80_percent: float | None


@dataclass(frozen=True, slots=True)
class QualityByLevel:
    """The quality of answers to all facts of a map, and to those of each level at the start."""

    all_facts: AnswerQuality
    by_level: Mapping[Level, AnswerQuality]
    """By the level that a fact had under the base model, worst first; levels without facts are left out."""


def answers_with_confidence(evaluation: KnowledgeMap, *, at_temperature_1: bool = False) -> dict[str, AnsweredFact]:
    """Each fact's confidence and verdict, by id; empty where the map was made without confidence.

    A refusal claims nothing: its confidence here is 0, whatever the model's chance of giving it.

    Args:
        evaluation: a map with one exemplar set; its answers need not be read (`read_map(with_answers=False)`).
        at_temperature_1: take confidence at temperature 1 in place of the probe's.

    Raises:
        ValueError: a fact was asked under several exemplar sets that disagree, or only some facts have a confidence.
    """
    answers: dict[str, AnsweredFact] = {}
    for fact in evaluation:
        confidence = fact.confidence_t1 if at_temperature_1 else fact.confidence
        if fact.p_greedy not in (0.0, 1.0):
            raise ValueError(
                f"expected an evaluation map with one exemplar set, found p_greedy {fact.p_greedy:g} for {fact.id!r}"
            )
        is_refused = reply_of(fact) is Reply.REFUSED
        if confidence is not None:
            answers[fact.id] = AnsweredFact(0.0 if is_refused else confidence, fact.p_greedy == 1.0, is_refused)
    if answers and len(answers) != len(evaluation):
        raise ValueError(f"expected a confidence for each fact, found one for {len(answers)} of {len(evaluation)}")
    return answers


def quality_by_level(
    evaluation: KnowledgeMap, levels: Mapping[str, Level], *, at_temperature_1: bool = False
) -> QualityByLevel | None:
    """The quality of a map's answers; None where the map was made without confidence.

    Args:
        evaluation: as in `answers_with_confidence`.
        levels: level of each fact under the base model, by id; a fact that is not in it counts among all facts alone.
        at_temperature_1: as in `answers_with_confidence`.

    Raises:
        ValueError: as in `answers_with_confidence`.
    """
    answers = answers_with_confidence(evaluation, at_temperature_1=at_temperature_1)
    if not answers:
        return None
    ids = {level: [fact for fact in answers if levels.get(fact) is level] for level in Level}
    return QualityByLevel(
        answer_quality(answers),
        {level: answer_quality({fact: answers[fact] for fact in facts}) for level, facts in ids.items() if facts},
    )


def answer_quality(answers: Mapping[str, AnsweredFact]) -> AnswerQuality:
    """The quality of some answers, by the id of their facts."""
    facts: Sequence[AnsweredFact] = list(answers.values())
    return AnswerQuality(
        right=share_of(each.is_right for each in facts),
        confidently_wrong=share_of(confidently_wrong(answers).values()),
        very_confidently_wrong=share_of(confidently_wrong(answers, VERY_CONFIDENT).values()),
        unsure_and_wrong=share_of(unsure_and_wrong(answers).values()),
        refused=share_of(each.is_refused for each in facts),
        confidence_of_right=mean_confidence([each for each in facts if each.is_right]),
        confidence_of_wrong=mean_confidence([each for each in facts if each.is_wrong]),
        calibration_error=calibration_error(facts),
        auroc=auroc(facts),
        area_under_risk_coverage=area_under_risk_coverage(facts),
        accuracy_of_surest_half=accuracy_of_surest(facts, 0.5),
        accuracy_of_surest_80_percent=accuracy_of_surest(facts, 0.8),
    )
