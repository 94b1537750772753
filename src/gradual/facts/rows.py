"""Rows out of text: JSON Lines, JSON, CSV and TSV, each row with the place it came from.

Strict where a lenient reader would guess: encoding, NUL, NaN, repeated keys and ragged rows are refused. Knows nothing
of what the columns mean (`columns`) nor where the bytes come from (`sources`).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from gradual.facts.problems import Problems, data_error, printable, shown, shown_names

MAX_DIGITS = 1000
"""Whole numbers with more digits are refused: nothing in a file of facts is so large."""


_SEPARATORS = {",": "commas", "\t": "tabs"}


class Row(NamedTuple):
    """One row and where it stands: `facts.jsonl:3`, or `facts.parquet: row 3`, counted from 1."""

    where: str
    values: dict[str, object]


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one file, or of one split of a data set."""

    name: str
    columns: tuple[str, ...]
    """Every column that a row may have, in the order of the source."""
    read: Callable[[Sequence[str]], Iterable[Row]]
    """The rows, with at least the columns asked for (those of them that the row has)."""
    relation: str = ""
    """The relation of all rows, where the source's layout gives it; empty otherwise."""
    split: str = ""
    """The split of all rows, where the source's layout gives it; empty otherwise."""
    is_delimited: bool = False
    """CSV or TSV, whose cells cannot hold lists."""


class _UnusableJsonError(ValueError):
    """JSON that is well-formed for Python and not for us."""

    def __init__(self, expected: str, found: str, remedy: str) -> None:
        super().__init__(found)
        self.expected, self.found, self.remedy = expected, found, remedy


def parts_from_bytes(name: str, suffix: str, content: bytes, problems: Problems) -> list[Part]:
    """The rows in the content of a text file; `suffix` (.jsonl, .ndjson, .json, .csv or .tsv) says what it is.

    Broken lines are added to `problems`; what makes the whole file unreadable is raised at once.

    Raises:
        DataError: the file is empty, not UTF-8, holds NUL, or is not of its kind from some place on.
    """
    text = _decoded(name, content)
    readers: dict[str, Callable[[str, str, Problems], Part]] = {
        ".jsonl": _json_lines, ".ndjson": _json_lines, ".json": _json, ".csv": _csv, ".tsv": _csv,
    }  # fmt: skip
    return [readers[suffix](name, text, problems)]


def part_of(name: str, rows: list[Row]) -> Part:
    """A part whose rows are all in memory; its columns are those of any row, in order of appearance."""
    columns = tuple(dict.fromkeys(column for row in rows for column in row.values))
    return Part(name, columns, lambda _wanted: rows)


def _decoded(name: str, content: bytes) -> str:
    """The text, without a byte order mark."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise data_error(name, expected="UTF-8 text", found="UTF-16", remedy="save the file as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte, line = error.object[error.start], content.count(b"\n", 0, error.start) + 1
        # The decoder counts from after the mark.
        offset = error.start + (len(content) - len(error.object))
        found = f"the byte 0x{byte:02x} at offset {offset}"
        raise data_error(
            f"{name}:{line}", expected="UTF-8 text", found=found, remedy="save the file as UTF-8"
        ) from None
    nul = text.find("\0")
    if nul >= 0:
        where = f"{name}:{text.count(chr(10), 0, nul) + 1}"
        raise data_error(where, expected="text", found="a NUL character", remedy="delete it, or save the file as UTF-8")
    if not text.strip():
        raise data_error(name, expected="at least one fact", found="an empty file", remedy="write facts into it")
    return text


def _json_lines(name: str, text: str, problems: Problems) -> Part:
    rows: list[Row] = []
    # Only \n ends a line: str.splitlines would also cut at characters that JSON allows inside a string.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{name}:{number}"
        try:
            value = _parse(line)
        except json.JSONDecodeError as error:
            found, remedy = f"broken JSON ({error.msg})", "correct the line"
            if "\r" in line.strip():
                found, remedy = "lines that end with CR alone", "save the file with line ends LF"
            elif error.msg == "Extra data":
                found, remedy = "more behind it", "write one object on each line"
            problems.add(f"{where}:{error.colno}", expected="a JSON object", found=found, remedy=remedy)
        except _UnusableJsonError as error:
            problems.add(where, expected=error.expected, found=error.found, remedy=error.remedy)
        else:
            _keep_object(rows, where, value, problems)
    return part_of(name, rows)


def _json(name: str, text: str, problems: Problems) -> Part:
    try:
        value = _parse(text)
    except json.JSONDecodeError as error:
        where, found = f"{name}:{error.lineno}:{error.colno}", f"broken JSON ({error.msg})"
        raise data_error(where, expected="JSON", found=found, remedy="correct it there") from None
    except _UnusableJsonError as error:
        raise data_error(name, expected=error.expected, found=error.found, remedy=error.remedy) from None
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        value = value["data"]
        if any(isinstance(article, dict) and "paragraphs" in article for article in value):
            return part_of(name, list(_squad_rows(name, value, problems)))
    if not isinstance(value, list):
        raise data_error(
            name,
            expected='a list of facts or {"data": [...]}',
            found=f"an object with the keys {shown_names(list(value))}" if isinstance(value, dict) else shown(value),
            remedy="write the facts as a list, or as JSON Lines with the ending .jsonl",
        )
    rows: list[Row] = []
    for number, item in enumerate(value, start=1):
        _keep_object(rows, f"{name}: item {number}", item, problems)
    return part_of(name, rows)


def _keep_object(rows: list[Row], where: str, value: object, problems: Problems) -> None:
    if isinstance(value, dict):
        rows.append(Row(where, value))
        return
    remedy = 'write {"question": "...", "answers": ["..."]}'
    problems.add(where, expected="a JSON object", found=shown(value), remedy=remedy)


def _squad_rows(name: str, articles: list[object], problems: Problems) -> Iterator[Row]:
    """The questions in SQuAD's nesting (data, paragraphs, qas), those marked as impossible left out."""
    remedy = "write the file as SQuAD does, or as a list of facts"
    for number, article in enumerate(articles, start=1):
        where = f"{name}: article {number}"
        for place, paragraph in enumerate(_list_in(article, "paragraphs", where, problems), start=1):
            at = f"{where}, paragraph {place}"
            for index, question in enumerate(_list_in(paragraph, "qas", at, problems), start=1):
                if not isinstance(question, dict):
                    problems.add(at, expected='objects in "qas"', found=shown(question), remedy=remedy)
                elif question.get("is_impossible") is not True:
                    yield Row(f"{at}, question {index}", question)


