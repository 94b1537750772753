"""An inference server without a model: OpenAI's completions over a fake engine, on a real socket, with faults to order.

`StubServer` listens; `reply` is what it says, for tests that need no socket.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from gradual.testing import FakeEngine


class StubServer:
    """A server on a port of this machine. What it has and how it fails may be changed while it listens."""

    def __init__(self, engine: FakeEngine, *, name: str = "fake") -> None:
        self.engines = {name: engine}
        """By the name under which each is served."""
        self.adapters: dict[str, FakeEngine] = {}
        """What may be loaded, by path."""
        self.version: str | None = "1.0"
        self.most_logprobs = 64
        self.gives = 1_000_000
        """Log-probabilities that are given at most, whatever was asked for."""
        self.noise = 0.0
        """Nats that the answers to a prompt alone differ by."""
        self.key: str | None = None
        self.faults: deque[str] = deque()
        """One for each of the next completions: 503, 429, drop, slow, missing, reordered, twice, text, or empty."""
        self.requests: list[Mapping[str, Any]] = []
        self.port = 0
        self._http: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def listening(self) -> Iterator[StubServer]:
        """The server while it listens."""
        self.start()
        try:
            yield self
        finally:
            self.stop()

    def start(self) -> None:
        """Listens, on the port that it had before."""
        stub = self

        class Handler(_Handler):
            server_of_test = stub

        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        """Nothing answers any more; adapters that were loaded are forgotten."""
        assert self._http is not None
        self._http.shutdown()
        self._http.server_close()
        self.engines = dict(list(self.engines.items())[:1])

    def reply(self, path: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        """Status and JSON for a request."""
        if path == "/v1/load_lora_adapter":
            if body["lora_path"] not in self.adapters:
                return 404, {"detail": "Not Found"} if not self.adapters else _error("No adapter found")
            self.engines[body["lora_name"]] = self.adapters[body["lora_path"]]
            return 200, "Success"
        if body["model"] not in self.engines:
            return 404, _error(f"The model `{body['model']}` does not exist.")
        self.requests.append(body)
        if body["logprobs"] > self.most_logprobs:
            asked, most = body["logprobs"], self.most_logprobs
            return 400, _error(f"Requested sample logprobs of {asked}, which is greater than max allowed: {most}")
        engine, prompts = self.engines[body["model"]], body["prompt"]
        ids = [engine.encode([each], add_special_tokens=True)[0] if isinstance(each, str) else each for each in prompts]
        noise = self.noise if len(prompts) == 1 else 0.0
        number = min(body["logprobs"], self.gives)
        choices = [
            {"index": index, "logprobs": {"top_logprobs": [_top(engine.logits(path), number, noise)]}}
            for index, path in enumerate(ids)
        ]
        return 200, {"choices": choices, "usage": {"prompt_tokens": sum(map(len, ids))}}


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message}}


def _top(logits: np.ndarray, number: int, noise: float) -> dict[str, float]:
    """The likeliest tokens with their log-probabilities in float32, as a server writes them; `noise` for odd tokens."""
    values = logits.astype(np.float64) - logits.max()
    values[1::2] += noise
    logprobs = (values - np.log(np.exp(values).sum())).astype(np.float32)
    order = np.lexsort((np.arange(len(logprobs)), -logprobs))[:number]
    return {f"token_id:{token}": float(max(logprobs[token], -9999.0)) for token in order}


def spoil(fault: str, reply: dict[str, Any]) -> dict[str, Any]:
    """A reply with a fault in its choices."""
    choices: Sequence[Any] = reply["choices"]
    if fault == "missing":
        return reply | {"choices": choices[:-1]}
    if fault == "reordered":
        return reply | {"choices": choices[::-1]}
    if fault == "twice":
        return reply | {"choices": [choices[0], *choices]}
    return reply


class _Handler(BaseHTTPRequestHandler):
    """Speaks HTTP for a `StubServer`."""

    protocol_version = "HTTP/1.1"
    server_of_test: StubServer

    def do_GET(self) -> None:
        stub = self.server_of_test
        if stub.key is not None and self.headers.get("Authorization") != f"Bearer {stub.key}":
            self._send(401, _error("no key"))
        elif self.path == "/v1/models":
            self._send(200, {"data": [{"id": name} for name in stub.engines]})
        elif self.path == "/version" and stub.version:
            self._send(200, {"version": stub.version})
        else:
            self._send(404, _error("no such path"))

    def do_POST(self) -> None:
        stub = self.server_of_test
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fault = stub.faults.popleft() if self.path == "/v1/completions" and stub.faults else ""
        if fault in ("503", "429"):
            self._send(int(fault), _error("busy"), {"Retry-After": "0"})
            return
        if fault == "drop":
            self.close_connection = True
            self.connection.close()
            return
        if fault == "slow":
            time.sleep(0.6)
        if fault == "text":
            self._send(200, "<html>")
            return
        status, reply = stub.reply(self.path, body)
        self._send(status, spoil(fault, reply) if fault else reply)

    def _send(self, status: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
        content = json.dumps(value).encode()
        try:
            self.send_response(status)
            for name, text in (headers or {}).items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            pass  # who asked has given up

    def log_message(self, *_: object) -> None:
        """Nothing."""
