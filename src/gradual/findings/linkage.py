"""Whether facts near those trained on are promoted more often, and answered better, than facts far from them.

Takes the distances of `entities` together with levels and verdicts. Knows no files; odds ratios are in `odds_ratios`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gradual.facts.entities import DISTANCES, Distance, EntityGraph
from gradual.knowledge.levels import Level
from gradual.knowledge.transitions import came_within_reach
from gradual.statistics.intervals import Accuracy, PairedCounts, accuracy, mcnemar, paired_counts, wilson
from gradual.statistics.odds_ratios import OddsRatio, TwoByTwo, conditional_odds_ratio, mantel_haenszel

_NONE_PROMOTED = "no fact was promoted"
_NONE_THERE = "no fact that could be promoted lies at this distance"
_NO_CHOICE = "no stratum of relation and degree lets the number of promoted facts at this distance be another one"
_NO_DIRECT_LINK = (
    "no fact asked about shares an entity with a trained one, as is so by construction where the division keeps "
    "entities apart: what links them are paths through other facts"
)

_NUM_DISTANCES = len(DISTANCES) - 1
"""Those of facts not trained on: all but the first."""
_Counts = npt.NDArray[np.int64]
_Stratum = tuple[str, int]
"""A relation, and a degree bin: 0 for no link, b for at least 2^(b-1) and fewer than 2^b links."""


@dataclass(frozen=True, slots=True)
class PromotedAtDistance:
    """The facts at one distance that could be promoted, and how many of the promoted they are, beside chance."""

    distance: Distance
    candidates: int
    promoted: int
    rate: float | None
    """promoted / candidates, in [0, 1]."""
    rate_low: float
    """Wilson's 95 % interval of the rate."""
    rate_high: float
    share: float | None
    """Of all promoted facts, the share at this distance; in [0, 1]."""
    null_mean: float | None
    """The same share when promoted labels are permuted: its mean over all permutations, exactly."""
    null_low: float | None
    """Lower end of the interval that holds 95 % of the drawn permutations."""
    null_high: float | None
    """Upper end."""
    p_value: float | None
    """Two-sided permutation p-value in (0, 1]."""
    reason: str = ""
    """Why numbers are missing."""


@dataclass(frozen=True, slots=True)
class Linkage:
    """Whether facts linked to trained ones are promoted more often."""

    num_trained: int
    num_candidates: int
    num_promoted: int
    num_comparable: int
    """Candidates that a permutation can change: their stratum has promoted and other ones, at several distances."""
    num_permutations: int
    seed: int
    distances: tuple[PromotedAtDistance, ...]
    """Distances 0, 1, 2, further and none, in this order."""
    within_relation: OddsRatio
    """Of facts at distance 0 over all others, with relations as strata (Mantel-Haenszel)."""
    within_relation_and_degree: OddsRatio
    """The same with the strata of the permutations: what is left when equally well connected facts are compared."""
    unstratified: OddsRatio
    """The same in one table, exactly: says nothing if relations differ in both."""


@dataclass(frozen=True, slots=True)
class LinkedFacts:
    """How facts asked about at some distance from the trained ones are answered before and after."""

    num_facts: int
    before: Accuracy
    after: Accuracy
    changes: PairedCounts
    p_value: float | None
    """Exact McNemar test of before against after; None without facts."""


@dataclass(frozen=True, slots=True)
class LinkedAccuracy:
    """Accuracy of the facts asked about, apart by how they are linked to trained ones."""

    linked: LinkedFacts
    """Facts that share an entity with a trained one: distance 0."""
    through_path: LinkedFacts
    """Facts that only a path through other facts links to a trained one: distances 1, 2 and further."""
    unlinked: LinkedFacts
    """Facts without a path to a trained one."""
    num_by_distance: Mapping[Distance, int]
    note: str = ""
    """What to know before reading the numbers."""


