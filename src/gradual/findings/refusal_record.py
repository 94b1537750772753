"""What a comparison found of answers that are refused: types of `comparison.json`.

What each number is, with its source, stands in `statistics.refusal_scores`; conventions are those of `findings.record`.
"""

from __future__ import annotations

from dataclasses import dataclass

from gradual.statistics.measures import LevelCounts, Measure


@dataclass(frozen=True, slots=True)
class TargetMeasure:
    """A mean score of answers, or a difference of two, at one confidence target."""

    target: float
    score: Measure
    """Right answers less target / (1 - target) times the wrong ones, a fact; 0 for saying nothing, at most 1."""


@dataclass(frozen=True, slots=True)
class RefusalFindings:
    """Greedy answers to the test facts at an arm's end, over the seeds whose maps tell refusals."""

    seeds: tuple[int, ...]
    num_facts: int
    coverage: Measure
    """Share of all test facts that is answered, rightly or wrongly."""
    accuracy_of_answered: Measure
    """Share of these that is right; undefined where nothing may be answered."""
    num_known: float | None
    """Test facts that were HighlyKnown or MaybeKnown at the start, mean over seeds; None if not looked at."""
    known_refused: Measure
    """The harm: share of these that is refused."""
    refused_by_level: dict[str, Measure]
    """Share of the facts of each level at the start that is refused; levels without facts are left out."""
    level_counts: LevelCounts
    """Test facts of each of these levels, with the first seed."""
    scores: tuple[TargetMeasure, ...]


@dataclass(frozen=True, slots=True)
class RefusalDifference:
    """Two results' answers to the same test facts with the same seeds: one less the other."""

    seeds: tuple[int, ...]
    """Seeds that tell refusals on both sides."""
    coverage: Measure
    scores: tuple[TargetMeasure, ...]
