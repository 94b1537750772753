"""What the runs of a comparison's folder hold, fact by fact: the evidence that its numbers are made from.

Reads `comparison_plan.json` and `runs/ARM/SEED`; counts nothing. `findings.arms` makes numbers of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

from gradual.comparison.folder import ComparisonPlan, is_base
from gradual.config.run import TransferForm
from gradual.errors import RunDirError
from gradual.facts.fact import Fact
from gradual.files import storage
from gradual.findings.record import CostPart
from gradual.knowledge.answer_quality import answers_with_confidence
from gradual.knowledge.levels import Level
from gradual.knowledge.map import COST_FILE, MAP_FILE, KnowledgeMap, read_cost, read_map
from gradual.knowledge.replies import replies
from gradual.run.cost import RunCost, read_run_cost, stage_cost
from gradual.run.folder import RunDir, SeedStatus, read_facts
from gradual.run.stage_files import (
    EpochLine,
    StageFile,
    read_epoch_times,
    read_epochs,
    read_stage,
    read_taught,
    verdicts_by_epoch,
)
from gradual.run.steps import Purpose, Step, possible_steps
from gradual.run.summary.side_effects import drift_of_run
from gradual.run.summary.transfer import BeforeAndAfter, answers_in_form
from gradual.run.summary.transfer_file import StageDrift
from gradual.statistics.calibration import AnsweredFact
from gradual.statistics.refusal_scores import Reply


@dataclass(frozen=True, slots=True)
class MapEvidence:
    """What a knowledge map says, by fact id."""

    levels: Mapping[str, Level]
    right: Mapping[str, bool]
    """Whether some greedy answer was right: the verdict where one exemplar set asks."""
    relations: Mapping[str, str]
    dtype: str = ""
    """Number format of the model that was asked; empty where the map doesn't say."""
    method: str = ""
    """How it was asked: `exact` or `sampled`; empty where the map doesn't say."""
    answers: Mapping[str, AnsweredFact] = field(default_factory=dict)
    """Verdict and confidence of each greedy answer of a test; empty where the map was made without confidence."""
    replies: Mapping[str, Reply] = field(default_factory=dict)
    """What each greedy answer of a test comes to; empty where the map was made without refusals."""


@dataclass(frozen=True, slots=True)
class StageEvidence:
    """One stage of a run."""

    about: StageFile
    epochs: tuple[EpochLine, ...]
    trained: Mapping[str, Level]
    """Facts trained on, replayed ones included, with their level at that time."""


@dataclass(frozen=True, slots=True)
class PaidStep:
    """One step of a run with what it took."""

    identity: str
    """Equal ones mean one and the same computation."""
    stage: int
    """How many stages were trained before it, or the one that it trained; 0 is the base model."""
    part: CostPart


@dataclass(frozen=True, slots=True)
class RunEvidence:
    """One arm with one seed, as far as it came."""

    arm: str
    seed: int
    status: SeedStatus
    probes: tuple[MapEvidence, ...] = ()
    """Training facts; 0 is the base model."""
    tests: tuple[MapEvidence, ...] = ()
    """Test facts under one exemplar set; as many as `probes`."""
    start: MapEvidence | None = None
    """Test facts under the base model with all exemplar sets: their levels at the start."""
    ood: Mapping[int, MapEvidence] = field(default_factory=dict)
    """Facts of relations that were never trained on, by stage."""
    ood_start: MapEvidence | None = None
    """The same facts under the base model with all exemplar sets: their levels at the start."""
    zero_shot: Mapping[int, MapEvidence] = field(default_factory=dict)
    """Test facts asked without shots, by stage."""
    forms: Mapping[TransferForm, BeforeAndAfter] = field(default_factory=dict)
    """Training and test facts in each other form that was asked, under the base model and at the end."""
    drift: Mapping[int, StageDrift] = field(default_factory=dict)
    """How far the model is from the base model, by stage from 1."""
    validation: Mapping[int, MapEvidence] = field(default_factory=dict)
    """Validation facts at the epoch kept, by stage; 0 is before the first stage's training. Without levels."""
    stages: tuple[StageEvidence, ...] = ()
    splits: Mapping[str, int] = field(default_factory=dict)
    """Number of facts of each split."""
    paid: tuple[PaidStep, ...] = ()

    @property
    def last(self) -> int:
        """Number of the last stage that was measured; 0 is the base model."""
        return len(self.probes) - 1

    @property
    def is_finished(self) -> bool:
        """Whether it takes part in what is said of its arm."""
        return self.status == "complete" and bool(self.probes)


