"""A comparison's folder of eight training and four test facts, small enough to work every number out by hand.

Training facts a to d are of relation r1, e to h of r2; test facts t1 and t2 of r1, t3 and t4 of r2. A word such as HMWU
gives the levels of the facts in order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from gradual.facts.fact import Fact
from gradual.files.storage import append_json_line, make_folder, write_json
from gradual.knowledge.levels import Level
from gradual.knowledge.map import Cost, FactKnowledge, KnowledgeMap, MapInfo, write_map
from gradual.run.folder import RunDir, write_facts
from gradual.run.stage_files import StageFile, write_selection
from gradual.selection.strategies import SelectedFact, Selection, Strategy

LEVELS = {level.value[0]: level for level in Level}
TRAIN, TEST, VALIDATION, OTHERS = "abcdefgh", ("t1", "t2", "t3", "t4"), ("v1", "v2", "v3", "v4"), ("o1", "o2")
BASE = "HMMWHMUU"
CONFIDENCE = {"t1": 0.95, "t2": 0.6, "t3": 0.4, "t4": 0.9}
"""Of the answers to test facts, right or wrong, at every stage."""
SECONDS = {"probe": 20.0, "evaluation": 2.0, "stage 1": 7.0, "stage 2": 3.0, "base probe": 10.0, "base evaluation": 1.0}
ARMS: list[dict[str, object]] = [
    {"name": "base", "doc": "The model as it came.", "same_steps_as": None, "num_stages": 0},
    {"name": "same_steps", "doc": "One stage.", "same_steps_as": "S5", "num_stages": 1},
    {"name": "S5", "doc": "The paper's best.", "same_steps_as": None, "num_stages": 2},
    {"name": "worse", "doc": "Loses what it knew.", "same_steps_as": None, "num_stages": 1},
    {"name": "S2", "doc": "Not begun.", "same_steps_as": None, "num_stages": 2},
]


def write_folder(
    folder: Path, *, arms: Sequence[Mapping[str, object]] = ARMS, confidence: Mapping[str, float] = CONFIDENCE
) -> Path:
    """The whole folder: two seeds; of `worse` seed 2 had nothing to train on, S2 is missing.

    Without `confidence` the tests' maps are as earlier versions wrote them.
    """
    plan = {"arms": list(arms), "seeds": [1, 2], "reference": "same_steps", "main": "S5"}
    make_folder(folder)
    write_json(folder / "comparison_plan.json", plan)  # type: ignore[arg-type]
    first = {"b": "M", "c": "M", "f": "M"}
    write = partial(write_run, confidence=confidence)
    write(folder, "same_steps", 1, ["HHMWHHUU"], [{"t1", "t2"}], [first])
    write(folder, "same_steps", 2, ["HMHWHHUU"], [{"t1", "t4"}], [first])
    second = {"c": "M", "d": "M", "a": "H"}
    run = write(folder, "S5", 1, ["HHMMHHWU", "HHHHHHMU"], [{"t1", "t2"}, {"t1", "t2", "t3"}], [first, second])
    for stage, right in ((0, {"o2"}), (2, {"o1", "o2"})):
        write_map(verdicts(OTHERS, right, 0.0, relation="r3"), run.evaluation(stage).with_name(f"ood-{stage}"))
    second = {"a": "M", "f": "M", "g": "M", "b": "H"}
    write(folder, "S5", 2, ["MHHWHMMU", "HHHMHHHU"], [{"t3"}, {"t1", "t3", "t4"}], [first, second])
    write(folder, "worse", 1, ["UUUUUUUU"], [set()], [first])
    write(folder, "worse", 2, [], [], [], status="nothing_to_train")
    return folder


def write_noise(folder: Path) -> None:
    """Facts a to d probed again without a change; all of them with other exemplars: d rises to MaybeKnown, f falls."""
    write_map(known(BASE[:4]), folder / "noise" / "again")
    write_map(known("HMMMHWUU"), folder / "noise" / "exemplars")


def write_run(
    folder: Path,
    arm: str,
    seed: int,
    probes: Sequence[str],
    rights: Sequence[set[str]],
    trained: Sequence[Mapping[str, str]],
    *,
    status: str = "complete",
    confidence: Mapping[str, float] = CONFIDENCE,
) -> RunDir:
    """A run: the base model, then a stage for each of `trained` with its probe and test."""
    run = RunDir(folder / "runs" / arm / str(seed))
    write_map(known(BASE, SECONDS["base probe"]), run.probe(0))
    write_map(verdicts(TEST, {"t1"}, SECONDS["base evaluation"], confidence=confidence), run.evaluation(0))
    write_map(known("HMWU", 5.0, ids=TEST), run.test_levels)
    for number, (levels, right, facts) in enumerate(zip(probes, rights, trained, strict=True), start=1):
        tokens = 100 * seed + len(arm)  # no two runs take the same, and so none looks copied from another
        write_map(known(levels, SECONDS["probe"], tokens=tokens), run.probe(number))
        test = verdicts(TEST, right, SECONDS["evaluation"], tokens=tokens, confidence=confidence)
        write_map(test, run.evaluation(number))
        _write_stage(run, number, facts, loss=seed + len(arm) / 10)
    write_json(run.info, {"gradual_version": "0", "fingerprint": {}, "status": status})
    relations = [*["r1"] * 4, *["r2"] * 4, *["r1", "r1", "r2", "r2"] * 2]
    splits = ["train"] * 8 + ["test"] * 4 + ["validation"] * 4
    rows = zip([*TRAIN, *TEST, *VALIDATION], relations, splits, strict=True)
    write_facts((Fact(each, relation, f"{each}?", ("Bern",), split=split) for each, relation, split in rows), run.facts)
    return run


def known(levels: str, seconds: float = 1.0, *, ids: Sequence[str] = TRAIN, tokens: int = 0) -> KnowledgeMap:
    """A map of facts with these levels; the first half of all facts is of relation r1."""
    half = len(TRAIN) // 2 if ids is TRAIN else len(ids) // 2
    facts = [
        _fact(fact, LEVELS[letter], "r1" if place < half else "r2")
        for place, (fact, letter) in enumerate(zip(ids, levels, strict=False))
    ]
    return KnowledgeMap(tuple(facts), (), MapInfo({}, {"name": "toy"}, Cost(seconds=seconds, tokens_read=tokens)))


def verdicts(
    ids: Sequence[str],
    right: set[str],
    seconds: float = 1.0,
    *,
    relation: str | None = None,
    tokens: int = 0,
    confidence: Mapping[str, float] = MappingProxyType({}),
    refused: set[str] | None = None,
) -> KnowledgeMap:
    """A map under one exemplar set: each fact is right, refused or neither, with this confidence by id.

    Where `refused` is None, refusals were not asked.
    """
    facts = [
        replace(
            _fact(
                fact, Level.HIGHLY_KNOWN if fact in right else Level.UNKNOWN, relation or ("r1" if place < 2 else "r2")
            ),
            confidence=confidence.get(fact),
            confidence_t1=confidence.get(fact),
            p_refuse=None if refused is None else 0.9 * (fact in refused),
            p_greedy_refuse=None if refused is None else float(fact in refused),
        )
        for place, fact in enumerate(ids)
    ]
    return KnowledgeMap(tuple(facts), (), MapInfo({}, {"name": "toy"}, Cost(seconds=seconds, tokens_read=tokens)))


def _fact(name: str, level: Level, relation: str) -> FactKnowledge:
    p_greedy = {Level.HIGHLY_KNOWN: 1.0, Level.MAYBE_KNOWN: 0.5}.get(level, 0.0)
    p_any = 0.0 if level is Level.UNKNOWN else 0.9
    evidence = {"p_sampled": 0.1, "p_any_sample": p_any, "level_probability": 0.9, "near_tie": False, "min_margin": 1.0}
    return FactKnowledge(
        id=name,
        relation=relation,
        question=f"{name}?",
        answers=("Bern",),
        level=level,
        p_greedy=p_greedy,
        greedy_answer=None,
        sets=(),
        **evidence,  # type: ignore[arg-type]
    )


def _selected(fact: str, level: Level) -> SelectedFact:
    role: Literal["new", "replay"] = "replay" if level is Level.HIGHLY_KNOWN else "new"
    return SelectedFact(fact, role, level, level, level, "")


def _write_stage(run: RunDir, number: int, facts: Mapping[str, str], *, loss: float) -> None:
    new = sum(letter != "H" for letter in facts.values())
    rows = [_selected(fact, LEVELS[letter]) for fact, letter in facts.items()]
    strategy = Strategy("S5", "now == MaybeKnown", None, "")
    write_selection(Selection(tuple(rows), strategy, new, len(facts) - new), run.selection(number))
    about = StageFile(
        strategy=strategy.name,
        select=strategy.select,
        num_new=new,
        num_replay=len(facts) - new,
        best_epoch=1,
        tokens=60.0,
        steps=6.0,
    )
    write_json(run.stage_summary(number), about.as_json())
    for epoch, right in enumerate((1, 1 + number)):  # v1, then v2 as well, and in stage 2 v3
        line = {
            "epoch": epoch,
            "loss": loss,
            "eval_accuracy": right / 4,
            "eval_p": 0.1,
            "steps": 6 * epoch,
            "tokens": 60,
        }
        append_json_line(run.epochs(number), line | {"verdicts": "1" * right + "0" * (4 - right)})
    seconds = SECONDS[f"stage {min(number, 2)}"]
    append_json_line(run.times(number), {"epoch": 1, "seconds": seconds - 1, "eval_seconds": 1.0, "steps": 6})
