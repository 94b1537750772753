"""Results held against each other: arms against the base model and the reference, stages against the one before.

Everything is paired: the same facts with the same seeds. Knows evidence only; the numbers of each arm by itself are in
`findings.arms`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from gradual.comparison.folder import ComparisonPlan, is_base
from gradual.findings.answers import answer_difference
from gradual.findings.evidence import MapEvidence, RunEvidence
from gradual.findings.record import Contrast, PairedTest, RelationDifference
from gradual.findings.refusals import refusal_difference
from gradual.knowledge.levels import Level
from gradual.statistics import calibration
from gradual.statistics.intervals import holm, mcnemar, paired_counts, smallest_visible_difference
from gradual.statistics.measures import EMPTY, Measure, change_of, differences, mean_of
from gradual.statistics.resampling import NUM_RESAMPLES
from gradual.text import decimal, join_words, percent

POWER = 0.8
METHODS = (
    "Intervals are 95 %. Of one accuracy or count they are Wilson's, for one seed's facts at the mean over seeds.",
    f"Of differences and of readings (a) and (b) they are percentiles of {NUM_RESAMPLES:,} resamples: whole relations "
    "are drawn with replacement, because facts of one relation rise and fall together, and independently of them "
    "seeds, one fewer than there are (crossed bootstrap: Owen 2007; one fewer: Rao & Wu 1988). Few seeds make what is "
    "due to them rough; with one seed it is left out.",
    "p is that of the same resamples; with one seed, of the exact McNemar test, which takes facts as independent.",
    "Holm p is adjusted for all arms held against the same thing, or for all second and later stages held against the "
    "one before (Holm 1979).",
    "Reading (b) of an arm is (HK - HK0) / (HK' - HK0) - 1, with HK' of what it is held against and HK0 of the base "
    "model; it is undefined where the interval of HK' - HK0 reaches 0.",
)
"""How intervals and tests are made, for `Comparison.methods`."""
METHODS_OF_ANSWERS = (
    "Shares of confidently and of unsurely wrong answers have intervals of resamples, as differences do; AUROC, areas "
    f"under the risk-coverage curve and the surest half are worked out anew for {calibration.NUM_RESAMPLES:,} of them.",
)
"""The same of how sure answers are."""


NO_READING_B = replace(EMPTY, note="undefined: it is held against the base itself")


class _Pair(NamedTuple):
    """Two results of one seed on the same facts: probes and tests of the one, of the other, and the base model's."""

    seed: int
    run: RunEvidence
    stage: int
    other: RunEvidence
    other_stage: int


class _Verdicts(NamedTuple):
    """What two results say of the same facts, for each seed that has both."""

    after: Sequence[Mapping[str, bool]]
    before: Sequence[Mapping[str, bool]]
    relations: Mapping[str, str]


def contrasts(plan: ComparisonPlan, runs: Mapping[str, Sequence[RunEvidence]]) -> tuple[Contrast, ...]:
    """All that is held against each other, by kind and in the arms' order; p-values adjusted within each kind."""
    arms = [arm.name for arm in plan.arms if not is_base(arm)]
    all_contrasts = [_against_base(name, runs[name]) for name in arms]
    if plan.reference in arms:
        all_contrasts += [
            _contrast_of_ends("reference", name, plan.reference, runs) for name in arms if name != plan.reference
        ]
    if plan.main in arms:
        all_contrasts += [_contrast_of_ends("main", plan.main, name, runs) for name in arms if name != plan.main]
    for name in arms:
        all_contrasts += _stage_by_stage(name, runs[name])
    return tuple(_with_holm(all_contrasts))


def relation_by_relation(
    plan: ComparisonPlan, runs: Mapping[str, Sequence[RunEvidence]]
) -> tuple[RelationDifference, ...]:
    """Where the main arm's lead over the reference comes from; the largest on test facts first."""
    trained = {arm.name for arm in plan.arms if not is_base(arm)}
    if not {plan.main, plan.reference} <= trained or plan.main == plan.reference:
        return ()
    pairs = _pairs_of_ends(runs[plan.main], runs[plan.reference])
    if not pairs:
        return ()
    test = _verdicts([(pair.run.tests[pair.stage], pair.other.tests[pair.other_stage]) for pair in pairs])
    on_validation = _common_maps(pairs, lambda run: run.validation)
    validation = _verdicts(on_validation if len(on_validation) == len(pairs) else [])
    training = _Verdicts(
        [_is_highly_known(pair.run.probes[pair.stage]) for pair in pairs],
        [_is_highly_known(pair.other.probes[pair.other_stage]) for pair in pairs],
        pairs[0].run.probes[0].relations,
    )
    names = {*test.relations.values(), *validation.relations.values(), *training.relations.values()}
    rows = [
        RelationDifference(name, *_more_right(test, name), *_more_right(validation, name), *_more_right(training, name))
        for name in sorted(names)
    ]
    return tuple(sorted(rows, key=lambda each: -(each.test.value or 0.0)))