def read_runs(folder: Path, plan: ComparisonPlan) -> dict[str, tuple[RunEvidence, ...]]:
    """The runs of each arm, one for each seed of the plan and in its order; what is not there has status `missing`.

    An arm without stages, such as `base`, gets stage 0 of some run of the same seed.

    Raises:
        RunDirError: a file of a run is damaged, or two runs probed or tested different facts.
    """
    runs = {
        arm.name: tuple(_read_run(folder / "runs" / arm.name / str(seed), arm.name, seed) for seed in plan.seeds)
        for arm in plan.arms
        if not is_base(arm)
    }
    _refuse_other_facts(folder, [run for of_arm in runs.values() for run in of_arm if run.probes])
    return {
        arm.name: tuple(_base_run(arm.name, seed, runs.values()) for seed in plan.seeds)
        if is_base(arm)
        else runs[arm.name]
        for arm in plan.arms
    }


def read_known(folder: Path, *, with_confidence: bool = False) -> MapEvidence | None:
    """What the map in a folder says; None where there is no finished map.

    Args:
        folder: of the map.
        with_confidence: read how sure the answers are, and which are refusals; for maps with one exemplar set.

    Raises:
        RunDirError: the map is damaged.
    """
    if not (folder / MAP_FILE).is_file():
        return None
    known = read_map(folder, with_answers=False)
    return MapEvidence(
        levels={fact.id: fact.level for fact in known},
        right={fact.id: fact.p_greedy > 0 for fact in known},
        relations={fact.id: fact.relation for fact in known},
        dtype=known.info.model.get("dtype", ""),
        method=str(known.info.probe.get("method", "")),
        answers=_read_answers(known, folder) if with_confidence else {},
        replies=replies(known) if with_confidence else {},
    )


def _read_answers(known: KnowledgeMap, folder: Path) -> dict[str, AnsweredFact]:
    if not known.has_confidence:
        return {}
    try:
        return answers_with_confidence(known)
    except ValueError as error:
        raise RunDirError(f"{folder / MAP_FILE}: {error}; make the run again") from error


def _base_run(name: str, seed: int, runs: Iterable[Sequence[RunEvidence]]) -> RunEvidence:
    """Stage 0 of the first run with this seed that has it."""
    same_seed = (run for of_arm in runs for run in of_arm if run.seed == seed and run.probes)
    peer = next(same_seed, None)
    if peer is None:
        return RunEvidence(name, seed, "missing")
    return replace(
        peer,
        arm=name,
        status="complete",
        probes=peer.probes[:1],
        tests=peer.tests[:1],
        ood={stage: known for stage, known in peer.ood.items() if stage == 0},
        zero_shot={stage: known for stage, known in peer.zero_shot.items() if stage == 0},
        forms={},
        drift={},
        validation={stage: known for stage, known in peer.validation.items() if stage == 0},
        stages=(),
        paid=tuple(step for step in peer.paid if step.stage == 0),
    )


def _refuse_other_facts(folder: Path, runs: Sequence[RunEvidence]) -> None:
    """Paired tests need the same facts everywhere."""
    for run in runs:
        for kind, first, maps in (("training", runs[0].probes[0], run.probes), ("test", runs[0].tests[0], run.tests)):
            odd = sorted({fact for known in maps for fact in known.levels.keys() ^ first.levels.keys()})
            if odd:
                here, there = (f"{folder}/runs/{each.arm}/{each.seed}" for each in (run, runs[0]))
                raise RunDirError(
                    f"{here}: expected the same {kind} facts as in {there}, found {len(odd)} in only one of them, such "
                    f"as {odd[0]!r}; make the run again"
                )


def _read_run(folder: Path, arm: str, seed: int) -> RunEvidence:
    run = RunDir(folder)
    if not run.info.is_file():
        return RunEvidence(arm, seed, "missing")
    probes: list[MapEvidence] = []
    tests: list[MapEvidence] = []
    while (probe := read_known(run.probe(len(probes)))) and (
        test := read_known(run.evaluation(len(tests)), with_confidence=True)
    ):
        probes.append(probe)
        tests.append(test)
    numbers = range(len(probes))
    stages = tuple(_read_stage(run, number) for number in numbers if number)
    facts = list(read_facts(run.facts)) if run.facts.is_file() else []
    relations = _relations_by_split(facts)
    return RunEvidence(
        arm=arm,
        seed=seed,
        status=run.status,
        probes=tuple(probes),
        tests=tuple(tests),
        start=read_known(run.test_levels),
        ood=_known_after_stages(run.ood_evaluation, numbers),
        ood_start=read_known(run.ood_levels),
        zero_shot=_known_after_stages(run.zero_shot_evaluation, numbers),
        forms=_read_forms(run, facts, stages),
        drift={each.stage: each for each in drift_of_run(run, len(stages)) or ()},
        validation=_read_validation(run, relations.get("validation", {}), stages),
        stages=stages,
        splits={name: len(of_split) for name, of_split in relations.items()},
        paid=tuple(_paid_steps(run, len(probes))),
    )


