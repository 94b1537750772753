"""Workers on a Ray cluster: finds it, sees that it has room, and starts them.

The only module that knows Ray. Actors, and no tasks: Ray's tasks would load the model each time.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from gradual.config.cluster import RayConfig
from gradual.config.model import ModelConfig
from gradual.errors import ConfigError, LaunchError, ProbeError
from gradual.workers.crew import Crew, WorkerLostError
from gradual.workers.task import About, Failure, Home, Task, TaskResult, Worker

_SECONDS_TO_CONNECT = 5.0
_HTTP2_HEADER = 9
"""Bytes before what a frame holds; the fourth is its kind (RFC 9113, sections 3.4 and 4.1)."""
_HTTP2_SETTINGS = b"\x04"
_HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + _HTTP2_SETTINGS + bytes(5)
"""A client's first words and its empty settings, to which a server answers with its own."""


class RayPool:
    """A `Pool` of Ray actors."""

    def __init__(self, kind: type[Worker[Any]], start: Sequence[Any], count: int, num_gpus: float) -> None:
        """Starts so many workers; Ray starts each again whenever it is lost and there is room."""
        import ray

        self._ray = ray
        remote = ray.remote(num_cpus=1, num_gpus=num_gpus, max_restarts=-1, max_task_retries=0)(kind)
        self._actors = [remote.remote(*start) for _ in range(count)]

    def workers(self) -> Sequence[Any]:
        """See `Pool`."""
        return list(self._actors)

    def ask_about(self, worker: Any) -> Any:
        """See `Pool`."""
        # Questions to an actor that is about to start again fail at once, unless they may be tried again.
        return worker.about.options(max_task_retries=1).remote()

    def send(self, worker: Any, task: Task) -> Any:
        """See `Pool`."""
        return worker.run.remote(task)

    def wait(self, questions: Sequence[Any], seconds: float) -> Any | None:
        """See `Pool`."""
        done, _ = self._ray.wait(list(questions), num_returns=1, timeout=seconds)
        return done[0] if done else None

    def answer(self, question: Any) -> About | TaskResult | Failure:
        """See `Pool`.

        Raises:
            ProbeError: the worker's Python cannot run it, which no other worker's will.
        """
        from ray import exceptions

        try:
            found: About | TaskResult | Failure = self._ray.get(question)
        except exceptions.RayTaskError as error:
            told = _last_line(error)
            raise ProbeError(f"a worker failed: {told} - is the same gradual-learning installed there?") from error
        except exceptions.RayError as error:  # the actor, its machine, or an answer that lay there
            raise WorkerLostError(f"{type(error).__name__}: {_last_line(error)}") from error
        return found

    def dismiss(self, worker: Any) -> None:
        """See `Pool`."""
        self._actors.remove(worker)
        self._ray.kill(worker)


class Cluster(NamedTuple):
    """A Ray cluster on which workers for a model are wanted."""

    config: RayConfig
    model: ModelConfig
    home: Home
    say: Callable[[str], None]
    """Told in a line what happens to workers."""

    @contextmanager
    def start(self, kind: type[Worker[Any]], start: Sequence[Any], expected: Mapping[str, str]) -> Iterator[Crew]:
        """Workers, one of them up; they end with the context.

        Args:
            kind: what they are, and
            start: what each is made with, after `home`.
            expected: see `Crew`.

        Raises:
            ConfigError, LaunchError: nothing answers at the address, or the cluster has less room.
            ModelError: the model cannot be loaded there, or differs.
        """
        refuse_device(self.model, self.config)
        with _connection(self.config.address) as nodes:
            count, num_gpus = choose_workers(self.config, self.model, nodes)
            with start_crew(kind, (self.home, *start), count, num_gpus, expected, say=self.say) as crew:
                crew.wait_for_one()
                yield crew


