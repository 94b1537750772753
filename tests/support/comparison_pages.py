"""A comparison with made-up numbers, whole or partial, for tests of its page.

Numbers of one arm are shifts of one set, so that a reader can follow them; they don't come from facts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal

from gradual.findings.record import (
    SCHEMA_VERSION,
    ArmFindings,
    AtDistance,
    Comparison,
    Contrast,
    CostFindings,
    CostPart,
    Entities,
    EpochFindings,
    GroupGain,
    GroupName,
    GroupResult,
    HighlyKnown,
    LinkedOdds,
    LinkedTest,
    NetPromotion,
    OtherTest,
    PairedTest,
    RelationDifference,
    Retest,
    RunFindings,
    StageFindings,
    Transition,
)
from gradual.findings.verdict import tell_comparison
from gradual.statistics.measures import LevelCounts, Measure, Share
from gradual.text import MINUS, NBSP

SEEDS = (42, 43, 44)
TRAIN, TEST = 640, 600
EMPTY = Measure(None, None, None, None, (), "no finished run")
LEVELS = ("HighlyKnown", "MaybeKnown", "WeaklyKnown", "Unknown")
START: LevelCounts = {"HighlyKnown": 169, "MaybeKnown": 206, "WeaklyKnown": 124, "Unknown": 141}


def measure(
    value: float | None, half: float | None, spread: float = 0.0, *, number: int = 3, note: str = ""
) -> Measure:
    """A value with an interval of `half` to each side, and seeds at -spread, 0 and +spread around it."""
    values = () if value is None else tuple(value + spread * shift for shift in (-1.0, 0.0, 1.0)[:number])
    if value is None or half is None:
        return Measure(value, None, None, None, values, note)
    return Measure(value, value - half, value + half, spread if number > 1 else None, values, note)


def share(count: int, total: int) -> Share:
    return Share(count, total, count / total, max(0.0, count / total - 0.04), min(1.0, count / total + 0.04))


def make_arm(
    name: str,
    *,
    stages: int,
    gain: float,
    highly: int,
    lost: int,
    fall: float = -0.01,
    seeds: Sequence[int] = SEEDS,
    plan: Sequence[int] = SEEDS,
    hostile: str = "",
    others: bool = True,
) -> ArmFindings:
    """An arm whose test accuracy is `gain` above the base's 0.37 and that ends with `highly` HighlyKnown facts."""
    number = len(seeds)
    counts = [169, *(highly - 35 * (stages - k) for k in range(1, stages + 1))]
    test = [0.37, *(0.37 + gain - 0.018 * (stages - k) for k in range(1, stages + 1))]
    runs = tuple(
        _run(seed, counts, lost, stages, hostile) if seed in seeds else _missing_run(seed, hostile) for seed in plan
    )

    def over(value: float, half: float | None, spread: float = 0.0) -> Measure:
        return measure(value, half, spread, number=number) if number else EMPTY

    result = over(test[-1], 0.038, 0.012)
    return ArmFindings(
        name=name + hostile,
        doc=f"What {name} does." + hostile,
        same_steps_as="S5" if name == "same_steps" else None,
        num_stages=stages,
        is_base=name == "base",
        seeds=tuple(seeds),
        runs=runs,
        test=tuple(over(value, 0.038, 0.01) for value in test),
        result=result,
        validation=tuple(over(value, 0.05, 0.01) for value in test[1:]),
        validation_result=over(test[-1], 0.05, 0.01) if stages else EMPTY,
        best_epochs=tuple(over(6.0, None, 1.0) for _ in test[1:]),
        trained=tuple(over(206.0, None) for _ in test[1:]),
        highly_known=tuple(over(value, 38.0, 4.0 * (k > 0)) for k, value in enumerate(counts)),
        highly_known_result=over(counts[-1], 38.0, 4.0),
        gained=over(counts[-1] - 169 + lost, 20.0, 3.0),
        lost=over(lost, 4.0, 1.0),
        split=_split(counts) if number else {},
        by_level=_by_level(gain, fall, over) if number and stages else (),
        by_relation=(),
        ood=OtherTest(tuple(seeds), 240, over(0.21, 0.05), over(0.21 + gain / 3, 0.05), over(gain / 3, 0.03, 0.01))
        if number and others and stages
        else None,
        zero_shot=OtherTest(tuple(seeds), TEST, over(0.12, 0.03), over(0.12 + gain, 0.04), over(gain, 0.03, 0.01))
        if number and others and stages
        else None,
        steps=over(120.0 * stages, None),
        tokens=over(30_000.0 * stages, None),
        seconds=over(400.0 + 250 * stages, None, 5.0),
    )


