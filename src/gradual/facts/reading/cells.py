"""How one value of a row becomes a text or a list of texts: numbers, dates, bytes, and lists written as text."""

from __future__ import annotations

import datetime
import html
import io
import json
import re
import tokenize
import unicodedata
from ast import literal_eval
from decimal import Decimal

from gradual.facts.languages.letters import compose

EMPTY = "nothing"
"""The flaw of an empty text."""

_BARS = re.compile(r"\s*\|\s*")
_ENTITY = re.compile(r"&(?:[a-zA-Z][a-zA-Z0-9]{1,30}|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});")
_INNER_NAMES = ("text", "value", "answer", "mention", "name", "label", "str")
"""Where the answer stands in an object, in the layouts of SQuAD, TriviaQA, KILT and others."""


class BrokenListError(ValueError):
    """A text that begins like a list and is none."""


def text_of(value: object) -> object:
    """Whole numbers, decimals, dates and bytes as text, texts composed (NFC), NaN as null; all else as it is."""
    if isinstance(value, str):
        return compose(value)
    if isinstance(value, bytes):
        try:
            return compose(value.decode())
        except UnicodeDecodeError:
            return value
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(sep=" ")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bool):
        return value
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, float):
        # Of 3.14 the digits depend on how wide it is stored: a fraction stays a number, and is refused.
        return str(int(value)) if value == int(value) else value
    if isinstance(value, Decimal):
        return str(value)
    return str(value) if isinstance(value, int) else value


def flaw(text: str, *, may_have_lines: bool = False) -> str | None:
    """What keeps a stripped text from being a question or an answer; None if nothing does."""
    if not text:
        return EMPTY
    if not may_have_lines and len(text.splitlines()) > 1:
        return "a line break"
    for char in text:
        category = unicodedata.category(char)
        if category == "Cs":
            return "half a surrogate pair"
        if category == "Cc" and char not in ("\t\n" if may_have_lines else "\t"):
            return "a control character"
    return None


def with_line_ends(text: str) -> str:
    """The text with every line end as LF, without white space at the ends."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def without_entities(text: str) -> str:
    """The text with HTML's entities as their characters: `&amp;` as `&`."""
    return html.unescape(text) if _ENTITY.search(text) else text


def as_list(value: object, *, is_delimited: bool, separator: str | None) -> list[object] | None:
    """The answers in one value, in order; empty where it is null; None where it is of no kind that can hold answers.

    Text may be a list in JSON or Python (read, never run), or several answers with a separator between them: the one
    that is set (`none`: never), else a bar in CSV. In objects the answer stands under `text`, `value` and the like.

    Raises:
        BrokenListError: a text begins like a list and is none.
    """
    if isinstance(value, dict):
        return as_list(_inner(value), is_delimited=is_delimited, separator=separator) if _has_inner(value) else None
    if isinstance(value, list | tuple):
        return [_inner(each) if isinstance(each, dict) and _has_inner(each) else each for each in value]
    value = text_of(value)
    if value is None:
        return []
    return _in_text(value.strip(), is_delimited=is_delimited, separator=separator) if isinstance(value, str) else None


def beside(value: object) -> object:
    """The aliases that stand beside an answer in its object (TriviaQA)."""
    by_name = {key.lower(): each for key, each in value.items()} if isinstance(value, dict) else {}
    return by_name.get("aliases")


def _has_inner(value: dict[str, object]) -> bool:
    return isinstance(_inner(value), str | list | int | float) and not isinstance(_inner(value), bool)


def _inner(value: dict[str, object]) -> object:
    by_name = {key.lower(): each for key, each in value.items()}
    return next((by_name[name] for name in _INNER_NAMES if name in by_name), None)


def _in_text(text: str, *, is_delimited: bool, separator: str | None) -> list[object]:
    if text.startswith("[") and text.endswith("]"):
        items = _in_brackets(text)
        if items is not None:
            return items
    if text.startswith(('["', "['")):
        raise BrokenListError(text)
    if separator == "none":
        return [text]
    if separator:
        return [each for part in text.split(separator) if (each := part.strip())] or [text]
    parts = _BARS.split(text) if is_delimited else [text]
    return [*parts] if any(parts) else [text]


def _in_brackets(text: str) -> list[object] | None:
    """The items of a list written as JSON, Python or (without commas) numpy; None if it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        try:
            value = literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            return None
        strings = _strings_in(text)
        # Python puts neighbouring texts together, which is how numpy writes a list: ['Paris' 'Paris City'].
        if isinstance(value, list) and all(isinstance(each, str) for each in value) and len(strings) > len(value):
            return [*strings]
    return value if isinstance(value, list) else None


def _strings_in(text: str) -> list[str]:
    try:
        tokens = [*tokenize.generate_tokens(io.StringIO(text).readline)]
        return [str(literal_eval(each.string)) for each in tokens if each.type == tokenize.STRING]
    except (tokenize.TokenError, ValueError, SyntaxError):
        return []
