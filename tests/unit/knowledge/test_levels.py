"""The rule that gives a fact its level."""

from __future__ import annotations

import pytest

from gradual.knowledge.levels import WEAKLY_KNOWN_CHANCE, Level, chance_of_right_sample, classify, level_probability


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
