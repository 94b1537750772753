"""What else training changed: facts of relations that it never saw, other texts, and other people's tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from gradual.knowledge.levels import BEST_FIRST, Level
from gradual.knowledge.map import MAP_FILE, read_map
from gradual.run.folder import RunDir
from gradual.run.measures.benchmarks import read_scores
from gradual.run.measures.drift import read_drift
from gradual.run.summary.quality_file import FactShare
from gradual.run.summary.transfer_file import BystanderLoss, Bystanders, StageDrift, StageScores
from gradual.statistics.intervals import mcnemar, paired_counts
from gradual.statistics.measures import share


def bystanders_of_run(run: RunDir, last: int) -> Bystanders | None:
    """What was lost of `out_of_distribution` from the base model to stage `last`; None where it was not asked.

    Raises:
        RunDirError: a map is damaged.
    """
    folders = [run.ood_evaluation(0), run.ood_evaluation(last), run.ood_levels]
    if last < 1 or not all((folder / MAP_FILE).is_file() for folder in folders):
        return None
    before, after, start = (read_map(folder, with_answers=False) for folder in folders)
    was, now = ({fact.id: fact.p_greedy > 0 for fact in known} for known in (before, after))
    return count_bystanders(was, now, {fact.id: fact.level for fact in start})


def count_bystanders(before: Mapping[str, bool], after: Mapping[str, bool], levels: Mapping[str, Level]) -> Bystanders:
    """Lost and gained answers, by the level that a fact had under the base model.

    A loss is out of the facts that were answered rightly before, which makes the two kinds of facts comparable: of
    MaybeKnown ones many were wrong under the fixed exemplar set and have nothing to lose. Lost answers alone overstate
    the harm where answers waver by themselves; so what was gained stands beside them, with the test of one against the
    other.

    Args:
        before: whether each fact is answered rightly under the base model, by id.
        after: the same after training; the same facts.
        levels: level of each fact under the base model.
    """
    by_level = {level: [fact_id for fact_id in before if levels.get(fact_id) is level] for level in BEST_FIRST}
    known = [*by_level[Level.HIGHLY_KNOWN], *by_level[Level.MAYBE_KNOWN]]
    counts = paired_counts(before, after)
    return Bystanders(
        known=_loss(known, before, after, None),
        by_level=[_loss(ids, before, after, level) for level, ids in by_level.items() if ids],
        p_value=mcnemar(counts.gained, counts.lost),
    )


def _loss(
    ids: Sequence[str], before: Mapping[str, bool], after: Mapping[str, bool], level: Level | None
) -> BystanderLoss:
    was_right = [fact_id for fact_id in ids if before[fact_id]]
    lost = sum(not after[fact_id] for fact_id in was_right)
    return BystanderLoss(
        level=level,
        num_facts=len(ids),
        lost=FactShare(**asdict(share(lost, len(was_right)))),
        gained=sum(after[fact_id] and not before[fact_id] for fact_id in ids),
    )


def drift_of_run(run: RunDir, last: int) -> list[StageDrift] | None:
    """How far each stage up to `last` is from the base model; None where it was not measured.

    Raises:
        RunDirError: a file is damaged.
    """
    stages: list[StageDrift] = []
    for stage in range(1, last + 1):
        found = read_drift(run, stage)
        if found is not None:
            stages.append(StageDrift(stage=stage, text=found.text, prompts=found.prompts))
    return stages or None


def benchmarks_of_run(run: RunDir, last: int) -> list[StageScores] | None:
    """What the base model and the model after each stage up to `last` score; None where no task was named.

    Raises:
        RunDirError: a file is damaged.
    """
    found = {stage: read_scores(run, stage) for stage in range(last + 1)}
    return [StageScores(stage=stage, scores=file.scores) for stage, file in found.items() if file is not None] or None
