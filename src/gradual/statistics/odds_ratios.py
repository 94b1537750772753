"""How many times the odds: the odds ratio of 2 x 2 tables, one alone or many strata together, with its interval.

Knows counts only. Where the counts allow no number there is none, and a sentence says why.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

_NOTHING_VARIES = "no stratum has both linked and unlinked facts and both promoted and other ones"
_INFINITE = "infinite: every informative stratum lacks unlinked promoted facts or linked facts that were not promoted"
_ZERO = "zero: every informative stratum lacks linked promoted facts or unlinked facts that were not promoted"


class TwoByTwo(NamedTuple):
    """A table of counts: linked facts in the first row, promoted facts in the first column."""

    linked_promoted: int
    linked_other: int
    unlinked_promoted: int
    unlinked_other: int


@dataclass(frozen=True, slots=True)
class OddsRatio:
    """The odds of being promoted, linked facts over unlinked ones; 1 where being linked makes no difference."""

    odds_ratio: float | None
    """0 or more; None where it is undefined or infinite."""
    low: float | None
    """Lower end of the 95 % interval; None where there is none."""
    high: float | None
    """Upper end; None where there is none or it is infinite."""
    p_value: float | None
    """Two-sided p-value in [0, 1] of an odds ratio of 1 in every stratum."""
    num_strata: int
    """Strata that say something: with linked and unlinked, promoted and other facts."""
    reason: str = ""
    """Why a number is missing."""


def mantel_haenszel(tables: Iterable[TwoByTwo]) -> OddsRatio:
    """The common odds ratio of several strata, so that what differs between them alone makes no difference.

    With a, b, c, d the cells of a stratum and n their sum: OR = sum(ad/n) / sum(bc/n), Mantel & Haenszel (1959), JNCI
    22. 95 % interval: exp(ln OR +- z sqrt(V)) with V of Robins, Breslow & Greenland (1986), Biometrics 42, good for few
    large strata and for many small ones. P-value: Cochran-Mantel-Haenszel chi-square, one degree of freedom, without
    continuity correction. Strata in which a row or column is empty say nothing and are left out.

    Raises:
        ValueError: a count is negative.
    """
    strata = [_check(table) for table in tables]
    informative = [table for table in strata if _is_informative(table)]
    if not informative:
        return OddsRatio(None, None, None, None, 0, _NOTHING_VARIES)
    for_linked = for_unlinked = concordant = mixed = discordant = excess = variance = 0.0
    for a, b, c, d in informative:
        n = a + b + c + d
        r, s, p, q = a * d / n, b * c / n, (a + d) / n, (b + c) / n
        for_linked, for_unlinked = for_linked + r, for_unlinked + s
        concordant, mixed, discordant = concordant + p * r, mixed + p * s + q * r, discordant + q * s
        excess += a - (a + b) * (a + c) / n
        variance += (a + b) * (c + d) * (a + c) * (b + d) / (n * n * (n - 1))
    p_value = math.erfc(math.sqrt(excess * excess / variance / 2))
    if not for_unlinked:
        return OddsRatio(None, None, None, p_value, len(informative), _INFINITE)
    if not for_linked:
        return OddsRatio(0.0, None, None, p_value, len(informative), _ZERO)
    products = concordant / for_linked**2, mixed / (for_linked * for_unlinked), discordant / for_unlinked**2
    log_variance = math.fsum(products) / 2
    half = NormalDist().inv_cdf(0.975) * math.sqrt(log_variance)
    ratio = for_linked / for_unlinked
    return OddsRatio(ratio, ratio * math.exp(-half), ratio * math.exp(half), p_value, len(informative))


def conditional_odds_ratio(table: TwoByTwo) -> OddsRatio:
    """The odds ratio of one table by conditional maximum likelihood, with its exact 95 % interval and Fisher's p-value.

    `scipy.stats.contingency.odds_ratio` and `scipy.stats.fisher_exact`: Fisher (1935), JRSS 98; exact interval of
    Cornfield (1956), Proc. Third Berkeley Symposium.

    Raises:
        ValueError: a count is negative.
    """
    from scipy.stats import fisher_exact
    from scipy.stats.contingency import odds_ratio

    if not _is_informative(_check(table)):
        return OddsRatio(None, None, None, None, 0, _NOTHING_VARIES)
    cells = [list(table[:2]), list(table[2:])]
    estimate = odds_ratio(cells, kind="conditional")
    low, high = estimate.confidence_interval(0.95)
    p_value = float(fisher_exact(cells).pvalue)
    reason = _INFINITE if math.isinf(estimate.statistic) else _ZERO if estimate.statistic == 0 else ""
    return OddsRatio(_finite(estimate.statistic), _finite(low), _finite(high), p_value, 1, reason)


def _check(table: TwoByTwo) -> TwoByTwo:
    if min(table) < 0:
        raise ValueError(f"expected counts of at least 0, found {tuple(table)}")
    return table


def _is_informative(table: TwoByTwo) -> bool:
    a, b, c, d = table
    return min(a + b, c + d, a + c, b + d) > 0


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
