"""How sure the answers of an arm are, and whether they are wrong: numbers of an arm, and of two results.

Makes `answer_record`'s types of the evidence; what is computed is said in `statistics.calibration`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from gradual.findings.answer_record import AnswerDifference, AnswerFindings
from gradual.findings.evidence import MapEvidence, RunEvidence
from gradual.knowledge.levels import Level
from gradual.statistics.calibration import (
    VERY_CONFIDENT,
    AnsweredFact,
    accuracy_of_surest,
    accuracy_of_surest_over_seeds,
    area_over_seeds,
    area_under_risk_coverage,
    auroc,
    auroc_over_seeds,
    calibration_error,
    confidently_wrong,
    difference_in_area,
    unsure_and_wrong,
)
from gradual.statistics.intervals import mcnemar, paired_counts
from gradual.statistics.measures import (
    Measure,
    differences,
    mean_accuracy,
    mean_of,
    mean_over_seeds,
    measure_of,
    share_of,
)

_HALF = 0.5


def answer_findings(runs: Sequence[RunEvidence]) -> AnswerFindings | None:
    """The answers at the end of finished runs; None where no map holds confidence."""
    evidence = [run for run in runs if run.tests[-1].answers]
    if not evidence:
        return None
    answers = [run.tests[-1].answers for run in evidence]
    groups = evidence[0].tests[0].relations
    errors = [calibration_error(list(one.values())) for one in answers]
    unknown = [_unknown_at_start(run) for run in evidence]
    wrong = [confidently_wrong(one) for one in answers]
    return AnswerFindings(
        seeds=tuple(run.seed for run in evidence),
        num_facts=len(answers[0]),
        right=mean_accuracy([share_of(each.is_right for each in one.values()) for one in answers]),
        confidently_wrong=_share(wrong, groups),
        very_confidently_wrong=_share([confidently_wrong(one, VERY_CONFIDENT) for one in answers], groups),
        unsure_and_wrong=_share([unsure_and_wrong(one) for one in answers], groups),
        num_unknown=sum(map(len, unknown)) / len(unknown) if all(run.start for run in evidence) else None,
        unknown_confidently_wrong=_share(
            [{fact: one[fact] for fact in facts} for one, facts in zip(wrong, unknown, strict=True)], groups
        ),
        auroc=measure_of(auroc_over_seeds(answers, groups), [auroc(list(one.values())) for one in answers]),
        calibration_error=mean_over_seeds([error.value if error else None for error in errors]),
        calibration_error_if_calibrated=mean_over_seeds([error.if_calibrated if error else None for error in errors]),
        area_under_risk_coverage=measure_of(area_over_seeds(answers, groups), _areas(answers)),
        accuracy_of_surest_half=measure_of(
            accuracy_of_surest_over_seeds(answers, _HALF, groups),
            [accuracy_of_surest(list(one.values()), _HALF) for one in answers],
        ),
    )


def answer_difference(
    pairs: Sequence[tuple[int, MapEvidence, MapEvidence]], *, with_area: bool
) -> AnswerDifference | None:
    """One side's answers less the other's; None where no seed holds confidence on both sides.

    Args:
        pairs: seed, the test of the one side, and that of the other.
        with_area: tell the difference in the area under the risk-coverage curve.
    """
    evidence = [(seed, now, was) for seed, now, was in pairs if now.answers and was.answers]
    if not evidence:
        return None
    groups = evidence[0][1].relations
    after = [confidently_wrong(now.answers) for _, now, _ in evidence]
    before = [confidently_wrong(was.answers) for _, _, was in evidence]
    share, resampled = mean_of(differences(after, before), groups)
    p_value = resampled.p_value if resampled else None
    if len(evidence) == 1:
        counts = paired_counts(before[0], after[0])
        p_value = mcnemar(counts.gained, counts.lost)
    return AnswerDifference(
        seeds=tuple(seed for seed, _, _ in evidence),
        confidently_wrong=share,
        p_value=p_value,
        p_holm=None,
        area_under_risk_coverage=_area_difference(evidence) if with_area else None,
    )


def _area_difference(pairs: Sequence[tuple[int, MapEvidence, MapEvidence]]) -> Measure:
    after, before = [now.answers for _, now, _ in pairs], [was.answers for _, _, was in pairs]
    by_seed = [
        None if now is None or was is None else now - was
        for now, was in zip(_areas(after), _areas(before), strict=True)
    ]
    return measure_of(difference_in_area(before, after, pairs[0][1].relations), by_seed)


def _areas(answers: Sequence[Mapping[str, AnsweredFact]]) -> list[float | None]:
    return [area_under_risk_coverage(list(one.values())) for one in answers]


def _share(verdicts: Sequence[Mapping[str, bool]], groups: Mapping[str, str]) -> Measure:
    measure, _ = mean_of([{fact: float(verdict) for fact, verdict in one.items()} for one in verdicts], groups)
    return measure


def _unknown_at_start(run: RunEvidence) -> Collection[str]:
    levels = run.start.levels if run.start else {}
    return [fact for fact in run.tests[0].levels if levels.get(fact) is Level.UNKNOWN]
