"""A unit of a probe: what the model knows of some facts, as bytes, whatever process asks.

Knows engines only through `engines`; neither where units run (`runner`, `workers`) nor where they are kept.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gradual.config.run import ProbeConfig
from gradual.engines.engine import Engine, Forest, Node
from gradual.engines.vocabulary import finished_text
from gradual.errors import OutOfMemoryError, ProbeError
from gradual.facts.fact import Fact
from gradual.facts.matching import Targets, matching_of
from gradual.facts.problems import quote
from gradual.facts.prompts import ExemplarSet, PromptStyle
from gradual.knowledge.levels import Level, chance_of_right_sample, classify, level_probability
from gradual.knowledge.map import FactKnowledge, SetAnswer, open_levels
from gradual.probing.exact import ExactProbe, FactTask, Search, num_written_sets, settled_level, usual_paths
from gradual.probing.prompts import ProbePrompts, plant_prompts, usual_completion_ids
from gradual.probing.sampled import SampledProbe, SampledTask

_WAVE_STARTS = (2, 5)
"""Where the second and third wave of exemplar sets begin when only levels are asked: a fact that is right under one set
and wrong under another is MaybeKnown whatever the others say."""


class AdapterFile(NamedTuple):
    """An adapter to ask with, on a disk that all machines see."""

    folder: Path
    sha256: str
    """Of its weights."""


@dataclass(frozen=True)
class Unit:
    """All that decides what comes back for some facts, besides the model: it may be sent to another machine."""

    key: str
    blocks: Sequence[Sequence[Fact]]
    """Each of one relation."""
    exemplar_sets: Mapping[str, tuple[ExemplarSet, ...]]
    """Of the relations of its blocks."""
    settings: ProbeConfig
    seed: int
    """Of sampled answers."""
    adapter: AdapterFile | None = None
    """None where the model is asked as the worker has loaded it."""

    @property
    def name(self) -> str:
        """What messages call it: its first and last fact."""
        return f"facts {quote(self.blocks[0][0].id)} to {quote(self.blocks[-1][-1].id)}"

    @property
    def remedy(self) -> str:
        """What to do where it ends worker after worker."""
        return "they may take more memory than a worker has: look for long questions, or use fewer or shorter exemplars"

    def kept(self) -> str:
        """Nothing of a unit is kept before it is finished."""
        return ""


def run_unit(unit: Unit, engine: Engine, style: PromptStyle) -> bytes:
    """What the model knows of the facts of a unit, as `read_unit` reads it; the same bytes in every process.

    Args:
        unit: the facts, and how they are asked.
        engine: what reads.
        style: the engine's `prompt_style` with the unit's settings; making one takes time.

    Raises:
        ProbeError: the model's logits are not numbers, or the prompts of a fact do not fit into memory.
    """
    probe_prompts = ProbePrompts(style, unit.exemplar_sets)
    known = _probe_within_memory(unit.blocks, probe_prompts, engine, unit.settings, seed=unit.seed)
    # A margin is infinite where an engine tells of one token only; Python's JSON writes and reads that.
    return json.dumps([dataclasses.asdict(fact) for fact in known]).encode()


def _probe_within_memory(
    blocks: Sequence[Sequence[Fact]], probe_prompts: ProbePrompts, engine: Engine, settings: ProbeConfig, *, seed: int
) -> list[FactKnowledge]:
    """What the model knows of a unit; where that does not fit into memory, of its halves one after the other."""
    facts = [fact for block in blocks for fact in block]
    try:
        return probe_unit(blocks, probe_prompts, engine, settings, seed=seed)
    except OutOfMemoryError as error:
        if len(facts) == 1:
            raise ProbeError(
                f'fact "{facts[0].id}": its prompts do not fit into memory even alone ({error}) - use fewer or shorter '
                "exemplars (probe.num_shots, probe.num_exemplar_sets), or a device with more memory"
            ) from None
    except ProbeError as error:
        raise ProbeError(f"facts {quote(facts[0].id)} to {quote(facts[-1].id)}: {error}") from error
    pieces = blocks if len(blocks) > 1 else [[fact] for fact in facts]
    middle = len(pieces) // 2
    halves = [pieces[:middle], pieces[middle:]]
    return [
        known for half in halves for known in _probe_within_memory(half, probe_prompts, engine, settings, seed=seed)
    ]


def probe_unit(
    blocks: Sequence[Sequence[Fact]], probe_prompts: ProbePrompts, engine: Engine, settings: ProbeConfig, *, seed: int
) -> list[FactKnowledge]:
    """What the model knows of some blocks of facts, each of one relation: a pure function of its arguments.

    Over an engine with noise it is one but for that; what hangs on less than the noise is flagged as a near tie.
    """
    if engine.noise > settings.near_tie_margin:
        settings = settings.model_copy(update={"near_tie_margin": engine.noise})
    forest = engine.new_forest(settings.num_exemplar_sets * len(blocks), top_k=settings.top_k)
    if settings.method == "sampled":
        return _probe_sampled(blocks, forest, probe_prompts, engine, settings, seed=seed)
    return _probe_exactly(blocks, forest, probe_prompts, engine, settings)


def _plant(
    blocks: Sequence[Sequence[Fact]],
    forest: Forest,
    sets: Sequence[int],
    probe_prompts: ProbePrompts,
    engine: Engine,
    num_sets: int,
) -> Iterator[tuple[Fact, list[Node]]]:
    """Adds the blocks' prompts under some exemplar sets to the forest; the last node of each, by fact and set."""
    for index, block in enumerate(blocks):
        rows = [index * num_sets + number for number in sets]
        trees = {number: forest.trees[row] for number, row in zip(sets, rows, strict=True)}
        for fact, nodes in zip(block, plant_prompts(trees, probe_prompts, block, engine), strict=True):
            yield fact, list(zip(rows, nodes, strict=True))


