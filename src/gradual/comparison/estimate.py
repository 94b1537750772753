"""How long a comparison will take, before it is begun: every step that its runs share counted once.

Goes by what `run.planning.timing` measures on a sample; `comparison.compare` makes the runs.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from gradual.comparison.arms import Arm
from gradual.comparison.folder import RETESTS, ComparisonRequest
from gradual.comparison.retests import Retester
from gradual.config.run import evaluation_settings
from gradual.config.stage import StageConfig
from gradual.engines.transformers_engine import TransformersEngine
from gradual.facts.fact import spread
from gradual.files.storage import Json
from gradual.knowledge.map import KnowledgeMap
from gradual.models.load import LoadedModel, load_model
from gradual.progress import Progress, Silent
from gradual.run.planning.timing import (
    TIMING,
    ReadEstimate,
    StepTimes,
    first_stage_size,
    later_stage_size,
    probe_sample,
    scorings,
)
from gradual.run.stage_selection import in_epochs, training_rows
from gradual.run.steps import planned_steps


@dataclass(frozen=True)
class ArmEstimate:
    """What one arm adds with one seed; steps that an arm before it has done already are not counted again."""

    name: str
    num_steps: int
    """Optimiser steps, at most."""
    seconds: float


@dataclass(frozen=True)
class ComparisonEstimate:
    """How long a comparison will take; times are upper ends where early stopping may save some."""

    arms: tuple[ArmEstimate, ...]
    num_seeds: int
    once_seconds: float
    """Looking at the base model, and the retests: once for all arms and seeds."""
    total_seconds: float

    def as_dict(self) -> dict[str, Json]:
        """Everything as plain data."""
        return asdict(self)


def estimate_comparison(request: ComparisonRequest, *, progress: Progress | None = None) -> ComparisonEstimate:
    """How long `compare` will take, from a probe of some facts and one training step on the user's own model.

    Raises:
        ConfigError, DataError, ModelError: what `compare` would refuse.
    """
    loaded = load_model(request.config.model)
    engine = TransformersEngine(loaded)
    progress = progress or Silent()
    sample = probe_sample(request.config, request.run_facts, engine, progress)
    progress.say(TIMING)
    timed = PartTimes(request, engine, loaded, sample)
    arms = tuple(_arm_estimates(request, timed))
    per_seed, num_seeds = sum(arm.seconds for arm in arms), len(request.seeds)
    return ComparisonEstimate(arms, num_seeds, timed.once, timed.once + num_seeds * per_seed)


class PartTimes:
    """What the parts of a comparison take, in seconds."""

    def __init__(
        self, request: ComparisonRequest, engine: TransformersEngine, loaded: LoadedModel, sample: KnowledgeMap
    ) -> None:
        config, run_facts = request.config, request.run_facts
        self._request, self._engine, self._sample = request, engine, sample
        self._steps = StepTimes(config, run_facts, sample, loaded)
        reading, single = ReadEstimate(config, run_facts, loaded, sample), evaluation_settings(config)
        self._reading = reading
        steps = planned_steps(config, run_facts)
        self.look = sum(reading.step_seconds(step) for step in steps if step.stage == 1 and step.drawing is None)
        """Looking at all facts after a stage."""
        self._scoring = reading.tokens(run_facts.validation, single) * reading.seconds_per_adapted_token
        retester = Retester(config, run_facts, loaded)
        retests = RETESTS if config.compare.num_retested else ()
        # Another number format than the fastest one takes about twice as long.
        passes = {kind: 2 if kind == "numerics" else 1 for kind in retests}
        again = sum(passes[kind] * reading.tokens(retester.facts(kind), config.probe) for kind in retests)
        untrained = sum(reading.step_seconds(step) for step in steps if step.stage == 0)
        self.once = untrained + again * reading.seconds_per_token

    def stage(self, stage: StageConfig, *, is_first: bool) -> tuple[int, float]:
        """Steps and seconds of training a stage; later stages are taken to have as many new facts as the first."""
        config, run_facts = self._request.config, self._request.run_facts
        num_train = len(run_facts.train)
        size = first_stage_size(self._sample, stage if is_first else config.stages[0], num_train)
        if not is_first:
            size = later_stage_size(self._sample, stage, num_train, num_new=max(1, size.num_new))
        rows = training_rows(
            spread(run_facts.train, max(1, size.num_facts)), stage, run_facts.exemplars, self._engine, config
        )
        epochs = in_epochs(stage, rows).num_train_epochs
        steps = epochs * rows.steps_per_epoch
        drawing = self._reading.own_answer_tokens(stage) * self._reading.seconds_per_token
        return steps, steps * self._steps.of(stage)[0] + scorings(stage, epochs) * self._scoring + drawing


def _arm_estimates(request: ComparisonRequest, timed: PartTimes) -> Iterator[ArmEstimate]:
    """Each arm in the order of running, with what it adds to those before it."""
    steps_of: dict[str, int] = {}
    done: set[str] = set()
    for arm in sorted((arm for arm in request.arms if arm.stages), key=lambda arm: arm.same_steps_as is not None):
        stages = _most_stages(arm)
        seconds, total = 0.0, 0
        for index, stage in enumerate(stages):
            if arm.same_steps_as is not None and index == len(stages) - 1:
                missing = max(1, steps_of[arm.same_steps_as] - total)
                stages[index] = stage = stage.model_copy(update={"max_steps": missing})
            steps, stage_seconds = timed.stage(stage, is_first=index == 0)
            total += steps
            prefix = json.dumps([each.model_dump(mode="json") for each in stages[: index + 1]])
            if prefix not in done:
                done.add(prefix)
                seconds += stage_seconds + timed.look
        steps_of[arm.name] = total
        yield ArmEstimate(arm.name, total, seconds)


def _most_stages(arm: Arm) -> list[StageConfig]:
    """The stages of an arm, at most."""
    stages = list(arm.stages)
    return [*stages, *itertools.repeat(stages[-1], max(0, (arm.max_stages or 0) - len(stages)))]
