"""Which questions are of one type in any language: what they have in common in front and at the end, word by word.

Where letters have no capitals, or nouns have them (German), capitals do not say what varies; what differs between the
questions does. Languages without spaces are read character by character. Knows questions only.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gradual.facts.languages.letters import is_mark

_USUAL_WORD, _USUAL_CHARACTER = 0.2, 0.8
"""Share of the questions with one beginning whose next word (or character) belongs to the type without more ado."""
_GOES_ON = 0.8
"""Otherwise at least this share of those with that next unit must also agree in what follows: names that happen to
begin alike don't."""
_LOOK_AHEAD_WORDS, _LOOK_AHEAD_CHARACTERS = 1, 2
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
"""How the names of letters begin in scripts that are written without spaces between words."""
_ENGLISH = frozenset(
    (
        *(
            "what",
            "which",
            "who",
            "whom",
            "whose",
            "where",
            "when",
            "how",
            "why",
            "the",
            "of",
            "did",
            "does",
            "name",
            "is",
        ),
        *("and", "are", "born", "by", "from", "that", "this", "with"),
    )
)
_FEWEST_WORDS = 3


class Frame(NamedTuple):
    """What questions of one type have in common, in front of what varies and behind it."""

    before: str
    after: str


def differ_from_english(questions: Sequence[str]) -> bool:
    """Whether most questions are sentences (or in a script without capitals), and most not in English."""
    sentences = [
        question for question in questions if len(question.split()) >= _FEWEST_WORDS or not _has_case(question)
    ]
    english = sum(not _ENGLISH.isdisjoint(question.lower().split()) for question in sentences)
    return bool(sentences) and 2 * len(sentences) > len(questions) and 2 * english < len(sentences)


def frames(questions: Sequence[str], *, minimum: int) -> list[Frame | None]:
    """The frame of each question, in their order; None where fewer than `minimum` others have it.

    A beginning is followed as long as enough of the questions that have it (and `minimum`) go on alike, then the same
    from the end over the questions of one beginning; what is left between is what varies. Independent of the order of
    the questions.
    """
    if not questions:
        return []
    is_unspaced = 2 * sum(_is_unspaced(question) for question in questions) > len(questions)
    units = [_characters(question) if is_unspaced else question.split(" ") for question in questions]
    joint = "" if is_unspaced else " "
    starts = _shared_lengths(units, minimum=minimum, is_unspaced=is_unspaced)
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, length in enumerate(starts):
        groups.setdefault(tuple(units[index][:length]), []).append(index)
    frame_of: list[Frame | None] = [None] * len(questions)
    for start, members in groups.items():
        rests = [units[index][len(start) :][::-1] for index in members]
        ends = _shared_lengths(rests, minimum=minimum, is_unspaced=is_unspaced)
        by_end: dict[tuple[str, ...], list[int]] = {}
        for index, rest, length in zip(members, rests, ends, strict=True):
            by_end.setdefault(tuple(rest[:length]), []).append(index)
        for end, alike in by_end.items():
            if len(alike) >= minimum and (start or end):
                before = joint.join(start) + (joint if start else "")
                after = (joint if end else "") + joint.join(end[::-1])
                frame = _with_affixes(Frame(before, after), [questions[index] for index in alike], joint)
                for index in alike:
                    frame_of[index] = frame
    return frame_of


def _shared_lengths(sequences: Sequence[Sequence[str]], *, minimum: int, is_unspaced: bool) -> list[int]:
    """How many first units of each sequence belong to its type; the last unit never does, as something must vary."""
    lengths = [0] * len(sequences)
    active = [index for index, sequence in enumerate(sequences) if len(sequence) > 1]
    groups: list[list[int]] = [active] if active else []
    while groups:
        following: list[list[int]] = []
        for group in groups:
            place = lengths[group[0]]
            onward: dict[str, list[int]] = {}
            for index in group:
                if place < len(sequences[index]) - 1:
                    onward.setdefault(sequences[index][place], []).append(index)
            for alike in onward.values():
                if len(alike) >= minimum and _goes_on(sequences, alike, place, len(group), is_unspaced):
                    for index in alike:
                        lengths[index] = place + 1
                    following.append(alike)
        groups = following
    return lengths


def _goes_on(
    sequences: Sequence[Sequence[str]], alike: Sequence[int], place: int, total: int, is_unspaced: bool
) -> bool:
    """Whether the unit at a place, which `alike` of `total` sequences have there, is a part of their type."""
    usual, ahead = (_USUAL_CHARACTER, _LOOK_AHEAD_CHARACTERS) if is_unspaced else (_USUAL_WORD, _LOOK_AHEAD_WORDS)
    if len(alike) >= usual * total:
        return True
    nexts = Counter(tuple(sequences[index][place + 1 : place + 1 + ahead]) for index in alike)
    return nexts.most_common(1)[0][1] >= _GOES_ON * len(alike)


def _with_affixes(frame: Frame, questions: Sequence[str], joint: str) -> Frame:
    """The frame with what all its varying parts have in common at their ends: particles, case endings, l' and d'."""
    parts = {question[len(frame.before) : len(question) - len(frame.after)] for question in questions}
    if len(parts) < 2 or not joint:
        return frame
    sample = min(parts)
    front = _common([*parts], lambda text, size: text[:size])
    while front and sample[front - 1].isalpha():  # names may begin alike
        front -= 1
    back = _common([text[front:] for text in parts], lambda text, size: text[len(text) - size :])
    while back and sample[len(sample) - back].isalpha() and not _is_hangul(sample[len(sample) - back]):
        back -= 1
    after = sample[len(sample) - back :] + frame.after
    return Frame(frame.before + sample[:front], after)


def _is_hangul(char: str) -> bool:
    return unicodedata.name(char, "").startswith("HANGUL")


def _common(texts: Sequence[str], end: Callable[[str, int], str]) -> int:
    """How many characters all texts have in common at one end, letters kept whole; each text keeps one at least."""
    size = 0
    shortest = min(map(len, texts))
    while size + 1 < shortest and len({end(text, size + 1) for text in texts}) == 1:
        size += 1
    return size


def _characters(text: str) -> list[str]:
    """The characters of a text with the marks on them."""
    units: list[str] = []
    for char in text:
        if units and is_mark(char):
            units[-1] += char
        else:
            units.append(char)
    return units


def _is_unspaced(text: str) -> bool:
    letters = [char for char in text if char.isalpha()]
    return 2 * sum(unicodedata.name(char, "").startswith(_UNSPACED) for char in letters) > len(letters)


def _has_case(text: str) -> bool:
    letters = [char for char in text if char.isalpha()]
    return 2 * sum(char.lower() != char.upper() for char in letters) >= len(letters)
