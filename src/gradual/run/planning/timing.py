"""How long reading and training take here: a sample of facts probed, a step timed, and what follows for all.

How many facts a stage trains on, before its map is there, follows from the sample too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gradual.config.run import ProbeConfig, RunConfig
from gradual.config.stage import StageConfig
from gradual.engines.token_tree import ROOT, TokenTree
from gradual.engines.transformers_engine import TransformersEngine
from gradual.facts.fact import Fact, spread
from gradual.facts.prepare import RunFacts
from gradual.knowledge.map import KnowledgeMap
from gradual.models.adapters import add_adapter, unload_adapter
from gradual.models.load import LoadedModel
from gradual.probing.own_answers import OwnAnswer
from gradual.probing.probe import fact_blocks, probe_facts
from gradual.probing.prompts import ProbePrompts, draw_probe_prompts, plant_prompts
from gradual.progress import Progress
from gradual.run.anchors.choice import with_anchors_and_refusals
from gradual.run.anchors.own_answers import OwnAnswerKey
from gradual.run.anchors.targets import add_anchor
from gradual.run.measures.drift import drift_rows
from gradual.run.stage_selection import in_epochs, training_rows
from gradual.run.steps import Step
from gradual.selection.expressions import FactState
from gradual.selection.strategies import Selection, select_facts
from gradual.training.rows import TrainingRows
from gradual.training.train import time_one_step

SAMPLE_SIZE = 128
"""Facts that are probed to measure speed and levels."""


_FACTS_READ_TWICE = 48
"""Facts that are probed with an adapter and without, to measure how much slower that is."""


TIMING = "timing a training step, and some of the sample again with an adapter"
"""Said before what takes about as long as the sample."""


def probe_sample(
    config: RunConfig, run_facts: RunFacts, engine: TransformersEngine, progress: Progress
) -> KnowledgeMap:
    """The map of some training facts, to measure speed and levels."""
    with progress.bar("timing a sample", min(SAMPLE_SIZE, len(run_facts.train)), "facts") as advance:
        return probe_facts(
            spread(run_facts.train, SAMPLE_SIZE),
            run_facts.exemplars,
            engine,
            config.probe,
            seed=config.seed_of_exemplars,
            progress=advance,
        )


class StepTimes:
    """What an optimiser step of a stage takes here; timed once for all stages whose steps are alike."""

    def __init__(self, config: RunConfig, run_facts: RunFacts, known: KnowledgeMap, loaded: LoadedModel) -> None:
        """Say what is trained.

        Args:
            config: settings of the run.
            run_facts: its facts.
            known: a map of all training facts, or of some.
            loaded: the base model.
        """
        self._config, self._run_facts, self._known, self._loaded = config, run_facts, known, loaded
        self._engine = TransformersEngine(loaded)
        self._timed: dict[str, tuple[float, int]] = {}

    def of(self, stage: StageConfig) -> tuple[float, int]:
        """Seconds and tokens of one step."""
        key = step_key(stage)
        if key not in self._timed:
            self._timed[key] = time_one_step(self._loaded, self.rows(stage), self._config.lora, stage.anchor)
        return self._timed[key]

    def rows(self, stage: StageConfig) -> TrainingRows:
        """Rows of a stage as far as its facts are known; of some training facts where none matches.

        Levels are those of the map, own answers of the first epoch alone and as long as can be.
        """
        by_id = {fact.id: fact for fact in self._run_facts.train}
        selection = select_first_stage(self._known, stage)
        chosen = [row.id for row in selection.rows] or [fact.id for fact in self._known][: stage.batch_size]
        facts: list[Fact] = [by_id[fact_id] for fact_id in chosen]
        rows = training_rows(facts, stage, self._run_facts.exemplars, self._engine, self._config)
        longest = self._config.probe.max_new_tokens
        return add_anchor(rows, selection, stage, lambda _, ids: longest_answers(ids, stage, longest))


def step_key(stage: StageConfig) -> str:
    """Equal for stages whose steps take the same: all but what they select."""
    settings = {"anchor", "batch_size", "pack_size", "num_shots"}
    return json.dumps(stage.model_dump(mode="json", include=settings), sort_keys=True)


def longest_answers(ids: Iterable[str], stage: StageConfig, max_new_tokens: int) -> dict[OwnAnswerKey, OwnAnswer]:
    """What stands for the own answers of the first epoch before any is drawn: each as long as can be.

    No two of a fact begin alike, so that none is read with another.
    """
    numbers = range(stage.anchor.per_epoch if stage.anchor is not None else 1)
    rest = (0,) * (max_new_tokens - 1)
    return {OwnAnswerKey(0, number, fact_id): OwnAnswer("", (number, *rest)) for number in numbers for fact_id in ids}


_WITH_CONFIDENCE = 1.25
"""How many times as long a scoring takes that computes confidence; measured at most (docs/confidence.md)."""


def scorings(stage: StageConfig, num_epochs: int) -> float:
    """How often a stage scores the validation facts, those with confidence counting for more."""
    return (num_epochs + 1) * (_WITH_CONFIDENCE if stage.keep_epoch == "best_risk_coverage" else 1.0)


@dataclass(frozen=True, slots=True)
class StageSize:
    """Facts that a stage trains on, by why it does."""

    num_new: int
    num_replay: int
    num_beside: int
    """Anchors and refusals."""

    @property
    def num_facts(self) -> int:
        """All of them."""
        return self.num_new + self.num_replay + self.num_beside


def select_first_stage(known: KnowledgeMap, stage: StageConfig) -> Selection:
    """What a first stage would train on if the facts of a map were all there are."""
    states = [FactState(f.id, f.relation, f.level, f.level, f.level, False) for f in known]
    selection = select_facts(states, stage.resolve(), rng_seed=0)
    return with_anchors_and_refusals(selection, states, stage, rng_seed="0")


def first_stage_size(known: KnowledgeMap, stage: StageConfig, num_train: int) -> StageSize:
    """How many of `num_train` facts a first stage would train on, those of the map being a sample of them."""
    selection = select_first_stage(known, stage)

    def of_all(number: int) -> int:
        return round(number * num_train / len(known))

    return StageSize(
        num_new=of_all(selection.num_new),
        num_replay=of_all(selection.num_replay),
        num_beside=of_all(selection.num_anchor + selection.num_abstain),
    )


def later_stage_size(known: KnowledgeMap, stage: StageConfig, num_train: int, *, num_new: int) -> StageSize:
    """The same of a later stage, taken to have as many new facts as the one before it, `num_new`.

    Anchors and refusals are counted by the levels of the first map.
    """
    replay = stage.resolve().replay
    return StageSize(
        num_new=num_new,
        num_replay=replay.num_facts(num_new) if replay is not None else 0,
        num_beside=first_stage_size(known, stage, num_train).num_beside,
    )


class ReadEstimate:
    """How much there is to read: prompts are counted token by token, searches are extrapolated from the sample."""

    def __init__(self, config: RunConfig, run_facts: RunFacts, loaded: LoadedModel, sample: KnowledgeMap) -> None:
        self._config, self._run_facts, self._engine = config, run_facts, TransformersEngine(loaded)
        self._sample = sample
        self._by_kind: dict[str, int] = {}
        by_id = {fact.id: fact for fact in run_facts.train}
        prompts = self._prompt_tokens([by_id[fact.id] for fact in sample], config.probe)
        read = sample.info.cost.tokens_read
        self._searched_per_answer = (read - prompts) / (len(sample) * config.probe.num_exemplar_sets)
        self.seconds_per_token = sample.info.cost.seconds / max(1, read)
        slowdown = self._slowdown(loaded, [by_id[fact.id] for fact in sample][:_FACTS_READ_TWICE])
        self.seconds_per_adapted_token = self.seconds_per_token * slowdown

    def tokens(self, facts: Sequence[Fact], settings: ProbeConfig) -> int:
        """Tokens of a probe of `facts`."""
        answers = len(facts) * settings.num_exemplar_sets
        return round(self._prompt_tokens(facts, settings) + answers * self._searched_per_answer)

    def step_tokens(self, step: Step) -> int:
        """Tokens of a step's reading, 0 of one that reads nothing; steps of one kind count the same, once found out.

        Of training facts in other forms all count, though after a stage only those that are HighlyKnown are asked.

        The levels of test facts count as if asked in full: how many exemplar sets they need shows only when asked.
        """
        if step.drawing is not None:
            return self.own_answer_tokens(step.drawing)
        if step.kind == "drift":
            return 2 * drift_rows(self._config, self._run_facts, self._engine).num_tokens
        if step.questions is None:
            return 0
        if step.kind not in self._by_kind:
            self._by_kind[step.kind] = self.tokens(step.questions.facts, step.questions.settings)
        return self._by_kind[step.kind]

    def step_seconds(self, step: Step) -> float:
        """Seconds of a step's probe: with an adapter on the model once a stage is trained, which is slower."""
        is_base = not step.stage or step.drawing is not None  # own answers are the base model's
        return self.step_tokens(step) * (self.seconds_per_token if is_base else self.seconds_per_adapted_token)

    def own_answer_tokens(self, stage: StageConfig) -> int:
        """Tokens of drawing a stage's own answers, each as long as can be; 0 where it has no such anchor.

        The facts are as many as match the anchor under the base model, and any as many.
        """
        if stage.anchor is None or not stage.anchor.draws_answers:
            return 0
        selected = select_first_stage(self._sample, stage)
        train = self._run_facts.train
        facts = spread(train, round(selected.num_anchor * len(train) / len(self._sample)))
        rows = training_rows(facts, stage, self._run_facts.exemplars, self._engine, self._config)
        read = 0
        for pack in rows.prompts(0, [fact.id for fact in facts]):
            tree = TokenTree()
            for prompt in pack:
                tree.add(ROOT, prompt.token_ids)
            read += len(tree)
        written = len(facts) * stage.anchor.per_epoch * self._config.probe.max_new_tokens
        return in_epochs(stage, rows).num_train_epochs * (read + written)

    def _slowdown(self, loaded: LoadedModel, facts: Sequence[Fact]) -> float:
        """How many times longer the same facts take once there is an adapter on the model."""

        def seconds(model: Any) -> float:
            engine = TransformersEngine(replace(loaded, model=model))
            exemplars, seed = self._run_facts.exemplars, self._config.seed_of_exemplars
            return probe_facts(facts, exemplars, engine, self._config.probe, seed=seed).info.cost.seconds

        without = seconds(loaded.model)
        model = add_adapter(loaded, self._config.lora, None)
        try:
            return max(1.0, seconds(model.eval()) / without)
        finally:
            unload_adapter(model)

    def _prompt_tokens(self, facts: Sequence[Fact], settings: ProbeConfig) -> int:
        probe_prompts = probe_prompts_of(settings, facts, self._run_facts, self._engine, self._config.seed_of_exemplars)
        total = 0
        for block in fact_blocks(facts):
            trees = {number: TokenTree() for number in range(settings.num_exemplar_sets)}
            plant_prompts(trees, probe_prompts, block, self._engine)
            total += sum(len(tree) for tree in trees.values())
        return total


def probe_prompts_of(
    settings: ProbeConfig, facts: Sequence[Fact], run_facts: RunFacts, engine: TransformersEngine, seed: int
) -> ProbePrompts:
    """What a probe with these settings asks of some facts."""
    return draw_probe_prompts(
        facts,
        run_facts.exemplars,
        engine.prompt_style(settings),
        num_sets=settings.num_exemplar_sets,
        num_shots=settings.num_shots,
        seed=seed,
    )