def _split(counts: Sequence[int]) -> dict[GroupName, GroupGain]:
    shares: dict[GroupName, float] = {"trained_stage_1": 0.6, "trained_later_only": 0.1, "never_trained": 0.3}
    return {
        name: GroupGain(
            measure(TRAIN * part, None),
            measure(169 * part, None),
            measure(counts[min(1, len(counts) - 1)] * part, None),
            measure(counts[-1] * part, None),
        )
        for name, part in shares.items()
    }


def _by_level(gain: float, fall: float, over: object) -> tuple[GroupResult, ...]:
    assert callable(over)
    changes = dict(zip(LEVELS, (fall, gain * 2, gain, gain / 5), strict=True))
    bases = dict(zip(LEVELS, (0.93, 0.45, 0.08, 0.02), strict=True))
    groups = []
    for level, change in changes.items():
        found = over(change, 0.02, 0.005)
        falls: Literal["no", "perhaps", "yes"] = (
            "no" if change >= 0 else "yes" if found.high is not None and found.high < 0 else "perhaps"
        )
        groups.append(
            GroupResult(level, 150.0, over(bases[level], 0.05), over(bases[level] + change, 0.05), found, falls)
        )
    return tuple(groups)


def _levels(highly: int) -> LevelCounts:
    return {"HighlyKnown": highly, "MaybeKnown": 93, "WeaklyKnown": 54, "Unknown": TRAIN - highly - 147}


def _moves(start: LevelCounts, end: LevelCounts) -> dict[str, LevelCounts]:
    """Rows with the right sums: what a level holds too much goes to the ones that lack facts."""
    moves = {level: dict.fromkeys(LEVELS, 0) for level in LEVELS}
    lacking = {level: max(0, end[level] - start[level]) for level in LEVELS}
    for level in LEVELS:
        left = start[level] - min(start[level], end[level])
        moves[level][level] = start[level] - left
        for other in LEVELS:
            moved = min(left, lacking[other])
            moves[level][other] += moved
            left -= moved
            lacking[other] -= moved
    return moves


def _run(seed: int, counts: Sequence[int], lost: int, stages: int, hostile: str) -> RunFindings:
    levels = (START, *(_levels(count) for count in counts[1:]))
    spans = [(k, k + 1) for k in range(stages)] + ([(0, stages)] if stages > 1 else [])
    names: dict[GroupName, tuple[int, ...]] = {"never_trained": tuple(counts)}
    parts = [
        CostPart("probe 0" + hostile, "probing", 110.0, 72_000, 0, True),
        CostPart("evaluation 0", "testing", 18.0, 8_000, 0, True),
    ]
    for k in range(1, stages + 1):
        parts += [
            CostPart(f"stage {k}", "training", 186.0 - 60 * (k - 1), 25_000, 120, k == 1 and stages > 1),
            CostPart(f"probe {k}", "probing", 140.0, 66_000, 0, k == 1 and stages > 1),
            CostPart(f"evaluation {k}", "testing", 19.0, 7_500, 0, k == 1 and stages > 1),
        ]
    stage = StageFindings(
        "S5",
        "now == MaybeKnown" + hostile,
        206,
        0,
        0,
        0,
        24,
        START,
        6,
        True,
        False,
        None,
        120,
        25_000,
        (EpochFindings(1, 1.5, share(150, 375), None, 20, 4_000),),
    )
    return RunFindings(
        seed=seed,
        status="complete",
        note="",
        levels=levels,
        transitions=tuple(Transition(a, b, _moves(levels[a], levels[b])) for a, b in spans),
        test=tuple(share(222 + 20 * k, TEST) for k in range(stages + 1)),
        by_level=(),
        by_relation=(),
        highly_known=HighlyKnown(
            tuple(counts),
            tuple(count - 169 + (lost if k else 0) for k, count in enumerate(counts)),
            tuple(lost if k else 0 for k in range(len(counts))),
            names,
            {"never_trained": TRAIN},
        ),
        ood=(),
        zero_shot=(),
        stages=(stage,) * stages,
        cost=CostFindings(sum(part.seconds for part in parts), 80_000, 120 * stages, tuple(parts)),
    )