def _more_right(verdicts: _Verdicts, relation: str) -> tuple[int, Measure]:
    """How many facts of a relation there are, and how many more of them are right on one side than on the other."""
    facts = {fact for fact, its in verdicts.relations.items() if its == relation}
    after, before = (
        [{fact: right for fact, right in one.items() if fact in facts} for one in side]
        for side in (verdicts.after, verdicts.before)
    )
    more, _ = mean_of(differences(after, before), verdicts.relations, times=float(len(facts)))
    return len(facts), more


def _verdicts(sides: Sequence[tuple[MapEvidence, MapEvidence]]) -> _Verdicts:
    relations = sides[0][0].relations if sides else {}
    return _Verdicts([now.right for now, _ in sides], [was.right for _, was in sides], relations)


def power_sentences(plan: ComparisonPlan, all_contrasts: Sequence[Contrast]) -> tuple[str, ...]:
    """What differences the test facts can show, for each contrast of the main arm."""
    of_main = [
        each
        for each in all_contrasts
        if each.arm == plan.main and each.seeds and each.kind != "main" and each.stage != 1
    ]
    return tuple(_power_sentence(contrast) for contrast in of_main)


def _against_base(name: str, runs: Sequence[RunEvidence]) -> Contrast:
    pairs = [_Pair(run.seed, run, run.last, run, 0) for run in runs if run.is_finished]
    return _contrast("base", name, None, "base", None, pairs)


def _contrast_of_ends(
    kind: Literal["reference", "main"], name: str, against: str, runs: Mapping[str, Sequence[RunEvidence]]
) -> Contrast:
    return _contrast(kind, name, None, against, None, _pairs_of_ends(runs[name], runs[against]))


def _pairs_of_ends(runs: Sequence[RunEvidence], others: Sequence[RunEvidence]) -> list[_Pair]:
    both = zip(runs, others, strict=True)
    ends = [(run, other) for run, other in both if run.is_finished and other.is_finished]
    return [_Pair(run.seed, run, run.last, other, other.last) for run, other in ends]


def _stage_by_stage(name: str, runs: Sequence[RunEvidence]) -> Iterator[Contrast]:
    finished = [run for run in runs if run.is_finished]
    for stage in range(1, max((run.last for run in finished), default=0) + 1):
        pairs = [_Pair(run.seed, run, stage, run, stage - 1) for run in finished if run.last >= stage]
        yield _contrast("stage", name, stage, name, stage - 1, pairs)


def _contrast(
    kind: Literal["base", "reference", "main", "stage"],
    arm: str,
    stage: int | None,
    against: str,
    against_stage: int | None,
    pairs: Sequence[_Pair],
) -> Contrast:
    after = [pair.run.tests[pair.stage] for pair in pairs]
    before = [pair.other.tests[pair.other_stage] for pair in pairs]
    test, p_value = _difference(after, before)
    tests = tuple(_paired_test(*each) for each in zip(pairs, after, before, strict=True))
    if len(pairs) == 1:
        p_value = tests[0].p_value
    seeds_and_sides = [(pair.seed, now, was) for pair, now, was in zip(pairs, after, before, strict=True)]
    num_facts = len(after[0].right) if after else 0
    highly, reading_a, reading_b = _highly_known_measures(pairs)
    return Contrast(
        kind=kind,
        arm=arm,
        stage=stage,
        against=against,
        against_stage=against_stage,
        seeds=tuple(pair.seed for pair in pairs),
        num_test_facts=num_facts,
        test=test,
        p_value=p_value,
        p_holm=None,
        p_from="" if not pairs else ("exact McNemar" if len(pairs) == 1 else "relations and seeds resampled"),
        mcnemar=tests,
        smallest_visible=_smallest_visible(num_facts, tests),
        highly_known=highly,
        reading_a=reading_a,
        reading_b=reading_b if kind != "base" and against_stage != 0 else NO_READING_B,
        ood=_other_difference(pairs, lambda run: run.ood),
        zero_shot=_other_difference(pairs, lambda run: run.zero_shot),
        validation=_other_difference(pairs, lambda run: run.validation),
        note=_seed_note(len(pairs)),
        answers=answer_difference(seeds_and_sides, with_area=kind in ("base", "reference")),
        refusals=refusal_difference(seeds_and_sides) if kind in ("base", "reference") else None,
    )


def _seed_note(num_seeds: int) -> str:
    if num_seeds == 0:
        return "no seed is finished on both sides, so nothing is tested"
    if num_seeds == 1:
        return "one seed on both sides, so nothing is tested across seeds"
    return ""


