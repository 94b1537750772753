"""What a run's model refuses to answer in each evaluation, and what its answers are worth for that.

Evaluation maps in, the part `refusals` of `summary.json` out; what is counted is in `statistics.refusal_scores`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from gradual.knowledge.levels import Level
from gradual.knowledge.map import KnowledgeMap
from gradual.knowledge.replies import known_at_start, replies
from gradual.run.summary.quality import fact_share
from gradual.run.summary.refusals_file import Refusals, RefusedChange, ReplyScores, StageRefusals, TargetScore
from gradual.statistics.measures import mean_of, share_of
from gradual.statistics.refusal_scores import TARGETS, Reply, accuracy_of_answered, coverage, refusal_rate, scores


def refusals_of_run(tests: Sequence[KnowledgeMap], levels: Mapping[str, Level]) -> Refusals | None:
    """What is refused in each evaluation; None where one of the maps was made without refusals.

    Args:
        tests: evaluation maps, the base model's first.
        levels: level of the test facts under the base model, by id; empty where it was not probed.
    """
    if not tests or not all(known.has_refusals for known in tests):
        return None
    stages = [_stage_refusals(stage, known, levels) for stage, known in enumerate(tests)]
    return Refusals(stages=stages, change=_change(tests) if len(tests) > 1 else None)


def reply_scores(all_replies: Sequence[Reply]) -> ReplyScores:
    """The counts of some replies as the file holds them."""
    return ReplyScores(
        right=fact_share(share_of(reply is Reply.RIGHT for reply in all_replies)),
        refused=fact_share(refusal_rate(all_replies)),
        coverage=fact_share(coverage(all_replies)),
        accuracy_of_answered=fact_share(accuracy_of_answered(all_replies)),
    )


def _stage_refusals(stage: int, known: KnowledgeMap, levels: Mapping[str, Level]) -> StageRefusals:
    all_replies = replies(known)
    groups = {level: [reply for fact, reply in all_replies.items() if levels.get(fact) is level] for level in Level}
    return StageRefusals(
        stage=stage,
        all_facts=reply_scores(list(all_replies.values())),
        by_level={level: reply_scores(group) for level, group in groups.items() if group},
        known_refused=fact_share(refusal_rate(all_replies[fact] for fact in known_at_start(all_replies, levels))),
        p_refuse=math.fsum(fact.p_refuse or 0.0 for fact in known) / len(known),
        scores=[_target_score(target, all_replies, known) for target in TARGETS],
    )


def _target_score(target: float, all_replies: Mapping[str, Reply], known: KnowledgeMap) -> TargetScore:
    measure, _ = mean_of([scores(all_replies, target)], {fact.id: fact.relation for fact in known})
    return TargetScore(target=target, value=measure.value, low=measure.low, high=measure.high)


def _change(tests: Sequence[KnowledgeMap]) -> RefusedChange:
    before, after = replies(tests[0]), replies(tests[-1])
    were = [before[fact] for fact, reply in after.items() if reply is Reply.REFUSED]
    return RefusedChange(was_right=were.count(Reply.RIGHT), was_wrong=were.count(Reply.WRONG))