def _missing_run(seed: int, hostile: str) -> RunFindings:
    none = HighlyKnown((), (), (), {}, {})
    return RunFindings(
        seed, "missing", "no run yet" + hostile, (), (), (), (), (), none, (), (), (), CostFindings(0.0, 0, 0, ())
    )


def make_contrast(
    kind: str,
    arm: str,
    against: str,
    test: Measure,
    *,
    p_holm: float | None = 0.01,
    highly: Measure | None = None,
    reading_b: Measure | None = None,
    stage: int | None = None,
    seeds: Sequence[int] = SEEDS,
    note: str = "",
) -> Contrast:
    assert kind in ("base", "reference", "main", "stage")
    undefined = Measure(None, None, None, None, (), "undefined: it is held against the base itself")
    return Contrast(
        kind=kind,  # type: ignore[arg-type]
        arm=arm,
        stage=stage,
        against=against,
        against_stage=None if stage is None else stage - 1,
        seeds=tuple(seeds),
        num_test_facts=TEST,
        test=test,
        p_value=p_holm,
        p_holm=p_holm,
        p_from="relations and seeds resampled",
        mcnemar=tuple(PairedTest(seed, 31, 19, 0.02, 0.12) for seed in seeds),
        smallest_visible=0.032,
        highly_known=highly or measure(18.7, 22.0, 5.0, number=len(seeds)),
        reading_a=measure(0.108, 0.05, 0.02, number=len(seeds)),
        reading_b=reading_b or (undefined if kind == "base" else measure(0.226, 0.16, 0.05, number=len(seeds))),
        ood=measure(0.005, 0.02, number=len(seeds)),
        zero_shot=measure(0.015, 0.02, number=len(seeds)),
        validation=measure(0.011, 0.02, number=len(seeds)),
        note=note,
    )


def make_retest(kind: str, stirred: int) -> Retest:
    """A retest in which `stirred` facts of each level fall to the next and as many come back."""
    moves = {level: {other: START[level] if other == level else 0 for other in LEVELS} for level in LEVELS}
    for upper, lower in pairwise(LEVELS):
        moves[upper][upper] -= stirred
        moves[upper][lower] += stirred
        moves[lower][lower] -= stirred
        moves[lower][upper] += stirred
    changed = share(6 * stirred, TRAIN)
    return Retest(
        kind,
        "exact",
        "float32",
        "bfloat16",
        TRAIN,
        moves,
        changed,
        share(3 * stirred, TRAIN),
        share(3 * stirred, TRAIN),
        share(stirred, 265),
    )


def make_promotion(kind: str, hostile: str = "") -> NetPromotion:
    observed = measure(0.28, 0.05, 0.02)
    return NetPromotion(
        "S5" + hostile, kind, SEEDS, observed, 265, observed, share(12, 265), measure(0.235, 0.06, 0.02)
    )


def make_relation(name: str, more: float, half: float) -> RelationDifference:
    """So many more test facts right in a relation, plus or minus `half`."""
    return RelationDifference(name, 32, measure(more, half), 24, measure(1.0, 2.0), 32, measure(2.0, 3.0))


