"""How much of the ladder fits into a time: what a text says of a time, what tuning takes, and what is left away first.

Goes by `comparison.estimate`, which times the user's own model on some facts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

from gradual.config.stage import StageConfig
from gradual.errors import ConfigError
from gradual.text import duration
from gradual.tuning.halving import FINALISTS, rungs

if TYPE_CHECKING:
    from gradual.comparison.estimate import PartTimes

_UNITS = {"d": 86400, "h": 3600, "m": 60, "min": 60, "s": 1}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(min|[dhms])\s*")


def seconds_of(text: str | None) -> float | None:
    """A time such as `2h`, `90m` or `1h 30m` in seconds; None without one.

    Raises:
        ConfigError: it is none, or no time at all.
    """
    if text is None:
        return None
    parts = _PART.findall(text.strip().lower())
    if not parts or _PART.sub("", text.strip().lower()):
        raise ConfigError(f'--budget: expected a time such as 2h, 90m or 1h30m, found "{text}"')
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds <= 0:
        raise ConfigError(f'--budget: expected a time such as 2h, 90m or 1h30m, found "{text}", which is none')
    return seconds


def recipes_within(
    firsts: Sequence[StageConfig], seconds: Sequence[StageConfig], timed: PartTimes, budget: float
) -> tuple[tuple[int, int], float]:
    """How many first and second stages of the ladder fit into the budget, and how long they take at most.

    What stands last in the ladder is left away first: second stages before first ones.

    Raises:
        ConfigError: not even two first stages do; says what would.
    """
    cost = _cost_of(firsts, seconds, timed)
    for numbers in _smaller_and_smaller(len(firsts), len(seconds)):
        if (found := cost(*numbers)) <= budget:
            return numbers, found
    raise ConfigError(
        f"--budget: expected at least {duration(found)}, which two recipes of one stage and the test take here, found "
        f"{duration(budget)} - give it more, or fewer facts (facts.splits.max_train_per_relation)"
    )


def _smaller_and_smaller(num_firsts: int, num_seconds: int) -> Iterator[tuple[int, int]]:
    """How many recipes of each stage, from all to the fewest that make a choice."""
    yield from ((num_firsts, number) for number in range(num_seconds, 0, -1))
    yield from ((number, 0) for number in range(num_firsts, min(FINALISTS, num_firsts) - 1, -1))


def _cost_of(
    firsts: Sequence[StageConfig], seconds: Sequence[StageConfig], timed: PartTimes
) -> Callable[[int, int], float]:
    """Seconds of tuning with the first so many recipes of each stage."""

    @cache
    def training(is_first: bool, place: int, num_epochs: int) -> float:
        stage = (firsts if is_first else seconds)[place]
        return timed.stage(stage.model_copy(update={"num_train_epochs": num_epochs}), is_first=is_first)[1]

    def of_stage(is_first: bool, number: int) -> float:
        """Of the candidates of a rung those count that take longest: which are left is not known before."""
        stages = (firsts if is_first else seconds)[:number]
        if not stages:
            return 0.0
        total, before = 0.0, 0
        for rung in rungs(number, _most_epochs(stages)):
            costs = [
                training(is_first, place, rung.num_epochs) - (training(is_first, place, before) if before else 0.0)
                for place in range(number)
            ]
            total += sum(sorted(costs, reverse=True)[: rung.num_candidates])
            before = rung.num_epochs
        return total

    def cost(num_firsts: int, num_seconds: int) -> float:
        looks = 2 if num_seconds else 1
        return timed.once + looks * timed.look + of_stage(True, num_firsts) + of_stage(False, num_seconds)

    return cost


def _most_epochs(stages: Sequence[StageConfig]) -> int:
    return max(stage.num_train_epochs for stage in stages)
