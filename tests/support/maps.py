"""A small knowledge map with numbers a person can check, and a run folder that holds two of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from gradual.facts.fact import Fact
from gradual.files.storage import JsonScalar, write_json
from gradual.knowledge.levels import Level
from gradual.knowledge.map import FactKnowledge, KnowledgeMap, MapInfo, Prompt, SetAnswer, write_map
from gradual.run.folder import RunDir, write_facts
from gradual.run.stage_files import write_selection
from gradual.selection.strategies import STRATEGIES, SelectedFact, Selection

PROBE: dict[str, JsonScalar] = {"method": "exact", "num_samples": 16, "near_tie_margin": 0.05, "seed": 42}
MODEL = {"name": "toy", "dtype": "float32", "device": "cpu"}
RIGHT = {Level.UNKNOWN: 0, Level.WEAKLY_KNOWN: 0, Level.MAYBE_KNOWN: 1, Level.HIGHLY_KNOWN: 2}
"""Of two exemplar sets, how many have a right greedy answer at each level."""


def make_map(
    levels: Mapping[str, Level], *, probe: Mapping[str, JsonScalar] = PROBE, shots: tuple[str, ...] = ("x",)
) -> KnowledgeMap:
    """A map of facts `id: level`, two exemplar sets each; fact `b` has its own prompt in set 1, where it is a shot."""
    facts = tuple(known_fact(fact_id, level) for fact_id, level in levels.items())
    prompts = [Prompt("capital", each, "", shots, f"Q: shot {each}\nA: it\nQ: ", "\nA:") for each in (0, 1)]
    prompts.append(Prompt("capital", 1, "b", ("spare",), "Q: spare\nA: it\nQ: ", "\nA:"))
    return KnowledgeMap(facts, tuple(prompts), MapInfo(probe=probe, model=MODEL))


def known_fact(fact_id: str, level: Level) -> FactKnowledge:
    """A fact at a level, with evidence to match."""
    right = RIGHT[level]
    p = 0.01 if level is Level.UNKNOWN else 0.25
    sets = tuple(
        SetAnswer(each, each < right, "Bern" if each < right else None, p, p + 0.5, 0.01 if each else math.inf)
        for each in (0, 1)
    )
    return FactKnowledge(
        id=fact_id,
        relation="capital",
        question=f"What is the capital of {fact_id}?",
        answers=("Bern", "Berne"),
        level=level,
        p_greedy=right / 2,
        p_sampled=p + 0.25,
        p_any_sample=0.125 if level is Level.UNKNOWN else 0.75,
        level_probability=0.875,
        near_tie=True,
        min_margin=0.01,
        greedy_answer="Bern" if right else None,
        sets=sets,
    )


def write_run(folder: Path) -> RunDir:
    """A run: two probes of the training facts a and b, one evaluation of the test fact t, and a validation fact v."""
    run = RunDir(folder)
    write_map(make_map({"a": Level.MAYBE_KNOWN, "b": Level.UNKNOWN}), run.probe(0))
    write_map(make_map({"a": Level.HIGHLY_KNOWN, "b": Level.WEAKLY_KNOWN}), run.probe(1))
    write_map(make_map({"t": Level.UNKNOWN}), run.evaluation(0))
    write_json(run.info, {"gradual_version": "0", "fingerprint": {}, "status": "running"})
    splits = {"a": "train", "b": "train", "t": "test", "v": "validation"}
    write_facts(
        (Fact(each, "capital", f"{each}?", ("Bern",), split=split) for each, split in splits.items()), run.facts
    )
    maybe = Level.MAYBE_KNOWN
    row = SelectedFact("a", "new", maybe, maybe, maybe, "matches now == MaybeKnown")
    write_selection(Selection((row,), STRATEGIES["maybe_known"], 1, 0), run.selection(1))
    return run
