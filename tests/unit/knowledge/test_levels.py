"""The rule that gives a fact its level."""

from __future__ import annotations

import pytest

from gradual.knowledge.levels import (
    WEAKLY_KNOWN_CHANCE,
    Level,
    chance_of_right_sample,
    classify,
    level_probability,
    possible_levels,
)


@pytest.mark.parametrize(
    ("p_greedy", "p_any_sample", "level"),
    [
        (1.0, 1.0, Level.HIGHLY_KNOWN),
        (1.0, 0.0, Level.HIGHLY_KNOWN),
        (0.9, 1.0, Level.MAYBE_KNOWN),
        (0.1, 0.0, Level.MAYBE_KNOWN),
        (0.0, 1.0, Level.WEAKLY_KNOWN),
        (0.0, 0.5, Level.WEAKLY_KNOWN),
        (0.0, 0.499, Level.UNKNOWN),
        (0.0, 0.0, Level.UNKNOWN),
    ],
)
def test_level_follows_the_table_of_definitions(p_greedy: float, p_any_sample: float, level: Level) -> None:
    assert classify(p_greedy, p_any_sample) is level


@pytest.mark.parametrize(
    ("p_greedy", "p_lower", "p_upper", "levels"),
    [
        # 2 samples under each of 2 sets: p = 0.25 makes one right with chance 1 - 0.75^4 = 0.68, p = 0.1 with 0.34.
        (0.0, 0.1, 0.25, (Level.UNKNOWN, Level.WEAKLY_KNOWN)),
        (0.0, 0.25, 0.9, (Level.WEAKLY_KNOWN,)),
        (0.0, 0.0, 0.1, (Level.UNKNOWN,)),
        (0.5, 0.0, 1.0, (Level.MAYBE_KNOWN,)),
        (1.0, 0.0, 1.0, (Level.HIGHLY_KNOWN,)),
    ],
)
def test_bounds_leave_one_level_or_two(
    p_greedy: float, p_lower: float, p_upper: float, levels: tuple[Level, ...]
) -> None:
    assert possible_levels(p_greedy, [p_lower] * 2, [p_upper] * 2, 2) == levels


def test_ranks_go_from_unknown_to_highly_known() -> None:
    assert [level.rank for level in Level] == [0, 1, 2, 3]
    assert Level.UNKNOWN.rank < Level.WEAKLY_KNOWN.rank < Level.MAYBE_KNOWN.rank < Level.HIGHLY_KNOWN.rank


def test_level_is_its_name() -> None:
    assert [str(level) for level in Level] == ["Unknown", "WeaklyKnown", "MaybeKnown", "HighlyKnown"]
    assert Level("MaybeKnown") is Level.MAYBE_KNOWN


@pytest.mark.parametrize(
    ("p_per_set", "num_samples", "chance"),
    [
        ([], 16, 0.0),
        ([0.0, 0.0], 16, 0.0),
        ([1.0, 0.0], 1, 1.0),
        ([0.5], 1, 0.5),
        ([0.5], 2, 0.75),
        ([0.5, 0.5], 2, 0.9375),
        ([0.1, 0.2], 1, 0.28),
    ],
)
def test_chance_that_a_sample_is_right(p_per_set: list[float], num_samples: int, chance: float) -> None:
    assert chance_of_right_sample(p_per_set, num_samples) == pytest.approx(chance, abs=1e-12)


@pytest.mark.parametrize(
    ("p_greedy", "p_any_sample", "probability"),
    [(1.0, 0.3, 1.0), (0.5, 0.3, 1.0), (0.0, 0.8, 0.8), (0.0, 0.3, 0.7), (0.0, WEAKLY_KNOWN_CHANCE, 0.5)],
)
def test_probability_that_sampling_gives_the_same_level(
    p_greedy: float, p_any_sample: float, probability: float
) -> None:
    assert level_probability(p_greedy, p_any_sample) == pytest.approx(probability)
