"""The seam between a probe and what runs its units: this process with an engine of its own, or workers elsewhere.

A runner takes units and gives back bytes, in any order; the probe stores them and puts them in order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

from gradual.config.run import ProbeConfig
from gradual.engines.engine import Engine, ReadCost
from gradual.facts.prompts import PromptStyle
from gradual.models.ranks import ALONE, Ranks
from gradual.probing.unit import Unit, run_unit


class Runner(ABC):
    """What runs the units of probes with one model."""

    num_workers = 1
    """Over how many the time of `cost` is spread; what a launch of several processes tells is of one."""

    @property
    @abstractmethod
    def fingerprint(self) -> Mapping[str, str]:
        """See `Engine`."""

    @property
    @abstractmethod
    def unit_scale(self) -> int:
        """See `Engine`: the same for all units, wherever they run."""

    @property
    @abstractmethod
    def noise(self) -> float:
        """See `Engine`."""

    @abstractmethod
    def prompt_style(self, settings: ProbeConfig) -> PromptStyle:
        """See `Engine`."""

    @abstractmethod
    def run(self, units: Sequence[Unit]) -> Iterator[tuple[str, bytes]]:
        """Key and result of each unit, once each, as they are finished."""

    @abstractmethod
    def cost(self) -> ReadCost:
        """What has been read so far, by all that ran units together."""


class OwnRunner(Runner):
    """Runs units with an engine in this process, or in each of the processes of a launch, which share them."""

    def __init__(self, engine: Engine, ranks: Ranks = ALONE) -> None:
        self._engine, self._ranks = engine, ranks

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """See `Runner`."""
        return self._engine.fingerprint

    @property
    def unit_scale(self) -> int:
        """See `Runner`."""
        return self._engine.unit_scale

    @property
    def noise(self) -> float:
        """See `Runner`."""
        return self._engine.noise

    def prompt_style(self, settings: ProbeConfig) -> PromptStyle:
        """See `Runner`."""
        return self._engine.prompt_style(settings)

    def run(self, units: Sequence[Unit]) -> Iterator[tuple[str, bytes]]:
        """See `Runner`; each process of a launch gets all results, a turn at a time; in step, each reads all."""
        ranks = self._ranks
        style = self.prompt_style(units[0].settings) if units else None
        if style is None:
            return
        if ranks.in_step:
            for unit in units:
                yield unit.key, run_unit(unit, self._engine, style)
            return
        for start in range(0, len(units), ranks.total):
            turn = units[start : start + ranks.total]
            mine = turn[ranks.number : ranks.number + 1]
            results = [run_unit(unit, self._engine, style) for unit in mine]
            for unit, (data,) in zip(turn, ranks.gather(results)[: len(turn)], strict=True):
                yield unit.key, data

    def cost(self) -> ReadCost:
        """See `Runner`; seconds are this process's."""
        read = self._engine.cost()
        if self._ranks.in_step:  # all have read the same
            return read
        tokens, padded, passes = (sum(counts) for counts in zip(*self._ranks.gather(read[:3]), strict=True))
        return ReadCost(tokens, padded, passes, read.seconds)
