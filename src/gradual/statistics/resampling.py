"""Intervals for what was measured on the same facts with several training seeds: the crossed bootstrap.

Knows numbers by fact and seed only. `intervals` has the intervals and tests of a single measurement; `measures` puts
both into the form that is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Statistic = Callable[[Array], Array]
    """From how often each of N facts counts in each of B resamples, (B, N), to a number for each: (B,), NaN if none."""

NUM_RESAMPLES = 10_000
RESAMPLING_SEED = 0
"""Fixed: the same folder gives the same intervals."""

_RESAMPLES_AT_ONCE = 256
_MOST_GROUPS_KEPT = 100

BySeed = Sequence[Mapping[str, float]]
"""For each seed a number for each fact, by id."""


class Estimation(NamedTuple):
    """A mean or ratio over facts and seeds with its bootstrap interval."""

    value: float | None
    """Of all facts and seeds together; None where it is undefined."""
    low: float | None
    high: float | None
    p_value: float | None
    """Two-sided, in (0, 1], that the truth is 0; None for ratios."""
    num_groups: int
    """What was resampled besides the seeds: groups, or facts where all are of one group."""
    num_seeds: int


def resampled_mean(values: BySeed, groups: Mapping[str, str], *, confidence: float = 0.95) -> Estimation:
    """Mean over facts and seeds, with a percentile interval from resampling groups of facts and seeds.

    Facts of one relation share their exemplars and rise and fall together, and a seed moves all facts at once: neither
    facts nor runs are independent. So whole groups are drawn with replacement, as many as there are, and independently
    of them seeds, one fewer than there are (Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1; one
    fewer, because n draws out of n understate the variance of a mean by (n - 1) / n, a third with three seeds: Rao &
    Wu 1988, "Resampling inference with complex survey data", JASA 83). With one seed only groups are drawn, and the
    interval says nothing of what another seed would give. With one group facts are drawn in its place.

    The p-value inverts the interval: 2 min(share of resamples <= 0, share >= 0), with one added to count and number
    (Davison & Hinkley 1997, "Bootstrap Methods and their Application", chapters 4 and 5).

    Args:
        values: a number per fact for each seed, differences of paired measurements mostly.
        groups: the group (relation) of each fact.
        confidence: coverage of the interval, in (0, 1).

    Raises:
        ValueError: there is no value, or a fact without a group.
    """
    ones = [dict.fromkeys(of_seed, 1.0) for of_seed in values]
    sums, count = _sums_by_seed_and_group([values, ones], groups)
    tops, bottoms = _resampled_totals(sums)
    means = tops[bottoms > 0] / bottoms[bottoms > 0]  # a draw may miss the facts that only other seeds have
    low, high = _percentiles(means, confidence)
    p_value = _two_sided(means)
    top, bottom = (float(part.sum()) for part in sums)
    return Estimation(top / bottom, low, high, p_value, count, len(values))


def resampled_change(
    tops: BySeed, bottoms: BySeed, groups: Mapping[str, str], *, confidence: float = 0.95
) -> Estimation:
    """Sum of `tops` over sum of `bottoms`, less 1, resampled as in `resampled_mean`.

    Undefined (None) where the interval of the bottom reaches 0 or below: a share of nothing, or of a loss, means
    nothing. Otherwise the few resamples without a positive bottom are left out of the interval.

    Raises:
        ValueError: there is no value, the two hold different facts, or a fact has no group.
    """
    if [one.keys() for one in tops] != [other.keys() for other in bottoms]:
        raise ValueError("expected the same facts above and below, seed by seed")
    sums, count = _sums_by_seed_and_group([tops, bottoms], groups)
    all_tops, all_bottoms = _resampled_totals(sums)
    top, bottom = (float(part.sum()) for part in sums)
    if bottom <= 0 or _percentiles(all_bottoms, confidence)[0] <= 0:
        return Estimation(None, None, None, None, count, len(tops))
    positive = all_bottoms > 0
    low, high = _percentiles(all_tops[positive] / all_bottoms[positive] - 1, confidence)
    return Estimation(top / bottom - 1, low, high, None, count, len(tops))


def resampled_statistic(
    by_seed: Sequence[Statistic], facts: Sequence[str], groups: Mapping[str, str], *, num_resamples: int
) -> Estimation:
    """Mean over seeds of a number that is no mean over facts, resampled as in `resampled_mean`.

    Args:
        by_seed: the statistic with each seed; a difference of two where two measurements are compared.
        facts: the fact that each column of the statistics' argument stands for.
        groups: the group (relation) of each fact.
        num_resamples: bootstrap replicates; those without a number are left out.

    Raises:
        ValueError: there is no fact, or a fact without a group.
    """
    import numpy as np

    clusters = _clusters(facts, groups)
    place = {cluster: number for number, cluster in enumerate(sorted(set(clusters.values())))}
    places_N = [place[clusters[fact]] for fact in facts]
    batches = []
    for times_BG, times_BS in _draws(len(place), len(by_seed), num_resamples):
        values_BS = np.stack([statistic(times_BG[:, places_N]) for statistic in by_seed], axis=1)
        batches.append((values_BS * times_BS).sum(axis=1) / times_BS.sum(axis=1))
    means = np.concatenate(batches)
    means = means[~np.isnan(means)]
    value = float(np.mean([statistic(np.ones((1, len(facts))))[0] for statistic in by_seed]))
    if np.isnan(value) or not len(means):
        return Estimation(None, None, None, None, len(place), len(by_seed))
    low, high = _percentiles(means)
    return Estimation(value, low, high, _two_sided(means), len(place), len(by_seed))


def _sums_by_seed_and_group(parts: Sequence[BySeed], groups: Mapping[str, str]) -> tuple[Array, int]:
    """Sums by part, seed and group (or fact, where there is one group), and the number of groups."""
    import numpy as np

    facts = sorted({fact for of_seed in parts[0] for fact in of_seed})
    clusters = _clusters(facts, groups)
    place = {cluster: number for number, cluster in enumerate(sorted(set(clusters.values())))}
    sums_PSG = np.zeros((len(parts), len(parts[0]), len(place)))
    for part, by_seed in enumerate(parts):
        for seed, of_seed in enumerate(by_seed):
            for fact in sorted(of_seed):
                sums_PSG[part, seed, place[clusters[fact]]] += of_seed[fact]
    return sums_PSG, len(place)


def _clusters(facts: Sequence[str], groups: Mapping[str, str]) -> dict[str, str]:
    """What each fact is drawn with: its group, or itself where all are of one group."""
    if not facts:
        raise ValueError("expected at least one value, found none")
    missing = [fact for fact in facts if fact not in groups]
    if missing:
        raise ValueError(f"expected a group for each fact, found none for {missing[0]!r}")
    clusters = {fact: groups[fact] for fact in facts}
    return clusters if len(set(clusters.values())) > 1 else {fact: fact for fact in facts}


def _two_sided(means: Array) -> float:
    """Two-sided p-value in (0, 1] that the truth is 0, of resampled means."""
    one_side = min(int((means <= 0).sum()), int((means >= 0).sum()))
    return min(1.0, 2 * (one_side + 1) / (len(means) + 1))


def _resampled_totals(sums_PSG: Array) -> tuple[Array, Array]:
    """The two parts' totals in each resample, of the same draws."""
    import numpy as np

    _, num_seeds, num_groups = sums_PSG.shape
    draws = _kept_draws if num_groups <= _MOST_GROUPS_KEPT else _draws
    totals = [
        np.stack([((times_BG @ sums_SG.T) * times_BS).sum(axis=1) for sums_SG in sums_PSG])
        for times_BG, times_BS in draws(num_groups, num_seeds, NUM_RESAMPLES)
    ]
    tops, bottoms = np.concatenate(totals, axis=1)
    return tops, bottoms


def _draws(num_groups: int, num_seeds: int, num_resamples: int) -> Iterator[tuple[Array, Array]]:
    """How often each group and each seed is drawn, block by block."""
    import numpy as np

    rng = np.random.default_rng(RESAMPLING_SEED)
    even_groups = np.full(num_groups, 1.0 / num_groups)
    even_seeds = np.full(num_seeds, 1.0 / num_seeds)
    for start in range(0, num_resamples, _RESAMPLES_AT_ONCE):
        size = min(_RESAMPLES_AT_ONCE, num_resamples - start)
        times_BG = rng.multinomial(num_groups, even_groups, size=size).astype(float)
        times_BS = rng.multinomial(max(1, num_seeds - 1), even_seeds, size=size).astype(float)
        yield times_BG, times_BS


@lru_cache(maxsize=16)
def _kept_draws(num_groups: int, num_seeds: int, num_resamples: int) -> tuple[tuple[Array, Array], ...]:
    """The same, kept: a comparison asks for few sizes, hundreds of times."""
    return tuple(_draws(num_groups, num_seeds, num_resamples))


def _percentiles(values: Array, confidence: float = 0.95) -> tuple[float, float]:
    import numpy as np

    tail = (1.0 - confidence) / 2
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return float(low), float(high)
