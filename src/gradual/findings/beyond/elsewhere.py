"""What else an arm changed: answers of relations that it never saw, by level, and how far it is from the base model.

Makes `record`'s types of the evidence; what is counted is said in docs/transfer.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from gradual.findings.beyond.record import BystanderFindings, DriftFindings
from gradual.findings.evidence import RunEvidence
from gradual.knowledge.levels import BEST_FIRST, Level
from gradual.statistics.measures import Measure, differences, mean_of, mean_over_seeds

_KNOWN = (Level.HIGHLY_KNOWN, Level.MAYBE_KNOWN)


def bystander_findings(runs: Sequence[RunEvidence]) -> tuple[BystanderFindings, ...]:
    """What became of other relations' answers, by level at the start, best first, and last of what was known.

    Empty where no run has trained a stage and asked these facts before and after it.
    """
    asked = [run for run in runs if run.last and run.ood_start and {0, run.last} <= run.ood.keys()]
    if not asked:
        return ()
    levels = [run.ood_start.levels for run in asked if run.ood_start]
    kinds: list[tuple[str, Collection[Level]]] = [(str(level), (level,)) for level in BEST_FIRST]
    found = []
    for name, wanted in (*kinds, ("", _KNOWN)):
        ids = [[fact for fact, level in of_run.items() if level in wanted] for of_run in levels]
        if any(ids):
            found.append(_of_facts(name, asked, ids))
    return tuple(found)


def _of_facts(name: str, runs: Sequence[RunEvidence], ids: Sequence[Sequence[str]]) -> BystanderFindings:
    before = [{fact: run.ood[0].right[fact] for fact in facts} for run, facts in zip(runs, ids, strict=True)]
    after = [{fact: run.ood[run.last].right[fact] for fact in facts} for run, facts in zip(runs, ids, strict=True)]
    groups = runs[0].ood[0].relations
    turned = [_by_answer_before(was, now) for was, now in zip(before, after, strict=True)]
    return BystanderFindings(
        level=name,
        num_facts=mean_over_seeds([len(facts) for facts in ids]),
        num_right=mean_over_seeds([sum(one.values()) for one in before]),
        lost=_share([{fact: not right for fact, right in was_right.items()} for was_right, _ in turned], groups),
        gained=_share([was_wrong for _, was_wrong in turned], groups),
        change=mean_of(differences(after, before), groups)[0],
    )


def _by_answer_before(before: Mapping[str, bool], after: Mapping[str, bool]) -> tuple[dict[str, bool], dict[str, bool]]:
    """Whether facts are right at the end: those that were right before, and those that were wrong."""
    return (
        {fact: after[fact] for fact, right in before.items() if right},
        {fact: after[fact] for fact, right in before.items() if not right},
    )


def _share(verdicts: Sequence[Mapping[str, bool]], groups: Mapping[str, str]) -> Measure:
    return mean_of([{fact: float(verdict) for fact, verdict in one.items()} for one in verdicts], groups)[0]


def drift_findings(runs: Sequence[RunEvidence]) -> DriftFindings | None:
    """How far finished runs ended from the base model; None where no run measured its last stage."""
    told = [(run.seed, run.drift[run.last]) for run in runs if run.last in run.drift]
    if not told:
        return None
    return DriftFindings(
        seeds=tuple(seed for seed, _ in told),
        text_kl=mean_over_seeds([drift.text.kl for _, drift in told]),
        prompts_kl=mean_over_seeds([drift.prompts.kl for _, drift in told]),
        perplexity_before=mean_over_seeds([drift.text.perplexity_before for _, drift in told]),
        perplexity_after=mean_over_seeds([drift.text.perplexity_after for _, drift in told]),
    )
