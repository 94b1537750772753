"""The work of a comparison on many workers at once: what is the same for several arms is done once, then all go on.

A run is cut into legs, each up to the end of a stage. Two runs whose stages are the same so far have the same leg: one
does it, and the other waits, then takes it over. The driver orders; workers write into the folder, which all see.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from gradual.comparison.arm_work import Retest, Work
from gradual.config.base import settings_that_matter
from gradual.config.run import RunConfig
from gradual.errors import TrainingError
from gradual.files.storage import canonical_json
from gradual.progress import Progress
from gradual.workers.crew import Crew

_KEPT = ("journal.jsonl", "units/*/*", "stages/*/epochs.jsonl")
"""Files of a run that are there, or grow, with each step, unit and epoch."""


@dataclass(frozen=True)
class Leg:
    """What a worker is sent: a retest, or a run up to a stage. Done again, it goes on where it was."""

    work: Work
    last_stage: int | None
    """None: all that is left of the run."""
    key: str
    """The same for the same steps."""
    name: str

    @property
    def remedy(self) -> str:
        """What to do where it ends worker after worker."""
        return (
            "it may take more memory than a worker has (gradual plan tells how much); what is finished is kept, and "
            "the same command goes on"
        )

    def kept(self) -> str:
        """How far its run is, in steps, units and epochs; a retest is short enough to count as one piece."""
        if isinstance(self.work, Retest):
            return ""
        folder, sizes = self.work.run.path, []
        for file in sorted(file for name in _KEPT for file in folder.glob(name)):
            with suppress(FileNotFoundError):  # a worker that is not quite lost may have finished a step
                sizes.append((str(file), file.stat().st_size))
        return str(sizes)


@dataclass
class Chain:
    """An arm with a seed, or a retest: legs one after the other."""

    name: str
    pieces: Iterator[Work]
    after: str | None = None
    """The chain that has to end first."""
    legs: deque[Leg] = field(default_factory=deque)
    """Of the piece of work that is under way."""
    is_busy: bool = False
    has_ended: bool = False


class Spread:
    """One call: chains go on side by side, as far as the workers reach, the first ones first."""

    def __init__(self, crew: Crew, chains: Sequence[Chain], config: RunConfig, progress: Progress) -> None:
        """Sends nothing yet."""
        self._crew, self._chains, self._config, self._progress = crew, list(chains), config, progress
        self._under_way: dict[str, Chain] = {}
        self._done: set[str] = set()
        self._failures: dict[str, str] = {}

    def all_legs(self) -> list[str]:
        """Does what is left; a line for each arm that could not be trained, in the order of the chains.

        Raises:
            LaunchError, ModelError, ProbeError: see `Crew.results`.
        """
        self._send()
        for finished in self._crew.results():
            chain = self._under_way.pop(finished.key)
            told = json.loads(finished.data)
            leg = chain.legs.popleft()
            for line in told["said"]:
                self._progress.say(f"{chain.name}: {line}")
            chain.is_busy = False
            if told["failed"] is None:
                self._done.add(finished.key)
                self._progress.say(f"{leg.name}: done ({told['place']})")
            else:
                self._fail(chain, told["failed"])
            self._send()
        return [self._failures[chain.name] for chain in self._chains if chain.name in self._failures]

    def _fail(self, chain: Chain, error: str) -> None:
        chain.has_ended = True
        self._failures[chain.name] = f"{chain.name}: {error}"
        self._progress.say(f"failed: {self._failures[chain.name]}")

    def _send(self) -> None:
        """Sends each leg that waits for nothing."""
        has_changed = True
        while has_changed:  # a chain that ends lets those that were after it begin
            has_changed = False
            for chain in self._chains:
                if chain.is_busy or chain.has_ended or self._waits(chain):
                    continue
                leg = self._next_leg(chain)
                if leg is None:
                    chain.has_ended = has_changed = True
                elif leg.key not in self._under_way:
                    chain.is_busy = True
                    self._under_way[leg.key] = chain
                    self._crew.add([leg])

    def _waits(self, chain: Chain) -> bool:
        return any(other.name == chain.after and not other.has_ended for other in self._chains)

    def _next_leg(self, chain: Chain) -> Leg | None:
        """The first leg that no other chain has done for this one; None where the chain has ended."""
        while True:
            if not chain.legs:
                try:
                    piece = next(chain.pieces, None)
                except TrainingError as error:
                    self._fail(chain, str(error))
                    return None
                if piece is None:
                    return None
                chain.legs.extend(self._legs(chain, piece))
            leg = chain.legs[0]
            if leg.key not in self._done or (leg.last_stage is None and not isinstance(leg.work, Retest)):
                return leg
            chain.legs.popleft()

    def _legs(self, chain: Chain, work: Work) -> Iterator[Leg]:
        if isinstance(work, Retest):
            yield Leg(work, None, f"retest {work.kind}", f"retest {work.kind}")
            return
        settings = [settings_that_matter(stage) for stage in work.stages]
        for number in range(len(settings) + 1):
            # What the base model is asked is the same for all seeds, unless each has exemplars of its own.
            seed = work.seed if number or self._config.compare.redraw_exemplars else None
            key = canonical_json([seed, settings[:number]])
            is_last = number == len(settings)
            yield Leg(work, None if is_last else number, key, f"{chain.name}, {_name_of_stage(number)}")


def _name_of_stage(number: int) -> str:
    return f"stage {number}" if number else "before training"