def _probe_exactly(
    blocks: Sequence[Sequence[Fact]], forest: Forest, probe_prompts: ProbePrompts, engine: Engine, settings: ProbeConfig
) -> list[FactKnowledge]:
    tasks: dict[Fact, FactTask] = {}
    for fact in (fact for block in blocks for fact in block):
        ahead = usual_completion_ids(probe_prompts, fact, engine) if engine.reads_ahead else []
        paths = usual_paths(ahead, engine.vocabulary)
        tasks[fact] = FactTask(Targets(fact.answers, matching_of(settings)), paths)
    probe = ExactProbe(
        forest, engine.vocabulary, settings, _refusal_task(next(iter(tasks)), probe_prompts, engine, settings)
    )
    num_confident = num_written_sets(settings) if settings.confidence else 0
    for sets in _waves(settings):
        undecided = [[fact for fact in block if settled_level(tasks[fact], settings) is None] for block in blocks]
        for fact, places in _plant(undecided, forest, sets, probe_prompts, engine, settings.num_exemplar_sets):
            tasks[fact].searches += [
                Search(row, tasks[fact], node, wants_confidence=number < num_confident)
                for number, (row, node) in zip(sets, places, strict=True)
            ]
        probe.run([tasks[fact] for block in undecided for fact in block])
    return [_exact_knowledge(fact, task, settings) for fact, task in tasks.items()]


def _refusal_task(fact: Fact, probe_prompts: ProbePrompts, engine: Engine, settings: ProbeConfig) -> FactTask | None:
    """What searches for refusals, whatever the fact; None where they are not asked.

    They are hardly ever likely: their usual tokens are read ahead only where they have begun.
    """
    if not settings.refusals:
        return None
    refusing = dataclasses.replace(fact, answers=tuple(settings.refusals))
    paths = usual_paths(usual_completion_ids(probe_prompts, refusing, engine), engine.vocabulary)
    return FactTask(
        Targets(refusing.answers, matching_of(settings)), {text: path for text, path in paths.items() if text}
    )


def _waves(settings: ProbeConfig) -> list[range]:
    """The exemplar sets in the order they are asked: a few first where one right and one wrong answer decide."""
    later = [start for start in _WAVE_STARTS if settings.levels_only and start < settings.num_exemplar_sets]
    return [range(*pair) for pair in itertools.pairwise([0, *later, settings.num_exemplar_sets])]


