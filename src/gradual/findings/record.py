"""What a comparison found: the types of `comparison.json`, from which tables and the report are made.

The dataclasses are the file's description: a field is a key of the same name, a tuple a list, None null. Knows no files
and computes nothing; `findings.read` fills them.

Conventions: shares and accuracies lie in [0, 1], a difference of two in [-1, 1]. A tuple "per stage" or "per probe" has
the base model at place 0; what an arm ended with is the last place in that seed's run. Levels are the names of
`knowledge.levels.Level`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from gradual.files.storage import Json
from gradual.findings.answer_record import AnswerDifference, AnswerFindings
from gradual.findings.beyond.record import BystanderFindings, DriftFindings, TransferFindings
from gradual.findings.refusal_record import RefusalDifference, RefusalFindings
from gradual.run.folder import SeedStatus
from gradual.run.steps import Purpose
from gradual.statistics.measures import EMPTY, LevelCounts, Measure, Share

SCHEMA_VERSION = 2
"""Version of `comparison.json`; a field that changes its meaning changes it, a new field does not."""

GroupName = Literal["trained_stage_1", "trained_later_only", "never_trained"]


@dataclass(frozen=True, slots=True)
class Transition:
    """Training facts by level at one probe (outer key) and at a later one (inner key)."""

    start: int
    end: int
    counts: dict[str, LevelCounts]


@dataclass(frozen=True, slots=True)
class GroupShares:
    """Test accuracy of some of the test facts in one run, per stage."""

    name: str
    """A level under the base model, or a relation."""
    total: int
    stages: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class HighlyKnown:
    """HighlyKnown training facts of one run, per probe."""

    counts: tuple[int, ...]
    gained: tuple[int, ...]
    """HighlyKnown now and not under the base model."""
    lost: tuple[int, ...]
    """HighlyKnown under the base model and no longer."""
    split: dict[GroupName, tuple[int, ...]]
    """`counts` by what the run trained on; groups do not overlap, and their sum is `counts`."""
    split_totals: dict[GroupName, int]
    """Facts in each group, whatever their level."""


@dataclass(frozen=True, slots=True)
class EpochFindings:
    """One epoch of a stage; 0 is before training."""

    epoch: int
    loss: float | None
    validation: Share
    test: Share | None
    """Of the test facts; None unless these chose the epoch (`evaluation.protocol: paper`)."""
    steps: int
    tokens: int
    area: float | None = None
    """Under the risk-coverage curve of the facts that choose; None unless the epoch is kept by it."""


@dataclass(frozen=True, slots=True)
class StageFindings:
    """One round of selection and training in one run."""

    strategy: str
    select: str
    num_new: int
    new_shortfall: int
    """New facts that are missing for the size asked for."""
    num_replay: int
    replay_shortfall: int
    promoted_trained: int
    trained_levels: LevelCounts
    """What was trained on, replayed facts included, by level at the time of training."""
    best_epoch: int
    improved: bool
    """Some epoch was better than none on the facts that choose the epoch."""
    stopped_early: bool
    optimism: float | None
    """Test accuracy of the epoch that test facts chose, less that of the epoch that validation facts choose; None where
    validation facts chose."""
    steps: int
    tokens: int
    epochs: tuple[EpochFindings, ...]
    num_anchor: int | None = None
    num_abstain: int | None = None
    """Facts that held the stage to a reference, and that a refusal was taught for; None where it has no such part."""

    @property
    def validation(self) -> Share | None:
        """Validation accuracy at the epoch that was kept; None where that is not known."""
        return next((epoch.validation for epoch in self.epochs if epoch.epoch == self.best_epoch), None)


@dataclass(frozen=True, slots=True)
class StageShare:
    """An accuracy after one stage."""

    stage: int
    accuracy: Share


@dataclass(frozen=True, slots=True)
class CostPart:
    """What one step of a run took."""

    name: str
    purpose: Purpose
    """What the time was spent on: `probing` for levels, `training`, or `testing`."""
    seconds: float
    tokens: int
    """Tokens read."""
    steps: int
    """Optimiser steps; 0 for what trains nothing."""
    shared: bool
    """Other runs of the comparison use the same result: it was computed once."""


@dataclass(frozen=True, slots=True)
class CostFindings:
    """What a run, or the whole comparison, took. In a run shared steps count in full, in the whole once."""

    seconds: float
    tokens: int
    steps: int
    parts: tuple[CostPart, ...]


@dataclass(frozen=True, slots=True)
class RunFindings:
    """One arm with one seed, as far as it came."""

    seed: int
    status: SeedStatus
    note: str
    """Why the run takes no part in what is said of its arm; empty where it does."""
    levels: tuple[LevelCounts, ...]
    """Training facts, per probe."""
    transitions: tuple[Transition, ...]
    """From each probe to the next, and last from the base to the last where there are more than two."""
    test: tuple[Share, ...]
    by_level: tuple[GroupShares, ...]
    """By the test fact's level under the base model, best first; levels that no fact has are left out."""
    by_relation: tuple[GroupShares, ...]
    highly_known: HighlyKnown
    ood: tuple[StageShare, ...]
    """Facts of relations that were never trained on; empty where they were not asked."""
    zero_shot: tuple[StageShare, ...]
    """The test facts asked without shots; empty where they were not."""
    stages: tuple[StageFindings, ...]
    cost: CostFindings


