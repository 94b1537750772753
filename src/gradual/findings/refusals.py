"""What an arm refuses to answer, and what its answers are worth for that: numbers of an arm, and of two results.

Makes `refusal_record`'s types of the evidence; what is computed is said in `statistics.refusal_scores`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradual.findings.evidence import MapEvidence, RunEvidence
from gradual.findings.refusal_record import RefusalDifference, RefusalFindings, TargetMeasure
from gradual.knowledge.levels import Level
from gradual.knowledge.replies import known_at_start
from gradual.statistics.measures import Measure, differences, mean_of, ratio_of
from gradual.statistics.refusal_scores import TARGETS, Reply, scores

_Replies = Mapping[str, Reply]


def refusal_findings(runs: Sequence[RunEvidence]) -> RefusalFindings | None:
    """What is refused at the end of finished runs; None where no map tells refusals."""
    evidence = [run for run in runs if run.tests[-1].replies]
    if not evidence:
        return None
    replies = [run.tests[-1].replies for run in evidence]
    groups = evidence[0].tests[0].relations
    starts = [run.start.levels if run.start else {} for run in evidence]
    known = [known_at_start(one, start) for one, start in zip(replies, starts, strict=True)]
    of_level = {
        level: [[fact for fact in one if start.get(fact) is level] for one, start in zip(replies, starts, strict=True)]
        for level in Level
    }
    return RefusalFindings(
        seeds=tuple(run.seed for run in evidence),
        num_facts=len(replies[0]),
        coverage=mean_of(_answer_flags(replies), groups)[0],
        accuracy_of_answered=ratio_of(_are(replies, Reply.RIGHT), _answer_flags(replies), groups),
        num_known=sum(map(len, known)) / len(known) if all(run.start for run in evidence) else None,
        known_refused=_refusal_rate(replies, known, groups),
        refused_by_level={
            str(level): _refusal_rate(replies, ids, groups) for level, ids in of_level.items() if any(ids)
        },
        level_counts={str(level): len(ids[0]) for level, ids in of_level.items() if any(ids)},
        scores=tuple(TargetMeasure(t, mean_of([scores(one, t) for one in replies], groups)[0]) for t in TARGETS),
    )


def refusal_difference(pairs: Sequence[tuple[int, MapEvidence, MapEvidence]]) -> RefusalDifference | None:
    """One side's answers less the other's; None where no seed tells refusals on both sides.

    Args:
        pairs: seed, the test of the one side, and that of the other.
    """
    evidence = [(seed, now, was) for seed, now, was in pairs if now.replies and was.replies]
    if not evidence:
        return None
    groups = evidence[0][1].relations
    after, before = [now.replies for _, now, _ in evidence], [was.replies for _, _, was in evidence]
    return RefusalDifference(
        seeds=tuple(seed for seed, _, _ in evidence),
        coverage=mean_of(differences(_answers(after), _answers(before)), groups)[0],
        scores=tuple(TargetMeasure(t, _score_difference(after, before, t, groups)) for t in TARGETS),
    )


def _score_difference(
    after: Sequence[_Replies], before: Sequence[_Replies], target: float, groups: Mapping[str, str]
) -> Measure:
    pairs = [(scores(now, target), scores(was, target)) for now, was in zip(after, before, strict=True)]
    return mean_of([{fact: now[fact] - was[fact] for fact in now} for now, was in pairs], groups)[0]


def _answers(replies: Sequence[_Replies]) -> list[dict[str, bool]]:
    return [{fact: reply is not Reply.REFUSED for fact, reply in one.items()} for one in replies]


def _answer_flags(replies: Sequence[_Replies]) -> list[dict[str, float]]:
    return [{fact: float(answers) for fact, answers in one.items()} for one in _answers(replies)]


def _are(replies: Sequence[_Replies], kind: Reply) -> list[dict[str, float]]:
    return [{fact: float(reply is kind) for fact, reply in one.items()} for one in replies]


def _refusal_rate(replies: Sequence[_Replies], ids: Sequence[Sequence[str]], groups: Mapping[str, str]) -> Measure:
    """Share of some facts, those of each seed, that is refused; empty where there are none."""
    refused = _are(replies, Reply.REFUSED)
    return mean_of([{fact: one[fact] for fact in facts} for one, facts in zip(refused, ids, strict=True)], groups)[0]