def make_comparison(hostile: str = "") -> Comparison:
    """Six arms with three seeds; S5 is 7.8 points above the base and 1.9 [-0.2, +4.0] above same_steps.

    `hostile` is appended to each text that a user or a model may have written.
    """
    arms = (
        make_arm("base", stages=0, gain=0.0, highly=169, lost=0, hostile=hostile),
        make_arm("one_stage", stages=1, gain=0.06, highly=324, lost=10, hostile=hostile),
        make_arm("same_steps", stages=1, gain=0.059, highly=340, lost=9, hostile=hostile),
        make_arm("natural_mix", stages=1, gain=0.031, highly=290, lost=21, fall=-0.05, hostile=hostile),
        make_arm("S5", stages=2, gain=0.078, highly=359, lost=5, fall=-0.05, hostile=hostile),
        make_arm("random_instead_of_promoted", stages=2, gain=0.05, highly=330, lost=14, hostile=hostile),
    )
    contrasts = [
        make_contrast("base", arm.name, "base", measure(gain, 0.026, 0.008))
        for arm, gain in zip(arms[1:], (0.06, 0.059, 0.031, 0.078, 0.05), strict=True)
    ]
    against = {"one_stage": 0.001, "natural_mix": -0.028, "S5": 0.019, "random_instead_of_promoted": -0.009}
    contrasts += [
        make_contrast(
            "reference",
            name + hostile,
            "same_steps" + hostile,
            measure(gain, 0.021, 0.008),
            p_holm=0.02 if gain < -0.02 else 0.15,
            reading_b=measure(0.11, 0.13, 0.03),
            note=hostile,
        )
        for name, gain in against.items()
    ]
    stage = measure(0.018, 0.02, 0.006)
    contrasts += [make_contrast("stage", "S5" + hostile, "S5" + hostile, stage, stage=2, p_holm=None)]
    parts = tuple(
        CostPart(name, "probing", 400.0, 80_000, 0, False) for name in ("probe 0" + hostile, "probe 1", "probe 2")
    )
    near = AtDistance(
        "0",
        *(measure(value, None) for value in (41.0, 13.0)),
        measure(0.317, 0.14),
        measure(0.2, None),
        measure(0.15, 0.05),
        (0.04, None, 2e-5),
        ("few" + hostile,),
    )
    odds = LinkedOdds("facts of one relation", Measure(1.62, 0.5, None, None, (1.62,)), (0.3,), ("open" + hostile,))
    linked = LinkedTest("next to a trained fact", measure(60.0, None), measure(0.3, 0.1), measure(0.4, 0.1), (0.02,))
    return Comparison(
        schema=SCHEMA_VERSION,
        model="a/model",
        main="S5" + hostile,
        reference="same_steps" + hostile,
        seeds=SEEDS,
        num_facts={"train": TRAIN, "test": TEST, "validation": 375},
        arms=arms,
        contrasts=tuple(contrasts),
        by_relation=(make_relation("neighbour" + hostile, 8.0, 3.0), make_relation("region" + hostile, 3.4, 5.0)),
        retests=(make_retest("again", 0), make_retest("exemplars" + hostile, 8)),
        promotions=(make_promotion("again", hostile), make_promotion("exemplars" + hostile, hostile)),
        entities=Entities(SEEDS, (near,), (odds,), (linked,), ("paths" + hostile,)),
        cost=CostFindings(
            5_400.0, 2_000_000, 1_800, (*parts, CostPart("stage 1", "training", 4_200.0, 300_000, 1_800, False))
        ),
        power=("S5 against same_steps: a difference under 3.2 points can't be counted on to be seen." + hostile,),
        methods=("Intervals are 95 %, of resampled relations and seeds." + hostile,),
        problems=(),
    )


def told(comparison: Comparison) -> str:
    """All that the verdict says of a comparison, with plain spaces and minus signs."""
    verdict = tell_comparison(comparison)
    return " ".join((verdict.headline, *verdict.sentences, *verdict.limits)).replace(NBSP, " ").replace(MINUS, "-")


def with_contrast(comparison: Comparison, kind: str, arm: str, **changes: object) -> Comparison:
    """The comparison with parts of one contrast changed."""
    changed = tuple(
        replace(each, **changes) if (each.kind, each.arm) == (kind, arm) else each  # type: ignore[arg-type]
        for each in comparison.contrasts
    )
    return replace(comparison, contrasts=changed)
