"""Whether what was promoted lies near what was trained on: the types of a comparison's entity tables.

Types only; `comparison_entities` fills them. Every `Measure` and every tuple of p-values has the order of
`Entities.seeds`, None where a seed has no such number.
"""

from __future__ import annotations

from dataclasses import dataclass

from gradual.statistics.measured import Measure


@dataclass(frozen=True, slots=True)
class AtDistance:
    """Facts out of reach and not trained on, at one distance from the trained ones (`linkage.AtDistance`)."""

    distance: str
    """An `entities.Distance`."""
    facts: Measure
    within_reach: Measure
    """Those of them that came within reach."""
    rate: Measure
    """within_reach / facts, with the Wilson interval."""
    share: Measure
    """Of all facts that came within reach, those at this distance."""
    by_chance: Measure
    """The same when labels are permuted; the ends hold 95 % of the permutations, mean over seeds."""
    p_values: tuple[float | None, ...]
    reasons: tuple[str, ...]
    """Why numbers are missing."""


@dataclass(frozen=True, slots=True)
class LinkedOdds:
    """The odds of coming within reach, facts next to trained ones over all others."""

    compared: str
    """Which facts are held against each other."""
    ratio: Measure
    """Geometric mean over seeds, of the ratios and of the ends of their intervals; None where one is missing."""
    p_values: tuple[float | None, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LinkedTest:
    """Accuracy of test facts that are linked to trained ones in one way."""

    linked: str
    facts: Measure
    before: Measure
    after: Measure
    p_values: tuple[float | None, ...]
    """Exact McNemar test of before against after."""


@dataclass(frozen=True, slots=True)
class Entities:
    """Stage 1 of the main arm, mean over the seeds that have it."""

    seeds: tuple[int, ...]
    distances: tuple[AtDistance, ...]
    """Nearest first; a distance at which no seed has a fact is left out."""
    odds: tuple[LinkedOdds, ...]
    tests: tuple[LinkedTest, ...]
    """What no test fact of any seed is in is left out."""
    notes: tuple[str, ...]
    """What to know before reading the numbers."""
