"""A worker that does legs of a comparison, straight into the comparison's folder, which lies on a disk that all see."""

from __future__ import annotations

import json
from pathlib import Path

from gradual.comparison.arm_work import Fit
from gradual.comparison.folder import ComparisonFolder
from gradual.comparison.open_comparison import OpenComparison
from gradual.comparison.spread import Leg
from gradual.config.run import RunConfig
from gradual.engines.transformers_engine import reading_warnings
from gradual.errors import GradualError, LaunchError, RunDirError, TrainingError
from gradual.facts.prepare import RunFacts
from gradual.files.lock import Process, owner_of, wait_for_writer
from gradual.progress import Silent
from gradual.run.checks import load_to_train, run_fingerprint
from gradual.workers.task import About, Failure, Home, TaskResult

SECONDS_OF_THE_DYING = 60.0
"""So long a worker may hold a run whose loss is known already."""


class _Notes(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        """See `Progress`."""
        self.lines.append(text)


class LegWorker:
    """Loads the model when it is first asked what it is, so that a worker that cannot still answers why."""

    def __init__(self, home: Home, config: RunConfig, run_facts: RunFacts, folder: Path, owner: Process) -> None:
        """Loads nothing yet.

        Args:
            home: of the process that starts it.
            config: of the comparison.
            run_facts: its facts.
            folder: where the comparison lies.
            owner: who has locked that folder: by this a worker knows that it sees the same one.
        """
        self._place = home.enter()
        self._config, self._run_facts, self._folder, self._owner = config, run_facts, folder, owner
        self._notes = _Notes()
        self._opened: OpenComparison | None = None

    def about(self) -> About | Failure:
        """What this worker is, with the model loaded."""
        try:
            self._refuse_other_disk()
            # In one thread: sums in several differ in the last digits with their number.
            loaded = load_to_train(self._config, Silent(), threads=1)
        except GradualError as error:
            return Failure(str(error), self._place)
        folder = ComparisonFolder(self._folder)
        self._opened = OpenComparison(self._config, self._run_facts, folder, loaded, self._notes)
        fingerprint = run_fingerprint(self._config, self._run_facts, loaded.fingerprint)
        return About(fingerprint, 1, 0.0, reading_warnings(loaded), self._place)

    def run(self, leg: Leg) -> TaskResult | Failure:
        """Does a leg; `about` has been asked before. The data are JSON: what was said, and why it failed, if so."""
        assert self._opened is not None
        self._notes.lines.clear()
        failed: str | None = None
        try:
            if isinstance(leg.work, Fit):
                wait_for_writer(leg.work.run.path, SECONDS_OF_THE_DYING)
            self._opened.do(leg.work, last_stage=leg.last_stage)
        except TrainingError as error:
            failed = str(error)
        except GradualError as error:
            return Failure(str(error), self._place)
        told = {"said": self._notes.lines, "failed": failed, "place": self._place}
        return TaskResult(leg.key, json.dumps(told).encode())

    def _refuse_other_disk(self) -> None:
        try:
            is_same = owner_of(self._folder) == self._owner
        except RunDirError:
            is_same = False
        if not is_same:
            raise LaunchError(
                f"{self._folder}: expected the folder that the command writes, found none, or another - put it on a "
                "disk that all machines see, at the same path"
            )
