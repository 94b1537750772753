"""Makes knowledge maps: asks every fact under every exemplar set and turns what comes back into levels.

A probe is a list of independent units (some blocks, each of one relation's facts, under all exemplar sets); finished
units are kept, so that an interrupted probe goes on where it was. Where units run is `runner`'s to know.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from gradual.config.base import settings_that_matter
from gradual.config.run import ProbeConfig
from gradual.engines.engine import Engine, ReadCost
from gradual.facts.fact import Fact, by_relation
from gradual.knowledge.map import Cost, FactKnowledge, KnowledgeMap, MapInfo
from gradual.models.ranks import ALONE, Ranks
from gradual.probing.prompts import ProbePrompts, draw_probe_prompts
from gradual.probing.runner import OwnRunner, Runner
from gradual.probing.unit import Unit, read_unit
from gradual.progress import Advance

FACTS_PER_BLOCK = 48
"""Facts of one relation behind one copy of their shots, at most."""
PROMPTS_PER_UNIT = 960
"""Prompts whose searches advance together on a CPU, at most: enough to keep it busy in the last rounds, few enough to
lose little when a probe is interrupted."""
ROWS_PER_UNIT = 64
"""Copies of shots in a unit, at most: with relations of few facts it is these that fill the memory."""


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
    engine: Engine | Runner,
    settings: ProbeConfig,
    *,
    seed: int,
    sampling_seed: int | None = None,
    units: Units | None = None,
    progress: Advance = lambda _: None,
    ranks: Ranks = ALONE,
) -> KnowledgeMap:
    """The knowledge map of `facts` under the engine's model.

    The order of `facts` does not matter. Facts of one relation share the exemplar sets that `seed` draws; sampled
    answers are drawn with `sampling_seed`, or with `seed` as well.

    Args:
        engine: what reads here, or what runs units elsewhere; `ranks` are for the first.
        ranks: processes that all call this with the same arguments, but for `units`, which the first one has: units are
            dealt out, and each process gets the whole map; all read every unit where they must be in step.

    Raises:
        DataError: a relation has too few exemplars.
        LaunchError: another process has ended.
        ProbeError: the model's logits are not numbers, or the prompts of a fact do not fit into memory.
    """
    runner = engine if isinstance(engine, Runner) else OwnRunner(engine, ranks)
    started, before = time.perf_counter(), runner.cost()
    probe_prompts = draw_probe_prompts(
        facts,
        exemplars,
        runner.prompt_style(settings),
        num_sets=settings.num_exemplar_sets,
        num_shots=settings.num_shots,
        seed=seed,
    )
    units_of_facts = list(probe_units(facts, settings.num_exemplar_sets, scale_of_units(runner, settings)))
    facts_of_unit: dict[str, list[FactKnowledge]] = {}
    for key, stored in ranks.share([(key, units.get(key)) for key, _ in units_of_facts] if units else []):
        if stored is not None:
            facts_of_unit[key] = read_unit(stored)
            progress(len(facts_of_unit[key]))
    sampler = seed if sampling_seed is None else sampling_seed
    rest = [unit for unit in units_of_facts if unit[0] not in facts_of_unit]
    missing = [_unit(*unit, probe_prompts, settings, sampler) for unit in rest]
    for key, data in runner.run(missing):
        if units:
            units.put(key, data)
        facts_of_unit[key] = read_unit(data)
        progress(len(facts_of_unit[key]))
    cost = cost_since(started, before, runner)
    about = settings_that_matter(settings) | {"seed": seed}
    if settings.method == "sampled" and sampling_seed is not None:
        about["sampling_seed"] = sampling_seed
    info = MapInfo(probe=about, model=dict(runner.fingerprint), cost=cost)
    known = tuple(fact for key, _ in units_of_facts for fact in facts_of_unit[key])
    return KnowledgeMap(known, tuple(probe_prompts.record(facts)), info)


def _unit(
    key: str, blocks: Sequence[Sequence[Fact]], probe_prompts: ProbePrompts, settings: ProbeConfig, seed: int
) -> Unit:
    """A unit with all that it needs, and no more: it may be sent elsewhere."""
    relations = {block[0].relation for block in blocks}
    sets = {relation: probe_prompts.exemplar_sets[relation] for relation in sorted(relations)}
    return Unit(key, blocks, sets, settings, seed)


def cost_since(started: float, before: ReadCost, engine: Engine | Runner) -> Cost:
    """What was read since then by all processes together, and the share of the time that models stood idle.

    Args:
        started: by `time.perf_counter`.
        before: what the engine had read then.
        engine: what reads; of several processes that share a probe, all come here.
    """
    seconds, after = time.perf_counter() - started, engine.cost()
    workers = engine.num_workers if isinstance(engine, Runner) else 1
    return Cost(
        seconds=seconds,
        tokens_read=after.tokens - before.tokens,
        forward_passes=after.forward_passes - before.forward_passes,
        host_share=max(0.0, 1.0 - (after.seconds - before.seconds) / (seconds * workers)),
    )


def scale_of_units(engine: Engine | Runner, settings: ProbeConfig) -> int:
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
