"""What a stage trains on, and in which rows: the levels of a run's maps, the selection they lead to, epochs.

Reads the run folder and trains nothing: that is done by `training.train`, in the order that `run.pipeline` gives.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from gradual.config.run import RunConfig
from gradual.config.stage import StageConfig
from gradual.engines.transformers_engine import TransformersEngine
from gradual.facts.fact import Fact
from gradual.knowledge.map import read_map
from gradual.run.anchors.choice import with_anchors_and_refusals
from gradual.run.folder import RunDir
from gradual.run.stage_files import read_taught
from gradual.selection.expressions import FactState
from gradual.selection.strategies import Selection, select_facts
from gradual.selection.unknown_limit import limit_unknown
from gradual.text import plural
from gradual.training.rows import Encode, TrainingRows


def training_rows(
    facts: Sequence[Fact],
    stage: StageConfig,
    exemplars: Mapping[str, Sequence[Fact]],
    engine: TransformersEngine,
    config: RunConfig,
) -> TrainingRows:
    """The rows of a stage that trains on `facts`; of one fact each where the model reads no trees."""
    return TrainingRows(
        facts=facts,
        exemplars=exemplars,
        style=engine.prompt_style(config.probe),
        encode=encoder(engine),
        num_shots=stage.num_shots,
        pack_size=stage.pack_size if engine.reads_trees else 1,
        batch_size=stage.batch_size,
        seed=config.seed_of_training,
    )


def encoder(engine: TransformersEngine) -> Encode:
    """How rows get their tokens from an engine."""
    return lambda texts, add_special_tokens: engine.encode(texts, add_special_tokens=add_special_tokens)


def in_epochs(stage: StageConfig, rows: TrainingRows) -> StageConfig:
    """The stage by its number of epochs: steps are rounded up to whole ones, and nothing stops it early."""
    if stage.max_steps is None:
        return stage
    epochs = math.ceil(stage.max_steps / rows.steps_per_epoch)
    return stage.model_copy(update={"num_train_epochs": epochs, "early_stopping_patience": epochs + 1})


def warm_up_warning(stage: StageConfig, steps: int) -> str:
    """What to say of a stage that ends before its rate has reached its peak; empty where it has."""
    if stage.lr_scheduler_type == "constant" or steps > stage.warmup_steps:
        return ""
    return (
        f"all {plural(steps, 'step')} lie within warmup_steps {stage.warmup_steps}, which begin at a rate of 0, so "
        "next to nothing is learnt; lower warmup_steps, or take more epochs or facts"
    )


def select_for_stage(states: Sequence[FactState], stage: StageConfig, *, seed: int, index: int) -> Selection:
    """What a stage trains on: what its strategy selects, less surplus Unknown facts; refusals and anchors besides.

    Raises:
        TrainingError: `max_unknown_share` leaves no new fact.
    """
    rng_seed = f"{seed}/stage-{index}"  # not a sum: stage 2 of one seed would draw as stage 1 of the next
    selection = select_facts(states, stage.resolve(), rng_seed=rng_seed)
    selection = limit_unknown(selection, states, stage.max_unknown_share, rng_seed=rng_seed)
    return with_anchors_and_refusals(selection, states, stage, rng_seed=rng_seed)


def fact_states(run: RunDir, index: int) -> list[FactState]:
    """The training facts as stage `index` sees them: their levels so far, and whether one before trained on them."""
    probes = sorted({0, max(0, index - 2), index - 1})
    maps = [read_map(run.probe(each), with_answers=False) for each in probes]
    first, before, now = maps[0], maps[-2] if len(maps) > 1 else maps[0], maps[-1]
    trained = {row.id for each in range(1, index) for row in read_taught(run.selection(each))}
    return [
        FactState(
            id=fact.id,
            relation=fact.relation,
            first=first.level_of(fact.id),
            before=before.level_of(fact.id),
            now=fact.level,
            trained=fact.id in trained,
        )
        for fact in now
    ]
