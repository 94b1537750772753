"""Workers in this process, which die when they are told to: stands for a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradual.config.model import ModelConfig
from gradual.workers.crew import Crew, WorkerLostError
from gradual.workers.task import About, Failure, Home, Task, TaskResult, Worker


@dataclass(frozen=True, eq=False)
class Question:
    """Something that a worker was asked: the number of the question, the worker, and a task or None."""

    number: int
    worker: int
    task: Any


class Room:
    """A `Pool` of real workers, which die when `is_lost` says so; the last question is settled first."""

    def __init__(
        self, makers: Sequence[Callable[[], Worker[Any]]], is_lost: Callable[[Question], bool] = lambda _: False
    ) -> None:
        self.makers, self.is_lost = list(makers), is_lost
        self.asked: list[Question] = []
        self.gone: list[int] = []
        self.up: dict[int, Worker[Any]] = {}
        self.silent_waits = 0
        self.first_in_first_out = False

    def workers(self) -> Sequence[int]:
        return range(len(self.makers))

    def ask_about(self, worker: int) -> Question:
        return self._ask(worker, None)

    def send(self, worker: int, task: Task) -> Question:
        return self._ask(worker, task)

    def wait(self, questions: Sequence[Question], seconds: float) -> Question | None:
        if self.silent_waits:
            self.silent_waits -= 1
            return None
        settled = min if self.first_in_first_out else max
        return settled(questions, key=lambda question: question.number)

    def answer(self, question: Question) -> About | TaskResult | Failure:
        if self.is_lost(question):
            self.up.pop(question.worker, None)
            raise WorkerLostError("killed")
        if question.task is None:
            self.up[question.worker] = self.makers[question.worker]()
            return self.up[question.worker].about()
        return self.up[question.worker].run(question.task)

    def dismiss(self, worker: int) -> None:
        self.gone.append(worker)

    def _ask(self, worker: int, task: Task | None) -> Question:
        self.asked.append(Question(len(self.asked), worker, task))
        return self.asked[-1]


class RoomCluster:
    """Starts workers of a kind in a room, as `Cluster.start` does on Ray."""

    def __init__(self, count: int, model: ModelConfig, is_lost: Callable[[Question], bool] = lambda _: False) -> None:
        self.count, self.model, self.is_lost = count, model, is_lost
        self.said: list[str] = []
        self.room = Room([])

    @contextmanager
    def start(self, kind: type[Any], start: Sequence[Any], expected: Mapping[str, str]) -> Iterator[Crew]:
        self.room = Room([lambda: kind(Home({}, str(Path.cwd())), *start)] * self.count, self.is_lost)
        yield Crew(self.room, expected, say=self.said.append)
