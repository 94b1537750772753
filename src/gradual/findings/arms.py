"""The numbers of each run and of each arm over its seeds, from the evidence of the runs.

Knows one arm at a time; `findings.contrasts` holds arms against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Literal

from gradual.comparison.folder import PlannedArm, is_base
from gradual.findings.answers import answer_findings
from gradual.findings.beyond.elsewhere import bystander_findings, drift_findings
from gradual.findings.beyond.transfer import transfer_findings
from gradual.findings.evidence import MapEvidence, RunEvidence, StageEvidence
from gradual.findings.record import (
    ArmFindings,
    CostFindings,
    EpochFindings,
    GroupGain,
    GroupName,
    GroupResult,
    GroupShares,
    HighlyKnown,
    OtherTest,
    RunFindings,
    StageFindings,
    StageShare,
    Transition,
)
from gradual.findings.refusals import refusal_findings
from gradual.knowledge.levels import BEST_FIRST, Level
from gradual.knowledge.transitions import counts_by_name, level_counts, transition_counts
from gradual.run.stage_files import EpochLine
from gradual.statistics.measures import (
    LevelCounts,
    Measure,
    Share,
    differences,
    mean_accuracy,
    mean_number,
    mean_of,
    mean_over_seeds,
    share,
    share_of,
)
from gradual.text import plural

GROUPS: tuple[GroupName, ...] = ("trained_stage_1", "trained_later_only", "never_trained")


def arm_numbers(plan: PlannedArm, runs: Sequence[RunEvidence], shared: Collection[str]) -> ArmFindings:
    """The numbers of an arm and of its runs.

    Args:
        plan: what the plan says of the arm.
        runs: one for each seed of the plan.
        shared: the steps (`PaidStep.identity`) that several runs use.
    """
    run_findings = [run_numbers(run, plan.num_stages, shared) for run in runs]
    finished = [run for run in runs if run.is_finished]
    numbers = [one for one, run in zip(run_findings, runs, strict=True) if run.is_finished]
    num_train = len(finished[0].probes[0].levels) if finished else 0
    stages = list(zip_longest(*(run.stages for run in numbers)))  # None where a run has fewer
    start = round(mean_over_seeds([run.highly_known.counts[0] for run in numbers]).value or 0.0)

    def over_stages(value: Callable[[StageFindings], float]) -> tuple[Measure, ...]:
        return tuple(mean_over_seeds([value(one) if one else None for one in of_seeds]) for of_seeds in stages)

    return ArmFindings(
        name=plan.name,
        doc=plan.doc,
        same_steps_as=plan.same_steps_as,
        num_stages=plan.num_stages,
        is_base=is_base(plan),
        seeds=tuple(run.seed for run in finished),
        runs=tuple(run_findings),
        test=tuple(mean_accuracy(of_seeds) for of_seeds in zip_longest(*(run.test for run in numbers))),
        result=mean_accuracy([run.test[-1] for run in numbers]),
        validation=tuple(mean_accuracy([one.validation if one else None for one in of_seeds]) for of_seeds in stages),
        validation_result=mean_accuracy([run.stages[-1].validation if run.stages else None for run in numbers]),
        best_epochs=over_stages(lambda stage: stage.best_epoch),
        trained=over_stages(lambda stage: stage.num_new + stage.num_replay),
        highly_known=tuple(
            mean_number(of_seeds, num_train) for of_seeds in zip_longest(*(run.highly_known.counts for run in numbers))
        ),
        highly_known_result=mean_number([run.highly_known.counts[-1] for run in numbers], num_train),
        gained=mean_number([run.highly_known.gained[-1] for run in numbers], num_train - start),
        lost=mean_number([run.highly_known.lost[-1] for run in numbers], start),
        split={name: _group_gain(name, numbers) for name in GROUPS},
        by_level=_results_by_level(finished),
        by_relation=_results_by_relation(finished),
        ood=_other_test(finished, [run.ood for run in finished]),
        zero_shot=_other_test(finished, [run.zero_shot for run in finished]),
        steps=mean_over_seeds([float(sum(stage.steps for stage in run.stages)) for run in numbers]),
        tokens=mean_over_seeds([float(sum(stage.tokens for stage in run.stages)) for run in numbers]),
        seconds=mean_over_seeds([run.cost.seconds for run in numbers]),
        answers=answer_findings(finished),
        refusals=refusal_findings(finished),
        transfer=transfer_findings(finished),
        bystanders=bystander_findings(finished),
        drift=drift_findings(finished),
    )


def run_numbers(run: RunEvidence, num_stages: int | None, shared: Collection[str]) -> RunFindings:
    """The numbers of one run, as far as it came."""
    spans = [(k, k + 1) for k in range(run.last)] + ([(0, run.last)] if run.last > 1 else [])
    parts = tuple(replace(step.part, shared=step.identity in shared) for step in run.paid)
    return RunFindings(
        seed=run.seed,
        status=run.status,
        note=_run_note(run, num_stages),
        levels=tuple(counts_by_name(level_counts(probe.levels.values())) for probe in run.probes),
        transitions=tuple(Transition(a, b, level_moves(run.probes[a].levels, run.probes[b].levels)) for a, b in spans),
        test=tuple(share_of(known.right.values()) for known in run.tests),
        by_level=tuple(_group_shares(str(level), ids, run) for level in BEST_FIRST if (ids := _of_level(run, level))),
        by_relation=tuple(_group_shares(name, _of_relation(run, name), run) for name in _relation_names([run])),
        highly_known=_highly_known_of_run(run),
        ood=_stage_shares(run.ood),
        zero_shot=_stage_shares(run.zero_shot),
        stages=tuple(_stage_findings(stage, run.splits) for stage in run.stages),
        cost=CostFindings(
            seconds=sum(part.seconds for part in parts),
            tokens=sum(part.tokens for part in parts),
            steps=sum(part.steps for part in parts),
            parts=parts,
        ),
    )


def level_moves(before: Mapping[str, Level], after: Mapping[str, Level]) -> dict[str, LevelCounts]:
    """Facts by level before (outer) and after (inner), all sixteen cells."""
    return {str(level): counts_by_name(row) for level, row in transition_counts(before, after).items()}


def _run_note(run: RunEvidence, num_stages: int | None) -> str:
    if run.status == "missing":
        return "no run yet"
    came = f"{max(run.last, 0)} of {plural(num_stages, 'stage')}" if num_stages else plural(max(run.last, 0), "stage")
    if run.status == "running":
        return f"not finished: {came} measured so far; left out of what is said of the arm"
    if run.status == "nothing_to_train":
        return f"ended with nothing to train on after {came}; left out of what is said of the arm"
    return "" if run.probes else "holds no finished map; left out of what is said of the arm"


def _highly_known_of_run(run: RunEvidence) -> HighlyKnown:
    known = [{fact for fact, level in probe.levels.items() if level is Level.HIGHLY_KNOWN} for probe in run.probes]
    groups = _training_groups(run)
    return HighlyKnown(
        counts=tuple(len(facts) for facts in known),
        gained=tuple(len(facts - known[0]) for facts in known),
        lost=tuple(len(known[0] - facts) for facts in known),
        split={name: tuple(len(facts & group) for facts in known) for name, group in groups.items()},
        split_totals={name: len(group) for name, group in groups.items()},
    )


def _training_groups(run: RunEvidence) -> dict[GroupName, set[str]]:
    """The training facts by what the run trained on, replayed facts included."""
    first = set(run.stages[0].trained) if run.stages else set()
    later = {fact for stage in run.stages[1:] for fact in stage.trained} - first
    everything = set(run.probes[0].levels) if run.probes else set()
    return {"trained_stage_1": first, "trained_later_only": later, "never_trained": everything - first - later}


def _stage_findings(stage: StageEvidence, splits: Mapping[str, int]) -> StageFindings:
    about = stage.about
    return StageFindings(
        strategy=about.strategy,
        select=about.select,
        num_new=about.num_new or 0,
        new_shortfall=about.new_shortfall,
        num_replay=about.num_replay or 0,
        replay_shortfall=about.replay_shortfall,
        promoted_trained=about.promoted_trained or 0,
        trained_levels=counts_by_name(level_counts(stage.trained.values())),
        best_epoch=about.best_epoch or 0,
        improved=about.improved,
        stopped_early=about.stopped_early,
        optimism=about.optimism,
        steps=round(about.steps or 0),
        tokens=round(about.tokens or 0),
        epochs=tuple(_epoch_findings(line, splits) for line in stage.epochs),
        num_anchor=about.num_anchor,
        num_abstain=about.num_abstain,
    )


def _epoch_findings(line: EpochLine, splits: Mapping[str, int]) -> EpochFindings:
    on_test = line.validation_accuracy is not None
    validation = line.eval_accuracy if line.validation_accuracy is None else line.validation_accuracy
    return EpochFindings(
        epoch=line.epoch,
        loss=line.loss,
        validation=_share_of_facts(validation, splits.get("validation", 0)),
        test=_share_of_facts(line.eval_accuracy, splits.get("test", 0)) if on_test else None,
        steps=line.steps,
        tokens=line.tokens,
        area=line.eval_area,
    )


def _share_of_facts(accuracy: float, num_facts: int) -> Share:
    return share(round(accuracy * num_facts), num_facts)


def _group_gain(name: GroupName, runs: Sequence[RunFindings]) -> GroupGain:
    counts = [run.highly_known.split[name] for run in runs]
    return GroupGain(
        total=mean_over_seeds([float(run.highly_known.split_totals[name]) for run in runs]),
        base=mean_over_seeds([float(each[0]) for each in counts]),
        after_stage_1=mean_over_seeds([float(each[1]) if len(each) > 1 else None for each in counts]),
        result=mean_over_seeds([float(each[-1]) for each in counts]),
    )


# --- groups of test facts ------------------------------------------------------------------------------------------


def _of_level(run: RunEvidence, level: Level) -> set[str]:
    return {fact for fact, own_level in run.start.levels.items() if own_level is level} if run.start else set()


def _of_relation(run: RunEvidence, relation: str) -> set[str]:
    return (
        {fact for fact, own_relation in run.tests[0].relations.items() if own_relation == relation}
        if run.tests
        else set()
    )


def _relation_names(runs: Sequence[RunEvidence]) -> list[str]:
    return sorted({relation for run in runs if run.tests for relation in run.tests[0].relations.values()})


def _group_shares(name: str, ids: Collection[str], run: RunEvidence) -> GroupShares:
    stages = tuple(share_of(known.right[fact] for fact in sorted(ids)) for known in run.tests)
    return GroupShares(name, len(ids), stages)


def _results_by_level(runs: Sequence[RunEvidence]) -> tuple[GroupResult, ...]:
    if not all(run.start for run in runs):
        return ()
    results = [_group_result(str(level), [_of_level(run, level) for run in runs], runs) for level in BEST_FIRST]
    return tuple(group for group in results if group is not None)


def _results_by_relation(runs: Sequence[RunEvidence]) -> tuple[GroupResult, ...]:
    results = [_group_result(name, [_of_relation(run, name) for run in runs], runs) for name in _relation_names(runs)]
    return tuple(group for group in results if group is not None)


def _group_result(name: str, ids: Sequence[Collection[str]], runs: Sequence[RunEvidence]) -> GroupResult | None:
    """None where no fact of any run is in the group."""
    if not any(ids):
        return None
    before = [{fact: run.tests[0].right[fact] for fact in facts} for run, facts in zip(runs, ids, strict=True)]
    after = [{fact: run.tests[-1].right[fact] for fact in facts} for run, facts in zip(runs, ids, strict=True)]
    change, _ = mean_of(differences(after, before), runs[0].tests[0].relations)
    return GroupResult(
        name=name,
        total=sum(len(facts) for facts in ids) / len(ids),
        base=mean_accuracy([share_of(one.values()) for one in before]),
        result=mean_accuracy([share_of(one.values()) for one in after]),
        change=change,
        falls=_falls(change),
    )


def _falls(change: Measure) -> Literal["no", "perhaps", "yes"]:
    if change.value is None or change.value >= 0:
        return "no"
    return "yes" if change.high is not None and change.high < 0 else "perhaps"


# --- other tests ---------------------------------------------------------------------------------------------------


def _stage_shares(known: Mapping[int, MapEvidence]) -> tuple[StageShare, ...]:
    return tuple(StageShare(stage, share_of(known[stage].right.values())) for stage in sorted(known))


def _other_test(runs: Sequence[RunEvidence], known: Sequence[Mapping[int, MapEvidence]]) -> OtherTest | None:
    """Base and end on another set of facts, over the runs that have both; None where none has."""
    pairs = [
        (run.seed, each[0], each[run.last])
        for run, each in zip(runs, known, strict=True)
        if {0, run.last} <= each.keys()
    ]
    if not pairs:
        return None
    before, after = [base.right for _, base, _ in pairs], [end.right for _, _, end in pairs]
    relations = pairs[0][1].relations
    change, _ = mean_of(differences(after, before), relations)
    lost, _ = mean_of([_lost_facts(was, now) for was, now in zip(before, after, strict=True)], relations)
    return OtherTest(
        seeds=tuple(seed for seed, _, _ in pairs),
        num_facts=len(before[0]),
        base=mean_accuracy([share_of(one.values()) for one in before]),
        result=mean_accuracy([share_of(one.values()) for one in after]),
        change=change,
        right_at_start=mean_number([sum(one.values()) for one in before], len(before[0])),
        lost=lost,
    )


def _lost_facts(before: Mapping[str, bool], after: Mapping[str, bool]) -> dict[str, float]:
    """Of each fact that was right, 1 where it no longer is, else 0."""
    return {fact: float(not after[fact]) for fact, was_right in before.items() if was_right}