def _difference(after: Sequence[MapEvidence], before: Sequence[MapEvidence]) -> tuple[Measure, float | None]:
    if not after:
        return EMPTY, None
    values = differences([known.right for known in after], [known.right for known in before])
    measure, resampled = mean_of(values, after[0].relations)
    return measure, None if resampled is None else resampled.p_value


def _paired_test(pair: _Pair, after: MapEvidence, before: MapEvidence) -> PairedTest:
    counts = paired_counts(before.right, after.right)
    difference = (counts.gained - counts.lost) / max(1, len(after.right))
    return PairedTest(pair.seed, counts.gained, counts.lost, difference, mcnemar(counts.gained, counts.lost))


def _smallest_visible(num_facts: int, tests: Sequence[PairedTest]) -> float | None:
    num_changes = sum(test.gained + test.lost for test in tests)
    return (
        smallest_visible_difference(num_facts, num_changes / (num_facts * len(tests)), power=POWER)
        if num_changes
        else None
    )


def _highly_known_measures(pairs: Sequence[_Pair]) -> tuple[Measure, Measure, Measure]:
    """The difference in HighlyKnown facts, and readings (a) and (b)."""
    if not pairs:
        return EMPTY, EMPTY, EMPTY
    groups = pairs[0].run.probes[0].relations
    now = [_is_highly_known(pair.run.probes[pair.stage]) for pair in pairs]
    other = [_is_highly_known(pair.other.probes[pair.other_stage]) for pair in pairs]
    gain = differences(now, [_is_highly_known(pair.run.probes[0]) for pair in pairs])
    other_gain = differences(other, [_is_highly_known(pair.other.probes[0]) for pair in pairs])
    count, _ = mean_of(differences(now, other), groups, times=float(len(groups)))
    return count, change_of(now, other, groups), change_of(gain, other_gain, groups)


def _is_highly_known(probe: MapEvidence) -> dict[str, bool]:
    return {fact: level is Level.HIGHLY_KNOWN for fact, level in probe.levels.items()}


def _other_difference(
    pairs: Sequence[_Pair], known: Callable[[RunEvidence], Mapping[int, MapEvidence]]
) -> Measure | None:
    """Difference on another set of facts, over the pairs that have it on both sides; None where none has."""
    sides = _common_maps(pairs, known)
    return _difference([now for now, _ in sides], [was for _, was in sides])[0] if sides else None


def _common_maps(
    pairs: Sequence[_Pair], known: Callable[[RunEvidence], Mapping[int, MapEvidence]]
) -> list[tuple[MapEvidence, MapEvidence]]:
    after = [known(pair.run).get(pair.stage) for pair in pairs]
    before = [known(pair.other).get(pair.other_stage) for pair in pairs]
    return [(now, was) for now, was in zip(after, before, strict=True) if now and was]


def _with_holm(all_contrasts: Sequence[Contrast]) -> list[Contrast]:
    """The contrasts with Holm's p-values, adjusted within each kind.

    First stages are left out: nearly all arms share one, whose test would count as often as there are arms. Where arms
    share a later stage, it counts for each of them, which makes the p-values larger, not smaller.
    """
    of_accuracy = _adjust(all_contrasts, lambda each: each.p_value)
    of_answers = _adjust(all_contrasts, lambda each: each.answers.p_value if each.answers else None)
    return [
        replace(each, p_holm=accuracy, answers=replace(each.answers, p_holm=answers) if each.answers else None)
        for each, accuracy, answers in zip(all_contrasts, of_accuracy, of_answers, strict=True)
    ]


def _adjust(all_contrasts: Sequence[Contrast], p_of: Callable[[Contrast], float | None]) -> list[float | None]:
    """Holm's p-value of each contrast, None where there is none."""
    holm_of: dict[int, float] = {}
    for kind in ("base", "reference", "main", "stage"):
        p_values = {
            place: p
            for place, each in enumerate(all_contrasts)
            if each.kind == kind and each.stage != 1 and (p := p_of(each)) is not None
        }
        holm_of |= zip(p_values, holm(list(p_values.values())), strict=True)
    return [holm_of.get(place) for place in range(len(all_contrasts))]


def _power_sentence(contrast: Contrast) -> str:
    num_changes = sum(test.gained + test.lost for test in contrast.mcnemar)
    share = num_changes / max(1, contrast.num_test_facts * len(contrast.mcnemar))
    num, power = f"{contrast.num_test_facts:,}", percent(POWER, digits=0)
    about = f"{contrast.name}: with {num} test facts, {percent(share)} of which are answered rightly on one side only"
    if contrast.smallest_visible is None:
        return f"{about}, the McNemar test of one seed can see no difference ({power} power at 5 %)."
    visible = decimal(100 * contrast.smallest_visible, 1)
    points = join_words([decimal(100 * test.difference, 1) for test in contrast.mcnemar])
    return (
        f"{about}, the McNemar test of one seed cannot be counted on to see a difference under {visible} points "
        f"({power} power at 5 %); found by seed: {points}."
    )
