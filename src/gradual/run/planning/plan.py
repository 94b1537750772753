"""What a run would do, before it does it: prompts, loss mask, counts, tokens, time and disk. Trains nothing.

Speeds come from a small probe and one training step on the user's own model and facts; counts of a stage come from the
run folder where its map is there already, and are estimates else, marked so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gradual.config.run import RunConfig, evaluation_settings
from gradual.config.stage import StageConfig
from gradual.engines.transformers_engine import TransformersEngine, reading_warnings
from gradual.errors import RunDirError
from gradual.facts.fact import spread
from gradual.facts.prepare import RunFacts
from gradual.files.storage import Json
from gradual.knowledge.map import MAP_FILE, KnowledgeMap, read_map
from gradual.models.load import LoadedModel, load_model
from gradual.progress import Progress, Silent
from gradual.run.anchors.choice import anchor_options
from gradual.run.anchors.targets import stage_facts
from gradual.run.folder import RunDir
from gradual.run.planning.memory import MemoryPlan, plan_memory, refuse_weights_that_do_not_fit
from gradual.run.planning.timing import (
    TIMING,
    ReadEstimate,
    StepTimes,
    first_stage_size,
    later_stage_size,
    probe_prompts_of,
    probe_sample,
    scorings,
    step_key,
)
from gradual.run.stage_selection import fact_states, in_epochs, select_for_stage, training_rows
from gradual.run.steps import Step, planned_steps
from gradual.selection.strategies import Replay, Selection

_BYTES_PER_ANSWER = 24
"""Disk that one fact takes in a knowledge map per exemplar set, compressed; measured on the atlas."""


@dataclass(frozen=True)
class TokenLine:
    """One token of a training example."""

    token: int
    text: str
    has_loss: bool


@dataclass(frozen=True)
class StagePlan:
    """What one stage would train on."""

    name: str
    select: str
    replay: str
    num_facts: int
    options: tuple[str, ...]
    """What is out of the ordinary about the stage, a line each."""
    is_estimate: bool
    """The map that decides is not there yet; the number follows from a sample, or from the stage before."""
    max_steps: int
    max_tokens: int
    max_seconds: float


@dataclass(frozen=True)
class RunPlan:
    """What a run would do; times are upper ends where early stopping may save some."""

    model: str
    num_facts: dict[str, int]
    dropped_for_overlap: int
    warnings: tuple[str, ...]
    levels: dict[str, int]
    levels_of: str
    """`all training facts`, or the sample that was probed."""
    probe_prompt: str
    training_example: tuple[TokenLine, ...]
    stages: tuple[StagePlan, ...]
    probe_tokens: int
    probe_seconds: float
    """All probes and evaluations of the run."""
    training_seconds: float
    """All stages: their steps, the scoring of their epochs, and drawing own answers."""
    disk_bytes: int
    remarks: tuple[str, ...] = ()
    """How the facts were read, the first three among it."""
    memory: MemoryPlan | None = None
    """What the run takes in memory; None where that can't be told."""
    drawing_tokens: int = 0
    """Of the own answers that stages are held to, each as long as can be; 0 where none are drawn."""
    drawing_seconds: float = 0.0
    """Part of `training_seconds`."""

    def as_dict(self) -> dict[str, Json]:
        """Everything as plain data."""
        return asdict(self)


def make_plan(
    config: RunConfig, run_facts: RunFacts, out: str | Path | None = None, *, progress: Progress | None = None
) -> RunPlan:
    """What `fit` would do with this config and these facts, and with the run folder `out` as far as it has come.

    Raises:
        ConfigError, DataError, ModelError: what `fit` would refuse.
        TrainingError: a stage whose facts are known already could not be trained.
    """
    progress = progress or Silent()
    refuse_weights_that_do_not_fit(config.model)
    loaded = load_model(config.model)
    engine = TransformersEngine(loaded)
    run = _run_to_look_into(out, run_facts)
    sample = probe_sample(config, run_facts, engine, progress)
    known = read_map(run.probe(0)) if run and (run.probe(0) / MAP_FILE).is_file() else sample
    timed = StepTimes(config, run_facts, known, loaded)
    progress.say(TIMING)
    stages = _stage_plans(config, run_facts, known, run, engine, timed)
    reading = ReadEstimate(config, run_facts, loaded, sample)
    evaluations = sum(scorings(stage, stage.num_train_epochs) for stage in config.stages)
    steps = planned_steps(config, run_facts)
    drawing = [step for step in steps if step.drawing is not None]
    validation = reading.tokens(run_facts.validation, evaluation_settings(config))
    rows = {step_key(stage): timed.rows(stage) for stage in config.stages}
    example = replace(rows[step_key(config.stages[0])], own_answers={}).step(0, 0)[0].examples[0]
    fact = run_facts.train[0]
    probe_prompts = probe_prompts_of(config.probe, [fact], run_facts, engine, config.seed_of_exemplars)
    return RunPlan(
        model=config.model.name_or_path,
        num_facts={name: len(getattr(run_facts, name)) for name in ("train", "validation", "test")},
        dropped_for_overlap=run_facts.dropped_for_overlap,
        warnings=(*run_facts.warnings, *reading_warnings(loaded), *_left_out_of_times(config)),
        remarks=run_facts.remarks,
        levels={str(level): count for level, count in known.levels().items()},
        levels_of="all training facts" if known is not sample else f"a sample of {len(sample)} training facts",
        probe_prompt=probe_prompts.prompt(fact, 0),
        training_example=_token_lines(example.prompt_ids, example.completion_ids, loaded),
        stages=stages,
        probe_tokens=sum(reading.step_tokens(step) for step in steps if step.purpose != "training"),
        probe_seconds=sum(reading.step_seconds(step) for step in steps if step.purpose != "training"),
        drawing_tokens=sum(reading.step_tokens(step) for step in drawing),
        drawing_seconds=(drawing_seconds := sum(reading.step_seconds(step) for step in drawing)),
        training_seconds=sum(stage.max_seconds for stage in stages)
        + drawing_seconds
        + evaluations * validation * reading.seconds_per_adapted_token,
        disk_bytes=_disk_bytes(loaded, config, steps),
        memory=plan_memory(config, loaded, rows, sample, len(run_facts.train)),
    )


