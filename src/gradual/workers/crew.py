"""Tasks shared out to workers that may be lost and come back at any moment.

Owns who does what, what is done again, and what is refused. Knows no Ray: `Pool` is all that it wants of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from gradual.errors import LaunchError, ModelError, ProbeError
from gradual.workers.task import About, Failure, Task, TaskResult

MOST_TRIES = 3
"""Workers that a task may take with it while nothing more of it is kept, and times in a row that a worker may be lost
while it loads the model."""
SECONDS_BEFORE_TOLD = 60.0
"""So long nothing may be heard of any worker before a user is told that none is up."""


class WorkerLostError(Exception):
    """The worker that was to answer, or its machine, is gone, or its answer is."""


class Pool(Protocol):
    """Workers, and questions that are on their way to them."""

    def workers(self) -> Sequence[Any]:
        """The workers, whether up or not; one that is lost comes back under the same name where there is room."""
        ...

    def ask_about(self, worker: Any) -> Any:
        """A question for `Worker.about`; it waits until the worker is up."""
        ...

    def send(self, worker: Any, task: Task) -> Any:
        """A question for `Worker.run`."""
        ...

    def wait(self, questions: Sequence[Any], seconds: float) -> Any | None:
        """A question that is settled; None where there is none after so many seconds."""
        ...

    def answer(self, question: Any) -> About | TaskResult | Failure:
        """The answer to a settled question.

        Raises:
            WorkerLostError: there will be none.
        """
        ...

    def dismiss(self, worker: Any) -> None:
        """Ends a worker; it does not come back."""
        ...


class _Sent(NamedTuple):
    """What a worker is busy with."""

    worker: Any
    task: Task | None
    """None: it was asked what it is."""
    tries: int = 1
    """Of asking what it is, with this one."""


class _Losses(NamedTuple):
    """Of workers over a task, in a row."""

    number: int
    kept: str
    """What was kept of the task at the last one."""


class Crew:
    """The workers of one model, and what they have to do."""

    def __init__(self, pool: Pool, expected: Mapping[str, str], *, say: Callable[[str], None]) -> None:
        """Asks all workers what they are.

        Args:
            pool: the workers.
            expected: of their fingerprint, what this process knows: all of it has to be the same.
            say: told of losses, a line each.
        """
        self._pool, self._expected, self._say = pool, dict(expected), say
        self._waiting: deque[Task] = deque()
        self._losses: dict[str, _Losses] = {}
        self._sent: dict[Any, _Sent] = {}
        self._idle: list[Any] = []
        self.about: About | None = None
        """What the first worker is that was up; all others are held against it."""
        workers = pool.workers()
        self.size = len(workers)
        """How many workers there are; fewer where some were given up."""
        for worker in workers:
            self._ask_about(worker, tries=1)

    def wait_for_one(self) -> About:
        """What the workers are, as soon as one is up.

        Raises:
            ModelError: it cannot load the model, or has another one or other libraries than this process.
            LaunchError: none comes up.
        """
        while self.about is None:
            self._settle_next()
        return self.about

    def add(self, tasks: Iterable[Task]) -> None:
        """Takes on tasks, to be begun in this order; `results` sends them."""
        self._waiting.extend(tasks)

    def results(self) -> Iterator[TaskResult]:
        """The tasks as they are finished, each once; those of a worker that is lost are done again elsewhere.

        More may be added meanwhile; it ends where nothing is left to do.

        Raises:
            ModelError: a worker has another model or other libraries than the first one.
            ProbeError: a task has failed, or taken `MOST_TRIES` workers with it.
            LaunchError: no worker is left.
        """
        while self._waiting or any(sent.task is not None for sent in self._sent.values()):
            while self._waiting and self._idle:
                task, worker = self._waiting.popleft(), self._idle.pop()
                self._sent[self._pool.send(worker, task)] = _Sent(worker, task)
            done = self._settle_next()
            if done is not None:
                yield done

    def _settle_next(self) -> TaskResult | None:
        """Waits for any worker; a task that is finished. One that is lost goes back to the front of those waiting."""
        question = self._wait()
        sent = self._sent.pop(question)
        try:
            found = self._pool.answer(question)
        except WorkerLostError as error:
            self._lose(sent, str(error))
            return None
        if isinstance(found, Failure):
            if sent.task is None:
                raise ModelError(f"worker on {found.place}: {found.text}")
            raise ProbeError(f"{found.text} (on {found.place})")
        self._idle.append(sent.worker)
        if isinstance(found, About):
            self._admit(found)
            return None
        self._losses.pop(found.key, None)
        return found

    def _wait(self) -> Any:
        if not self._sent:
            raise LaunchError(
                f"no worker is left: each was lost {MOST_TRIES} times in a row while it loaded the model, which may be "
                "too large for its machine - see Ray's logs there; the same command goes on"
            )
        is_told = False
        while (question := self._pool.wait(list(self._sent), SECONDS_BEFORE_TOLD)) is None:
            if not is_told and all(sent.task is None for sent in self._sent.values()) and not self._idle:
                self._say("no worker is up yet; waiting for one to start and load the model")
                is_told = True
        return question

    def _lose(self, sent: _Sent, why: str) -> None:
        if sent.task is None:
            if sent.tries < MOST_TRIES:
                self._ask_about(sent.worker, tries=sent.tries + 1)
            else:
                self._say(
                    f"warning: a worker was lost {MOST_TRIES} times while it loaded the model ({why}); going on without"
                )
                self._pool.dismiss(sent.worker)
            return
        task = sent.task
        before, kept = self._losses.get(task.key), task.kept()
        losses = _Losses(before.number + 1 if before is not None and before.kept == kept else 1, kept)
        if losses.number == MOST_TRIES:
            raise ProbeError(
                f"{task.name}: {MOST_TRIES} workers were lost over this, one after the other ({why}) - {task.remedy}"
            )
        self._losses[task.key] = losses
        self._say(f"a worker was lost; {task.name}: done again elsewhere")
        self._waiting.appendleft(task)
        self._ask_about(sent.worker, tries=1)

    def _ask_about(self, worker: Any, *, tries: int) -> None:
        self._sent[self._pool.ask_about(worker)] = _Sent(worker, None, tries)

    def _admit(self, found: About) -> None:
        """Refuses a worker that differs from this process or from the first worker."""
        first = self.about
        wanted = self._expected if first is None else dict(first.fingerprint)
        names = wanted if first is None else wanted.keys() | found.fingerprint.keys()
        differing = sorted(name for name in names if wanted.get(name) != found.fingerprint.get(name))
        if differing:
            other = "this process" if first is None else f"the worker on {first.place}"
            told = [
                f"{name} is {found.fingerprint.get(name)!r} and {wanted.get(name)!r} in {other}" for name in differing
            ]
            raise ModelError(
                f"worker on {found.place} would compute otherwise: {'; '.join(told[:4])} - give all machines the same "
                "model files, library versions and kind of device"
            )
        if first is None:
            self.about = found
