"""The types of what `summary.json` says of answers that are refused.

`run.summary.refusals` works them out; docs/confidence.md says what each number counts.
"""

from __future__ import annotations

from gradual.files.typed_json import FilePart
from gradual.knowledge.levels import Level
from gradual.run.summary.quality_file import FactShare


class ReplyScores(FilePart):
    """The greedy answers to some facts, each right, refused or wrong."""

    right: FactShare = FactShare()
    """Of all these facts."""
    refused: FactShare = FactShare()
    """Of all these facts."""
    coverage: FactShare = FactShare()
    """Answered, rightly or wrongly; of all these facts."""
    accuracy_of_answered: FactShare = FactShare()
    """Right, of those answered."""


class TargetScore(FilePart):
    """Right answers less target / (1 - target) times the wrong ones, a fact; at most 1, and 0 for saying nothing."""

    target: float
    value: float | None = None
    low: float | None = None
    """95 % interval: relations resampled."""
    high: float | None = None


class StageRefusals(FilePart):
    """The answers to all test facts after a stage."""

    stage: int = 0
    all_facts: ReplyScores = ReplyScores()
    by_level: dict[Level, ReplyScores] = {}
    """By the level under the base model; levels without facts are left out."""
    known_refused: FactShare = FactShare()
    """The harm: facts refused, of those HighlyKnown or MaybeKnown under the base model."""
    p_refuse: float | None = None
    """Mean probability in [0, 1] of a refusal when answers are sampled."""
    scores: list[TargetScore] = []
    """At confidence targets 0.5, 0.75 and 0.9."""


class RefusedChange(FilePart):
    """Facts that are refused after the last stage and were not under the base model, by what they were then."""

    was_right: int = 0
    was_wrong: int = 0


class Refusals(FilePart):
    """What is refused in each evaluation, the base model's first."""

    absent_when_none = frozenset({"change"})

    stages: list[StageRefusals] = []
    change: RefusedChange | None = None
    """From the base model to the last stage; None before the first."""
