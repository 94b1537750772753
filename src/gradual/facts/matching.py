"""What a right answer is, and which unfinished answers can still become one.

The only place that decides "right". Both decisions rest on the same normalisation, so they agree by construction;
property tests hold them to it. Knows texts only: no models, no files, no facts.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

ARTICLES = ("a", "an", "the")
STOP_CHARACTER = "\n"
"""An answer ends before its first newline (or at the end of the sequence)."""

_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_LAST_WORD = re.compile(r"\w+\Z")
_ARTICLE_BEGINNINGS = frozenset(article[:end] for article in ARTICLES for end in range(1, len(article) + 1))
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def _fold(text: str) -> str:
    """Lower case without ASCII punctuation, character by character, so that fold(a + b) == fold(a) + fold(b)."""
    # Character by character because str.lower alone looks ahead at one letter, the Greek final sigma.
    lowered = text.lower() if text.isascii() else "".join(char.lower() for char in text)
    return lowered.translate(_NO_PUNCTUATION)


def normalise(text: str) -> str:
    """The text as SQuAD compares it: lower case, no ASCII punctuation, no articles, white space collapsed.

    Source: SQuAD (arXiv 1606.05250), official evaluation script; articles are English (a, an, the).

    >>> normalise(" The  U.S. of A.!")
    'us of'
    """
    return " ".join(_ARTICLE.sub(" ", _fold(text)).split())


@dataclass(frozen=True)
class Targets:
    """The accepted answers of one fact, ready for comparing.

    `accepts` and `is_alive` are the two decisions of the probe: is this finished answer right, and can this unfinished
    text still be continued into a right one?
    """

    answers: tuple[str, ...]

    @cached_property
    def normalised(self) -> frozenset[str]:
        """The distinct normalised answers; an answer that normalises to nothing is not among them."""
        return frozenset(normalise(answer) for answer in self.answers) - {""}

    @cached_property
    def _beginnings(self) -> frozenset[str]:
        """Every prefix of every normalised answer, the empty one and the whole included."""
        return frozenset(answer[:end] for answer in self.normalised for end in range(len(answer) + 1))

    @cached_property
    def _word_beginnings(self) -> frozenset[str]:
        """The prefixes that end with a whole white-space word: what may stand before a further word."""
        whole = (answer.split() for answer in self.normalised)
        return frozenset(" ".join(words[:count]) for words in whole for count in range(len(words) + 1))

    @cached_property
    def _first_characters(self) -> frozenset[str]:
        """What a right answer can begin with: a target, or an article that vanishes."""
        return frozenset(word[0] for word in (*self.normalised, *ARTICLES))

    def accepts(self, answer: str) -> bool:
        """Whether a finished answer is right: exact match with any accepted answer after `normalise`."""
        return normalise(answer) in self.normalised

    def is_alive(self, text: str) -> bool:
        """Whether some continuation of `text` (the empty one included) is accepted.

        Only the last word can still change under `normalise`: it may grow, or it may turn out to be an article (or
        become one) and vanish. Everything before it is settled.
        """
        folded = _fold(text)
        start = folded.lstrip()[:1]
        if start and start not in self._first_characters:
            return False
        match = _LAST_WORD.search(folded)
        last_word = match.group() if match else ""
        settled = _ARTICLE.sub(" ", folded[: len(folded) - len(last_word)])
        words = " ".join(settled.split())
        ends_open = bool(settled) and not settled[-1].isspace()
        if not last_word:
            return words in (self._beginnings if ends_open else self._word_beginnings)
        joined = words + last_word if ends_open or not words else f"{words} {last_word}"
        if joined in self._beginnings:
            return True
        return last_word in _ARTICLE_BEGINNINGS and words in self._word_beginnings


def token_f1(answer: str, targets: Iterable[str]) -> float:
    """Highest token F1 in [0, 1] between an answer and the targets, counted with repetitions.

    2PR/(P+R) over white-space words after `normalise`, common words counted min(count, count) times (SQuAD, section
    6.1). Reported beside accuracy only; it never decides a level. Two empty texts score 1.

    >>> token_f1("new york new york", ["New York"])
    0.6666666666666666
    """
    return max((_f1(normalise(answer).split(), normalise(target).split()) for target in targets), default=0.0)


def _f1(answer_words: list[str], target_words: list[str]) -> float:
    if not answer_words or not target_words:
        return float(answer_words == target_words)
    common = (Counter(answer_words) & Counter(target_words)).total()
    return 2 * common / (len(answer_words) + len(target_words))
