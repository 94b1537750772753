"""The YAML that settings are written in: the 1.2 core schema, without anchors, aliases, merge keys, tags and repeats.

Knows texts and plain values, not what they are settings of. Unlike YAML 1.1, `1e-4` is a number, `no` is a text and
`010` is ten.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from gradual.errors import ConfigError


class _Loader(yaml.SafeLoader):
    """YAML 1.2 core schema; notes what is refused in `problems` and reads on, so that all of it is told at once."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.problems: list[tuple[int, str]] = []

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            self.get_event()  # type: ignore[no-untyped-call]
            self.problems.append(
                (line, f"expected the value itself, found the alias *{event.anchor} - write the value out")
            )
            return yaml.ScalarNode("tag:yaml.org,2002:null", "")
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            self.problems.append((line, f"expected no anchors, found &{event.anchor} - delete it"))
            event.anchor = None
        tag = getattr(event, "tag", None)
        if tag is not None:
            self.problems.append(
                (line, f"expected no tags, found {tag.replace('tag:yaml.org,2002:', '!!')} - delete it")
            )
            event.tag = None
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        result: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag != "tag:yaml.org,2002:str":
                kind = repr(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "a list or a mapping"
                self.problems.append((line, f"expected the name of a setting, found {kind}"))
                continue
            key = key_node.value
            if key == "<<":
                self.problems.append((line, "expected no merge keys, found << - write the settings out"))
            elif key in lines:
                self.problems.append((line, f"{key} is already set in line {lines[key]}; expected it once"))
            else:
                lines[key] = line
                result[key] = self.construct_object(value_node, deep=True)
        return result

    def construct_text(self, node: yaml.ScalarNode) -> str:
        text = str(node.value)
        try:
            text.encode()
        except UnicodeEncodeError:
            line = node.start_mark.line + 1
            self.problems.append((line, "expected text, found half a character (a lone surrogate)"))
        return text


class _Dumper(yaml.SafeDumper):
    """Quotes what `_Loader`, not YAML 1.1, would take for something else than text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        # Only double quotes keep every kind of line break as it is.
        style = '"' if len(f"{text}.".splitlines()) > 1 else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
):
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))
_Loader.add_constructor("tag:yaml.org,2002:str", _Loader.construct_text)
_Dumper.add_representer(str, _Dumper.represent_text)


def read_yaml(text: str, source: str) -> object:
    """The value that `text` states; None for an empty text.

    Raises:
        ConfigError: it is not YAML, or has something that is refused; each line names `source` and the line.
    """
    try:
        loader = _Loader(text)
        data: object = loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" line {mark.line + 1}:" if mark else ""
        raise ConfigError(f"{source}:{line} not YAML: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        fault = f"character 0x{error.character:02x} at position {error.position}"
        raise ConfigError(f"{source}: not YAML: {fault}, where YAML has none - delete it") from None
    except (RecursionError, ValueError):  # ValueError: a whole number of thousands of digits
        raise ConfigError(f"{source}: expected settings, found nesting or numbers beyond any sense") from None
    if loader.problems:
        raise ConfigError("\n".join(f"{source}: line {line}: {problem}" for line, problem in sorted(loader.problems)))
    return data


def write_yaml(data: object) -> str:
    """`data` (mappings, lists, texts, numbers, booleans, None) as YAML that `read_yaml` reads as the same."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000_000)
    return text