def linkage(
    graph: EntityGraph,
    before: Mapping[str, Level],
    after: Mapping[str, Level],
    trained: Collection[str],
    *,
    seed: int,
    num_permutations: int = 2000,
) -> Linkage:
    """Whether the promoted lie nearer to the trained facts than chance would have it.

    Candidates are the facts with levels that were Unknown or WeaklyKnown before and not trained; promoted are those of
    them that are MaybeKnown or HighlyKnown after. The null permutes the promoted labels among the candidates of one
    relation and one degree bin (`EntityGraph.degrees`: 0, 1, 2-3, 4-7 ...): some relations are promoted more often than
    others, and a fact with many links is near to a trained one whatever happens. Per stratum that is a draw from the
    multivariate hypergeometric distribution, and is drawn as such. With g (l) of N permutations having at least (at
    most) the observed count, p = min(1, 2 (1 + min(g, l)) / (1 + N)): Phipson & Smyth (2010), "Permutation p-values
    should never be zero", Stat. Appl. Genet. Mol. Biol. 9. What chance cannot change has no p-value, and says why.

    Args:
        graph: all facts with levels, and whatever may lie between them; best the training facts only, as links to
            facts that could not be trained on blur the degree.
        before: levels before training, by id.
        after: levels of the same facts after it.
        trained: ids of the facts trained on.
        seed: seed of the permutations; the same seed gives the same numbers, in whatever order the facts come.
        num_permutations: how many; the smallest possible p-value is 2 / (1 + this).

    Raises:
        ValueError: `before` and `after` have other ids, an id is not in the graph, or there is no permutation.
    """
    if num_permutations < 1:
        raise ValueError(f"expected at least one permutation, found {num_permutations}")
    _check_same_facts(graph, before, after)
    codes = graph.distance_codes(trained)
    promotions = came_within_reach(before, after)
    could = promotions.keys() - set(trained)
    rows = np.array(sorted(graph.places[each] for each in could), dtype=np.int64)
    is_promoted = np.array([promotions[graph.facts[row].id] for row in rows], dtype=bool)
    bins = np.frexp(graph.degrees[rows].astype(float))[1]
    strata = [(graph.facts[row].relation, int(each)) for row, each in zip(rows, bins, strict=True)]
    tables = _tables(strata, codes[rows] - 1, is_promoted)
    permuted = _permuted_counts(tables, seed, num_permutations)
    counts = sum(tables.values(), np.zeros((2, _NUM_DISTANCES), dtype=np.int64))
    expected = np.zeros(_NUM_DISTANCES) + sum(_expected_counts(table) for table in tables.values())
    return Linkage(
        num_trained=len(set(trained)),
        num_candidates=len(rows),
        num_promoted=int(is_promoted.sum()),
        num_comparable=sum(int(table.sum()) for table in tables.values() if _can_change(table)),
        num_permutations=num_permutations,
        seed=seed,
        distances=tuple(
            _at_distance(place, counts, permuted[:, place], float(expected[place])) for place in range(_NUM_DISTANCES)
        ),
        within_relation=mantel_haenszel(_two_by_two(table) for table in _by_relation(tables).values()),
        within_relation_and_degree=mantel_haenszel(_two_by_two(table) for table in tables.values()),
        unstratified=conditional_odds_ratio(_two_by_two(counts)),
    )


def linked_accuracy(
    graph: EntityGraph, trained: Collection[str], before: Mapping[str, bool], after: Mapping[str, bool]
) -> LinkedAccuracy:
    """Accuracy of facts asked about but not trained on, by how they are linked to the trained ones, before and after.

    Where `splits.split_facts` made the division, no test fact shares an entity with a train fact: then none is linked,
    `note` says so, and paths lead through facts of the graph that are neither, such as exemplars. Nothing here evens
    out relations: those whose facts are linked may be easier for reasons of their own.

    Args:
        graph: the facts asked about, those trained on, and whatever may lie between them.
        trained: ids of the facts trained on; they are not counted.
        before: whether each fact was answered rightly before training, by id.
        after: the same facts after it.

    Raises:
        ValueError: `before` and `after` have other ids, or an id is not in the graph.
    """
    _check_same_facts(graph, before, after)
    distances = graph.distances(trained)
    distance_of = {each: distances[each] for each in sorted(before)}

    def part(*group: Distance) -> LinkedFacts:
        ids = [each for each, distance in distance_of.items() if distance in group]
        changes = paired_counts({each: before[each] for each in ids}, {each: after[each] for each in ids})
        return LinkedFacts(
            num_facts=len(ids),
            before=accuracy(before[each] for each in ids),
            after=accuracy(after[each] for each in ids),
            changes=changes,
            p_value=mcnemar(changes.gained, changes.lost) if ids else None,
        )

    linked = part(Distance.DIRECT)
    counts = Counter(distance_of.values())
    return LinkedAccuracy(
        linked=linked,
        through_path=part(Distance.ONE, Distance.TWO, Distance.FURTHER),
        unlinked=part(Distance.NONE),
        num_by_distance={distance: counts[distance] for distance in DISTANCES[1:]},
        note="" if linked.num_facts else _NO_DIRECT_LINK,
    )


def _check_same_facts(graph: EntityGraph, before: Mapping[str, object], after: Mapping[str, object]) -> None:
    if before.keys() != after.keys():
        odd = sorted(before.keys() ^ after.keys())
        raise ValueError(f"expected the same facts before and after, found {len(odd)} on one side, such as {odd[0]!r}")
    missing = sorted(before.keys() - graph.places.keys())
    if missing:
        raise ValueError(f"expected facts of the graph, found {len(missing)} others, such as {missing[0]!r}")


def _tables(strata: list[_Stratum], places: _Counts, is_promoted: npt.NDArray[np.bool_]) -> dict[_Stratum, _Counts]:
    """Candidates of each stratum, strata in order: (2, distances), the promoted first."""
    tables: dict[_Stratum, _Counts] = {
        stratum: np.zeros((2, _NUM_DISTANCES), dtype=np.int64) for stratum in sorted(set(strata))
    }
    for stratum, place, promoted in zip(strata, places.tolist(), is_promoted.tolist(), strict=True):
        tables[stratum][0 if promoted else 1, place] += 1
    return tables


def _by_relation(tables: Mapping[_Stratum, _Counts]) -> dict[str, _Counts]:
    sums: dict[str, _Counts] = {}
    for (relation, _), table in tables.items():
        sums[relation] = sums.get(relation, 0) + table
    return sums


def _can_change(table: _Counts) -> bool:
    return bool(table.sum(axis=1).min() > 0 and (table.sum(axis=0) > 0).sum() > 1)


def _expected_counts(table: _Counts) -> npt.NDArray[np.float64]:
    """The mean number of promoted facts at each distance over all permutations of a stratum: (distances)."""
    return np.asarray(table.sum(axis=0) * (table[0].sum() / table.sum()))


def _two_by_two(table: _Counts) -> TwoByTwo:
    """Distance 0 against all others."""
    promoted, other = table[0].tolist(), table[1].tolist()
    return TwoByTwo(promoted[0], other[0], sum(promoted[1:]), sum(other[1:]))


def _permuted_counts(tables: Mapping[_Stratum, _Counts], seed: int, num_permutations: int) -> _Counts:
    """How many promoted facts lie at each distance when the labels are permuted: (permutations, distances)."""
    rng = np.random.default_rng(seed)
    totals = np.zeros((num_permutations, _NUM_DISTANCES), dtype=np.int64)
    for table in tables.values():
        if _can_change(table):
            totals += rng.multivariate_hypergeometric(table.sum(axis=0), int(table[0].sum()), size=num_permutations)
        else:
            totals += table[0]
    return totals


def _at_distance(place: int, counts: _Counts, permuted: _Counts, expected: float) -> PromotedAtDistance:
    """One distance: `permuted` has the promoted of each permutation there, `expected` their exact mean."""
    promoted, candidates, total = int(counts[0, place]), int(counts[:, place].sum()), int(counts[0].sum())
    mean = low = high = p_value = None
    reason = _NONE_PROMOTED if not total else _NO_CHOICE if candidates else _NONE_THERE
    if permuted.min() < permuted.max():
        reason = ""
        mean, (low, high) = expected / total, np.quantile(permuted / total, [0.025, 0.975]).tolist()
        as_far = min(int((permuted >= promoted).sum()), int((permuted <= promoted).sum()))
        p_value = min(1.0, 2 * (1 + as_far) / (1 + len(permuted)))
    return PromotedAtDistance(
        distance=DISTANCES[place + 1],
        candidates=candidates,
        promoted=promoted,
        rate=promoted / candidates if candidates else None,
        rate_low=wilson(promoted, candidates).low,
        rate_high=wilson(promoted, candidates).high,
        share=promoted / total if total else None,
        null_mean=mean,
        null_low=low,
        null_high=high,
        p_value=p_value,
        reason=reason,
    )
