"""Which column of a source means what, and whether each row can be a fact.

One row at a time; what rows say together (duplicates, contradictions, relations told from wording) is `loading`'s.
Knows no formats (`rows`, `sources`).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from gradual.config.run import ColumnsConfig
from gradual.facts.fact import Fact, fact_id
from gradual.facts.matching import normalise
from gradual.facts.problems import Problems, shown, shown_names
from gradual.facts.rows import Part, Row
from gradual.facts.sources import SPLIT_NAMES

DETECTED = {
    "question": ("question", "query", "prompt", "input"),
    "answers": ("answers", "answer", "targets", "target", "completion", "output", "possible_answers"),
    "aliases": ("aliases", "answer_aliases"),
    "relation": ("relation", "type", "category", "predicate", "property", "prop"),
    "subject": ("subject", "entity", "s", "subj"),
    "split": ("split",),
    "id": ("id",),
}
"""The column names that are understood by themselves, whatever their case; of several the first counts."""

_BARS = re.compile(r"(?:^|\s+)\|(?:\s+|$)")
_LIST_BEGINNINGS = ('["', "['")


class Roles(NamedTuple):
    """The name of the column that plays each role; empty where there is none."""

    question: str
    answers: str
    aliases: str
    relation: str
    subject: str
    split: str
    id: str


class StatedFact(NamedTuple):
    """A fact and the row it was read from. Its relation is empty where the source has none."""

    fact: Fact
    where: str


def find_roles(part: Part, columns: ColumnsConfig, problems: Problems) -> Roles | None:
    """Which column is which, as `columns` or `DETECTED` names them; None, and problems noted, if one is missing."""
    lowered = {name.strip().lower(): name for name in reversed(part.columns)}
    chosen: dict[str, str] = {}
    for role, names in DETECTED.items():
        named: str | None = getattr(columns, role, None)
        if named is None:
            chosen[role] = next((lowered[name] for name in names if name in lowered), "")
        elif named in part.columns:
            chosen[role] = named
        else:
            expected, found = (
                f"the column {shown(named)} (facts.columns.{role})",
                f"the columns {shown_names(part.columns)}",
            )
            problems.add(part.name, expected=expected, found=found, remedy="correct the name")
            return None
    if columns.answers is not None:
        chosen["aliases"] = ""
    is_complete = True
    for role, article in (("question", "a question"), ("answers", "an answers")):
        if not chosen[role]:
            is_complete = False
            problems.add(
                part.name,
                expected=f"{article} column ({', '.join(DETECTED[role])})",
                found=f"the columns {shown_names(part.columns)}" if part.columns else "no columns",
                remedy=f"rename it, or name it with facts.columns.{role}",
            )
    return Roles(**chosen) if is_complete else None


def read_facts(part: Part, roles: Roles, problems: Problems) -> Iterator[StatedFact]:
    """The facts in the rows of a part; a row with a problem is noted and left out."""
    wanted = tuple(dict.fromkeys(name for name in roles if name))
    for row in part.read(wanted):
        reader = _RowReader(row, roles, part, problems)
        question, answers, relation = reader.question(), reader.answers(), reader.relation()
        split, given_id, subject = reader.split(), reader.id(), reader.subject()
        if question is None or answers is None or relation is None or split is None or given_id is None:
            continue
        number = given_id or fact_id(relation, question)
        yield StatedFact(Fact(number, relation, question, answers, subject=subject, split=split), row.where)


class _RowReader:
    """Reads one row; each method returns None after noting a problem."""

    def __init__(self, row: Row, roles: Roles, part: Part, problems: Problems) -> None:
        self._row, self._roles, self._part, self._problems = row, roles, part, problems

    def question(self) -> str | None:
        return self._text(self._roles.question, "question", "write the question or delete the row")

    def relation(self) -> str | None:
        if self._part.relation or not self._roles.relation:
            return self._part.relation
        value = self._row.values.get(self._roles.relation)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self._text(self._roles.relation, "relation", "write the relation or delete the row")

    def split(self) -> str | None:
        if self._part.split or not self._roles.split:
            return self._part.split
        value = self._row.values.get(self._roles.split)
        known = SPLIT_NAMES.get(value.strip().lower()) if isinstance(value, str) else None
        if known is None:
            column = self._roles.split
            expected = f"train, validation, test or exemplars in {shown(column)}"
            self._note(expected, self._found(value, column), "write one of them")
        return known

    def id(self) -> str | None:
        """The given id; empty where the row has none."""
        column = self._roles.id
        if not column or column not in self._row.values:
            return ""
        value = self._row.values[column]
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self._text(column, "id", "write an id, or delete the column")

    def subject(self) -> str:
        value = self._row.values.get(self._roles.subject)
        return value.strip() if isinstance(value, str) and not _flaw(value.strip()) else ""

    def answers(self) -> tuple[str, ...] | None:
        """The accepted answers, each once, in order; those of the aliases column at the end."""
        column = self._roles.answers
        value = self._row.values.get(column)
        listed = self._listed(value)
        if listed is None:
            return None
        if not listed:
            found_here = self._found(value, column)
            self._note(f"a non-empty answer in {shown(column)}", found_here, "write the answer or delete the row")
            return None
        found: list[str] = []
        for answer in listed:
            text = self._checked(answer, column, "answer", "write the answer or delete the row")
            if text is None:
                return None
            if not normalise(text):
                self._note(
                    f"an answer with a word in it in {shown(column)}",
                    f"{shown(text)} (nothing is left of it without articles and punctuation)",
                    "write it in words or delete it",
                )
                return None
            found.append(text)
        return tuple(dict.fromkeys([*found, *self._aliases(value)]))

    def _aliases(self, answers: object) -> list[str]:
        """Further accepted answers, from a column of aliases or beside the answer; unusable ones are left out."""
        beside = {key.lower(): each for key, each in answers.items()} if isinstance(answers, dict) else {}
        lists = [beside.get("aliases"), self._row.values.get(self._roles.aliases)]
        texts: list[str] = []
        for value in lists:
            candidates = value if isinstance(value, list) else _in_string(value, is_delimited=self._part.is_delimited)
            texts += [each.strip() for each in candidates or [] if isinstance(each, str)]
        return [text for text in texts if not _flaw(text) and normalise(text)]

    def _listed(self, value: object) -> list[object] | None:
        """The answers of a row as a list: from text, a list, or the objects of SQuAD and TriviaQA."""
        if isinstance(value, dict):
            lowered = {key.lower(): each for key, each in value.items()}
            inner = lowered.get("text", lowered.get("value"))
            if not isinstance(inner, str | list):
                self._wrong_type('an object without "text"')
                return None
            value = inner
        if isinstance(value, str):
            found = _in_string(value, is_delimited=self._part.is_delimited)
            if found is None:
                column = shown(self._roles.answers)
                self._note(f"a JSON list of texts in {column}", shown(value), 'write it as ["a", "b"]')
            return found
        if isinstance(value, list):
            return [each["text"] if isinstance(each, dict) and set(each) >= {"text"} else each for each in value]
        if value is None:
            return []
        self._wrong_type(shown(value))
        return None

    def _wrong_type(self, found: str) -> None:
        self._note(f"text or a list of texts in {shown(self._roles.answers)}", found, 'write it as "..."')

    def _text(self, column: str, role: str, remedy: str) -> str | None:
        return self._checked(self._row.values.get(column), column, role, remedy)

    def _checked(self, value: object, column: str, role: str, remedy: str) -> str | None:
        if isinstance(value, str):
            text = value.strip()
            flaw = _flaw(text)
            if flaw is None:
                return text
            if flaw != _EMPTY:
                self._note(f"{role} text of one line in {shown(column)}", f"{flaw} in {shown(text)}", "delete it")
                return None
        elif value is not None:
            self._note(f"text in {shown(column)}", self._found(value), 'write it as "..."')
            return None
        article = "an" if role[0] in "aeiou" else "a"
        expected = f"a non-empty {role}" if role != "id" else f"{article} id"
        self._note(f"{expected} in {shown(column)}", self._found(value, column), remedy)
        return None

    def _found(self, value: object, column: str | None = None) -> str:
        is_absent = value is None and column is not None and column not in self._row.values
        return "no such field" if is_absent else shown(value)

    def _note(self, expected: str, found: str, remedy: str) -> None:
        self._problems.add(self._row.where, expected=expected, found=found, remedy=remedy)


_EMPTY = "nothing"


def _flaw(text: str) -> str | None:
    """What keeps a stripped text from being a question or an answer; None if nothing does."""
    if not text:
        return _EMPTY
    if len(text.splitlines()) > 1:
        return "a line break"
    for char in text:
        category = unicodedata.category(char)
        if category == "Cs":
            return "half a surrogate pair"
        if category == "Cc" and char != "\t":
            return "a control character"
    return None


def _in_string(value: object, *, is_delimited: bool) -> list[object] | None:
    """The answers in one text: a JSON list, in CSV also `a | b`, else the text itself; None if the list is broken."""
    if not isinstance(value, str):
        return []
    text = value.strip()
    if text.startswith(_LIST_BEGINNINGS) or text == "[]":
        try:
            listed = json.loads(text)
        except (ValueError, RecursionError):
            return None
        return listed if isinstance(listed, list) else None
    if is_delimited and _BARS.search(text):
        return [*_BARS.split(text)]
    return [text]
