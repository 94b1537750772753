"""A process of its own that renders one chat template: a stranger's template may loop and grow, but only here.

Started by `chat_templates` as a script; imports nothing of gradual. Reads JSON lines (first the template, then
conversations) and answers each with a JSON line. The sandbox is that of transformers, and so is what a template sees,
but for the date, which is always the same: a prompt must be tomorrow what it is today.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from contextlib import suppress
from datetime import date
from typing import Any, NoReturn

import jinja2
import jinja2.ext
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

SECONDS = 2.0
"""Processor time for one rendering."""
MOST_MEMORY = 1 << 30
MOST_CHARACTERS = 1_000_000
TODAY = date(2024, 7, 26)


class _Generation(jinja2.ext.Extension):
    """The tag `generation`, which only marks its content."""

    tags = {"generation"}  # noqa: RUF012 - so does jinja2

    def parse(self, parser: jinja2.parser.Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Dict:
    """Makes dictionaries; nothing of the class `dict` itself can be reached."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


class _Namespace(jinja2.utils.Namespace):
    """A namespace without names that reach into Python."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        self, *rest = args
        values = dict(*rest, **kwargs)
        for name in values:
            _refuse_inner_name(name)
        jinja2.utils.Namespace.__init__(self, values)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_inner_name(name)
        super().__setitem__(name, value)


def _refuse_inner_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"{name!r} on a namespace")


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.exceptions.TemplateError(message)


def _to_json(
    value: object, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment() -> jinja2.Environment:
    """What a chat template is rendered in."""
    sandbox = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )
    sandbox.filters["tojson"] = _to_json
    sandbox.globals |= {
        "raise_exception": _raise_exception,
        "strftime_now": TODAY.strftime,
        "dict": _Dict(),
        "namespace": _Namespace,
    }
    return sandbox


def _answer(template: jinja2.Template | None, request: dict[str, Any]) -> tuple[jinja2.Template, dict[str, str]]:
    """The template, compiled at the first request, and the text that it makes of a later one."""
    if template is None:
        return environment().from_string(request["template"]), {"text": ""}
    text = template.render(**request)
    if len(text) > MOST_CHARACTERS:
        raise MemoryError(f"more than {MOST_CHARACTERS:,} characters")
    return template, {"text": text}


def main() -> None:
    """Answers until there are no more requests; a request that takes too long ends the process (SIGPROF)."""
    with suppress(OSError, ValueError):  # some systems have no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    template: jinja2.Template | None = None
    for line in sys.stdin:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            template, answer = _answer(template, request)
        except Exception as error:  # noqa: BLE001 - whatever a template does is the template's fault
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
