"""Which questions are of one type, told from their wording alone, and what each of them asks about.

Facts need a relation, because facts of one relation share their exemplars. Where a file has no relation column, the
wording of the questions stands for it. Knows questions only: no files, no facts.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from gradual.facts.languages.frames import differ_from_english, frames

BLANK = "_"
"""Stands in a template for what varies from question to question."""

# fmt: off
_OPENERS = frozenset((
    "a", "about", "after", "an", "are", "as", "at", "before", "by", "can", "could", "did", "do", "does", "during",
    "find", "for", "from", "give", "had", "has", "have", "how", "if", "in", "into", "is", "it", "list", "name", "of",
    "on", "please", "say", "since", "state", "tell", "the", "these", "this", "to", "under", "until", "was", "were",
    "what", "what's", "when", "where", "where's", "which", "who", "who's", "whom", "whose", "why", "will", "with",
    "would",
))
_LINKS = frozenset((
    "&", "-", "a", "al", "an", "and", "at", "by", "da", "de", "del", "der", "des", "di", "do", "du", "e", "el", "en",
    "et", "for", "from", "in", "la", "las", "le", "los", "of", "on", "or", "the", "to", "und", "van", "von", "with",
    "y", "zu",
))
# fmt: on
_LONGEST_LINK = 3
_QUOTED = re.compile(r"\"[^\"]+\"|“[^”]+”|«[^»]+»|(?<!\w)'[^']+'(?!\w)")
_QUOTATION_MARKS = '"“”«»'
_END_MARKS = "?!. ？！。؟।"
_WORD = re.compile(r"\S+")
_ENDING = re.compile(r"(?:['’]s|(?<=s)['’])?[,;:?]*\Z")


class Wording(NamedTuple):
    """The type of a question and what it asks about."""

    template: str
    """The question in lower case with its variable parts blanked: 'what is the capital of _'."""
    subject: str
    """The variable part as it stands in the question, if there is just one; empty otherwise."""


class _Span(NamedTuple):
    start: int
    end: int


def wording(question: str) -> Wording:
    """The type of a question, found by blanking what varies in it.

    Variable are: text in quotation marks; words with a capital letter or a digit in them, except a first word that
    often begins an English question (what, in, name ...); and up to three linking words (of, the, and, de ...) between
    two such words. Neighbouring variable words are one part, a possessive ending left out. A question without any (all
    in lower case) has its last word for the variable part. The rest is put in lower case, without its end mark.

    >>> wording("What is the capital of France?")
    Wording(template='what is the capital of _', subject='France')
    >>> wording("Who is Lauryn Hill's child?")
    Wording(template="who is _'s child", subject='Lauryn Hill')
    >>> wording("what is the symbol of gold?")
    Wording(template='what is the symbol of _', subject='gold')
    """
    text = _plain(question)
    spans = _variable_spans(text if any(char.islower() for char in text) else text.lower())
    pieces: list[str] = []
    position = 0
    for span in spans:
        pieces += [text[position : span.start].lower(), BLANK]
        position = span.end
    subject = text[spans[0].start : spans[0].end].strip(_QUOTATION_MARKS) if len(spans) == 1 else ""
    return Wording("".join(pieces) + text[position:].lower(), subject)


def wordings(questions: Sequence[str], *, minimum: int, known: Collection[str] = ()) -> list[Wording]:
    """The type of each of many questions, in their order.

    Each gets its own `wording` first. Templates of fewer than `minimum` questions are rare; a question of a rare one
    takes the frequent template whose fixed words stand at its beginning and end, if there is one (of several the one
    with the longest fixed text, then the alphabetically first): "Where is Paco railway station located?" is "where is
    _ located" where that is frequent. `known` templates count as frequent. Independent of the order of the questions.

    In questions that are mostly not English, capitals tell nothing: there the type is what questions have in common in
    front and at the end (`languages.frames`), and a question that has nothing in common with others is of the type
    BLANK, without a subject.
    """
    if len(questions) >= minimum and differ_from_english(questions):
        return _by_frames(questions, minimum=minimum, known=known)
    own = [wording(question) for question in questions]
    counts = Counter(each.template for each in own)
    frequent = {template for template, count in counts.items() if count >= minimum} | set(known)
    usual = _longest_first(frequent)
    types: list[Wording] = []
    for question, alone in zip(questions, own, strict=True):
        in_frame = None
        if alone.template not in frequent:
            in_frame = next((each for each in (_wording_in_frame(question, frame) for frame in usual) if each), None)
        types.append(in_frame or alone)
    return types


def _longest_first(templates: Collection[str]) -> list[str]:
    """Those with one blank and fixed text beside it."""
    return sorted((each for each in templates if each.count(BLANK) == 1 and each != BLANK), key=lambda t: (-len(t), t))


def _by_frames(questions: Sequence[str], *, minimum: int, known: Collection[str]) -> list[Wording]:
    texts = [_plain(question).lower() for question in questions]
    own = [f"{frame.before}{BLANK}{frame.after}" if frame else "" for frame in frames(texts, minimum=minimum)]
    usual = _longest_first({*own, *known})
    types: list[Wording] = []
    for question, template in zip(questions, own, strict=True):
        in_frame = _wording_in_frame(question, template) if template.count(BLANK) == 1 else None
        others = (each for frame in usual if (each := _wording_in_frame(question, frame)))
        types.append(in_frame or next(others, Wording(BLANK, "")))
    return types


def is_wording_of(template: str, question: str) -> bool:
    """Whether `wordings` can have given the question this template (with suitable other questions around it)."""
    if wording(question).template == template:
        return True
    return template.count(BLANK) == 1 and template != BLANK and _wording_in_frame(question, template) is not None


def names(question: str) -> tuple[str, ...]:
    """The parts of a question that are quoted or written with capital letters or digits, in order; often none.

    These are the variable parts that `wording` blanks, without its last resort, the last word.

    >>> names('When did Real Madrid first beat "FC Barcelona"?')
    ('Real Madrid', 'FC Barcelona')
    >>> names("what is the symbol of gold?")
    ()
    """
    text = _plain(question)
    spans = _name_spans(text) if any(char.islower() for char in text) else []
    return tuple(text[span.start : span.end].strip(_QUOTATION_MARKS) for span in spans)


def telling_words(question: str) -> tuple[str, ...]:
    """The words of a question, in lower case and in order, that neither open questions nor link words.

    >>> telling_words("what county is galveston in texas?")
    ('county', 'galveston', 'texas')
    """
    text = _plain(question).lower()
    bare = (_without_ending(text, _Span(*match.span())) for match in _WORD.finditer(text))
    words = (text[span.start : span.end] for span in bare)
    return tuple(word for word in words if word not in _OPENERS and word not in _LINKS)


def _plain(question: str) -> str:
    return " ".join(question.split()).rstrip(_END_MARKS)


def _wording_in_frame(question: str, frame: str) -> Wording | None:
    """The question read as an instance of a template with one blank, or None if it is not one."""
    text = _plain(question)
    head, tail = frame.split(BLANK)
    lower_case = text.lower()
    fits = lower_case.startswith(head) and lower_case.endswith(tail) and len(text) > len(head) + len(tail)
    return Wording(frame, text[len(head) : len(text) - len(tail)].strip(_QUOTATION_MARKS)) if fits else None


def _variable_spans(text: str) -> list[_Span]:
    """Where the variable parts of a question stand, in order: its names, or its last word."""
    last = [_Span(*match.span()) for match in _WORD.finditer(text)][-1:]
    return _name_spans(text) or [_without_ending(text, span) for span in last]


def _name_spans(text: str) -> list[_Span]:
    quotes = [_Span(*match.span()) for match in _QUOTED.finditer(text)]
    words = [_Span(*match.span()) for match in _WORD.finditer(text)]
    is_variable = [_is_variable(text, word, quotes, is_first=index == 0) for index, word in enumerate(words)]
    _bridge_links(text, words, is_variable)
    spans: list[_Span] = []
    follows = False
    for word, variable in zip(words, is_variable, strict=True):
        if variable and follows:
            spans[-1] = _Span(spans[-1].start, word.end)
        elif variable:
            spans.append(word)
        follows = variable and text[word.end - 1] != "?"  # what follows is another line
    return [_without_ending(text, span) for span in spans]


def _is_variable(text: str, word: _Span, quotes: Sequence[_Span], *, is_first: bool) -> bool:
    if any(quote.start < word.end and word.start < quote.end for quote in quotes):
        return True
    text_of_word = text[word.start : word.end]
    if is_first and text_of_word.lower() in _OPENERS:
        return False
    if text_of_word.endswith(":") and text[max(0, word.start - 2)] == "?":
        return False  # what begins a line behind the question, such as "Hint:"
    return any(char.isupper() or char.isdigit() for char in text_of_word)


def _bridge_links(text: str, words: Sequence[_Span], is_variable: list[bool]) -> None:
    """Mark the linking words between two variable words as variable too."""
    names = [index for index, variable in enumerate(is_variable) if variable]
    for left, right in itertools.pairwise(names):
        between = [text[word.start : word.end].lower() for word in words[left + 1 : right]]
        if len(between) <= _LONGEST_LINK and all(word in _LINKS for word in between):
            is_variable[left + 1 : right] = [True] * len(between)


def _without_ending(text: str, span: _Span) -> _Span:
    bare = _ENDING.sub("", text[span.start : span.end])
    return _Span(span.start, span.start + len(bare)) if bare else span