@contextmanager
def start_crew(
    kind: type[Worker[Any]],
    start: Sequence[Any],
    count: int,
    num_gpus: float,
    expected: Mapping[str, str],
    *,
    say: Callable[[str], None],
) -> Iterator[Crew]:
    """So many workers on the cluster that this process is connected to; they end with the context."""
    pool = RayPool(kind, start, count, num_gpus)
    try:
        yield Crew(pool, expected, say=say)
    finally:
        for worker in pool.workers():
            pool.dismiss(worker)


def refuse_device(model: ModelConfig, config: RayConfig) -> None:
    """Refuses what no worker could do.

    Raises:
        ConfigError: the settings name one GPU for all workers, or a GPU for workers that get none.
    """
    if ":" in model.device:
        raise ConfigError(f"model.device: {model.device} is one GPU; Ray gives each worker its own - use cuda or auto")
    if model.device == "cuda" and config.gpus_per_worker == 0:
        raise ConfigError("model.device: cuda needs a GPU for each worker, found --gpus-per-worker 0 - give 1")


def choose_workers(config: RayConfig, model: ModelConfig, nodes: Sequence[Mapping[str, Any]]) -> tuple[int, float]:
    """How many workers, and how many GPUs each gets.

    Args:
        config: what is wanted.
        model: says whether it is to lie on a GPU.
        nodes: as `ray.nodes` tells them.

    Raises:
        LaunchError: there is less room.
    """
    rooms = [node["Resources"] for node in nodes if node["Alive"]]
    has_gpus = any(room.get("GPU", 0) for room in rooms)
    share = config.gpus_per_worker
    num_gpus = (1.0 if has_gpus and model.device != "cpu" else 0.0) if share is None else share
    places = [_num_places(room, num_gpus) for room in rooms]
    total = sum(places)
    count = config.workers or (total if num_gpus else sum(place > 0 for place in places))
    if count > total or not total:
        wanted = f"{num_gpus:g} GPUs and a CPU" if num_gpus else "a CPU"
        raise LaunchError(
            f"expected room for {max(count, 1)} workers of {wanted} each on the Ray cluster, found room for {total} on "
            f"{len(rooms)} machines - use fewer (--workers, --gpus-per-worker), or add machines first"
        )
    return count, num_gpus


def _num_places(room: Mapping[str, float], num_gpus: float) -> int:
    """Workers that a machine has room for; a worker's GPUs lie on one machine, and a share of one on one GPU."""
    cpus = int(room.get("CPU", 0))
    if not num_gpus:
        return cpus
    gpus = int(room.get("GPU", 0))
    return min(cpus, gpus * int(1 / num_gpus) if num_gpus < 1 else gpus // int(num_gpus))


@contextmanager
def _connection(address: str) -> Iterator[Sequence[Mapping[str, Any]]]:
    """The machines of a cluster, to which this process is connected meanwhile; one that it has joined is used."""
    import ray

    if ray.is_initialized():
        yield ray.nodes()
        return
    if address != "auto":
        _refuse_silence(address)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", namespace="gradual")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise LaunchError(
            f"--ray {address}: expected a Ray cluster that is up, found none: {' '.join(str(error).split())[:200]} - "
            "start one (ray start --head), or give the address of its head (host:6379)"
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler or signal.SIG_DFL)  # Ray puts its own in its place
    try:
        yield ray.nodes()
    finally:
        ray.shutdown()


def _refuse_silence(address: str) -> None:
    """Refuses an address where nothing answers as a head does, in gRPC: Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_CONNECT) as connection:
            if os.environ.get("RAY_USE_TLS", "0") in ("0", ""):
                connection.sendall(_HTTP2_GREETING)
                answer = connection.recv(_HTTP2_HEADER)
                if answer[3:4] != _HTTP2_SETTINGS:
                    raise OSError("no cluster: something else answers there")
    except (OSError, OverflowError) as error:
        raise LaunchError(
            f"--ray {address}: expected a Ray cluster there, found none ({error}) - start one "
            "(ray start --head), or give the address of its head (host:6379)"
        ) from error


def _last_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
