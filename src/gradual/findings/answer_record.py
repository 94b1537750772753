"""What a comparison found of answers and how sure the model was of them: types of `comparison.json`.

What each number is, with its source, stands in `statistics.calibration`; conventions are those of `findings.record`.
"""

from __future__ import annotations

from dataclasses import dataclass

from gradual.statistics.measures import Measure


@dataclass(frozen=True, slots=True)
class AnswerFindings:
    """Greedy answers to the test facts at an arm's end, over the seeds whose maps hold confidence."""

    seeds: tuple[int, ...]
    num_facts: int
    right: Measure
    confidently_wrong: Measure
    """Share of all test facts: wrong with a confidence of at least 0.5."""
    very_confidently_wrong: Measure
    """The same from 0.9 on; counted in `confidently_wrong` too."""
    unsure_and_wrong: Measure
    """Share of all test facts: wrong with a confidence below 0.5."""
    num_unknown: float | None
    """Test facts that were Unknown at the start, mean over seeds; None where their levels were not looked at."""
    unknown_confidently_wrong: Measure
    """Share of these; empty where there are none."""
    auroc: Measure
    calibration_error: Measure
    """Without an interval: resamples repeat facts, which makes it larger than it is."""
    calibration_error_if_calibrated: Measure
    """What it would be by chance, mean over seeds."""
    area_under_risk_coverage: Measure
    accuracy_of_surest_half: Measure


@dataclass(frozen=True, slots=True)
class AnswerDifference:
    """Two results' answers to the same test facts with the same seeds: one less the other."""

    seeds: tuple[int, ...]
    """Seeds with confidence on both sides."""
    confidently_wrong: Measure
    """Difference in the share of all test facts."""
    p_value: float | None
    """Two-sided; of the test that `Contrast.p_from` names for accuracy."""
    p_holm: float | None
    """The same, adjusted as that of accuracy is."""
    area_under_risk_coverage: Measure | None
    """Below 0 where the first is better; told against the base model and the reference only, else None."""
