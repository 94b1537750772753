"""Requests to a server: one pool of connections, repeated with back-off while the server cannot answer for now.

Knows HTTP and JSON; not what is asked.
"""

from __future__ import annotations

import json
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import httpx
import tenacity

from gradual.config.model import ServerConfig
from gradual.errors import ModelError, ProbeError

KEY_VARIABLES = ("GRADUAL_API_KEY", "OPENAI_API_KEY")
"""Environment variables with the key; the first that is set counts."""

_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses of a server that may answer later."""
_CONNECT_SECONDS = 10.0
_LONGEST_WAIT = 30.0
_MOST_SHOWN = 300

_Part = TypeVar("_Part")
_Result = TypeVar("_Result")


class RefusedError(ProbeError):
    """A server will not answer a request, however often it is repeated."""

    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text
        super().__init__(f"status {status}: {text}")


class _BusyError(Exception):
    """A server cannot answer for now; `wait` are the seconds that it asks for."""

    def __init__(self, text: str, wait: float = 0.0) -> None:
        self.wait = wait
        super().__init__(text)


class Client:
    """A server at an address. Its methods may be called from several threads."""

    def __init__(self, settings: ServerConfig) -> None:
        self.url = settings.url.rstrip("/").removesuffix("/v1").rstrip("/")
        self.num_drops = 0
        """Times that a connection could not be made or broke: the server may have been started anew meanwhile."""
        self._connections = settings.connections
        self._stop = threading.Event()
        key = next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), None)
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(settings.timeout, connect=_CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=settings.connections),
        )
        weakref.finalize(self, self._http.close)
        self._seconds = settings.retry_seconds
        self._has_answered = False
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_BusyError),
            wait=_seconds_to_wait,
            stop=tenacity.stop_any(
                tenacity.stop_after_delay(settings.retry_seconds), tenacity.stop_when_event_set(self._stop)
            ),
            sleep=tenacity.sleep_using_event(self._stop),
            reraise=True,
        )

    def find(self, path: str) -> Any:
        """The JSON that a server has at a path; None where it has none there.

        Raises:
            ModelError: nothing answers, it cannot answer for `retry_seconds`, or it wants another key.
        """
        try:
            reply = self._retrying(self._get, path)
        except _BusyError as error:
            raise ModelError(
                f'model.server.url: "{self.url}" could not answer for {self._seconds:g} seconds ({error}) - see to it'
            ) from None
        if reply.status_code in (401, 403):
            raise ModelError(
                f'model.server.url: "{self.url}" refuses the key (status {reply.status_code}) - set {KEY_VARIABLES[0]}'
            )
        if reply.status_code != httpx.codes.OK:
            return None
        try:
            return reply.json()
        except ValueError:
            return None

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON that comes back, however often the request has to be repeated.

        Raises:
            RefusedError: the server will not answer this.
            ProbeError: it could not answer for `retry_seconds`.
        """
        try:
            return self._retrying(self._send, path, body)
        except _BusyError as error:
            raise ProbeError(
                f'"{self.url}" could not answer for {self._seconds:g} seconds ({error}) - see to the server and give '
                "the same command again, which goes on; model.server.retry_seconds waits for longer"
            ) from None

    def each(self, work: Callable[[_Part], _Result], parts: Sequence[_Part]) -> list[_Result]:
        """`work` of each part in their order, several at once; the first error ends all.

        Threads that end with the process: an interruption need not wait for requests that are under way.
        """
        results: dict[int, _Result] = {}
        errors: list[BaseException] = []
        waiting = _Shared(enumerate(parts))

        def run() -> None:
            for place, part in waiting:
                if errors or self._stop.is_set():
                    return
                try:
                    results[place] = work(part)
                except BaseException as error:  # noqa: BLE001 - raised below, in the thread that waits
                    errors.append(error)

        threads = [threading.Thread(target=run, daemon=True) for _ in range(min(self._connections, len(parts)))]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException:
            self._stop.set()
            raise
        if errors:
            raise errors[0]
        return [results[place] for place in range(len(parts))]

    def _get(self, path: str) -> httpx.Response:
        """What comes back; where nothing has ever answered, there is nothing to wait for."""
        try:
            reply = self._http.get(self.url + path)
        except httpx.TransportError as error:
            if self._has_answered:  # it may be starting anew
                raise _BusyError(_reason(error)) from None
            raise ModelError(
                f'model.server.url: expected an inference server at "{self.url}", found nothing that answers '
                f"({_reason(error)}) - start it, or correct the address"
            ) from None
        self._has_answered = True
        if reply.status_code in _BUSY:
            raise _BusyError(f"status {reply.status_code}: {_message(reply)}", _wait_of_reply(reply))
        return reply

    def _send(self, path: str, body: Mapping[str, Any]) -> Any:
        try:
            reply = self._http.post(self.url + path, json=body)
        except httpx.TransportError as error:
            if not isinstance(error, httpx.TimeoutException):
                self.num_drops += 1
            raise _BusyError(_reason(error)) from None
        if reply.status_code in _BUSY:
            raise _BusyError(f"status {reply.status_code}: {_message(reply)}", _wait_of_reply(reply))
        if reply.status_code != httpx.codes.OK:
            raise RefusedError(reply.status_code, _message(reply))
        try:
            return reply.json()
        except ValueError:
            return reply.text


class _Shared(Iterator[_Part]):
    """An iterator that several threads may draw from."""

    def __init__(self, parts: Iterable[_Part]) -> None:
        self._parts, self._lock = iter(parts), threading.Lock()

    def __next__(self) -> _Part:
        with self._lock:
            return next(self._parts)


def _seconds_to_wait(state: tenacity.RetryCallState) -> float:
    """Twice as long each time, with some chance in it, and at least what the server asks for."""
    error = state.outcome.exception() if state.outcome else None
    delay = error.wait if isinstance(error, _BusyError) else 0.0
    return max(
        delay, (tenacity.wait_exponential(multiplier=0.2, max=_LONGEST_WAIT) + tenacity.wait_random(0, 0.2))(state)
    )


def _wait_of_reply(reply: httpx.Response) -> float:
    try:
        return min(float(reply.headers.get("Retry-After", 0.0)), 10 * _LONGEST_WAIT)
    except ValueError:  # a date
        return 0.0


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _message(reply: httpx.Response) -> str:
    """What a server says of a failure: the message inside its JSON, else its text."""
    try:
        value = reply.json()
    except ValueError:
        value = reply.text
    if isinstance(value, dict) and isinstance(value.get("error"), dict):
        value = value["error"]
    if isinstance(value, dict):
        value = value.get("message") or value.get("detail") or json.dumps(value)
    return " ".join(str(value).split())[:_MOST_SHOWN] or "no reason"
