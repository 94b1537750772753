"""Rows out of JSON: lines, a list of any size, or an object around them; told apart by content, not by the ending.

Repeated keys are refused, NaN is a value like any. Large files are read piece by piece and never held whole. Knows
nothing of what the columns mean.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from gradual.facts.problems import Problems, data_error, quote, shown_names
from gradual.facts.sources.content import Content
from gradual.facts.sources.part import Part, Row, part_of
from gradual.facts.sources.split_names import SPLIT_NAMES

MAX_DIGITS = 1000
"""Whole numbers with more digits are refused: nothing in a file of facts is so large."""
MOST_CHARACTERS_HELD = 1 << 26
"""Rows of a file with more characters are read again when they are asked for, not held."""

_AROUND_ROWS = frozenset(
    ("data", "entries", "examples", "facts", "instances", "items", "questions", "records", "results", "rows")
)
"""Keys under which a list of facts stands in an object, whatever their case."""
_SQUAD_REMEDY = "write the file as SQuAD does, or as a list of facts"


class _UnusableJsonError(ValueError):
    """JSON that is well-formed for Python and not for us."""

    def __init__(self, expected: str, found: str, remedy: str) -> None:
        super().__init__(found)
        self.expected, self.found, self.remedy = expected, found, remedy


def json_parts(content: Content, problems: Problems, *, has_lines: bool) -> list[Part]:
    """The rows in JSON; `has_lines` is whether the ending says JSON Lines, which decides only where both would do.

    Broken lines are added to `problems`; what makes the whole file unreadable is raised at once.

    Raises:
        DataError: the file is empty, no text, or not JSON from some place on.
    """
    name = content.name
    if _first_character(content) == "[":
        return [_stream(name, content, lambda its_problems: _array_rows(content, its_problems), problems)]
    first_line = _first_line(content)
    if has_lines and not _is_one_object(content, first_line):
        return [_stream(name, content, lambda its_problems: _line_rows(content, its_problems), problems)]
    if not has_lines and _is_object(first_line) and not _ends_there(content):
        return [_stream(name, content, lambda its_problems: _line_rows(content, its_problems), problems)]
    where = f"{name}:1" if has_lines else name
    return _parts_of_object(name, where, _whole(content), problems)


def _stream(name: str, content: Content, rows: Callable[[Problems], Iterator[Row]], problems: Problems) -> Part:
    """The part of some rows, held where the file is small enough; `problems` get those of the first reading."""
    buffer: list[Row] | None = []
    columns: dict[str, None] = {}
    size = 0
    for row in rows(problems):
        columns.update(dict.fromkeys(row.values))
        if buffer is not None:
            buffer.append(row)
            size += sum(len(value) if isinstance(value, str) else 50 for value in row.values.values())
            buffer = buffer if size <= MOST_CHARACTERS_HELD else None
    if buffer is not None:
        return part_of(name, buffer)
    return Part(name, tuple(columns), lambda names: _project(rows(Problems(name)), names))


def _project(rows: Iterator[Row], columns: Sequence[str]) -> Iterator[Row]:
    for row in rows:
        yield Row(row.where, {key: row.values[key] for key in columns if key in row.values})


# JSON Lines


def _lines(content: Content) -> Iterator[str]:
    """The lines of a text, without their ends. Only LF ends one: JSON allows other separators inside a string."""
    rest = ""
    for piece in content.pieces():
        *whole, rest = (rest + piece).split("\n")
        yield from whole
    if rest:
        yield rest


def _first_character(content: Content) -> str:
    return next((piece.lstrip()[0] for piece in content.pieces() if piece.strip()), "")


def _first_line(content: Content) -> str:
    return next((line.strip() for line in _lines(content) if line.strip()), "")


def _is_object(text: str) -> bool:
    try:
        return isinstance(_parse(text), dict)
    except ValueError:
        return False


def _ends_there(content: Content) -> bool:
    """Whether the first line with something in it is the last."""
    return sum(1 for _, line in zip(range(2), (each for each in _lines(content) if each.strip()), strict=False)) < 2


def _is_one_object(content: Content, first_line: str) -> bool:
    """Whether a file of lines is one object instead: written over many lines, or around a list of facts."""
    if not first_line.startswith("{"):
        return False
    try:
        first = _parse(first_line)
    except _UnusableJsonError:
        return False
    except json.JSONDecodeError:
        return first_line == "{" and _is_object(content.text())
    return isinstance(first, dict) and _rows_inside(first) is not None and _ends_there(content)


def _line_rows(content: Content, problems: Problems) -> Iterator[Row]:
    for number, line in enumerate(_lines(content), start=1):
        if not line.strip():
            continue
        where = f"{content.name}:{number}"
        raw = {"line": line.strip()}
        try:
            value = _parse(line)
        except json.JSONDecodeError as error:
            fault, remedy = f"broken JSON ({error.msg})", "correct the line"
            if "\r" in line.strip():
                fault, remedy = "lines that end with CR alone", "save the file with line ends LF"
            elif error.msg == "Extra data":
                fault, remedy = "more behind it", "write one object on each line"
            problems.add(f"{where}:{error.colno}", expected="a JSON object", found=fault, remedy=remedy, row=raw)
        except _UnusableJsonError as error:
            problems.add(where, expected=error.expected, found=error.found, remedy=error.remedy, row=raw)
        else:
            yield from _object_row(where, value, problems)


def _object_row(where: str, value: object, problems: Problems) -> Iterator[Row]:
    if isinstance(value, dict):
        yield Row(where, value)
        return
    remedy = 'write {"question": "...", "answers": ["..."]}'
    problems.add(where, expected="a JSON object", found=quote(value), remedy=remedy, row={"value": value})


# Lists


def _array_rows(content: Content, problems: Problems) -> Iterator[Row]:
    """The objects of a list, piece by piece."""
    pieces = content.pieces()
    window = _Window(content.name, pieces)
    window.expect("[")
    number = 0
    while not window.closes("]", is_first=number == 0):
        number += 1
        where = f"{content.name}: item {number}"
        yield from _object_row(where, window.value(where), problems)
    window.expect_end()


class _Window:
    """The part of a long JSON text that is being read; grows at its end, and is cut off where it was read."""

    def __init__(self, name: str, pieces: Iterator[str]) -> None:
        self._name, self._pieces = name, pieces
        self._text, self._place = "", 0
        self._line, self._column = 1, 1
        """Where the window begins in the file."""

    def expect(self, mark: str) -> None:
        if self._next() != mark:
            raise self._broken(f"Expecting '{mark}'", self._place)
        self._place += 1

    def closes(self, mark: str, *, is_first: bool) -> bool:
        """Whether the list ends here; a comma before the next value is read over."""
        char = self._next()
        if char == mark:
            self._place += 1
            return True
        if is_first:
            return False
        if char != ",":
            raise self._broken("Expecting ',' delimiter", self._place)
        self._place += 1
        return False

    def expect_end(self) -> None:
        if self._next():
            raise self._broken("Extra data", self._place)

    def value(self, where: str) -> object:
        self._next()
        self._cut()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._place)
            except json.JSONDecodeError as error:
                if self._grow():
                    continue
                raise self._broken(error.msg, error.pos) from None
            except _UnusableJsonError as error:
                raise data_error(where, expected=error.expected, found=error.found, remedy=error.remedy) from None
            except RecursionError:
                raise data_error(self._name, **_NESTED) from None
            if end == len(self._text) and self._grow():
                continue  # a number may go on
            self._place = end
            return value

    def _next(self) -> str:
        """The next character that is no white space, which is where the reading stands then; empty at the end."""
        while True:
            while self._place < len(self._text) and self._text[self._place] in " \t\r\n":
                self._place += 1
            if self._place < len(self._text):
                return self._text[self._place]
            if not self._grow():
                return ""

    def _grow(self) -> bool:
        """Adds as much again as there is, so that a long value is not tried too often; False at the end."""
        length = len(self._text) - self._place
        pieces: list[str] = []
        while sum(map(len, pieces)) <= length:
            piece = next(self._pieces, None)
            if piece is None:
                break
            pieces.append(piece)
        self._text += "".join(pieces)
        return any(pieces)

    def _cut(self) -> None:
        read = self._text[: self._place]
        if "\n" in read:
            self._line += read.count("\n")
            self._column = len(read) - read.rindex("\n")
        else:
            self._column += len(read)
        self._text, self._place = self._text[self._place :], 0

    def _broken(self, what: str, place: int) -> Exception:
        self._place = place
        self._cut()
        where = f"{self._name}:{self._line}:{self._column}"
        return data_error(where, expected="JSON", found=f"broken JSON ({what})", remedy="correct it there")


# Objects


def _whole(content: Content) -> dict[str, object]:
    name = content.name
    try:
        value = _parse(content.text())
    except json.JSONDecodeError as error:
        where, fault = f"{name}:{error.lineno}:{error.colno}", f"broken JSON ({error.msg})"
        raise data_error(where, expected="JSON", found=fault, remedy="correct it there") from None
    except _UnusableJsonError as error:
        raise data_error(name, expected=error.expected, found=error.found, remedy=error.remedy) from None
    if not isinstance(value, dict):
        raise data_error(
            name,
            expected='a list of facts or {"data": [...]}',
            found=quote(value),
            remedy="write the facts as a list, or as JSON Lines with the ending .jsonl",
        )
    return value


def _parts_of_object(name: str, where: str, value: dict[str, object], problems: Problems) -> list[Part]:
    """The rows in an object: a list under one key, lists by split, columns, objects by id, or one fact."""
    inside = _rows_inside(value)
    if inside is not None:
        return [_listed_part(name, inside, problems)]
    splits = {key: SPLIT_NAMES.get(key.strip().lower(), "") for key in value}
    if value and all(splits.values()) and all(isinstance(rows, list) for rows in value.values()):
        parts = [(splits[key], _listed_part(f"{name}[{key}]", rows, problems)) for key, rows in value.items()]
        return [replace(part, split=split) for split, part in parts]
    columns = _columns_inside(value)
    if columns is not None:
        rows = [Row(f"{name}: row {place}", row) for place, row in enumerate(columns, start=1)]
        return [part_of(name, rows)]
    if len(value) > 1 and all(isinstance(row, dict) for row in value.values()):
        keyed = [
            Row(f"{name}: {quote(key)}", {"id": key, **row}) for key, row in value.items() if isinstance(row, dict)
        ]
        return [part_of(name, keyed)]
    if sum(isinstance(each, str) for each in value.values()) > 1 or "messages" in value:
        return [part_of(name, [Row(where, value)])]
    raise data_error(
        name,
        expected='a list of facts or {"data": [...]}',
        found=f"an object with the keys {shown_names(list(value))}",
        remedy="write the facts as a list, or as JSON Lines with the ending .jsonl",
    )


def _rows_inside(value: dict[str, object]) -> list[object] | None:
    """The list of facts in an object around it ({"data": [...]}, {"Version": 1, "Questions": [...]}); None if none."""
    for key, inside in value.items():
        is_known = key.strip().lower() in _AROUND_ROWS or (len(value) == 1 and key.lower() not in SPLIT_NAMES)
        if is_known and isinstance(inside, list) and (not inside or isinstance(inside[0], dict)):
            return None if _is_turn(inside[:1]) else inside
    return None


def _is_turn(value: object) -> bool:
    """Whether a list begins with a turn of a conversation, which is one record and not many."""
    first = value[0] if isinstance(value, list) and value else None
    return isinstance(first, dict) and ({"role", "content"} <= set(first) or {"from", "value"} <= set(first))


def _columns_inside(value: dict[str, object]) -> list[dict[str, object]] | None:
    """The rows of an object of columns, as lists or (pandas' `to_json`) objects by row number; None if it is none."""
    columns = list(value.values())
    if len(columns) < 2:
        return None
    if all(isinstance(column, list) for column in columns):
        lists: list[list[object]] = [column for column in columns if isinstance(column, list)]
    elif all(isinstance(column, dict) and column and all(key.isdigit() for key in column) for column in columns):
        lists = [list(column.values()) for column in columns if isinstance(column, dict)]
    else:
        return None
    if len({len(column) for column in lists}) > 1:
        return None
    return [dict(zip(value, row, strict=True)) for row in zip(*lists, strict=True)]


def _listed_part(name: str, value: object, problems: Problems) -> Part:
    items = value if isinstance(value, list) else []
    if any(isinstance(article, dict) and "paragraphs" in article for article in items):
        return part_of(name, list(_squad_rows(name, items, problems)))
    rows = [
        row
        for number, item in enumerate(items, start=1)
        for row in _object_row(f"{name}: item {number}", item, problems)
    ]
    return part_of(name, rows)


def _squad_rows(name: str, articles: list[Any], problems: Problems) -> Iterator[Row]:
    """The questions in SQuAD's nesting (data, paragraphs, qas)."""
    for number, article in enumerate(articles, start=1):
        where = f"{name}: article {number}"
        for place, paragraph in enumerate(_list_in(article, "paragraphs", where, problems), start=1):
            at = f"{where}, paragraph {place}"
            for index, question in enumerate(_list_in(paragraph, "qas", at, problems), start=1):
                if isinstance(question, dict):
                    yield Row(f"{at}, question {index}", {"is_impossible": False, **question})
                else:
                    problems.add(at, expected='objects in "qas"', found=quote(question), remedy=_SQUAD_REMEDY)


def _list_in(value: object, key: str, where: str, problems: Problems) -> list[object]:
    items = value.get(key) if isinstance(value, dict) else None
    if isinstance(items, list):
        return items
    problems.add(where, expected=f'a list in "{key}"', found=quote(items), remedy=_SQUAD_REMEDY)
    return []


# Values

_NESTED = {
    "expected": "a JSON object", "found": "brackets nested too deep", "remedy": "write the fact as a flat object",
}  # fmt: skip


def _parse(text: str) -> object:
    """The JSON value in a text; repeated keys, endless numbers and too deep nesting raise `_UnusableJsonError`."""
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise _UnusableJsonError(*_NESTED.values()) from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result: dict[str, object] = {}
    for key, value in pairs:
        if key in result:
            raise _UnusableJsonError("each key once", f"{quote(key)} twice", "delete one of them")
        result[key] = value
    return result


def _int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise _UnusableJsonError("a JSON value", f"a number of {len(digits)} digits", 'write it as text in "..."')
    return int(digits)


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_int)
