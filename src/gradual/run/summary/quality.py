"""How good a run's answers to its test facts were in each evaluation, and how sure the model was of them.

Evaluation maps in, parts of `summary.json` out; what is counted is in `knowledge.answer_quality`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from gradual.knowledge.answer_quality import AnswerQuality as QualityOfFacts
from gradual.knowledge.answer_quality import answers_with_confidence, quality_by_level
from gradual.knowledge.levels import Level
from gradual.knowledge.map import KnowledgeMap
from gradual.run.summary.quality_file import (
    AnswerScores,
    ConfidenceScores,
    ConfidentlyWrongChange,
    FactShare,
    QualityFile,
    RiskPoint,
    StageQuality,
)
from gradual.statistics.calibration import AnsweredFact, confidently_wrong, risk_coverage
from gradual.statistics.intervals import mcnemar, paired_counts
from gradual.statistics.measures import Share

MOST_POINTS = 50
"""Points of a risk-coverage curve that are kept."""


def answer_quality_of_run(tests: Sequence[KnowledgeMap], levels: Mapping[str, Level]) -> QualityFile | None:
    """The quality of answers in each evaluation; None where one of the maps was made without confidence.

    Args:
        tests: evaluation maps, the base model's first.
        levels: level of the test facts under the base model, by id; empty where it was not probed.
    """
    if not tests or not all(known.has_confidence for known in tests):
        return None
    stages = [_stage_quality(stage, known, levels) for stage, known in enumerate(tests)]
    return QualityFile(stages=stages, change=_change(tests) if len(tests) > 1 else None)


def risk_points(answers: Sequence[AnsweredFact]) -> list[RiskPoint]:
    """At most 50 points of the risk-coverage curve, at evenly spaced coverages; the last is all answers."""
    risks = risk_coverage(answers)
    number = min(MOST_POINTS, len(risks))
    counts = [math.ceil(len(risks) * step / number) for step in range(1, number + 1)]
    return [RiskPoint(coverage=size / len(risks), risk=risks[size - 1]) for size in counts]


def answer_scores(quality: QualityOfFacts) -> AnswerScores:
    """The quality of some answers as the file holds it."""
    return AnswerScores(
        **confidence_scores(quality).model_dump(),
        right=fact_share(quality.right),
        confidently_wrong=fact_share(quality.confidently_wrong),
        very_confidently_wrong=fact_share(quality.very_confidently_wrong),
        unsure_and_wrong=fact_share(quality.unsure_and_wrong),
        refused=fact_share(quality.refused),
        accuracy_of_surest_half=quality.accuracy_of_surest_half,
        accuracy_of_surest_80_percent=quality.accuracy_of_surest_80_percent,
    )


def fact_share(share: Share) -> FactShare:
    """A share as the file holds it."""
    return FactShare(**asdict(share))


def confidence_scores(quality: QualityOfFacts) -> ConfidenceScores:
    """What goes by confidence alone, as the file holds it."""
    error = quality.calibration_error
    return ConfidenceScores(
        confidence_of_right=quality.confidence_of_right,
        confidence_of_wrong=quality.confidence_of_wrong,
        calibration_error=error.value if error else None,
        calibration_error_if_calibrated=error.if_calibrated if error else None,
        auroc=quality.auroc,
        area_under_risk_coverage=quality.area_under_risk_coverage,
    )


def _stage_quality(stage: int, known: KnowledgeMap, levels: Mapping[str, Level]) -> StageQuality:
    quality = quality_by_level(known, levels)
    assert quality is not None  # the map has confidence
    plain = quality_by_level(known, {}, at_temperature_1=True)
    return StageQuality(
        stage=stage,
        all_facts=answer_scores(quality.all_facts),
        by_level={level: answer_scores(scores) for level, scores in quality.by_level.items()},
        at_temperature_1=confidence_scores(plain.all_facts) if plain else None,
        risk_coverage=risk_points(list(answers_with_confidence(known).values())),
    )


def _change(tests: Sequence[KnowledgeMap]) -> ConfidentlyWrongChange:
    before, after = (confidently_wrong(answers_with_confidence(tests[place])) for place in (0, -1))
    counts = paired_counts(before, after)
    # `paired_counts` calls "gained" what is true only after.
    p_value = mcnemar(counts.gained, counts.lost)
    return ConfidentlyWrongChange(became=counts.gained, no_longer=counts.lost, p_value=p_value)
