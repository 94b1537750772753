"""Whether each row can be a fact, and which; what rows say together (duplicates, wordings) is for `loading`.

What is odd about many rows of a part is counted and told once.
"""

from __future__ import annotations

import re
import string
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from gradual.config.run import FactsConfig
from gradual.facts.fact import Fact, fact_id
from gradual.facts.matching import normalise
from gradual.facts.problems import Problems, Remark, quote
from gradual.facts.reading.cells import (
    EMPTY,
    BrokenListError,
    as_list,
    beside,
    flaw,
    text_of,
    with_line_ends,
    without_entities,
)
from gradual.facts.reading.columns import Roles
from gradual.facts.reading.selectors import ABSENT, Selector
from gradual.facts.sources.part import Part, Row
from gradual.facts.sources.split_names import SPLIT_NAMES

_JOINED = {
    ";": re.compile(r"[^\s;]\s*;\s*[^\s;]"), "/": re.compile(r"\S\s+/\s+\S"), "|": re.compile(r"[^\s|]\s*\|\s*[^\s|]"),
}  # fmt: skip
"""What looks like several answers in one text, by what would stand between them."""
_MOST_CHARACTERS_JOINED = 100
_SHARE_JOINED = 0.1
_FEWEST_JOINED = 3


class StatedFact(NamedTuple):
    """A fact and the row it was read from. Its relation is empty where the source has none."""

    fact: Fact
    where: str
    layout: str = ""
    """The published layout of its part, if it is one."""
    repeats: str = ""
    """What the layout does with a question that stands there twice (`Layout.repeats`)."""


@dataclass(slots=True)
class _Tally:
    """What is counted over the rows of a part."""

    unescaped: int = 0
    unanswered: int = 0
    unused: Counter[str] = field(default_factory=Counter)
    systems: Counter[str] = field(default_factory=Counter)
    single: int = 0
    """Answers that came as one text, not as a list."""
    by_separator: dict[str, list[str]] = field(default_factory=dict)


def read_facts(part: Part, roles: Roles, config: FactsConfig, problems: Problems) -> Iterator[StatedFact]:
    """The facts in the rows of a part; a row with a problem is noted and left out."""
    tally = _Tally()
    layout = roles.layout
    for row in part.read(roles.columns(part)):
        if layout is not None and layout.change is not None:
            change = layout.change(row.values)
            if isinstance(change, str):
                tally.unused[change] += 1
                continue
            row = Row(row.where, change)
        fact = _RowReader(row, roles, part, config, problems, tally).fact()
        if fact is not None:
            name, repeats = (layout.name, layout.repeats) if layout else ("", "")
            yield StatedFact(fact, row.where, name, repeats)
    _tell(part, roles, config, problems, tally)


def _tell(part: Part, roles: Roles, config: FactsConfig, problems: Problems, tally: _Tally) -> None:
    """What was counted: what is only odd is told, what would make right answers wrong stops."""
    name = roles.layout.name if roles.layout else ""
    if tally.unescaped:
        text = f"{part.name}: HTML entities (&amp; ...) read as their characters, in rows: {tally.unescaped}"
        warnings.warn(text, stacklevel=4)
    if tally.unanswered:
        warnings.warn(
            f"{part.name}: {name}: questions without an answer, left out: {tally.unanswered}", Remark, stacklevel=4
        )
    for reason, count in tally.unused.items():
        warnings.warn(f"{part.name}: {name}: left out, as each is {reason}: {count}", stacklevel=4)
    if tally.systems:
        system, count = tally.systems.most_common(1)[0]
        text = f"{part.name}: records with the system turn {quote(system)}: {count}"
        others = f" (and {len(tally.systems) - 1} others)" if len(tally.systems) > 1 else ""
        warnings.warn(f"{text}{others}; it begins chat prompts (probe.prompt_style: chat)", Remark, stacklevel=4)
    for separator, texts in tally.by_separator.items():
        is_many = len(texts) >= max(_FEWEST_JOINED, _SHARE_JOINED * tally.single)
        if is_many and config.answer_separator is None:
            problems.add(
                part.name,
                expected=f"one answer in each text of {quote(roles.answers[0].text)}",
                found=f'{len(texts)} that "{separator}" may divide, the first {quote(texts[0])}',
                remedy=f'set facts.answer_separator: "{separator}" to divide them, or none to keep them whole',
            )


