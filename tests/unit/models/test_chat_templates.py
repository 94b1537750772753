"""Chat templates of strangers render as transformers renders them, and can neither run code, loop nor flood."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from gradual.errors import ModelError
from gradual.models.chat_templates import SandboxedTemplate
from gradual.models.chat_worker import environment

MESSAGES = [
    {"role": "user", "content": "Who <wrote> it?"},
    {"role": "assistant", "content": "Émile Zola 東京"},
]


def rendered(template: str) -> str:
    return SandboxedTemplate(template, {"bos_token": "<s>", "eos_token": "</s>"}, source="m")(MESSAGES, True)


def refused(template: str) -> str:
    with pytest.raises(ModelError) as caught:
        rendered(template)
    said = str(caught.value)
    assert said.startswith('chat template of "m": expected the text of a conversation, found ')
    assert said.endswith(' - use prompt_style "plain", or a model with another template')
    assert "\n" not in said
    return said


def test_conversation_is_rendered_with_the_tokens_of_the_tokenizer() -> None:
    template = (
        "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m['content'] | trim }}{{ eos_token }}\n{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}{% if tools %}tools{% endif %}"
    )
    assert rendered(template) == "<s>[user] Who <wrote> it?</s>\n[assistant] Émile Zola 東京</s>\n[assistant]"


def test_what_templates_in_the_wild_use_is_there() -> None:
    assert rendered("{% generation %}a{% endgeneration %}") == "a"
    assert rendered("{% for m in messages %}{% if loop.index > 1 %}{% break %}{% endif %}x{% endfor %}") == "x"
    assert rendered("{% set ns = namespace(n=1) %}{% set ns.n = ns.n + 1 %}{{ ns.n }}") == "2"
    assert rendered("{{ messages[0] | tojson }}") == '{"role": "user", "content": "Who <wrote> it?"}'
    assert rendered("{{ dict(a=1).a }}") == "1"


def test_date_is_the_same_every_day() -> None:
    assert rendered("{{ strftime_now('%d %b %Y') }}") == "26 Jul 2024"


def test_one_process_renders_many_conversations() -> None:
    template = SandboxedTemplate("{{ messages[0]['content'] }}", {}, source="m")
    assert [template([{"role": "user", "content": str(n)}], False) for n in range(200)] == [str(n) for n in range(200)]


DOUBLING = "{% set n = namespace(s='x') %}{% for a in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}"
ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ messages.append.__self__ }}",
    "{{ messages.append({}) }}",
    "{{ cycler.__init__.__globals__.os.system('touch CANARY') }}",
    "{{ lipsum.__globals__['os'].system('touch CANARY') }}",
    "{{ joiner.__init__.__globals__.os.system('touch CANARY') }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ self.__init__.__globals__.__builtins__ }}",
    "{{ self._TemplateReference__context.environment }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(cycler) }}",
    "{{ ('{0.__class__.__mro__}'|attr('format'))(1) }}",
    "{{ ['{0.__class__.__mro__}'.format][0](1) }}",
    "{{ '{0.__class__.__mro__}'.format_map({'0': 1}) }}",
    "{{ dict.__call__.__globals__ }}",
    "{{ namespace(__class__=1) }}",
    "{% set ns = namespace() %}{% set ns['__class__'] = 1 %}",
    "{{ range(10**9) | list }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}{{ os.system('touch CANARY') }}",
    "{{ raise_exception('no system role') }}",
]


@pytest.mark.parametrize("template", ESCAPES)
def test_template_cannot_reach_python(template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused(template.replace("CANARY", str(tmp_path / "fired")))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("of", ["messages", "''", "raise_exception", "strftime_now", "namespace"])
@pytest.mark.parametrize("name", ["__class__", "__globals__", "__self__", "__init__", "__dict__"])
def test_inner_names_of_python_are_empty(of: str, name: str) -> None:
    assert rendered(f"{{{{ {of}.{name} }}}}{{{{ {of}['{name}'] }}}}{{{{ {of} | attr('{name}') }}}}") == ""


@pytest.mark.parametrize(
    ("template", "found"),
    [
        (ENDLESS, "no end in 2 seconds"),
        ("{{ 'x' * 10**10 }}", "MemoryError"),
        ("{{ messages[0]['role'] * 10**10 }}", "MemoryError"),
        ("{{ 'x' * 2000000 }}", "MemoryError: more than 1,000,000 characters"),
        ("{{ '%1500000d' % 1 }}", "MemoryError: more than 1,000,000 characters"),
        ("{{ 'x' | center(1500000) }}", "MemoryError: more than 1,000,000 characters"),
        (DOUBLING, "(MemoryError|no end in 2 seconds)"),  # whichever limit a machine comes to first
        ("{{ 9 ** (9 ** 9) }}", "no end in 2 seconds"),
        ("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "RecursionError"),
        ("{% if %}", "TemplateSyntaxError: Expected an expression, got 'end of statement block'"),
        ("{{ nobody.knows }}", "UndefinedError: 'nobody' is undefined"),
    ],
)  # fmt: skip
def test_template_without_end_is_one_line_within_seconds(template: str, found: str) -> None:
    started = time.monotonic()
    assert re.search(f"found {found}", refused(template))
    assert time.monotonic() - started < 60  # of which 2 are its own; the rest is for a busy machine


def test_template_that_ended_its_process_stays_refused() -> None:
    template = SandboxedTemplate(ENDLESS, {}, source="m")
    for _ in range(2):
        with pytest.raises(ModelError, match="no end in 2 seconds"):
            template(MESSAGES, True)


def test_process_of_a_template_has_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    template = SandboxedTemplate("{{ 1 }}", {}, source="m")
    assert b"hf_secret" not in Path(f"/proc/{template._worker.pid}/environ").read_bytes()


def test_process_ends_with_its_template() -> None:
    template = SandboxedTemplate("{{ 1 }}", {}, source="m")
    worker = template._worker
    del template
    assert worker.poll() is not None


def test_sandbox_is_immutable() -> None:
    assert environment().from_string("{{ m }}").render(m=1) == "1"
    with pytest.raises(Exception, match=r"unsafe|not safely"):
        environment().from_string("{{ m.append(1) }}").render(m=[])