def _left_out_of_times(config: RunConfig) -> list[str]:
    tasks = config.evaluation.lm_eval
    return [f"the times leave out evaluation.lm_eval ({', '.join(tasks)}), scored before and after"] if tasks else []


def _stage_plans(
    config: RunConfig,
    run_facts: RunFacts,
    known: KnowledgeMap,
    run: RunDir | None,
    engine: TransformersEngine,
    timed: StepTimes,
) -> tuple[StagePlan, ...]:
    plans = []
    num_train, num_new = len(run_facts.train), 0
    for index, stage in enumerate(config.stages, start=1):
        strategy = stage.resolve()
        replay = strategy.replay
        selection = None
        if run is not None and (run.probe(index - 1) / MAP_FILE).is_file():
            selection = select_for_stage(fact_states(run, index), stage, seed=config.seed_of_training, index=index)
            facts = stage_facts(selection, run_facts.train, stage, engine.prompt_style(config.probe))
            num_new = selection.num_new
        else:
            if index == 1:
                size = first_stage_size(known, stage, num_train)
            else:
                size = later_stage_size(known, stage, num_train, num_new=num_new)
            num_new = size.num_new
            facts = spread(run_facts.train, size.num_facts)  # any as many: steps depend on the relations' sizes
        rows = training_rows(facts, stage, run_facts.exemplars, engine, config)
        steps = in_epochs(stage, rows).num_train_epochs * rows.steps_per_epoch
        step_seconds, step_tokens = timed.of(stage)
        plans.append(
            StagePlan(
                name=f"stage {index}",
                select=strategy.select,
                replay=_replay_text(replay),
                options=_option_lines(stage, selection),
                num_facts=len(facts),
                is_estimate=selection is None,
                max_steps=steps,
                max_tokens=steps * step_tokens,
                max_seconds=steps * step_seconds,
            )
        )
    return tuple(plans)


def _replay_text(replay: Replay | None) -> str:
    if replay is None:
        return "none"
    return f"{replay.ratio} of the {replay.of}, from {replay.pool}"


def _option_lines(stage: StageConfig, selection: Selection | None) -> tuple[str, ...]:
    """How the stage differs from plain training; with counts where its selection is known."""
    options = list(anchor_options(stage, selection))
    if stage.max_unknown_share is not None:
        count = "" if selection is None else f": {selection.num_left_out} left out"
        options.append(f"at most {stage.max_unknown_share:g} of a relation's facts Unknown{count}")
    return tuple(options)


def _run_to_look_into(out: str | Path | None, run_facts: RunFacts) -> RunDir | None:
    """The run folder to look into, if any.

    Raises:
        RunDirError: it is none, or one of other facts.
    """
    if out is None:
        return None
    run = RunDir(Path(out))
    if run.fingerprint.get("facts.digest") != run_facts.digest():
        raise RunDirError(
            f"{out}: expected a run with the facts of this config, found one with others - leave --out away"
        )
    return run


def _disk_bytes(loaded: LoadedModel, config: RunConfig, steps: Sequence[Step]) -> int:
    """Maps, one adapter per stage, and two checkpoints with the optimiser's state while a stage runs.

    Beside them, where a stage is held to its first epoch, the adapter of that.
    """
    asked = [step.questions for step in steps if step.questions is not None]
    answers = sum(len(each.facts) * each.settings.num_exemplar_sets for each in asked)
    weights = sum(
        config.lora.r * (module.in_features + module.out_features)
        for name, module in loaded.model.named_modules()
        if hasattr(module, "in_features") and "lm_head" not in name
    )
    adapter: int = 4 * weights
    snapshots = int(any(stage.anchor is not None and stage.anchor.keeps_first_epoch for stage in config.stages))
    return answers * _BYTES_PER_ANSWER + adapter * (len(config.stages) + 2 * 3 + snapshots)


def _token_lines(prompt_ids: list[int], completion_ids: list[int], loaded: LoadedModel) -> tuple[TokenLine, ...]:
    lines = [(token, False) for token in prompt_ids] + [(token, True) for token in completion_ids]
    return tuple(TokenLine(token, loaded.tokenizer.decode([token]), has_loss) for token, has_loss in lines)
