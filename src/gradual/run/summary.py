"""Every number that the report and the console show of a run, computed from its folder alone.

Knows the run folder's files, levels and statistics; no models and no HTML.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gradual.facts.matching import token_f1
from gradual.files import storage
from gradual.files.parquet import Column, read_table
from gradual.knowledge.levels import Level
from gradual.knowledge.map import MAP_FILE, FactKnowledge, KnowledgeMap, read_cost, read_map
from gradual.knowledge.transitions import highly_known_gain, transition_counts
from gradual.run.folder import RunDir
from gradual.run.stages import taught_ids
from gradual.statistics.intervals import accuracy, mcnemar, paired_counts

EXAMPLES_OF_EACH = 8
"""Facts shown as examples of promoted, lost and stuck ones."""

_FACTS = (Column("id", "text"), Column("split", "text"))


def summarise(run: RunDir, settings: Mapping[str, Any], warnings: Sequence[str]) -> dict[str, Any]:
    """The numbers of a run as far as it has come, for `summary.json`; `report_data.Summary` has their types.

    Raises:
        RunDirError: a file of the run is damaged.
    """
    maps = [read_map(run.probe(index), with_answers=False) for index in range(_finished(run))]
    tests = [read_map(run.evaluation(index), with_answers=False) for index in range(len(maps))]
    verdicts = [{fact.id: fact.p_greedy > 0 for fact in known} for known in tests]
    splits = read_table(run.facts, _FACTS)["split"]
    stages = [_stage(run, index) for index in range(1, len(maps))]
    pairs = [(index, index + 1) for index in range(len(maps) - 1)]
    spans = pairs + ([(0, len(maps) - 1)] if len(maps) > 2 else [])
    return {
        "seed": settings["seed"],
        "model": settings["model.name_or_path"],
        "num_facts": {name: splits.count(name) for name in ("train", "validation", "test", "exemplars")},
        "levels": [_names(known.levels()) for known in maps],
        "transitions": [{"from": a, "to": b, "counts": _transitions(maps[a], maps[b])} for a, b in spans],
        "test_accuracy": [
            {"stage": index, **accuracy(answers.values())._asdict(), "token_f1": _mean_f1(tests[index])}
            for index, answers in enumerate(verdicts)
        ],
        "test_by_level": _by_level(run, verdicts),
        "test_by_relation": _by_relation(tests, verdicts),
        "mcnemar": [_paired(a, b, verdicts) for a, b in spans],
        "highly_known": _highly_known(run, maps),
        "relations": _relations(maps),
        "stages": stages,
        "examples": _examples(maps),
        "settings": dict(settings),
        "fingerprint": run.fingerprint,
        "warnings": list(warnings),
    }


def _finished(run: RunDir) -> int:
    """Number of probes that are there with their evaluation."""
    count = 0
    while (run.probe(count) / MAP_FILE).is_file() and (run.evaluation(count) / MAP_FILE).is_file():
        count += 1
    return count


def _names(counts: Mapping[Level, int]) -> dict[str, int]:
    return {str(level): count for level, count in counts.items()}


def _transitions(before: KnowledgeMap, after: KnowledgeMap) -> dict[str, dict[str, int]]:
    counts = transition_counts({fact.id: fact.level for fact in before}, {fact.id: fact.level for fact in after})
    return {str(level): _names(row) for level, row in counts.items()}


def _paired(before: int, after: int, verdicts: Sequence[Mapping[str, bool]]) -> dict[str, Any]:
    counts = paired_counts(verdicts[before], verdicts[after])
    return {
        "from": before,
        "to": after,
        "gained": counts.gained,
        "lost": counts.lost,
        "p_value": mcnemar(counts.gained, counts.lost),
    }


def _shares(ids: Sequence[str], verdicts: Sequence[Mapping[str, bool]]) -> list[dict[str, Any]]:
    return [accuracy(answers[each] for each in ids)._asdict() for answers in verdicts]


def _mean_f1(known: KnowledgeMap) -> float | None:
    """Mean token F1 of the greedy answers, beside accuracy (`matching.token_f1`); None where answers are not there."""
    scores = [token_f1(fact.greedy_answer, fact.answers) for fact in known if fact.greedy_answer is not None]
    return sum(scores) / len(scores) if len(scores) == len(known) > 0 else None


def _by_level(run: RunDir, verdicts: Sequence[Mapping[str, bool]]) -> list[dict[str, Any]]:
    """Test accuracy by the level that the fact had under the base model."""
    if not (run.test_levels / MAP_FILE).is_file():
        return []
    known = read_map(run.test_levels, with_answers=False)
    groups = {level: [fact.id for fact in known if fact.level is level] for level in reversed(Level)}
    return [
        {"level": str(level), "total": len(ids), "stages": _shares(ids, verdicts)}
        for level, ids in groups.items()
        if ids
    ]


def _by_relation(tests: Sequence[KnowledgeMap], verdicts: Sequence[Mapping[str, bool]]) -> list[dict[str, Any]]:
    groups: dict[str, list[str]] = {}
    for fact in tests[0] if tests else ():
        groups.setdefault(fact.relation, []).append(fact.id)
    return [
        {"relation": relation, "total": len(ids), "stages": _shares(ids, verdicts)}
        for relation, ids in sorted(groups.items())
    ]


def _highly_known(run: RunDir, maps: Sequence[KnowledgeMap]) -> dict[str, Any]:
    """HighlyKnown training facts per probe, both readings of the gain, split by which stage trained them first."""
    counts = [known.levels()[Level.HIGHLY_KNOWN] for known in maps]
    gain = highly_known_gain(counts) if len(counts) > 2 else None
    trained = [taught_ids(run, index) for index in range(1, len(maps))]
    groups: dict[str, set[str]] = {}
    seen: set[str] = set()
    for index, ids in enumerate(trained, start=1):
        groups[f"trained_stage_{index}" if index == 1 else f"trained_stage_{index}_only"] = ids - seen
        seen |= ids
    groups["never_trained"] = {fact.id for fact in maps[0]} - seen if maps else set()
    return {
        "counts": counts,
        "reading_a": gain.reading_a if gain else None,
        "reading_b": gain.reading_b if gain else None,
        "split": {
            name: [sum(known.level_of(each) is Level.HIGHLY_KNOWN for each in ids) for known in maps]
            for name, ids in groups.items()
        },
    }


def _relations(maps: Sequence[KnowledgeMap]) -> list[dict[str, Any]]:
    counts = [Counter((fact.relation, fact.level) for fact in known) for known in maps]
    rows = []
    for relation in sorted({relation for relation, _ in counts[0]}) if maps else []:
        levels = [{str(level): found[relation, level] for level in Level} for found in counts]
        rows.append({"relation": relation, "total": sum(levels[0].values()), "levels": levels})
    return rows


def _stage(run: RunDir, index: int) -> dict[str, Any]:
    """Its counts and its epochs; verdicts fact by fact stay in `epochs.jsonl`."""
    epochs = [
        {name: value for name, value in line.items() if name != "verdicts"}
        for line in storage.read_json_lines(run.epochs(index))
    ]
    return {**storage.read_json(run.stage_summary(index)), "epochs": epochs}


def _examples(maps: Sequence[KnowledgeMap]) -> dict[str, list[dict[str, Any]]]:
    """Facts that rose most, fell most, and stayed unknown in spite of a chance; the clearest first, ties by id."""
    if len(maps) < 2:
        return {"promoted": [], "lost": [], "stuck": []}

    def change(fact: FactKnowledge) -> tuple[int, float]:
        last = maps[-1][fact.id]
        return last.level.rank - fact.level.rank, last.p_sampled - fact.p_sampled

    rising = sorted((f for f in maps[0] if change(f)[0] > 0), key=lambda f: (*(-x for x in change(f)), f.id))
    falling = sorted((f for f in maps[0] if change(f)[0] < 0), key=lambda f: (*change(f), f.id))
    low = (Level.UNKNOWN, Level.WEAKLY_KNOWN)
    never_risen = (fact for fact in maps[0] if all(known.level_of(fact.id) in low for known in maps))
    stuck = sorted(never_risen, key=lambda fact: -fact.p_sampled)
    chosen = {"promoted": rising, "lost": falling, "stuck": stuck}
    return {name: [_example(fact, maps) for fact in _from_different_relations(facts)] for name, facts in chosen.items()}


def _from_different_relations(facts: Sequence[FactKnowledge]) -> list[FactKnowledge]:
    """The first facts, no relation shown a second time before all were shown once."""
    turns: dict[str, int] = {}
    placed = []
    for place, fact in enumerate(facts):
        turns[fact.relation] = turns.get(fact.relation, 0) + 1
        placed.append((turns[fact.relation], place, fact))
    return [fact for _, _, fact in sorted(placed, key=lambda each: each[:2])[:EXAMPLES_OF_EACH]]


def _example(fact: FactKnowledge, maps: Sequence[KnowledgeMap]) -> dict[str, Any]:
    states = [known[fact.id] for known in maps]
    return {
        "id": fact.id,
        "relation": fact.relation,
        "question": fact.question,
        "answers": list(fact.answers),
        "levels": [str(state.level) for state in states],
        "greedy": [state.greedy_answer for state in states],
    }


def taken(run: RunDir) -> dict[str, Any]:
    """The time that the steps of a run took, for `cost.json`; `report_data.Cost` has the types.

    An epoch that a kill made necessary twice counts twice, a probe from where it was last continued.

    Raises:
        RunDirError: a file of the run is damaged.
    """
    steps: list[dict[str, Any]] = []
    stages: list[dict[str, Any]] = []

    def add_map(name: str, folder: Path) -> None:
        if (folder / MAP_FILE).is_file():
            cost = read_cost(folder)
            steps.append({"name": name, "seconds": cost.seconds, "tokens": cost.tokens_read})

    add_map("levels of test facts", run.test_levels)
    for index in range(_finished(run)):
        if index:
            epochs: list[dict[str, Any]] = [*storage.read_json_lines(run.times(index))]
            training, scoring, num_steps = (
                sum(e[name] for e in epochs) for name in ("seconds", "eval_seconds", "steps")
            )
            stages.append(
                {"seconds": training + scoring, "seconds_per_step": training / num_steps if num_steps else 0.0}
            )
            tokens = storage.read_json(run.stage_summary(index))["tokens"]
            steps.append({"name": f"stage {index}", "seconds": training + scoring, "tokens": tokens})
        add_map(f"probe {index}", run.probe(index))
        add_map(f"evaluation {index}", run.evaluation(index))
    return {"total_seconds": sum(step["seconds"] for step in steps), "steps": steps, "stages": stages}
