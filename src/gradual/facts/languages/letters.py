"""Letters and the marks on them: how composed and decomposed spellings of one text are held against each other.

Knows Unicode, nothing of what a right answer is (`matching`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable


def compose(text: str) -> str:
    """The text with letters and their marks as one character where there is one (NFC)."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def decompose(text: str) -> str:
    """The text with every mark behind its letter, in canonical order (NFD)."""
    return text if text.isascii() else unicodedata.normalize("NFD", text)


def is_mark(char: str) -> bool:
    """Whether a character belongs to the one before it: an accent, a vowel sign, a point."""
    return unicodedata.category(char)[0] == "M"


class Beginnings:
    """The beginnings of some decomposed texts, to ask of any decomposed text whether it can grow into one of them.

    Growing is more than being a prefix: a mark that follows may be sorted before the marks that stand there already.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        """Keep all prefixes of the texts, the empty one and the whole included."""
        self._texts = tuple(texts)
        self._prefixes = frozenset(text[:end] for text in self._texts for end in range(len(text) + 1))

    def __contains__(self, text: str) -> bool:
        """Whether some continuation of `text` is one of the texts."""
        if text in self._prefixes:
            return True
        if text.isascii():
            return False
        end = len(text)
        while end and unicodedata.combining(text[end - 1]):
            end -= 1
        bare, marks = text[:end], text[end:]
        return bool(marks) and any(_takes(whole, bare, marks) for whole in self._texts)


def _takes(whole: str, bare: str, marks: str) -> bool:
    """Whether the marks behind `bare` can become those that `whole` has there, once further ones are sorted in."""
    if not whole.startswith(bare):
        return False
    end = len(bare)
    while end < len(whole) and unicodedata.combining(whole[end]):
        end += 1
    there = whole[len(bare) : end]
    # Marks of different classes change places, those of one class do not.
    return all(_of_class(there, name).startswith(_of_class(marks, name)) for name in _classes(marks))


def _classes(marks: str) -> set[int]:
    return {unicodedata.combining(mark) for mark in marks}


def _of_class(marks: str, name: int) -> str:
    return "".join(mark for mark in marks if unicodedata.combining(mark) == name)
