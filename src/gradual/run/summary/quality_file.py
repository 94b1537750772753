"""The types of what `summary.json` says of how good answers are and how sure the model is of them.

`run.summary.quality` and `run.summary.wrong_answers` work them out; docs/confidence.md says what each number counts.
"""

from __future__ import annotations

from gradual.files.typed_json import FilePart
from gradual.knowledge.levels import Level


class FactShare(FilePart):
    """So many of so many facts, with the 95 % Wilson interval."""

    count: int = 0
    total: int = 0
    share: float | None = None
    """count / total in [0, 1]; None where there is no fact."""
    low: float | None = None
    high: float | None = None


class ConfidenceScores(FilePart):
    """How confidence goes with being right, at one temperature."""

    confidence_of_right: float | None = None
    """Mean confidence in [0, 1] of right answers; None where there is none."""
    confidence_of_wrong: float | None = None
    calibration_error: float | None = None
    """Expected calibration error in [0, 1]."""
    calibration_error_if_calibrated: float | None = None
    """What the same number would be on average if every answer were right with the chance that its confidence says."""
    auroc: float | None = None
    """Chance that a right answer has a higher confidence than a wrong one; None where one kind is missing."""
    area_under_risk_coverage: float | None = None


class AnswerScores(ConfidenceScores):
    """The greedy answers to some facts, with confidence at the probe's temperature; shares are out of all of them."""

    right: FactShare = FactShare()
    confidently_wrong: FactShare = FactShare()
    """Wrong with a confidence of at least 0.5."""
    very_confidently_wrong: FactShare = FactShare()
    """Wrong with a confidence of at least 0.9; counted in `confidently_wrong` too."""
    unsure_and_wrong: FactShare = FactShare()
    refused: FactShare = FactShare()
    """Neither right nor wrong (`refusals` has more); none where the maps were made without refusals."""
    accuracy_of_surest_half: float | None = None
    accuracy_of_surest_80_percent: float | None = None


class RiskPoint(FilePart):
    """Share of wrong answers (`risk`) among the surest answers, which are so large a share (`coverage`) of all."""

    coverage: float
    risk: float


class StageQuality(FilePart):
    """The answers to all test facts after a stage."""

    stage: int = 0
    all_facts: AnswerScores = AnswerScores()
    by_level: dict[Level, AnswerScores] = {}
    """By the level under the base model; levels without facts are left out."""
    at_temperature_1: ConfidenceScores | None = None
    """The same confidences at temperature 1; None where the maps have none."""
    risk_coverage: list[RiskPoint] = []
    """At most 50 points of the curve, at evenly spaced coverages, the last one at 1."""


class ConfidentlyWrongChange(FilePart):
    """Test facts that are confidently wrong only after (`became`) or only before (`no_longer`), with McNemar's test."""

    became: int = 0
    no_longer: int = 0
    p_value: float | None = None
    """Exact, two-sided."""


class QualityFile(FilePart):
    """How good answers were in each evaluation, the base model's first."""

    absent_when_none = frozenset({"change"})

    stages: list[StageQuality] = []
    change: ConfidentlyWrongChange | None = None
    """From the base model to the last stage; None before the first."""


class SureAnswer(FilePart):
    """A greedy answer and how sure the model was of it."""

    answer: str | None = None
    confidence: float | None = None
    is_right: bool = False


class WrongAnswer(FilePart):
    """A test fact that the model answers wrongly and surely after the last stage."""

    absent_when_none = frozenset({"taught_question"})

    id: str = ""
    relation: str = ""
    question: str = ""
    answers: list[str] = []
    """The accepted ones."""
    before: SureAnswer = SureAnswer()
    """Under the base model."""
    after: SureAnswer = SureAnswer()
    """After the last stage."""
    taught_question: str | None = None
    """Question of another fact to which a stage taught this very answer; None where there is no such fact."""


class WrongAnswerGroup(FilePart):
    """All wrong answers of a kind in numbers, and the clearest of them."""

    total: int = 0
    taught_elsewhere: int = 0
    """How many are the answer of another fact that a stage trained on with its own target."""
    taught_elsewhere_before: int = 0
    """On how many of the same facts the base model's answer was wrong and such an answer: before it was taught."""
    shown: list[WrongAnswer] = []


class WrongAnswers(FilePart):
    """What is confidently wrong after the last stage."""

    became: WrongAnswerGroup = WrongAnswerGroup()
    """Right, or wrong and unsure, under the base model."""
    remained: WrongAnswerGroup = WrongAnswerGroup()
    """Confidently wrong under the base model too, with the same answer or another."""
