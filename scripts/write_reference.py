"""Writes docs/settings.md and docs/commands.md from the settings and commands in the code.

    python scripts/write_reference.py

What a setting is for is said once, in the docstring below its field; what a command does, in its own. The same code
gives the same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import typer

from gradual.cli.app import app
from gradual.config.base import Settings
from gradual.config.run import RunConfig
from gradual.selection.strategies import STRATEGIES

DOCS = Path(__file__).resolve().parents[1] / "docs"

SETTINGS_HEAD = """\
# Settings

Every setting of a config, from the code (`python scripts/write_reference.py` writes this page). A file may leave out
all but `model` and `facts`; a name in the place of either section is its first setting (`model: smollm2`).
`--set stages.0.learning_rate=1e-4` changes one setting by its dotted name, counting stages from 0. Nothing is taken for
what it is not: an unknown name, a text for a number or a value out of range stops a run before a model is loaded.
"""
COMMANDS_HEAD = """\
# Commands

Every command, from the code (`python scripts/write_reference.py` writes this page). `gradual COMMAND --help` shows the
same. Exit codes: 0 done, 1 a bug (with its traceback) or a check that failed, 2 something to correct (one line says
what, where and how), 130 interrupted, 143 terminated. The network is used with `--online` alone.
"""


def settings_page() -> str:
    """The page of all settings, a table for each section."""
    schema = RunConfig.model_json_schema()
    parts = [SETTINGS_HEAD]
    for path, section in sections(RunConfig, ""):
        own = schema if section is RunConfig else schema["$defs"][section.__name__]
        parts.append(
            f"## {path or 'A run'}\n\n{one_line(section.__doc__ or '')}\n\n{settings_table(path, own, schema)}"
        )
    named = [f"| `{name}` | `{each.select}` | {cell(each.doc)} |" for name, each in STRATEGIES.items()]
    rows = "\n".join(["| strategy | selects | |", "|---|---|---|", *named])
    marks = "[C] is stated by the paper (arXiv 2410.05802), [I] our reading of it, [O] our own."
    parts.append(f"## Named strategies\n\n`gradual plan --strategies` prints them. {marks}\n\n{rows}\n")
    return "\n".join(parts)


def sections(settings: type[Settings], path: str) -> Iterator[tuple[str, type[Settings]]]:
    """Each section with its dotted path, outer ones first; a list of sections has `N` in the place of the position."""
    yield path, settings
    for name, field in settings.model_fields.items():
        for kind in settings_types(field.annotation):
            is_list = kind is not field.annotation and "list" in str(field.annotation)
            below = f"{path}.{name}".strip(".") + (".N" if is_list else "")
            if kind.__name__ != "StageConfig" or not path:  # an arm's stages are those of a run
                yield from sections(kind, below)


def settings_types(annotation: Any) -> Iterator[type[Settings]]:
    """The sections of settings that a type holds."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        yield annotation
    for part in get_args(annotation):
        yield from settings_types(part)


def settings_table(path: str, section: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """The rows of one section."""
    lines = ["| setting | value | default | |", "|---|---|---|---|"]
    for name, part in section["properties"].items():
        default = "required" if name in section.get("required", ()) else default_text(part)
        value = value_text(part).replace("section", f"[section](#{anchor(f'{path}.{name}', part)})")
        words = part.get("description") or schema["$defs"][part["$ref"].rpartition("/")[2]]["description"]
        lines.append(f"| `{name}` | {cell(value)} | {default} | {cell(one_line(words))} |")
    return "\n".join(lines) + "\n"


def anchor(path: str, part: Mapping[str, Any]) -> str:
    """What the heading of the section at a path is linked by; the stages of an arm are told with those of a run."""
    below = f"{path}.N" if part.get("type") == "array" else path
    return "stagesn" if below.endswith("stages.N") else below.lower().replace(".", "")


def default_text(part: Mapping[str, Any]) -> str:
    """A default as YAML writes it; that of a whole section stands in the section's own table."""
    default = part.get("default")
    if isinstance(default, dict) and default:
        return ""
    if isinstance(default, list) and any(isinstance(each, dict) for each in default):
        return "the two of the paper"  # the stages: README shows them
    return "empty" if default == "" else f"`{json.dumps(default, ensure_ascii=False).replace(chr(34), '')}`"


def value_text(part: Mapping[str, Any]) -> str:
    """What values a setting takes, in words."""
    if "$ref" in part:
        return "section"
    if "anyOf" in part:
        kinds = dict.fromkeys(value_text(each) for each in part["anyOf"])
        return " or ".join(kinds)
    if "enum" in part:
        return ", ".join(f"`{each}`" for each in part["enum"])
    if "const" in part:
        return f"`{part['const']}`"
    if part.get("type") == "array":
        return f"list of {value_text(part['items'])}"
    kind = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    kind |= {"null": "null", "object": "mapping"}
    words = kind[part["type"]]
    bounds = [
        f"{sign} {part[key]:g}"
        for key, sign in (("exclusiveMinimum", ">"), ("minimum", "≥"), ("exclusiveMaximum", "<"), ("maximum", "≤"))
        if key in part
    ]
    return " ".join([words, ", ".join(bounds)]).strip()


def commands_page() -> str:
    """The page of all commands, in the order in which `gradual --help` has them."""
    group: Any = typer.main.get_command(app)
    return "\n".join([COMMANDS_HEAD, *(command_part(name, group.commands[name]) for name in group.commands)])


def command_part(name: str, command: Any) -> str:
    """A command's words, examples and options."""
    words, _, examples = command.help.partition("\b\nExamples:\n")
    paragraphs = [one_line(each) for each in words.replace("\b", "").split("\n\n") if each.strip()]
    shown = "".join(f"    {line.strip()}\n" for line in examples.splitlines() if line.strip())
    lines = ["| option | | default |", "|---|---|---|"]
    lines += [option_row(option) for option in command.params if not getattr(option, "hidden", False)]
    return "\n\n".join([f"## gradual {name}", *paragraphs, shown.rstrip("\n"), "\n".join(lines)]) + "\n"


def option_row(option: Any) -> str:
    """An argument or option as a row."""
    is_argument = option.param_type_name == "argument"
    names = option.metavar if is_argument else ", ".join([*option.opts, *option.secondary_opts])
    metavar = "" if is_argument or option.is_flag else f" {option.metavar or option.opts[0].strip('-').upper()}"
    shown = option.default not in (None, False) and not option.required
    default = "required" if option.required else f"`{option.default}`" if shown else ""
    return f"| `{names}{metavar}` | {cell(option.help or '')} | {default} |"


def one_line(text: str) -> str:
    """A docstring as one line."""
    return re.sub(r"\s+", " ", text).strip()


def cell(text: str) -> str:
    """A text as a cell of a table."""
    return re.sub(r"(?<!\\)\|", r"\\|", text)


def pages() -> dict[Path, str]:
    """What both pages should hold, by path."""
    return {DOCS / "settings.md": settings_page(), DOCS / "commands.md": commands_page()}


def main() -> None:
    """Writes both pages."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