@dataclass(frozen=True, slots=True)
class GroupResult:
    """Test accuracy of some of the test facts over all seeds of an arm."""

    name: str
    total: float
    """Facts in the group, mean over seeds (they differ only where exemplars are drawn anew with each seed)."""
    base: Measure
    result: Measure
    change: Measure
    """`result` minus `base` on the same facts, with the interval of `methods`."""
    falls: Literal["no", "perhaps", "yes"]
    """yes: the whole interval of `change` lies below 0; perhaps: its mean does."""


@dataclass(frozen=True, slots=True)
class OtherTest:
    """Accuracy on another set of facts, or asked another way, over the seeds of an arm that have it."""

    seeds: tuple[int, ...]
    num_facts: int
    base: Measure
    result: Measure
    change: Measure
    right_at_start: Measure = EMPTY
    """Number of facts that the base model has right."""
    lost: Measure = EMPTY
    """Share of these that are no longer right at the end; empty where there are none."""


@dataclass(frozen=True, slots=True)
class GroupGain:
    """HighlyKnown training facts of one group of `GroupName`, mean over seeds."""

    total: Measure
    """Facts in the group."""
    base: Measure
    after_stage_1: Measure
    result: Measure


@dataclass(frozen=True, slots=True)
class ArmFindings:
    """One way to train, over all its finished seeds; every `Measure` has the order of `seeds`."""

    name: str
    doc: str
    same_steps_as: str | None
    num_stages: int | None
    """Stages planned; None where a stop rule decides."""
    is_base: bool
    """Trains nothing: `runs` hold stage 0 of other arms' runs."""
    seeds: tuple[int, ...]
    """Seeds whose run is finished. With none, every measure is empty."""
    runs: tuple[RunFindings, ...]
    """One for each seed of the plan, in its order."""
    test: tuple[Measure, ...]
    """Test accuracy per stage, over the seeds that have the stage."""
    result: Measure
    """Test accuracy at the end."""
    validation: tuple[Measure, ...]
    """Validation accuracy at the epoch kept of stages 1, 2, ... (place 0 is stage 1)."""
    validation_result: Measure
    """Validation accuracy at the epoch kept of each seed's last stage; empty where nothing is trained."""
    best_epochs: tuple[Measure, ...]
    """Of stages 1, 2, ..."""
    trained: tuple[Measure, ...]
    """Facts trained on, replayed ones included, in stages 1, 2, ..."""
    highly_known: tuple[Measure, ...]
    """HighlyKnown training facts per probe."""
    highly_known_result: Measure
    gained: Measure
    """HighlyKnown at the end and not at the start."""
    lost: Measure
    """HighlyKnown at the start and not at the end."""
    split: dict[GroupName, GroupGain]
    by_level: tuple[GroupResult, ...]
    by_relation: tuple[GroupResult, ...]
    ood: OtherTest | None
    zero_shot: OtherTest | None
    steps: Measure
    """Optimiser steps, all stages."""
    tokens: Measure
    """Tokens trained on, all stages."""
    seconds: Measure
    """All steps of the run in full, shared ones included."""
    answers: AnswerFindings | None = None
    """How sure the answers to test facts are at the end; None where no map of the arm holds confidence."""
    refusals: RefusalFindings | None = None
    """What is refused of the test facts at the end; None where no map of the arm tells refusals."""
    transfer: TransferFindings | None = None
    """What holds in other forms than the trained one; None where none was asked (`evaluation.transfer`)."""
    bystanders: tuple[BystanderFindings, ...] = ()
    """Facts of other relations by level at the start, and last those known then; empty where they were not asked."""
    drift: DriftFindings | None = None
    """How far the model is from the base model; None where that was not measured (`evaluation.drift`)."""


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Test facts of one seed answered rightly on one side only, with the exact p-value (`intervals.mcnemar`)."""

    seed: int
    gained: int
    lost: int
    difference: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Contrast:
    """One result held against another on the same facts with the same seeds.

    kind: `base` an arm's end against the base model; `reference` against the end of the reference arm; `main` the main
    arm's end against that of another arm, `against`; `stage` stage `stage` of an arm against the stage before it (1
    against 0, the base model; 2 against 1 is the paper's comparison).
    """

    kind: Literal["base", "reference", "main", "stage"]
    arm: str
    stage: int | None
    """None: what the arm ended with."""
    against: str
    against_stage: int | None
    seeds: tuple[int, ...]
    """Seeds that both sides have."""
    num_test_facts: int
    test: Measure
    """Difference in test accuracy."""
    p_value: float | None
    """Two-sided; `p_from` says of which test."""
    p_holm: float | None
    """The same, adjusted (Holm) for all of this kind; None for stage 1 against the base, which kind `base` tests."""
    p_from: str
    mcnemar: tuple[PairedTest, ...]
    """One per seed."""
    smallest_visible: float | None
    """Smallest difference that McNemar's test of one seed sees with 80 % power (`smallest_visible_difference`)."""
    highly_known: Measure
    """Difference in the number of HighlyKnown training facts."""
    reading_a: Measure
    """HK / HK(against) - 1."""
    reading_b: Measure
    """(HK - HK(base)) / (HK(against) - HK(base)) - 1."""
    ood: Measure | None
    zero_shot: Measure | None
    validation: Measure | None
    """Difference in accuracy on the validation facts at the epochs kept; None where a side has kept no verdicts."""
    note: str
    """What could not be tested, and why; empty where all was."""
    answers: AnswerDifference | None = None
    """Difference in how sure wrong answers are; None where no seed's maps hold confidence on both sides."""
    refusals: RefusalDifference | None = None
    """Difference in what is refused; told against the base model and the reference, where both sides tell it."""

    @property
    def name(self) -> str:
        """What is held against what, for people."""
        if self.kind == "stage":
            return f"{self.arm}, stage {self.stage} against {self.against_stage}"
        return f"{self.arm} against {self.against}"


