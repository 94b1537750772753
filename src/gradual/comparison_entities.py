"""The entity table of a comparison: whether what the first stage promoted lies near what it trained on.

Reads the runs of the main arm; counting is done in `linkage`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gradual.comparison_runs import read_plan
from gradual.entities import EntityGraph, build_graph
from gradual.facts import Fact
from gradual.knowledge_map import MAP_FILE, read_map
from gradual.linkage import LinkedFacts, linkage, linked_accuracy
from gradual.odds_ratios import OddsRatio
from gradual.rundir import RunDir
from gradual.storage import Json
from gradual.tables import Column, read_table

_FACTS = (*(Column(name, "text") for name in ("id", "relation", "subject", "question", "split")),)
_ANSWERS = Column("answers", "texts")
_SELECTED = (Column("id", "text"),)

Row = dict[str, Json]


def entity_rows(folder: Path) -> list[Row]:
    """The rows of the entity table, for every seed of the main arm whose first stage is finished.

    Of the facts that were WeaklyKnown or Unknown and not trained on: how many lie at each distance from the trained
    ones (`entities.Distance`), how many of them were promoted, and the share of all promoted facts that they are beside
    that of permuted labels (`linkage.linkage`). Then the odds ratios of being promoted, facts next to trained ones
    against all others. Then the accuracy of test facts by whether a path links them to trained ones. What no fact is in
    is left out: where the division keeps entities apart, no test fact is next to a trained one.

    Raises:
        RunDirError: a file of a run is damaged.
    """
    plan = read_plan(folder)
    runs = [(seed, RunDir(folder / "runs" / plan.main / str(seed))) for seed in plan.seeds]
    finished = [(seed, run) for seed, run in runs if (run.evaluation(1) / MAP_FILE).is_file()]
    if not finished:
        return []
    facts = _facts(finished[0][1])
    training = build_graph([fact for fact in facts if fact.split == "train"])
    asked = build_graph([fact for fact in facts if fact.split in ("train", "test", "exemplars")])
    return [row for seed, run in finished for row in _rows(seed, run, training, asked)]


def _facts(run: RunDir) -> list[Fact]:
    columns = read_table(run.facts, (*_FACTS, _ANSWERS))
    names = [column.name for column in _FACTS]
    texts = zip(*(columns[name] for name in names), strict=True)
    return [
        Fact(answers=tuple(answers), **dict(zip(names, row, strict=True)))
        for row, answers in zip(texts, columns["answers"], strict=True)
    ]


def _rows(seed: int, run: RunDir, training: EntityGraph, asked: EntityGraph) -> Iterator[Row]:
    before, after = ({fact.id: fact.level for fact in read_map(run.probe(i), with_answers=False)} for i in (0, 1))
    trained = set(read_table(run.selection(1), _SELECTED)["id"])
    found = linkage(training, before, after, trained, seed=seed)
    for at in found.distances:
        if not at.candidates:
            continue
        yield {
            "seed": seed,
            "what": f"promoted, distance {at.distance}",
            "facts": at.candidates,
            "promoted": at.promoted,
            "rate": at.rate,
            "share": at.share,
            "share by chance": at.null_mean,
            "low": at.null_low,
            "high": at.null_high,
            "p": at.p_value,
        }
    yield _odds(seed, "odds ratio, next to trained", found.unstratified)
    yield _odds(seed, "odds ratio, within relation", found.within_relation)
    yield _odds(seed, "odds ratio, within relation and degree", found.within_relation_and_degree)
    verdicts = [
        {fact.id: fact.p_greedy > 0 for fact in read_map(run.evaluation(i), with_answers=False)} for i in (0, 1)
    ]
    accuracy = linked_accuracy(asked, trained, *verdicts)
    for what, part in (
        ("test facts next to trained", accuracy.linked),
        ("test facts linked by a path", accuracy.through_path),
        ("test facts without a path", accuracy.unlinked),
    ):
        if part.num_facts:
            yield _accuracy(seed, what, part)


def _odds(seed: int, what: str, found: OddsRatio) -> Row:
    return {
        "seed": seed,
        "what": what,
        "ratio": found.odds_ratio,
        "low": found.low,
        "high": found.high,
        "p": found.p_value,
    }


def _accuracy(seed: int, what: str, found: LinkedFacts) -> Row:
    return {
        "seed": seed,
        "what": what,
        "facts": found.num_facts,
        "before": found.before.accuracy,
        "after": found.after.accuracy,
        "p": found.p_value,
    }
