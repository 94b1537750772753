"""The steps of a run as data: which there are, in which order, what each asks or trains, and where its files lie.

`planned_steps` is what a run will do; `possible_steps` is what may be found in a folder whose settings are not at hand.
Everything that does, times, sums up, shares or draws steps goes by these. Knows no model and no number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gradual.config.run import ProbeConfig, RunConfig, TransferForm, evaluation_settings
from gradual.config.stage import StageConfig
from gradual.facts.fact import Fact
from gradual.facts.prepare import RunFacts
from gradual.knowledge.map import COST_FILE, MAP_FILE
from gradual.run.folder import RunDir
from gradual.run.measures.benchmarks import SCORES_FILE
from gradual.run.measures.drift import DRIFT_FILE
from gradual.run.transfer import facts_in_form, form_settings

StepKind = Literal[
    "facts",
    "probe",
    "evaluation",
    "ood",
    "zero_shot",
    "rewordings",
    "reverse",
    "zero_shot_train",
    "chat",
    "levels",
    "ood_levels",
    "drift",
    "lm_eval",
    "own_answers",
    "stage",
]
Purpose = Literal["probing", "training", "testing"]
"""What time is spent on: knowing the levels of facts, training, or scoring the test."""

ANY_TOLERANCE = 1.0
"""Bounds of probabilities may stay as wide as they come."""
_ONLY_VERDICTS = {"greedy_answers": "none", "confidence": False, "refusals": [], "tolerance": ANY_TOLERANCE}
"""Settings that ask for greedy verdicts alone: nobody reads probabilities or wrong answers."""

_FORMS: dict[StepKind, TransferForm] = {
    "rewordings": "rewordings",
    "reverse": "reverse",
    "zero_shot_train": "zero_shot",
    "chat": "chat",
}
"""Steps that ask training facts, and test facts where no other step does, in another form than they are trained in."""
_LOOK: tuple[StepKind, ...] = ("probe", "evaluation", "ood", "zero_shot", *_FORMS)
"""What is asked of the base model and after each stage, in this order."""
_LEVELS: tuple[StepKind, ...] = ("levels", "ood_levels")
"""What is asked of the base model only."""
_TESTING = frozenset({"evaluation", "ood", "zero_shot", *_FORMS, "drift", "lm_eval"})
_FILES: dict[StepKind, str] = {"drift": DRIFT_FILE, "lm_eval": SCORES_FILE}
"""What steps write in place of a map."""


@dataclass(frozen=True)
class Questions:
    """What a step asks of the model."""

    facts: tuple[Fact, ...]
    settings: ProbeConfig
    exemplar_seed: int


@dataclass(frozen=True)
class Step:
    """One step of a run; what it does is None where only the folder is known, or where the step does no such thing."""

    kind: StepKind
    stage: int = 0
    """For a stage its number, from 1; for other steps the number of stages before."""
    questions: Questions | None = None
    training: StageConfig | None = None
    drawing: StageConfig | None = None
    """The stage that own answers are drawn for: it draws them itself, before its first optimiser step."""

    @property
    def name(self) -> str:
        """How the journal and the folder of units call the step, such as `probe-0`; old runs go on by it."""
        return self.kind if self.kind in ("facts", *_LEVELS) else f"{self.kind}-{self.stage}"

    @property
    def label(self) -> str:
        """How tables and `cost.json` call the step, such as `probe 0`."""
        if self.kind in _LEVELS:
            return "levels of test facts" if self.kind == "levels" else "levels of other relations"
        return "facts" if self.kind == "facts" else f"{self.kind.replace('_', '-')} {self.stage}"

    @property
    def purpose(self) -> Purpose:
        """What the step's time is spent on."""
        if self.kind in ("stage", "own_answers"):
            return "training"
        return "testing" if self.kind in _TESTING else "probing"

    @property
    def makes_map(self) -> bool:
        """Whether the step makes a knowledge map."""
        return self.kind not in ("facts", "own_answers", "stage", *_FILES)

    def is_needed_for(self, stage: int) -> bool:
        """Whether a stage of training, by its number, rests on this step or is it."""
        if self.kind in ("own_answers", "stage"):
            return self.stage <= stage
        return self.kind == "facts" or (self.kind == "probe" and self.stage < stage)

    @property
    def form(self) -> TransferForm | None:
        """The form of `evaluation.transfer` in which the step asks; None for any other step."""
        return _FORMS.get(self.kind)

    def folder(self, run: RunDir) -> Path:
        """The folder that the step's files lie in: of most steps theirs alone."""
        places = {
            "probe": run.probe,
            "evaluation": run.evaluation,
            "ood": run.ood_evaluation,
            "zero_shot": run.zero_shot_evaluation,
            "drift": run.drift,
            "lm_eval": run.benchmarks,
            "own_answers": run.stage,
            "stage": run.stage,
        }
        if self.kind in _LEVELS:
            return run.test_levels if self.kind == "levels" else run.ood_levels
        if self.kind in _FORMS:
            return run.transfer(self.kind, self.stage)
        return run.path if self.kind == "facts" else places[self.kind](self.stage)

    def results(self, run: RunDir) -> list[Path]:
        """The files that the finished step has made and that never change again."""
        if self.kind == "facts":
            return [run.facts, *([run.left_out] if run.left_out.is_file() else [])]
        if self.kind == "stage":
            adapter = sorted(path for path in run.adapter(self.stage).rglob("*") if path.is_file())
            drawn = [path] if (path := run.own_answers(self.stage)).is_file() else []
            return [run.selection(self.stage), *drawn, run.epochs(self.stage), run.stage_summary(self.stage), *adapter]
        if self.kind == "own_answers":
            return [run.own_answers(self.stage)]
        return sorted(path for path in self.folder(run).iterdir() if path.name != COST_FILE)

    def last_file(self, run: RunDir) -> Path | None:
        """The file of a map, of own answers or of another measure that is written last; None for other steps."""
        if self.kind == "own_answers":
            return run.own_answers(self.stage)
        if self.kind in _FILES:
            return self.folder(run) / _FILES[self.kind]
        return self.folder(run) / MAP_FILE if self.makes_map else None

    def times(self, run: RunDir) -> Path | None:
        """The file that says what the step took, which no result depends on; None where nobody asks."""
        if self.last_file(run) is not None:
            return self.folder(run) / COST_FILE
        return run.times(self.stage) if self.kind == "stage" else None


