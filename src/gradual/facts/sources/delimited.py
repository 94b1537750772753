"""Rows out of tables in text: separated by commas, tabs, semicolons or bars, quoted as RFC 4180 has it or not at all.

The separator is found where it is not set. Knows nothing of what the columns mean.
"""

from __future__ import annotations

import csv
import io
import re
from typing import Any

from gradual.facts.problems import Problems, data_error, printable, quote
from gradual.facts.sources.content import Content
from gradual.facts.sources.part import Part, Row

_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
_RAREST_FIRST = "\t;|,"
"""Separators by how rarely they stand inside a text."""
_SAMPLE_LINES = 20
_EXCEL_DELIMITER = re.compile(r"sep=(.)\r?\n")


def delimited_part(
    content: Content, problems: Problems, *, delimiter: str | None, has_header: bool, usual_names: frozenset[str]
) -> Part:
    """The rows under a header, or (`has_header` False) all rows, with their columns called 1, 2, 3 ...

    The separator is `delimiter`, or what Excel wrote into the first line (sep=;), or the usual one of the ending, or
    another under which the header has some of the `usual_names` or all lines have as many fields.

    Raises:
        DataError: the file is no text, has one column only, or its quotation marks do not close.
    """
    name, text = content.name, content.text()
    usual = "\t" if ".tsv" in name.lower() else ","
    first_line = 1
    match = _EXCEL_DELIMITER.match(text)
    if match:
        text, first_line = text[match.end() :], 2
    separator = delimiter or (match[1] if match else None) or _likely_delimiter(text, usual, usual_names)
    is_quoted = separator != "\t" or _quotes_close(text, separator)
    rows: list[Row] = []
    header: list[str] = []
    for where, fields in _fields(name, text, separator, first_line, is_quoted=is_quoted):
        if not header:
            header = [field.strip() for field in fields] if has_header else [str(n + 1) for n in range(len(fields))]
            _check_header(where, header, separator)
            if has_header:
                continue
        if len(fields) != len(header):
            _note_ragged(where, fields, header, problems, has_header=has_header)
        else:
            rows.append(Row(where, {key: field for key, field in zip(header, fields, strict=True) if key}))
    return Part(name, tuple(key for key in header if key), lambda _names: rows, is_delimited=True)


def _fields(name: str, text: str, delimiter: str, line: int, *, is_quoted: bool) -> list[tuple[str, list[str]]]:
    """The fields of each row and where it begins, empty lines left out."""
    before = line - 1
    rows: list[tuple[str, list[str]]] = []
    reader = _reader(text, delimiter, is_quoted=is_quoted)
    try:
        for fields in reader:
            where, line = f"{name}:{line}", before + reader.line_num + 1
            if any(field.strip() for field in fields) or len(fields) > 1:
                rows.append((where, fields))
    except csv.Error as error:
        fault, remedy = f"broken quoting ({printable(str(error))})", 'write a quote inside a quoted field as ""'
        if "field limit" in str(error):
            fault = f"a field of more than {csv.field_size_limit():,} characters"
            remedy = "close the quotation mark that opens it, or shorten it"
        raise data_error(f"{name}:{line}", expected="a row of fields", found=fault, remedy=remedy) from None
    return rows


def _reader(text: str, delimiter: str, *, is_quoted: bool = True, is_strict: bool = True) -> Any:
    stream = io.StringIO(text, newline="")
    if not is_quoted:
        return csv.reader(stream, delimiter=delimiter, strict=is_strict, quoting=csv.QUOTE_NONE)
    return csv.reader(stream, delimiter=delimiter, strict=is_strict)


def _quotes_close(text: str, delimiter: str) -> bool:
    """Whether a text can be read with quotation marks around fields; in tabbed text they often mean themselves."""
    try:
        for _ in _reader(text, delimiter):
            pass
    except csv.Error as error:
        return "field limit" in str(error)
    return True


def _likely_delimiter(text: str, usual: str, usual_names: frozenset[str]) -> str:
    """The separator under which the first lines make the best table; of equals the usual one of the ending."""
    sample = "".join(text.splitlines(keepends=True)[:_SAMPLE_LINES])

    def quality(delimiter: str) -> tuple[bool, bool, bool]:
        try:
            rows = [fields for fields in _reader(sample, delimiter, is_strict=False) if any(fields)]
        except csv.Error:
            return (False, False, False)
        if not rows or len(rows[0]) < 2:
            return (False, False, False)
        knows_names = any(field.strip().lower() in usual_names for field in rows[0])
        is_even = len({len(fields) for fields in rows}) == 1
        return (True, knows_names, is_even)

    best = max(map(quality, _NAMES))
    equals = [delimiter for delimiter in _RAREST_FIRST if quality(delimiter) == best]
    is_usual = usual in equals and (best[1] or not best[0])
    return usual if is_usual else equals[0]


def _check_header(where: str, header: list[str], delimiter: str) -> None:
    separator = _NAMES.get(delimiter, f"the separator {quote(delimiter)}")
    other = next((mark for mark in _NAMES if mark in header[0]), None)
    if len(header) == 1 and other:
        raise data_error(
            where,
            expected=f"columns separated by {separator}",
            found=f"one column, {quote(header[0])}",
            remedy=f"separate all fields by {separator}, or set facts.delimiter",
        )
    names = [field for field in header if field]
    twice = sorted({field for field in names if names.count(field) > 1})
    if twice:
        raise data_error(
            where, expected="each column once", found=f"{quote(twice[0])} twice", remedy="rename one of them"
        )


def _note_ragged(where: str, fields: list[str], header: list[str], problems: Problems, *, has_header: bool) -> None:
    expected = f"{len(header)} fields as in the {'header' if has_header else 'first row'}"
    remedy = "quote fields that hold the separator, and write every field"
    problems.add(where, expected=expected, found=str(len(fields)), remedy=remedy, row={"fields": fields})
