"""Makes knowledge maps: asks every fact under every exemplar set and turns what comes back into levels.

A probe is a list of independent units (some blocks, each of one relation's facts, under all exemplar sets); finished
units are kept, so that an interrupted probe goes on where it was. Knows engines only through `engines`.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from gradual.config.base import settings_that_matter
from gradual.config.run import ProbeConfig
from gradual.engines.engine import Engine, Forest, Node, ReadCost
from gradual.engines.vocabulary import finished_text
from gradual.errors import OutOfMemoryError, ProbeError
from gradual.facts.fact import Fact, by_relation
from gradual.facts.matching import Targets, matching_of
from gradual.facts.problems import quote
from gradual.knowledge.levels import Level, chance_of_right_sample, classify, level_probability
from gradual.knowledge.map import Cost, FactKnowledge, KnowledgeMap, MapInfo, SetAnswer, open_levels
from gradual.models.ranks import ALONE, Ranks
from gradual.probing.exact import ExactProbe, FactTask, Search, num_written_sets, settled_level, usual_paths
from gradual.probing.prompts import ProbePrompts, draw_asking, plant_prompts, usual_completion_ids
from gradual.probing.sampled import SampledProbe, SampledTask

FACTS_PER_BLOCK = 48
"""Facts of one relation behind one copy of their shots, at most."""
PROMPTS_PER_UNIT = 960
"""Prompts whose searches advance together on a CPU, at most: enough to keep it busy in the last rounds, few enough to
lose little when a probe is interrupted."""
ROWS_PER_UNIT = 64
"""Copies of shots in a unit, at most: with relations of few facts it is these that fill the memory."""

_WAVE_STARTS = (2, 5)
"""Where the second and third wave of exemplar sets begin when only levels are asked: a fact that is right under one set
and wrong under another is MaybeKnown whatever the others say."""

Progress = Callable[[int], None]
"""Called with the number of facts that have just been finished."""


class Units(Protocol):
    """Where finished units of a probe are kept (see `files.units.UnitStore`)."""

    def get(self, key: str) -> bytes | None:
        """What was put under a key, or None."""
        ...

    def put(self, key: str, data: bytes) -> None:
        """Keeps a finished unit."""
        ...


def probe_facts(
    facts: Sequence[Fact],
    exemplars: Mapping[str, Sequence[Fact]],
    engine: Engine,
    settings: ProbeConfig,
    *,
    seed: int,
    sampling_seed: int | None = None,
    units: Units | None = None,
    progress: Progress = lambda _: None,
    ranks: Ranks = ALONE,
) -> KnowledgeMap:
    """The knowledge map of `facts` under the engine's model.

    The order of `facts` does not matter. Facts of one relation share the exemplar sets that `seed` draws; sampled
    answers are drawn with `sampling_seed`, or with `seed` as well.

    Args:
        ranks: processes that all call this with the same arguments, but for `units`, which the first one has: units are
            dealt out, and each process gets the whole map; all read every unit where they must be in step.

    Raises:
        DataError: a relation has too few exemplars.
        LaunchError: another process has ended.
        ProbeError: the model's logits are not numbers, or the prompts of a fact do not fit into memory.
    """
    started, before = time.perf_counter(), engine.cost()
    probe_prompts = draw_asking(
        facts,
        exemplars,
        engine.prompt_style(settings),
        num_sets=settings.num_exemplar_sets,
        num_shots=settings.num_shots,
        seed=seed,
    )
    planned = list(probe_units(facts, settings.num_exemplar_sets, scale_of_units(engine, settings)))
    found: dict[str, list[FactKnowledge]] = {}
    for key, stored in ranks.share([(key, units.get(key)) for key, _ in planned] if units else []):
        if stored is not None:
            found[key] = _from_bytes(stored)
            progress(len(found[key]))
    missing = [unit for unit in planned if unit[0] not in found]
    drawn_with = seed if sampling_seed is None else sampling_seed
    per_turn = 1 if ranks.in_step else ranks.total
    read = probe_unit if ranks.in_step else _probe_within_memory
    for start in range(0, len(missing), per_turn):
        turn = missing[start : start + per_turn]
        mine = [blocks for _, blocks in (turn if ranks.in_step else turn[ranks.number : ranks.number + 1])]
        told = [read(blocks, probe_prompts, engine, settings, seed=drawn_with) for blocks in mine]
        for (key, _), (known,) in zip(turn, ranks.gather(told)[: len(turn)], strict=True):
            if units:
                units.put(key, _to_bytes(known))
            found[key] = known
            progress(len(known))
    cost = cost_since(started, before, engine, ranks)
    about = settings_that_matter(settings) | {"seed": seed}
    if settings.method == "sampled" and sampling_seed is not None:
        about["sampling_seed"] = sampling_seed
    info = MapInfo(probe=about, model=dict(engine.fingerprint), cost=cost)
    return KnowledgeMap(
        tuple(fact for key, _ in planned for fact in found[key]), tuple(probe_prompts.record(facts)), info
    )


def cost_since(started: float, before: ReadCost, engine: Engine, ranks: Ranks = ALONE) -> Cost:
    """What was read since then by all processes together; time and the share of the host are this one's.

    Args:
        started: by `time.perf_counter`.
        before: what the engine had read then.
        engine: what reads.
        ranks: the processes, which all come here.
    """
    seconds, after = time.perf_counter() - started, engine.cost()
    own = (after.tokens - before.tokens, after.forward_passes - before.forward_passes)
    read = [own] if ranks.in_step else ranks.gather(own)  # in step, all have read the same
    tokens, passes = (sum(numbers) for numbers in zip(*read, strict=True))
    return Cost(
        seconds=seconds,
        tokens_read=tokens,
        forward_passes=passes,
        host_share=max(0.0, 1.0 - (after.seconds - before.seconds) / seconds),
    )


def scale_of_units(engine: Engine, settings: ProbeConfig) -> int:
    """How many times as large as on a CPU the units of a probe are; sampled answers take too much memory for more."""
    return engine.unit_scale if settings.method == "exact" else 1


def fact_blocks(facts: Sequence[Fact]) -> Iterator[list[Fact]]:
    """Blocks of at most `FACTS_PER_BLOCK` facts, each of one relation: what shares one copy of the shots."""
    for group in by_relation(facts).values():
        members = sorted(group, key=lambda fact: fact.id)
        for start in range(0, len(members), FACTS_PER_BLOCK):
            yield members[start : start + FACTS_PER_BLOCK]


def probe_units(facts: Sequence[Fact], num_sets: int, scale: int) -> Iterator[tuple[str, list[list[Fact]]]]:
    """The units of a probe: a key and blocks of facts, each of one relation, whatever the order of `facts`.

    A unit has blocks of at most `scale` times `PROMPTS_PER_UNIT` prompts in `ROWS_PER_UNIT` rows, one per block and
    exemplar set, but at least one block: small relations are read together.
    """
    units: list[list[list[Fact]]] = []
    for block in fact_blocks(facts):
        last = [*units[-1], block] if units else []
        prompts, rows = sum(map(len, last)) * num_sets, len(last) * num_sets
        fits = prompts <= scale * PROMPTS_PER_UNIT and rows <= scale * ROWS_PER_UNIT
        if last and fits:
            units[-1] = last
        else:
            units.append([block])
    for unit in units:
        yield "/".join(f"{fact.relation}:{fact.id}" for block in unit for fact in block), unit


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


def _to_bytes(known: Sequence[FactKnowledge]) -> bytes:
    return json.dumps([dataclasses.asdict(fact) for fact in known], allow_nan=False).encode()


def _from_bytes(data: bytes) -> list[FactKnowledge]:
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
