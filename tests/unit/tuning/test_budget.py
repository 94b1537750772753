"""What a text says of a time, and how much of the ladder fits into it."""

from __future__ import annotations

import pytest

from gradual.config.stage import StageConfig
from gradual.errors import ConfigError
from gradual.tuning.budget import recipes_within, seconds_of

FIRSTS = [StageConfig(strategy="all", num_train_epochs=8)] * 7
SECONDS = [StageConfig(strategy="S5", num_train_epochs=4)] * 4


class Times:
    """100 seconds once, 10 for each look, 5 for each epoch."""

    once = 100.0
    look = 10.0

    def stage(self, stage: StageConfig, *, is_first: bool) -> tuple[int, float]:
        return 1, 5.0 * stage.num_train_epochs


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h", 7200), ("90m", 5400), ("1h30m", 5400), ("1 h 30 min", 5400), ("1.5H", 5400), ("2d", 172800), ("45s", 45)],
)
def test_times(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


def test_no_budget_is_none() -> None:
    assert seconds_of(None) is None


@pytest.mark.parametrize("text", ["", "2", "soon", "2h soon", "-1h", "0h", "2 weeks"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--budget: expected a time such as 2h, 90m or 1h30m, found"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("budget", "numbers", "seconds"),
    [
        # Firsts: 7 x 3 epochs, then 2 x 5 more: 31. Seconds: 4 x 1, then 2 x 3 more: 10. 100 + 2 looks + 41 x 5.
        (400, (7, 4), 325),
        (325, (7, 4), 325),
        (324, (7, 3), 320),  # 3 x 1 and 2 x 3: 9 epochs
        (319, (7, 2), 315),  # two are trained at once: 8 epochs
        (314, (7, 1), 295),  # one, held against the first stages that are left: 4 epochs
        (294, (7, 0), 265),  # 100 + 1 look + 31 x 5
        (264, (6, 0), 250),  # 6 x 3 and 2 x 5: 28 epochs
        (190, (2, 0), 190),  # 16 epochs
    ],
)
def test_the_end_of_the_ladder_is_left_away_first(budget: float, numbers: tuple[int, int], seconds: float) -> None:
    assert recipes_within(FIRSTS, SECONDS, Times(), budget) == (numbers, seconds)


def test_too_small_a_budget_is_told_with_the_least_that_would_do() -> None:
    with pytest.raises(ConfigError, match=r"--budget: expected at least 3.min 10.s, which two recipes .* found 2.min"):
        recipes_within(FIRSTS, SECONDS, Times(), 120)


def test_of_recipes_that_take_different_times_the_longest_are_taken_to_go_on() -> None:
    class OneIsSlow(Times):
        def stage(self, stage: StageConfig, *, is_first: bool) -> tuple[int, float]:
            return 1, stage.num_train_epochs * (20.0 if stage.strategy == "all" else 1.0)

    mixed = [StageConfig(strategy=name, num_train_epochs=3) for name in ("all", "maybe_known", "highly_known")]
    # One epoch: 20 + 1 + 1; two more for the slow one and another: 40 + 2.
    assert recipes_within(mixed, [], OneIsSlow(), 1000) == ((3, 0), 100 + 10 + 22 + 42)
