"""Renders the chat templates that come with models, in a process of their own with limits on time, memory and output.

Knows texts and messages; neither models nor what is asked. What the process does is in `chat_worker`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from gradual.errors import ModelError

_WORKER = Path(__file__).with_name("chat_worker.py")
_KEPT_VARIABLES = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "PYTHONHOME")


class SandboxedTemplate:
    """A chat template, ready to render conversations."""

    def __init__(self, template: str, tokens: Mapping[str, Any], *, source: str) -> None:
        """Compile the template.

        Args:
            template: Jinja2 text.
            tokens: special tokens by the names that templates know (`bos_token` ...).
            source: what errors call the template's origin.

        Raises:
            ModelError: it is no Jinja2, or passes a limit.
        """
        self._source, self._tokens = source, dict(tokens)
        self._worker = _start()
        self._close = weakref.finalize(self, _stop, self._worker)
        self._ask({"template": template})

    def __call__(self, messages: list[dict[str, str]], opens_answer: bool) -> str:
        """The text of a conversation; `opens_answer` opens the assistant's turn at its end.

        Raises:
            ModelError: the template fails, reaches for what a template may not have, or passes a limit.
        """
        request: dict[str, Any] = {
            "messages": messages,
            "tools": None,
            "documents": None,
            "add_generation_prompt": opens_answer,
        }
        return self._ask({**self._tokens, **request})

    def _ask(self, request: Mapping[str, Any]) -> str:
        try:
            _pipe(self._worker.stdin).write(json.dumps(request, default=str) + "\n")
            _pipe(self._worker.stdin).flush()
            line = _pipe(self._worker.stdout).readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self._worker.wait()
            raise self._error("no end in 2 seconds" if code == -signal.SIGPROF else f"the end of its process ({code})")
        answer = json.loads(line)
        if "error" in answer:
            raise self._error(" ".join(answer["error"].split()))
        return str(answer["text"])

    def _error(self, found: str) -> ModelError:
        return ModelError(
            f'chat template of "{self._source}": expected the text of a conversation, found {found} - '
            'use prompt_style "plain", or a model with another template'
        )


@lru_cache(maxsize=4)
def open_template(template: str, tokens: str, source: str) -> SandboxedTemplate:
    """The template of that text, with its process if it has one already; `tokens` is the JSON of a mapping."""
    return SandboxedTemplate(template, json.loads(tokens), source=source)


def _start() -> subprocess.Popen[str]:
    # Without the folder of the script on its path, where module names would hide Python's own; without secrets.
    environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        [sys.executable, "-P", str(_WORKER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        env=environment,
    )


def _stop(worker: subprocess.Popen[str]) -> None:
    worker.kill()
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        with suppress(OSError):  # what was not sent any more
            _pipe(pipe).close()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe
