"""Every number that the report and the console show of a run, computed from its folder alone.

Knows the run folder's files, levels and statistics; no models and no HTML.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from gradual.config.base import flat_settings
from gradual.config.run import RunConfig
from gradual.facts.matching import matching_of, recorded_matching, token_f1
from gradual.knowledge.levels import Level
from gradual.knowledge.map import MAP_FILE, FactKnowledge, KnowledgeMap, read_map
from gradual.knowledge.transitions import highly_known_gain, transition_counts
from gradual.run.folder import RunDir, read_facts
from gradual.run.stage_files import EpochNumbers, read_epochs, read_stage, read_taught
from gradual.run.summary.quality import answer_quality_of_run
from gradual.run.summary.refusals import refusals_of_run
from gradual.run.summary.side_effects import benchmarks_of_run, bystanders_of_run, drift_of_run
from gradual.run.summary.summary_file import (
    AccuracyShare,
    ExampleFact,
    HighlyKnownGrowth,
    LevelMoves,
    LevelScores,
    McNemar,
    RelationLevels,
    RelationScores,
    StageAccuracy,
    StageSummary,
    Summary,
)
from gradual.run.summary.transfer import transfer_of_run
from gradual.run.summary.wrong_answers import wrong_answers_of_run
from gradual.statistics.intervals import accuracy, mcnemar, paired_counts

EXAMPLES_OF_EACH = 8
"""Facts shown as examples of promoted, lost and stuck ones."""


def summarise(run: RunDir, config: RunConfig, *, warnings: Sequence[str] = (), dropped_for_overlap: int = 0) -> Summary:
    """The numbers of a run as far as it has come.

    Args:
        run: its folder.
        config: its settings.
        warnings: what was said of the facts.
        dropped_for_overlap: facts left out because they link training with held-out facts.

    Raises:
        RunDirError: a file of the run is damaged.
    """
    maps = [read_map(run.probe(index), with_answers=False) for index in range(_num_measured(run))]
    tests = [read_map(run.evaluation(index), with_answers=False) for index in range(len(maps))]
    verdicts = [{fact.id: fact.p_greedy > 0 for fact in known} for known in tests]
    facts = read_facts(run.facts)
    splits = [fact.split for fact in facts]
    taught = {row.id for index in range(1, len(maps)) for row in read_taught(run.selection(index))}
    levels = _levels_at_start(run)
    pairs = [(index, index + 1) for index in range(len(maps) - 1)]
    spans = pairs + ([(0, len(maps) - 1)] if len(maps) > 2 else [])
    return Summary(
        seed=config.seed,
        model=config.model.name_or_path,
        num_facts={name: splits.count(name) for name in ("train", "validation", "test", "exemplars")},
        dropped_for_overlap=dropped_for_overlap,
        levels=[known.levels() for known in maps],
        transitions=[_level_moves(a, b, maps) for a, b in spans],
        test_accuracy=[_stage_accuracy(index, verdicts[index], known) for index, known in enumerate(tests)],
        test_by_level=_scores_by_level(run, verdicts),
        test_by_relation=_scores_by_relation(tests, verdicts),
        mcnemar=[_paired_test(a, b, verdicts) for a, b in spans],
        answer_quality=answer_quality_of_run(tests, levels),
        refusals=refusals_of_run(tests, levels),
        wrong_answers=wrong_answers_of_run(
            tests, [fact for fact in facts if fact.id in taught], matching=matching_of(config.probe)
        ),
        transfer=transfer_of_run(run, config.evaluation.transfer, maps, facts, taught),
        bystanders=bystanders_of_run(run, len(maps) - 1),
        drift=drift_of_run(run, len(maps) - 1),
        benchmarks=benchmarks_of_run(run, len(maps) - 1),
        highly_known=_highly_known_growth(run, maps),
        relations=_relation_levels(maps),
        stages=[_stage_summary(run, index) for index in range(1, len(maps))],
        examples=_examples(maps),
        settings=flat_settings(config.model_dump(mode="json")),
        fingerprint=dict(run.fingerprint),
        warnings=list(warnings),
    )


def _num_measured(run: RunDir) -> int:
    """Number of probes that are there with their evaluation."""
    count = 0
    while (run.probe(count) / MAP_FILE).is_file() and (run.evaluation(count) / MAP_FILE).is_file():
        count += 1
    return count


def _level_moves(before: int, after: int, maps: Sequence[KnowledgeMap]) -> LevelMoves:
    levels = [{fact.id: fact.level for fact in maps[place]} for place in (before, after)]
    return LevelMoves(start=before, end=after, counts=transition_counts(*levels))


def _paired_test(before: int, after: int, verdicts: Sequence[Mapping[str, bool]]) -> McNemar:
    counts = paired_counts(verdicts[before], verdicts[after])
    p_value = mcnemar(counts.gained, counts.lost)
    return McNemar(start=before, end=after, gained=counts.gained, lost=counts.lost, p_value=p_value)


def _stage_accuracy(stage: int, verdicts: Mapping[str, bool], known: KnowledgeMap) -> StageAccuracy:
    return StageAccuracy(stage=stage, token_f1=_mean_f1(known), **accuracy(verdicts.values())._asdict())


def _accuracies(ids: Sequence[str], verdicts: Sequence[Mapping[str, bool]]) -> list[AccuracyShare]:
    return [AccuracyShare(**accuracy(answers[each] for each in ids)._asdict()) for answers in verdicts]


def _mean_f1(known: KnowledgeMap) -> float | None:
    """Mean token F1 of the greedy answers, beside accuracy (`matching.token_f1`); None where answers are not there."""
    matching = recorded_matching(known.info.probe)
    scores = [token_f1(fact.greedy_answer, fact.answers, matching) for fact in known if fact.greedy_answer is not None]
    return sum(scores) / len(scores) if len(scores) == len(known) > 0 else None


def _levels_at_start(run: RunDir) -> dict[str, Level]:
    """Level of each test fact under the base model; empty where it was not probed yet."""
    if not (run.test_levels / MAP_FILE).is_file():
        return {}
    return {fact.id: fact.level for fact in read_map(run.test_levels, with_answers=False)}


def _scores_by_level(run: RunDir, verdicts: Sequence[Mapping[str, bool]]) -> list[LevelScores]:
    """Test accuracy by the level that the fact had under the base model."""
    known = _levels_at_start(run)
    groups = {level: [fact for fact, found in known.items() if found is level] for level in reversed(Level)}
    return [
        LevelScores(level=level, total=len(ids), stages=_accuracies(ids, verdicts))
        for level, ids in groups.items()
        if ids
    ]


def _scores_by_relation(tests: Sequence[KnowledgeMap], verdicts: Sequence[Mapping[str, bool]]) -> list[RelationScores]:
    groups: dict[str, list[str]] = {}
    for fact in tests[0] if tests else ():
        groups.setdefault(fact.relation, []).append(fact.id)
    return [
        RelationScores(relation=relation, total=len(ids), stages=_accuracies(ids, verdicts))
        for relation, ids in sorted(groups.items())
    ]


def _highly_known_growth(run: RunDir, maps: Sequence[KnowledgeMap]) -> HighlyKnownGrowth:
    """HighlyKnown training facts per probe, both readings of the gain, split by which stage trained them first."""
    counts = [known.levels()[Level.HIGHLY_KNOWN] for known in maps]
    gain = highly_known_gain(counts) if len(counts) > 2 else None
    trained = [{row.id for row in read_taught(run.selection(index))} for index in range(1, len(maps))]
    groups: dict[str, set[str]] = {}
    seen: set[str] = set()
    for index, ids in enumerate(trained, start=1):
        groups[f"trained_stage_{index}" if index == 1 else f"trained_stage_{index}_only"] = ids - seen
        seen |= ids
    groups["never_trained"] = {fact.id for fact in maps[0]} - seen if maps else set()
    return HighlyKnownGrowth(
        counts=counts,
        reading_a=gain.reading_a if gain else None,
        reading_b=gain.reading_b if gain else None,
        split={
            name: [sum(known.level_of(each) is Level.HIGHLY_KNOWN for each in ids) for known in maps]
            for name, ids in groups.items()
        },
    )


def _relation_levels(maps: Sequence[KnowledgeMap]) -> list[RelationLevels]:
    counts = [Counter((fact.relation, fact.level) for fact in known) for known in maps]
    rows = []
    for relation in sorted({relation for relation, _ in counts[0]}) if maps else []:
        levels = [{level: found[relation, level] for level in Level} for found in counts]
        rows.append(RelationLevels(relation=relation, total=sum(levels[0].values()), levels=levels))
    return rows


def _stage_summary(run: RunDir, index: int) -> StageSummary:
    """Its counts and its epochs; verdicts fact by fact stay in `epochs.jsonl`."""
    epochs = [EpochNumbers(**epoch.model_dump(exclude={"verdicts"})) for epoch in read_epochs(run, index)]
    return StageSummary(**read_stage(run, index).model_dump(), epochs=epochs)


def _examples(maps: Sequence[KnowledgeMap]) -> dict[str, list[ExampleFact]]:
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
    return {
        name: [_example_fact(fact, maps) for fact in _from_different_relations(facts)] for name, facts in chosen.items()
    }


def _from_different_relations(facts: Sequence[FactKnowledge]) -> list[FactKnowledge]:
    """The first facts, no relation shown a second time before all were shown once."""
    turns: dict[str, int] = {}
    placed = []
    for place, fact in enumerate(facts):
        turns[fact.relation] = turns.get(fact.relation, 0) + 1
        placed.append((turns[fact.relation], place, fact))
    return [fact for _, _, fact in sorted(placed, key=lambda each: each[:2])[:EXAMPLES_OF_EACH]]


def _example_fact(fact: FactKnowledge, maps: Sequence[KnowledgeMap]) -> ExampleFact:
    states = [known[fact.id] for known in maps]
    return ExampleFact(
        id=fact.id,
        relation=fact.relation,
        question=fact.question,
        answers=list(fact.answers),
        levels=[state.level for state in states],
        greedy=[state.greedy_answer for state in states],
    )