class _RowReader:
    """Reads one row; each method returns None after noting a problem."""

    def __init__(
        self, row: Row, roles: Roles, part: Part, config: FactsConfig, problems: Problems, tally: _Tally
    ) -> None:
        self._row, self._roles, self._part, self._tally = row, roles, part, tally
        self._config, self._problems = config, problems
        self._has_entities = False

    def fact(self) -> Fact | None:
        question, answers, relation = self._question(), self._answers(), self._relation()
        split, given_id, subject = self._split(), self._id(), self._subject()
        if question is None or answers is None or relation is None or split is None or given_id is None:
            return None
        rewordings, reverse_of = self._rewordings(question), self._reverse_of()
        if rewordings is None or reverse_of is None:
            return None
        if self._roles.choices:
            with_choices = self._with_choices(question, answers[0])
            if with_choices is None:
                return None
            rewordings = tuple(f"{each}{with_choices[0].removeprefix(question)}" for each in rewordings)
            question, answers = with_choices
        self._tally.unescaped += self._has_entities
        system = self._row.values.get("system") if self._roles.layout else None
        system = system.strip() if isinstance(system, str) else ""
        if system:
            self._tally.systems[system] += 1
        own_id = given_id or fact_id(relation, question)
        return Fact(own_id, relation, question, answers, subject, split, system, rewordings, reverse_of)

    def _question(self) -> str | None:
        remedy = "write the question or delete the row"
        return self._text(self._roles.question, "question", remedy, may_have_lines=True)

    def _relation(self) -> str | None:
        if self._part.relation or not self._roles.relation:
            return self._part.relation
        return self._text(self._roles.relation, "relation", "write the relation or delete the row")

    def _split(self) -> str | None:
        if self._part.split or not self._roles.split:
            return self._part.split
        value = self._roles.split.find(self._row.values)
        known = SPLIT_NAMES.get(value.strip().lower()) if isinstance(value, str) else None
        if known is None:
            expected = f"train, validation, test or exemplars in {quote(self._roles.split.text)}"
            self._note(expected, _quote_or_absent(value), "write one of them")
        return known

    def _id(self) -> str | None:
        """The given id; empty where the row has none."""
        if not self._roles.id or self._roles.id.find(self._row.values) is ABSENT:
            return ""
        return self._text(
            self._roles.id, "id", "write an id, or say that there is no such column (facts.columns.id: none)"
        )

    def _subject(self) -> str:
        value = text_of(self._roles.subject.find(self._row.values))
        return value.strip() if isinstance(value, str) and not flaw(value.strip()) else ""

    def _rewordings(self, question: str) -> tuple[str, ...] | None:
        """The question in other words, each once; none where the row has none."""
        texts: list[str] = []
        remedy = "write the question in other words, or leave it out"
        for selector in self._roles.rewordings:
            value = selector.find(self._row.values)
            try:
                items = [] if value is ABSENT else as_list(value, is_delimited=self._part.is_delimited, separator=None)
            except BrokenListError:
                items = None
            if items is None:
                self._note(f"text or a list of texts in {quote(selector.text)}", quote(value), 'write it as ["a", "b"]')
                return None
            for each in items if items != [""] else ():
                text = self._valid_text(each, selector.text, "rewording", remedy, may_have_lines=True)
                if text is None:
                    return None
                if same_question(text, question):
                    self._note(f"other words than the question's in {quote(selector.text)}", quote(text), remedy)
                    return None
                texts.append(text)
        return tuple(dict.fromkeys(texts))

    def _reverse_of(self) -> str | None:
        """Id of the fact that this one reverses; empty where the row names none."""
        value = text_of(self._roles.reverse_of.find(self._row.values))
        if value is ABSENT or value is None or value == "":
            return ""
        return self._text(self._roles.reverse_of, "id", "write the id of the fact that this one asks the other way")

    def _answers(self) -> tuple[str, ...] | None:
        """The accepted answers, each once, in order; those of the aliases column at the end."""
        answers: list[str] = []
        values = [selector.find(self._row.values) for selector in self._roles.answers]
        for selector, value in zip(self._roles.answers, values, strict=True):
            if len(values) > 1 and self._is_blank(value):
                continue  # of several columns one must hold an answer
            texts = self._answers_in(selector, None if value is ABSENT else value)
            if texts is None:
                return None
            answers += texts
        if not answers:
            layout, first = self._roles.layout, self._roles.answers[0]
            if layout is not None and layout.leaves_out_unanswered:
                self._tally.unanswered += 1
            else:
                remedy = "write the answer or delete the row"
                self._note(f"a non-empty answer in {quote(first.text)}", _quote_or_absent(values[0]), remedy)
            return None
        return tuple(dict.fromkeys([*answers, *self._aliases(values[0])]))

    def _is_blank(self, value: object) -> bool:
        text = text_of(value)
        is_word = isinstance(text, str) and text.strip() in ("", *self._config.missing_words)
        return text is None or text is ABSENT or is_word

    def _answers_in(self, selector: Selector, value: object) -> list[str] | None:
        """The answers in one value."""
        column = quote(selector.text)
        try:
            items = self._as_list(value)
        except BrokenListError as error:
            self._note(f"a list of texts in {column}", quote(str(error)), 'write it as ["a", "b"]')
            return None
        if items is None:
            kind, remedy = quote(value), 'write it as "..."'
            if isinstance(value, dict):
                kind = 'an object without "text"'
                path = f"{selector.text}.{next(iter(value), 'text')}"
                remedy = f"write it as text, or name the field that holds it (facts.columns.answers: {path})"
            self._note(f"text or a list of texts in {column}", kind, remedy)
            return None
        if self._roles.layout is not None and self._roles.layout.leaves_out_unanswered:
            items = [answer for answer in items if answer not in (None, "")]
        texts: list[str] = []
        for answer in items:
            text = self._valid_text(answer, selector.text, "answer", "write the answer or delete the row")
            if text is None:
                return None
            texts.append(text)
        if len(items) == 1 and isinstance(value, str):
            self._count_separators(texts[0])
        return texts

    def _count_separators(self, text: str) -> None:
        self._tally.single += 1
        if len(text) <= _MOST_CHARACTERS_JOINED:
            for separator, pattern in _JOINED.items():
                if pattern.search(text):
                    self._tally.by_separator.setdefault(separator, []).append(text)

    def _aliases(self, answers: object) -> list[str]:
        """Further accepted answers, from a column of aliases or beside the answer; unusable ones are left out."""
        texts: list[str] = []
        for value in (beside(answers), self._roles.aliases.find(self._row.values)):
            try:
                candidates = self._as_list(value) if isinstance(value, str | list) else []
            except BrokenListError:
                candidates = []
            texts += [each.strip() for one in candidates or [] if isinstance(each := text_of(one), str)]
        is_missing = self._config.missing_words
        return [text for text in texts if not flaw(text) and normalise(text) and text not in is_missing]

    def _as_list(self, value: object) -> list[object] | None:
        separator = self._config.answer_separator or (self._roles.layout.separator if self._roles.layout else None)
        return as_list(value, is_delimited=self._part.is_delimited, separator=separator or None)

    def _with_choices(self, question: str, answer: str) -> tuple[str, tuple[str, ...]] | None:
        """The question with its choices below it, lettered, and the right one as letter and as text."""
        value = self._roles.choices.find(self._row.values)
        inner = value.get("text", value) if isinstance(value, dict) else value
        try:
            texts = [text_of(each) for each in (self._as_list(inner) or [])]
        except BrokenListError:
            texts = []
        letters = string.ascii_uppercase[: len(texts)]
        labels = [str(place) for place in range(len(texts))]
        right = next((names.index(answer) for names in (letters, labels, texts) if answer in list(names)), None)
        if right is None or len(texts) < 2 or not all(isinstance(each, str) for each in texts):
            expected = f"the letter, number (from 0) or text of one of the choices in {quote(self._roles.choices.text)}"
            self._note(expected, quote(answer), "correct it")
            return None
        lines = [f"{letter}. {text}" for letter, text in zip(letters, texts, strict=True)]
        return "\n".join([question, *lines]), (letters[right], str(texts[right]))

    def _text(self, selector: Selector, role: str, remedy: str, *, may_have_lines: bool = False) -> str | None:
        value = selector.find(self._row.values)
        return self._valid_text(value, selector.text, role, remedy, may_have_lines=may_have_lines)

    def _valid_text(
        self, value: object, column: str, role: str, remedy: str, *, may_have_lines: bool = False
    ) -> str | None:
        read = text_of(value)
        if isinstance(read, str):
            text = with_line_ends(read)
            if role != "id":
                plain = without_entities(text)
                self._has_entities, text = self._has_entities or plain != text, plain.strip()
            wrong = flaw(text, may_have_lines=may_have_lines)
            if wrong is None and role in ("question", "answer") and text in self._config.missing_words:
                expected = f"{_article(role)} {role} in {quote(column)}"
                word = f"{quote(text)}, a word for nothing (facts.missing_words)"
                self._note(expected, word, f"{remedy}, or take the word out of that list")
                return None
            if wrong is None:
                return text
            if wrong != EMPTY:
                of_one_line = "" if may_have_lines else " of one line"
                self._note(f"{role} text{of_one_line} in {quote(column)}", f"{wrong} in {quote(text)}", "delete it")
                return None
        elif read is not None and read is not ABSENT:
            self._note(f"text in {quote(column)}", _quote_or_absent(value), 'write it as "..."')
            return None
        expected = f"a non-empty {role}" if role != "id" else f"{_article(role)} id"
        self._note(f"{expected} in {quote(column)}", _quote_or_absent(value), remedy)
        return None

    def _note(self, expected: str, found: str, remedy: str) -> None:
        self._problems.add(self._row.where, expected=expected, found=found, remedy=remedy, row=self._row.values)


def same_question(one: str, other: str) -> bool:
    """Whether two questions differ in nothing but case, white space and their end mark."""
    return question_key(one) == question_key(other)


def question_key(question: str) -> str:
    """A question without what `same_question` leaves out."""
    return " ".join(question.casefold().split()).rstrip(" ?!.")


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def _quote_or_absent(value: object) -> str:
    return "no such field" if value is ABSENT else quote(value)
