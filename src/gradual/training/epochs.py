"""Keeps count of a stage's epochs while it trains: scores, losses, tokens, times, checkpoints.

Knows nothing of how a step is trained (`train`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from transformers import TrainerCallback

from gradual.errors import TrainingError
from gradual.models.ranks import ALONE, Ranks, refuse_unequal_adapters
from gradual.training.checkpoints import checkpoint_folder, keep_checkpoints, seal_checkpoint
from gradual.training.rows import TrainingRows


class Score(NamedTuple):
    """How a model does on the facts that choose the best epoch: the validation facts, but for the paper's protocol."""

    accuracy: float
    """Share of facts with a right greedy answer, in [0, 1]."""
    p: float
    """Mean lower bound of the probability of a right sampled answer, in [0, 1]; breaks ties of the accuracy."""
    verdicts: str = ""
    """A digit for each validation fact, by id: 1 where its greedy answer is right, else 0."""
    validation_accuracy: float | None = None
    """Accuracy on the validation facts, where `accuracy` is that on others."""
    area: float | None = None
    """Area under the risk-coverage curve in [0, 1], where an epoch is kept by it; the lower the better."""

    @property
    def value(self) -> float:
        """What a stage stops on: the accuracy, ties broken by `p` (which counts less than any one fact could)."""
        return self.accuracy + self.p * 1e-6


class EpochRecord(NamedTuple):
    """What an epoch of training did; epoch 0 is before training."""

    epoch: int
    loss: float | None
    eval_accuracy: float
    eval_p: float
    learning_rate: float | None
    seconds: float
    """Time of training alone."""
    eval_seconds: float
    """Time of scoring the validation facts."""
    tokens: int
    steps: int
    verdicts: str = ""
    """See `Score`."""
    validation_accuracy: float | None = None
    """See `Score`."""
    eval_area: float | None = None
    """See `Score`."""


class StagePaused(Exception):  # noqa: N818 - no error: the epoch that was asked for is done and can be gone on from
    """Leaves a trainer between two epochs."""


class Watcher(TrainerCallback):  # type: ignore[misc]
    """Keeps count of epochs, losses and tokens, and tells the caller."""

    def __init__(
        self,
        rows: TrainingRows,
        checkpoints: Path,
        on_step: Callable[[], None],
        on_epoch: Callable[[EpochRecord], None],
        ranks: Ranks = ALONE,
        pause_after: int | None = None,
    ) -> None:
        self._rows = rows
        self._on_step = on_step
        self._on_epoch = on_epoch
        self._checkpoints = checkpoints
        self._ranks = ranks
        self._pause_after = pause_after
        self.epoch = 0
        self.has_begun = False
        """Whether a step was begun: then the state of an interrupted stage has been read."""
        self.losses: list[float] = []
        self.tokens = 0
        self.verdicts = ""
        """Those of the last score: a trainer's metrics are numbers."""
        self.most_facts = sys.maxsize
        """Facts of one pass; fewer once memory ran out, until the epoch ends: there an interrupted stage goes on."""
        self._started = self._trained = time.perf_counter()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """See `TrainerCallback`."""
        # The state of a resumed stage names its best checkpoint by a path that may since have moved.
        if state.best_global_step:
            best = checkpoint_folder(self._checkpoints, state.best_global_step)
            if not best.is_dir():
                raise TrainingError(f"expected the best epoch so far in {best}, found none - remove {best.parent}")
            state.best_model_checkpoint = str(best)
        for _ in range(state.global_step):  # a resumed stage has these behind it
            self._on_step()

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """See `TrainerCallback`."""
        self.has_begun = True

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """See `TrainerCallback`."""
        self.epoch = round(state.epoch or 0)
        self.losses, self.tokens = [], 0
        self.most_facts = sys.maxsize
        self._started = self._trained = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """See `TrainerCallback`."""
        self._on_step()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """See `TrainerCallback`."""
        self._trained = time.perf_counter()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """See `TrainerCallback`."""
        refuse_unequal_adapters(
            [weight for weight in kwargs["model"].parameters() if weight.requires_grad], self._ranks
        )
        self._ranks.wait()  # each process has written its random state
        if self._ranks.is_first:
            seal_checkpoint(checkpoint_folder(self._checkpoints, state.global_step))
            keep_checkpoints(self._checkpoints, {state.global_step, state.best_global_step})
        self._ranks.wait()  # what the best epoch is read from is there
        is_enough = self._pause_after is not None and round(state.epoch) >= self._pause_after
        if is_enough and not control.should_training_stop:  # a stage that has ended anyway is finished
            raise StagePaused

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Mapping[str, float], **kwargs: Any) -> None:
        """See `TrainerCallback`."""
        rate = next((entry["learning_rate"] for entry in reversed(state.log_history) if "learning_rate" in entry), None)
        record = EpochRecord(
            epoch=round(state.epoch or 0),
            loss=float(np.mean(self.losses)) if self.losses else None,
            eval_accuracy=metrics["eval_accuracy"],
            eval_p=metrics["eval_p"],
            learning_rate=rate,
            seconds=self._trained - self._started,
            eval_seconds=time.perf_counter() - self._trained,
            tokens=self.tokens,
            steps=len(self.losses),
            verdicts=self.verdicts,
            validation_accuracy=metrics.get("eval_validation_accuracy"),
            eval_area=metrics.get("eval_area"),
        )
        if self._ranks.is_first:
            self._on_epoch(record)
