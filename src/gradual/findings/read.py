"""A comparison's folder as numbers: `read_comparison`, and the file that keeps them.

Puts together what `findings.evidence` reads and what `findings.arms`, `contrasts` and `noise` count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gradual.comparison.folder import ComparisonPlan, is_base, read_plan
from gradual.files import storage
from gradual.findings.arms import arm_numbers
from gradual.findings.contrasts import METHODS, METHODS_OF_ANSWERS, contrasts, power_sentences, relation_by_relation
from gradual.findings.evidence import PaidStep, RunEvidence, read_runs
from gradual.findings.noise import net_promotion, paid_for_noise, read_noise, retest
from gradual.findings.record import (
    SCHEMA_VERSION,
    ArmFindings,
    Comparison,
    CostFindings,
    CostPart,
    Entities,
    NetPromotion,
    Retest,
)
from gradual.text import join_words, plural

COMPARISON_FILE = "comparison.json"
_WANTED_OF_NOISE = ("again", "exemplars")


def read_comparison(folder: Path, *, entities: Entities | None = None) -> Comparison:
    """Everything that the folder of a comparison says, whole or partial; what is missing is told in `problems`.

    Args:
        folder: with `comparison_plan.json` and `runs/ARM/SEED`.
        entities: what `entities.entity_rows` found.

    Raises:
        RunDirError: the folder holds no plan, a file of a run is damaged, or runs hold different facts.
    """
    plan = read_plan(folder)
    runs = read_runs(folder, plan)
    trained = [run for arm in plan.arms if not is_base(arm) for run in runs[arm.name]]
    steps = [step for run in trained for step in run.paid]
    times = Counter(step.identity for step in steps)
    repeats = {identity for identity, number in times.items() if number > 1}
    arms = tuple(arm_numbers(arm, runs[arm.name], repeats) for arm in plan.arms)
    all_contrasts = contrasts(plan, runs)
    retests, promotions = _noise_findings(folder, plan, runs, trained)
    return Comparison(
        schema=SCHEMA_VERSION,
        model=plan.model,
        main=plan.main,
        reference=plan.reference,
        seeds=tuple(plan.seeds),
        num_facts=_num_facts(trained),
        arms=arms,
        contrasts=all_contrasts,
        by_relation=relation_by_relation(plan, runs),
        retests=retests,
        promotions=promotions,
        entities=entities,
        cost=_whole_cost([*steps, *paid_for_noise(folder)]),
        power=power_sentences(plan, all_contrasts),
        methods=METHODS + (METHODS_OF_ANSWERS if any(arm.answers for arm in arms) else ()),
        problems=tuple(_problem_lines(plan, arms, retests)),
    )


def write_comparison(comparison: Comparison, folder: Path) -> Path:
    """Keeps the numbers as `comparison.json` in the folder; equal comparisons give equal bytes.

    Raises:
        RunDirError: the disk refused.
    """
    storage.write_json(folder / COMPARISON_FILE, comparison.as_dict())
    return folder / COMPARISON_FILE


def _num_facts(runs: Sequence[RunEvidence]) -> dict[str, int]:
    run = next((run for run in runs if run.probes), None)
    if run is None:
        return {}
    counts = {"train": len(run.probes[0].levels), "test": len(run.tests[0].levels)}
    others = [len(known.right) for each in runs for known in each.ood.values()]
    return counts | {"validation": run.splits.get("validation", 0)} | ({"ood": others[0]} if others else {})


def _noise_findings(
    folder: Path, plan: ComparisonPlan, runs: Mapping[str, Sequence[RunEvidence]], trained: Sequence[RunEvidence]
) -> tuple[tuple[Retest, ...], tuple[NetPromotion, ...]]:
    """The retests, and what the main arm's first stage brought within reach beyond them."""
    base = next((run.probes[0] for seed in plan.seeds for run in trained if run.seed == seed and run.probes), None)
    if base is None:
        return (), ()
    probes = read_noise(folder)
    net = [net_promotion(plan.main, kind, runs.get(plan.main, ()), base, again) for kind, again in probes.items()]
    retests = tuple(retest(kind, base, again) for kind, again in probes.items())
    return retests, tuple(each for each in net if each is not None)


def _whole_cost(steps: Iterable[PaidStep]) -> CostFindings:
    """What was computed, each step once; parts of one name are added up."""
    once = {step.identity: step.part for step in steps}
    parts: dict[str, CostPart] = {}
    for part in once.values():
        before = parts.get(part.name, CostPart(part.name, part.purpose, 0.0, 0, 0, shared=False))
        parts[part.name] = replace(
            before,
            seconds=before.seconds + part.seconds,
            tokens=before.tokens + part.tokens,
            steps=before.steps + part.steps,
        )
    sums = tuple(parts.values())
    return CostFindings(
        seconds=sum(part.seconds for part in sums),
        tokens=sum(part.tokens for part in sums),
        steps=sum(part.steps for part in sums),
        parts=sums,
    )


def _problem_lines(plan: ComparisonPlan, arms: Sequence[ArmFindings], retests: Sequence[Retest]) -> Iterable[str]:
    names = [arm.name for arm in plan.arms]
    for role, name in (("main", plan.main), ("reference", plan.reference)):
        if name not in names:
            yield f"{name} ({role}) is not among the arms, so nothing is held against it"
    flattered = [
        arm.name for arm in arms if any(stage.optimism is not None for run in arm.runs for stage in run.stages)
    ]
    if flattered:
        reason = "test facts chose the epochs (evaluation.protocol: paper), so test accuracy flatters"
        yield f"{join_words(flattered)}: {reason}"
    for arm in arms:
        notes: dict[str, list[str]] = {}
        for run in arm.runs:
            if run.note:
                notes.setdefault(run.note, []).append(str(run.seed))
        for note, seeds in notes.items():
            yield f"{arm.name}, {'seeds' if len(seeds) > 1 else 'seed'} {join_words(seeds)}: {note}"
        yield from _shortfall_lines(arm)
        if len(arm.seeds) == 1:
            yield f"{arm.name}: one finished seed, so nothing is tested across seeds"
    kinds = {each.kind for each in retests}
    yield from (f"noise {kind}: the base model was not probed again" for kind in _WANTED_OF_NOISE if kind not in kinds)


def _shortfall_lines(arm: ArmFindings) -> Iterable[str]:
    """Stages that had fewer new facts than asked for."""
    for run in arm.runs:
        for number, stage in enumerate(run.stages, start=1):
            if stage.new_shortfall:
                where = f", stage {number}" if len(run.stages) > 1 else ""
                facts = plural(stage.new_shortfall, "fact")
                yield f"{arm.name}, seed {run.seed}{where}: {facts} fewer than the size asked for"