def possible_steps(num_stages: int) -> Iterator[Step]:
    """Every step that a run of so many stages may have, in the order they are done."""
    yield Step("facts")
    for stage in range(num_stages + 1):
        if stage:
            yield from (Step("own_answers", stage), Step("stage", stage))
        yield from (Step(kind, stage) for kind in _LOOK)
        yield from [Step("drift", stage)] if stage else [Step(kind) for kind in _LEVELS]
        yield Step("lm_eval", stage)


def planned_steps(config: RunConfig, run_facts: RunFacts) -> list[Step]:
    """The steps of a run with these settings and facts, in the order they are done."""
    steps = []
    for step in possible_steps(len(config.stages)):
        if step.kind == "stage":
            steps.append(replace(step, training=config.stages[step.stage - 1]))
        elif step.kind == "own_answers":
            stage = config.stages[step.stage - 1]
            if stage.anchor is not None and stage.anchor.draws_answers:
                steps.append(replace(step, drawing=stage))
        elif step.kind in ("facts", *_FILES):
            is_wanted = {"drift": config.evaluation.drift, "lm_eval": bool(config.evaluation.lm_eval)}
            steps += [step] if is_wanted.get(step.kind, True) else []
        elif (questions := _questions(step.kind, config, run_facts)) is not None:
            steps.append(replace(step, questions=questions))
    return steps


def _questions(kind: StepKind, config: RunConfig, run_facts: RunFacts) -> Questions | None:
    """What steps of a kind ask; None where this run has none of the kind."""
    full, single, seed = config.probe, evaluation_settings(config), config.evaluation.exemplar_seed
    if kind == "probe":
        return Questions(run_facts.train, full, config.seed_of_exemplars)
    if kind == "evaluation":
        return Questions(run_facts.test, single, seed)
    if kind == "ood":
        return Questions(run_facts.out_of_distribution, single, seed) if run_facts.out_of_distribution else None
    if kind in _LEVELS:  # these facts need only their level at the start
        facts = run_facts.test if kind == "levels" else run_facts.out_of_distribution
        settings = full.model_copy(update={"levels_only": True, "confidence": False, "refusals": []})
        return Questions(facts, settings, config.seed_of_exemplars) if facts else None
    form = "zero_shot" if kind == "zero_shot" else _FORMS.get(kind)
    if form is None or form not in config.evaluation.transfer:
        return None
    facts = run_facts.test if kind == "zero_shot" else facts_in_form(form, run_facts)
    return Questions(facts, form_settings(form, single), seed)


def scoring_settings(config: RunConfig, *, with_confidence: bool) -> ProbeConfig:
    """How an epoch is scored: by verdicts only, or with confidence and refusals where it is kept by these."""
    settings = evaluation_settings(config)
    return settings.model_copy(update={"confidence": True} if with_confidence else _ONLY_VERDICTS)
