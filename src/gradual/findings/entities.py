"""The entity tables of a comparison: whether what the first stage brought within reach lies near what it trained on.

Reads the runs of the main arm; counting is done in `linkage`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from gradual.comparison.folder import read_plan
from gradual.facts.entities import EntityGraph, build_graph
from gradual.findings.linkage import Linkage, LinkedAccuracy, LinkedFacts, PromotedAtDistance, linkage, linked_accuracy
from gradual.findings.record import AtDistance, Entities, LinkedOdds, LinkedTest
from gradual.knowledge.map import MAP_FILE, read_map
from gradual.run.folder import RunDir, read_facts
from gradual.run.stage_files import read_taught
from gradual.statistics.intervals import Accuracy
from gradual.statistics.measures import Measure, Share, mean_accuracy, mean_over_seeds, share
from gradual.statistics.odds_ratios import OddsRatio

_ODDS: dict[str, Callable[[Linkage], OddsRatio]] = {
    "all facts together": lambda each: each.unstratified,
    "facts of one relation": lambda each: each.within_relation,
    "facts of one relation and as many links": lambda each: each.within_relation_and_degree,
}
_TESTS: dict[str, Callable[[LinkedAccuracy], LinkedFacts]] = {
    "next to a trained fact": lambda each: each.linked,
    "linked by a path": lambda each: each.through_path,
    "without a path": lambda each: each.unlinked,
}


def entity_rows(folder: Path) -> Entities | None:
    """The entity tables over every seed of the main arm whose first stage is measured; None where none is.

    Of the facts that were WeaklyKnown or Unknown and not trained on: how many lie at each distance from the trained
    ones (`facts.entities.Distance`), how many of them came within reach, and the share of all such facts that they are
    beside that of permuted labels (`linkage.linkage`). Then the odds ratios of coming within reach, facts next to
    trained ones against all others. Then the accuracy of test facts by whether a path links them to trained ones.

    Raises:
        RunDirError: a file of a run is damaged.
    """
    plan = read_plan(folder)
    runs = [(seed, RunDir(folder / "runs" / plan.main / str(seed))) for seed in plan.seeds]
    finished = [(seed, run) for seed, run in runs if (run.evaluation(1) / MAP_FILE).is_file()]
    if not finished:
        return None
    facts = read_facts(finished[0][1].facts)
    training = build_graph([fact for fact in facts if fact.split == "train"])
    test_graph = build_graph([fact for fact in facts if fact.split in ("train", "test", "exemplars")])
    return over_seeds(
        [seed for seed, _ in finished],
        [_linkage_of_run(seed, run, training) for seed, run in finished],
        [_accuracy_of_run(run, test_graph) for _, run in finished],
    )


def over_seeds(seeds: Sequence[int], linkages: Sequence[Linkage], accuracies: Sequence[LinkedAccuracy]) -> Entities:
    """What was found with each seed, together; one `Linkage` and one `LinkedAccuracy` for each of `seeds`."""
    places = range(len(linkages[0].distances))
    distances = [_at_distance([each.distances[place] for each in linkages]) for place in places]
    tests = [_linked_test(linked, [part(each) for each in accuracies]) for linked, part in _TESTS.items()]
    return Entities(
        seeds=tuple(seeds),
        distances=tuple(row for row in distances if row.facts.value),
        odds=tuple(_linked_odds(compared, [ratio(each) for each in linkages]) for compared, ratio in _ODDS.items()),
        tests=tuple(row for row in tests if row.facts.value),
        notes=_distinct_texts(each.note for each in accuracies),
    )


def _ids_of_first_stage(run: RunDir) -> set[str]:
    return {row.id for row in read_taught(run.selection(1))}


def _linkage_of_run(seed: int, run: RunDir, training: EntityGraph) -> Linkage:
    before, after = ({fact.id: fact.level for fact in read_map(run.probe(i), with_answers=False)} for i in (0, 1))
    return linkage(training, before, after, _ids_of_first_stage(run), seed=seed)


def _accuracy_of_run(run: RunDir, graph: EntityGraph) -> LinkedAccuracy:
    before, after = (
        {fact.id: fact.p_greedy > 0 for fact in read_map(run.evaluation(i), with_answers=False)} for i in (0, 1)
    )
    return linked_accuracy(graph, _ids_of_first_stage(run), before, after)


def _at_distance(rows: Sequence[PromotedAtDistance]) -> AtDistance:
    ends = [mean_over_seeds([getattr(each, name) for each in rows]).value for name in ("null_low", "null_high")]
    chance = mean_over_seeds([each.null_mean for each in rows])
    return AtDistance(
        distance=str(rows[0].distance),
        facts=mean_over_seeds([each.candidates for each in rows]),
        within_reach=mean_over_seeds([each.promoted for each in rows]),
        rate=mean_accuracy([share(each.promoted, each.candidates) for each in rows]),
        share=mean_over_seeds([each.share for each in rows]),
        by_chance=Measure(chance.value, ends[0], ends[1], chance.sd, chance.values, chance.note),
        p_values=tuple(each.p_value for each in rows),
        reasons=_distinct_texts(each.reason for each in rows),
    )


def _linked_odds(compared: str, odds: Sequence[OddsRatio]) -> LinkedOdds:
    ratios = [each.odds_ratio for each in odds]
    value, low, high = map(_geometric_mean, (ratios, [each.low for each in odds], [each.high for each in odds]))
    return LinkedOdds(
        compared=compared,
        ratio=Measure(value, low, high, mean_over_seeds(ratios).sd, tuple(ratios)),
        p_values=tuple(each.p_value for each in odds),
        reasons=_distinct_texts(each.reason for each in odds),
    )


def _geometric_mean(values: Sequence[float | None]) -> float | None:
    """None where a value is missing: a mean of the others would leave out what is infinite."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    return math.exp(math.fsum(map(math.log, known)) / len(known)) if min(known) > 0 else 0.0


def _linked_test(linked: str, tests: Sequence[LinkedFacts]) -> LinkedTest:
    return LinkedTest(
        linked=linked,
        facts=mean_over_seeds([each.num_facts for each in tests]),
        before=mean_accuracy([_share(each.before) for each in tests]),
        after=mean_accuracy([_share(each.after) for each in tests]),
        p_values=tuple(each.p_value for each in tests),
    )


def _share(proportion: Accuracy) -> Share:
    return share(proportion.correct, proportion.total)


def _distinct_texts(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))