def _list_in(value: object, key: str, where: str, problems: Problems) -> list[object]:
    found = value.get(key) if isinstance(value, dict) else None
    if isinstance(found, list):
        return found
    remedy = "write the file as SQuAD does, or as a list of facts"
    problems.add(where, expected=f'a list in "{key}"', found=shown(found), remedy=remedy)
    return []


def _parse(text: str) -> object:
    """The JSON value in a text; NaN, infinities, repeated keys and too deep nesting raise `_UnusableJsonError`."""
    try:
        value: object = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant, parse_int=_int)
    except RecursionError:
        raise _UnusableJsonError(
            "a JSON object", "brackets nested too deep", "write the fact as a flat object"
        ) from None
    return value


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result: dict[str, object] = {}
    for key, value in pairs:
        if key in result:
            raise _UnusableJsonError("each key once", f"{shown(key)} twice", "delete one of them")
        result[key] = value
    return result


def _no_constant(constant: str) -> NoReturn:
    raise _UnusableJsonError("a JSON value", constant, 'write a number, text in "..." or null')


def _int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise _UnusableJsonError("a JSON value", f"a number of {len(digits)} digits", 'write it as text in "..."')
    return int(digits)


def _csv(name: str, text: str, problems: Problems) -> Part:
    """Comma- or (.tsv) tab-separated rows under a header, quoted as RFC 4180 has it."""
    delimiter = "\t" if name.lower().endswith(".tsv") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    header: list[str] = []
    line = 1
    try:
        for fields in reader:
            where, line = f"{name}:{line}", reader.line_num + 1
            if not any(field.strip() for field in fields) and len(fields) <= 1:
                continue
            if not header:
                header = [field.strip() for field in fields]
                _check_header(where, header, delimiter)
            elif len(fields) != len(header):
                remedy = "quote fields that hold the separator, and write every field"
                problems.add(
                    where, expected=f"{len(header)} fields as in the header", found=str(len(fields)), remedy=remedy
                )
            else:
                rows.append(Row(where, {key: field for key, field in zip(header, fields, strict=True) if key}))
    except csv.Error as error:
        found, remedy = f"broken quoting ({printable(str(error))})", 'write a quote inside a quoted field as ""'
        if "field limit" in str(error):
            found = f"a field of more than {csv.field_size_limit():,} characters"
            remedy = "close the quotation mark that opens it, or shorten it"
        raise data_error(f"{name}:{line}", expected="a row of fields", found=found, remedy=remedy) from None
    return Part(name, tuple(key for key in header if key), lambda _wanted: rows, is_delimited=True)


def _check_header(where: str, header: list[str], delimiter: str) -> None:
    other = next((mark for mark in ",;\t|" if mark in header[0]), None)
    if len(header) == 1 and other:
        raise data_error(
            where,
            expected=f"columns separated by {_SEPARATORS[delimiter]}",
            found=f"one column, {shown(header[0])}",
            remedy=f"separate all fields by {_SEPARATORS[delimiter]}",
        )
    named = [field for field in header if field]
    twice = sorted({field for field in named if named.count(field) > 1})
    if twice:
        raise data_error(
            where, expected="each column once", found=f"{shown(twice[0])} twice", remedy="rename one of them"
        )