def _exact_knowledge(fact: Fact, task: FactTask, settings: ProbeConfig) -> FactKnowledge:
    answers = []
    for number, search in enumerate(task.searches):
        sure, refusal = search.confidence, search.refusal
        is_written = search.greedy_correct is True or (search.greedy_correct is False and search.wrong_end is None)
        answers.append(
            SetAnswer(
                number,
                greedy_correct=search.greedy_correct is True,
                greedy_answer=finished_text(search.greedy_answer).strip() if is_written else None,
                p_lower=search.p_lower,
                p_upper=search.p_upper,
                margin=search.margin,
                confidence_lower=min(1.0, sure.p_lower) if sure else None,
                confidence_upper=sure.p_upper if sure else None,
                confidence_t1_lower=min(1.0, sure.p_t1_lower) if sure else None,
                confidence_t1_upper=sure.p_t1_upper if sure else None,
                greedy_refused=refusal.greedy_correct is True if refusal else None,
                p_refuse_lower=min(1.0, refusal.p_lower) if refusal else None,
                p_refuse_upper=refusal.p_upper if refusal else None,
            )
        )
    p_any = chance_of_right_sample([answer.p for answer in answers], settings.num_samples)
    known = _knowledge(fact, answers, p_any, settings)
    left_open = open_levels(answers, tolerance=settings.tolerance, num_samples=settings.num_samples)
    # The worse of two levels that the bounds leave open is told: that much is sure. Readers see that it is open.
    return dataclasses.replace(known, level=left_open[0], level_probability=1.0 - p_any) if left_open else known


def _probe_sampled(
    blocks: Sequence[Sequence[Fact]],
    forest: Forest,
    probe_prompts: ProbePrompts,
    engine: Engine,
    settings: ProbeConfig,
    *,
    seed: int,
) -> list[FactKnowledge]:
    num_sets = settings.num_exemplar_sets
    planted = list(_plant(blocks, forest, range(num_sets), probe_prompts, engine, num_sets))
    tasks = [SampledTask(fact.id, Targets(fact.answers, matching_of(settings)), nodes) for fact, nodes in planted]
    answers = SampledProbe(forest, engine.vocabulary, settings, seed=seed).run(tasks)
    return [
        _knowledge(fact, found, float(any(answer.n_right for answer in found)), settings)
        for (fact, _), found in zip(planted, answers, strict=True)
    ]


def _knowledge(fact: Fact, answers: Sequence[SetAnswer], p_any: float, settings: ProbeConfig) -> FactKnowledge:
    p_greedy = sum(answer.greedy_correct for answer in answers) / len(answers)
    min_margin = min(answer.margin for answer in answers)
    level: Level = classify(p_greedy, p_any)
    return FactKnowledge(
        id=fact.id,
        relation=fact.relation,
        question=fact.question,
        answers=fact.answers,
        level=level,
        p_greedy=p_greedy,
        p_sampled=sum(answer.p for answer in answers) / len(answers),
        p_any_sample=p_any,
        level_probability=level_probability(p_greedy, p_any),
        near_tie=min_margin < settings.near_tie_margin,
        min_margin=min_margin,
        greedy_answer=answers[0].greedy_answer,
        sets=tuple(answers),
        confidence=_mean([answer.confidence for answer in answers]),
        confidence_t1=_mean([answer.confidence_t1 for answer in answers]),
        p_greedy_refuse=_mean([answer.greedy_refused for answer in answers]),
        p_refuse=_mean([answer.p_refuse for answer in answers]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """Mean of the values that there are; None where there is none."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def read_unit(data: bytes) -> list[FactKnowledge]:
    """What `run_unit` has found."""
    return [
        FactKnowledge(
            **fact
            | {
                "answers": tuple(fact["answers"]),
                "level": Level(fact["level"]),
                "sets": tuple(SetAnswer(**answer) for answer in fact["sets"]),
            }
        )
        for fact in json.loads(data)
    ]