@dataclass(frozen=True, slots=True)
class RelationDifference:
    """Facts of one relation that the main arm has right beyond those of the reference: a number, mean over seeds.

    Intervals are of this relation's facts, drawn with replacement, and of seeds where there are several.
    """

    name: str
    num_test_facts: int
    test: Measure
    num_validation_facts: int
    validation: Measure
    """At the epochs kept. Empty, and of 0 facts, unless both sides have kept verdicts with every seed."""
    num_training_facts: int
    highly_known: Measure
    """HighlyKnown training facts."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`comparison.json`."""

    schema: int
    model: str
    """The model that all arms start from, as the settings name it."""
    main: str
    """Arm that the question is about."""
    reference: str
    """Arm that the others are held against, besides the base model."""
    seeds: tuple[int, ...]
    """Seeds of the plan."""
    num_facts: dict[str, int]
    """train, validation, test and, where asked, ood."""
    arms: tuple[ArmFindings, ...]
    """In order of display."""
    contrasts: tuple[Contrast, ...]
    by_relation: tuple[RelationDifference, ...]
    """`main` against `reference`, relation by relation; empty where no seed of both is finished."""
    retests: tuple[Retest, ...]
    promotions: tuple[NetPromotion, ...]
    entities: Entities | None
    """Whether what came within reach lies near what was trained on; None where that was not looked at."""
    cost: CostFindings
    """Of everything, shared steps counted once."""
    power: tuple[str, ...]
    """What differences these facts can show, a sentence each."""
    methods: tuple[str, ...]
    """How the intervals and tests were made, a sentence each with its source."""
    problems: tuple[str, ...]
    """What is missing or was left out, a line each."""

    def as_dict(self) -> dict[str, Json]:
        """The comparison as JSON values; equal comparisons give equal JSON."""
        return dataclasses.asdict(self)

    def arm(self, name: str) -> ArmFindings | None:
        """The arm of this name, or None."""
        return next((arm for arm in self.arms if arm.name == name), None)

    def contrast(self, kind: str, arm: str, stage: int | None = None) -> Contrast | None:
        """The first contrast of this kind and arm (and, of kind `stage`, of this stage), or None."""
        return next((c for c in self.contrasts if (c.kind, c.arm, c.stage) == (kind, arm, stage)), None)