def _known_after_stages(folder: Callable[[int], Path], numbers: Iterable[int]) -> dict[int, MapEvidence]:
    """What the maps say that are there, by stage."""
    maps = {number: read_known(folder(number)) for number in numbers}
    return {number: known for number, known in maps.items() if known is not None}


def _read_stage(run: RunDir, number: int) -> StageEvidence:
    trained = {row.id: row.now for row in read_taught(run.selection(number))}
    return StageEvidence(about=read_stage(run, number), epochs=read_epochs(run, number), trained=trained)


def _relations_by_split(facts: Iterable[Fact]) -> dict[str, dict[str, str]]:
    """The relation of each fact, by split and id."""
    by_split: dict[str, dict[str, str]] = {}
    for fact in facts:
        by_split.setdefault(fact.split, {})[fact.id] = fact.relation
    return by_split


def _read_forms(
    run: RunDir, facts: Sequence[Fact], stages: Sequence[StageEvidence]
) -> dict[TransferForm, BeforeAndAfter]:
    """The forms that training facts were asked in; older runs may have asked test facts alone without shots."""
    taught = {fact for stage in stages for fact in stage.trained}
    trained_or_not = {fact.id for fact in facts if fact.split == "train"}
    forms: tuple[TransferForm, ...] = get_args(TransferForm)
    by_form = {form: answers_in_form(run, form, len(stages), facts, taught) for form in forms} if stages else {}
    return {form: answers for form, answers in by_form.items() if answers.before.keys() & trained_or_not}


def _read_validation(
    run: RunDir, relations: Mapping[str, str], stages: Sequence[StageEvidence]
) -> dict[int, MapEvidence]:
    """The verdicts on the validation facts before training and at each stage's kept epoch, as far as they were kept."""
    by_stage: dict[int, MapEvidence] = {}
    for number, stage in enumerate(stages, start=1):
        verdicts = verdicts_by_epoch(stage.epochs, relations, run.epochs(number))
        epochs = {number: stage.about.best_epoch or 0} | ({0: 0} if number == 1 else {})
        for place, epoch in epochs.items():
            if epoch in verdicts:
                by_stage[place] = MapEvidence(levels={}, right=verdicts[epoch], relations=relations)
    return by_stage


def _paid_steps(run: RunDir, num_probes: int) -> Iterator[PaidStep]:
    """What the steps of a run took, in the order they were done; those after the last whole look are left out."""
    for step in possible_steps(num_probes - 1):
        if step.kind == "stage":
            yield _paid_stage(run, step)
        elif (last := step.last_file(run)) is not None and last.is_file():
            yield paid_map(step.label, step.purpose, step.folder(run), stage=step.stage, last=last.name)


def paid_map(name: str, purpose: Purpose, folder: Path, *, stage: int = 0, last: str = MAP_FILE) -> PaidStep:
    """What the map in a folder took, or what else `last` is the last file of.

    Equal maps that took equal time to the last digit were made once and copied.
    """
    cost = read_cost(folder)
    time = storage.read_bytes(folder / COST_FILE) if (folder / COST_FILE).is_file() else b""
    identity = _joint_digest(name.encode(), storage.read_bytes(folder / last), time)
    return PaidStep(identity, stage, CostPart(name, purpose, cost.seconds, cost.tokens_read, 0, shared=False))


def _paid_stage(run: RunDir, step: Step) -> PaidStep:
    seconds = stage_cost(read_epoch_times(run, step.stage)).seconds or _seconds_in_cost_file(run, step)
    about = read_stage(run, step.stage)
    files = [run.stage_summary(step.stage), run.epochs(step.stage)]
    contents = [storage.read_bytes(file) for file in files if file.is_file()]
    identity = _joint_digest(step.label.encode(), *contents, repr(seconds).encode())
    tokens, steps = round(about.tokens or 0), round(about.steps or 0)
    return PaidStep(identity, step.stage, CostPart(step.label, step.purpose, seconds, tokens, steps, shared=False))


def _seconds_in_cost_file(run: RunDir, step: Step) -> float:
    cost = read_run_cost(run) or RunCost()
    return next((each.seconds or 0.0 for each in cost.steps if each.name == step.label), 0.0)


def _joint_digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
