"""Where facts stand: counts of levels, moves between them, what came within reach, the gain in HighlyKnown facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from gradual.knowledge.levels import Level
from gradual.statistics.intervals import value_pairs


class HighlyKnownGain(NamedTuple):
    """What the second stage added in HighlyKnown facts, both readings; None where a reading is undefined."""

    reading_a: float | None
    """Of the level: HK2 / HK1 - 1."""
    reading_b: float | None
    """Of the gain: (HK2 - HK0) / (HK1 - HK0) - 1."""


def level_counts(levels: Iterable[Level]) -> dict[Level, int]:
    """How many facts have each level; all four are present, worst first."""
    counts = dict.fromkeys(Level, 0)
    for level in levels:
        counts[level] += 1
    return counts


def counts_by_name(counts: Mapping[Level, int]) -> dict[str, int]:
    """The counts by the levels' names."""
    return {str(level): count for level, count in counts.items()}


def transition_counts(before: Mapping[str, Level], after: Mapping[str, Level]) -> dict[Level, dict[Level, int]]:
    """How many facts went from each level (outer) to each level (inner); all sixteen cells are present.

    Raises:
        ValueError: the two maps hold different ids.
    """
    counts = {level: dict.fromkeys(Level, 0) for level in Level}
    for was, is_now in value_pairs(before, after):
        counts[was][is_now] += 1
    return counts


def came_within_reach(before: Mapping[str, Level], after: Mapping[str, Level]) -> dict[str, bool]:
    """For each fact in both that was out of reach, WeaklyKnown or Unknown: whether it is MaybeKnown or HighlyKnown now.

    A fact is promoted when its level rises at all; it comes within reach when training can then make use of it, as the
    method's second stage does (arXiv 2410.05802: MaybeKnown facts are those to train on).
    """
    return {
        fact: after[fact].rank >= Level.MAYBE_KNOWN.rank
        for fact, level in before.items()
        if level.rank < Level.MAYBE_KNOWN.rank and fact in after
    }


def highly_known_gain(counts: Sequence[int]) -> HighlyKnownGain:
    """What stage 2 added in HighlyKnown facts over stage 1, as shares (0.24 is 24 % more).

    The paper's 24 % (arXiv 2410.05802) can be read of the level (a) or of the gain (b); its wording, "solely
    considering incremental enhancements", favours (b). (a) is undefined when HK1 is 0; (b) when stage 1 gained
    nothing, or lost, for a share of a loss means nothing.

    Args:
        counts: HighlyKnown facts in the base map, after stage 1, after stage 2 (later ones are not looked at).
    """
    if len(counts) < 3:
        return HighlyKnownGain(None, None)
    start, one, two = counts[:3]
    return HighlyKnownGain(
        reading_a=two / one - 1 if one > 0 else None,
        reading_b=(two - start) / (one - start) - 1 if one > start else None,
    )