@dataclass(frozen=True, slots=True)
class Retest:
    """The untrained model probed twice: what changes with nothing learned."""

    kind: str
    """One of `RETESTS`."""
    method: str
    """How both were probed: `exact` or `sampled`; empty where unknown."""
    dtype: str
    """Number format of the model in the retest; empty where unknown."""
    base_dtype: str
    """The same in the map that it is held against."""
    num_facts: int
    """Training facts probed both times, which everything here counts."""
    transitions: dict[str, LevelCounts]
    changed: Share
    """Facts whose level is another."""
    promoted: Share
    """Facts whose level is a better one."""
    demoted: Share
    came_within_reach: Share
    """Of the facts that were out of reach (`transitions.came_within_reach`)."""


@dataclass(frozen=True, slots=True)
class NetPromotion:
    """Facts that came within reach after stage 1 of the main arm, net of what a retest shows without training.

    Within reach: WeaklyKnown or Unknown under the base model, MaybeKnown or HighlyKnown after it.
    """

    arm: str
    kind: str
    """Of the retest."""
    seeds: tuple[int, ...]
    observed: Measure
    """Share of all WeaklyKnown and Unknown facts of the run."""
    num_facts: int
    """WeaklyKnown and Unknown facts that were also retested; the numbers below are of these."""
    observed_retested: Measure
    retest: Share
    net: Measure
    """`observed_retested` minus `retest`, paired by fact."""


@dataclass(frozen=True, slots=True)
class AtDistance:
    """Facts out of reach and not trained on, at one distance from the trained ones (`linkage.PromotedAtDistance`)."""

    distance: str
    """A `facts.entities.Distance`."""
    facts: Measure
    within_reach: Measure
    """Those of them that came within reach."""
    rate: Measure
    """within_reach / facts, with the Wilson interval."""
    share: Measure
    """Of all facts that came within reach, those at this distance."""
    by_chance: Measure
    """The same when labels are permuted; the ends hold 95 % of the permutations, mean over seeds."""
    p_values: tuple[float | None, ...]
    reasons: tuple[str, ...]
    """Why numbers are missing."""


@dataclass(frozen=True, slots=True)
class LinkedOdds:
    """The odds of coming within reach, facts next to trained ones over all others."""

    compared: str
    """Which facts are held against each other."""
    ratio: Measure
    """Geometric mean over seeds, of the ratios and of the ends of their intervals; None where one is missing."""
    p_values: tuple[float | None, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LinkedTest:
    """Accuracy of test facts that are linked to trained ones in one way."""

    linked: str
    facts: Measure
    before: Measure
    after: Measure
    p_values: tuple[float | None, ...]
    """Exact McNemar test of before against after."""


@dataclass(frozen=True, slots=True)
class Entities:
    """Stage 1 of the main arm, mean over the seeds that have it."""

    seeds: tuple[int, ...]
    distances: tuple[AtDistance, ...]
    """Nearest first; a distance at which no seed has a fact is left out."""
    odds: tuple[LinkedOdds, ...]
    tests: tuple[LinkedTest, ...]
    """What no test fact of any seed is in is left out."""
    notes: tuple[str, ...]
    """What to know before reading the numbers."""
