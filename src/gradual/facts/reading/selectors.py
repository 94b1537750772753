"""How a value is found in a row: a column, a path into one (`answers.en[].text`), or a template of several.

Knows nothing of what the value is for.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

ABSENT = object()
"""What a selector finds where a row has no such field; null is a value."""

_FIELD = re.compile(r"\{([^{}]+)\}")
_LITERAL_BEGINNINGS = ("{", "[")


@dataclass(frozen=True, slots=True)
class Selector:
    """Finds one value in a row. Without `paths`, it finds nothing ever: a role that no column plays."""

    text: str = ""
    """As the user or a layout wrote it, for messages."""
    paths: tuple[str, ...] = ()
    template: str = ""
    """With fields in braces, one for each path; empty for a plain column or path."""
    templates: Mapping[str, str] | None = None
    """One for each value of the relation, which is the last path."""
    joins: bool = False
    """The texts of all paths, those that are not empty, as lines of one text."""

    def __bool__(self) -> bool:
        return bool(self.paths)

    def find(self, values: Mapping[str, object]) -> object:
        """The value, or ABSENT. A template of which a field is missing or no text finds nothing (None)."""
        if not self.paths:
            return ABSENT
        if self.joins:
            return _join(find_path(values, path) for path in self.paths)
        if not self.template and self.templates is None:
            return find_path(values, self.paths[0])
        template = self.template
        if self.templates is not None:
            relation = find_path(values, self.paths[-1])
            template = self.templates.get(relation, "") if isinstance(relation, str) else ""
        texts = {path: _as_text(find_path(values, path)) for path in self.paths}
        fields = _FIELD.findall(template)
        if not template or not all(texts.get(field) for field in fields):
            return None
        return _FIELD.sub(lambda match: texts[match[1]], template)

    def columns(self, existing: Iterable[str]) -> tuple[str, ...]:
        """The columns, of those that exist, that must be read for this."""
        present = set(existing)
        return tuple(dict.fromkeys(each for path in self.paths if (each := first_column(path, present))))


def selector_of(text: str) -> Selector:
    """A column, path or template as a text says it."""
    if _FIELD.search(text):
        return Selector(text, tuple(dict.fromkeys(_FIELD.findall(text))), template=text)
    return Selector(text, (text,))


def selector_by_relation(templates: Mapping[str, str], relation: str) -> Selector:
    """One template for each relation; `relation` is the path of the relation."""
    fields = [field for template in templates.values() for field in _FIELD.findall(template)]
    paths = tuple(dict.fromkeys(each for each in fields if each != relation))
    return Selector("one template per relation", (*paths, relation), templates=dict(templates))


def first_column(path: str, present: Iterable[str]) -> str:
    """The column that a path begins with: one of that whole name, or of its first name; empty if there is none."""
    names = set(present)
    if path in names:
        return path
    first = re.split(r"\.|\[\]", path, maxsplit=1)[0]
    return first if first in names else ""


def find_path(values: Mapping[str, object], path: str) -> object:
    """The value at a path, ABSENT if there is none; behind `[]` the list of all values that are there."""
    if path in values:
        return values[path]
    steps = [step for step in re.split(r"\.|(\[\])", path) if step]
    return _walk(values, steps)


def _walk(value: object, steps: list[str]) -> object:
    for place, step in enumerate(steps):
        if isinstance(value, str) and value.strip().startswith(_LITERAL_BEGINNINGS):
            value = literal(value)
        if step == "[]":
            if not isinstance(value, list):
                return ABSENT
            values = [_walk(each, steps[place + 1 :]) for each in value]
            flat = [
                one for each in values if each is not ABSENT for one in (each if isinstance(each, list) else [each])
            ]
            return flat
        if not isinstance(value, Mapping) or step not in value:
            return ABSENT
        value = value[step]
    return value


def literal(text: str) -> object:
    """A value written as JSON or as Python text, read without running anything; the text itself if it is neither."""
    for read in (json.loads, ast.literal_eval):
        try:
            value: object = read(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        return value
    return text


def _join(values: Iterable[object]) -> object:
    texts = [text for value in values if (text := _as_text(value))]
    return "\n".join(texts) if texts else None


def _as_text(value: object) -> str:
    """A text or whole number as text; empty for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() if isinstance(value, str) else ""
