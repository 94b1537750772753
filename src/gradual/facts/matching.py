"""What a right answer is, and which unfinished answers can still become one.

The only place that decides "right". Both decisions rest on the same normalisation, so they agree by construction;
property tests hold them to it. Knows texts only: no models, no files, no facts. The rule `unicode` is in
`languages.unicode_rule`.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from gradual.config.run import ProbeConfig
from gradual.facts.languages.letters import Beginnings, compose, decompose, is_mark
from gradual.facts.languages.unicode_rule import UnicodeRule

ARTICLES = ("a", "an", "the")
STOP_CHARACTER = "\n"
"""An answer ends before its first newline (or at the end of the sequence)."""

_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_LAST_WORD = re.compile(r"\w+\Z")
_ARTICLE_BEGINNINGS = frozenset(article[:end] for article in ARTICLES for end in range(1, len(article) + 1))
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class Matching:
    """Which rule says what is right; the settings of the same names in `probe`."""

    rule: Literal["squad", "unicode"] = "squad"
    language: str = "en"
    """Of the rule `unicode`: whose articles, case and decimal comma."""
    diacritics: Literal["keep", "fold"] = "keep"
    """Of the rule `unicode`: whether letters with and without accents are the same."""

    @property
    def unicode_rule(self) -> UnicodeRule | None:
        """The rule `unicode` of the language; None under SQuAD's rule."""
        if self.rule == "squad":
            return None
        return UnicodeRule(self.language, folds_diacritics=self.diacritics == "fold")

    def normalise(self, text: str) -> str:
        """The text as the rule compares it; empty where the rule leaves nothing of it."""
        rule = self.unicode_rule
        return normalise(text) if rule is None else rule.normalise(text)


SQUAD = Matching()


def matching_of(settings: ProbeConfig) -> Matching:
    """The rule that a probe is set to; its settings stand in every map (`MapInfo.probe`)."""
    return Matching(settings.matching, settings.language, settings.diacritics)


def recorded_matching(settings: Mapping[str, object]) -> Matching:
    """The rule that stands in a record of settings, by their paths (`probe.matching`) or as a map keeps them.

    A record without one was made by SQuAD's rule.
    """
    choices = {
        name: settings.get(f"probe.{name}", settings.get(name)) for name in ("matching", "language", "diacritics")
    }
    known = {name: value for name, value in choices.items() if value is not None}
    return matching_of(ProbeConfig.model_validate(known))


def _fold(text: str) -> str:
    """Decomposed lower case without ASCII punctuation: fold(a + b) is fold(a) + fold(b) but for the order of marks."""
    if text.isascii():
        return text.lower().translate(_NO_PUNCTUATION)
    # Character by character because str.lower alone looks ahead at one letter, the Greek final sigma.
    lower_case = "".join(char.lower() for char in decompose(text))
    return decompose(lower_case.translate(_NO_PUNCTUATION))


def normalise(text: str) -> str:
    """The text as SQuAD compares it: lower case, no ASCII punctuation, no articles, white space collapsed.

    Source: SQuAD (arXiv 1606.05250), official evaluation script; articles are English (a, an, the). Unlike there,
    composed and decomposed letters are the same: the text comes back composed (NFC), and an `a` with an accent behind
    it is no article.

    >>> normalise(" The  U.S. of A.!")
    'us of'
    """
    return compose(" ".join(_without_articles(_fold(text)).split()))


def _without_articles(text: str) -> str:
    if text.isascii():
        return _ARTICLE.sub(" ", text)
    return _ARTICLE.sub(lambda match: match.group() if _has_mark_beside(match) else " ", text)


def _has_mark_beside(match: re.Match[str]) -> bool:
    """Whether what looks like a word is part of one: regular expressions take marks for the end of a word."""
    text, start, end = match.string, match.start(), match.end()
    return (start > 0 and is_mark(text[start - 1])) or (end < len(text) and is_mark(text[end]))


def _last_word(text: str) -> str:
    if text.isascii():
        match = _LAST_WORD.search(text)
        return match.group() if match else ""
    start = len(text)
    while start and (text[start - 1].isalnum() or is_mark(text[start - 1])):
        start -= 1
    return text[start:]


def as_it_stands(text: str) -> str:
    """The text itself, composed and with white space collapsed: how answers compare of which a rule leaves nothing."""
    return compose(" ".join(text.split()))


@dataclass(frozen=True)
class Targets:
    """The accepted answers of one fact, ready for comparing.

    `accepts` and `is_alive` are the two decisions of the probe: is this finished answer right, and can this unfinished
    text still be continued into a right one? An answer of which the rule leaves nothing ("A" for ampere, "+") is
    matched as it stands.
    """

    answers: tuple[str, ...]
    matching: Matching = SQUAD

    @cached_property
    def normalised(self) -> frozenset[str]:
        """The distinct answers after the rule; those of which it leaves nothing, as they stand."""
        return self._by_rule | self._standing

    def accepts(self, answer: str) -> bool:
        """Whether a finished answer is right: exact match with any accepted answer after the rule."""
        return self._rule_of(answer) in self._by_rule or (
            bool(self._standing) and as_it_stands(answer) in self._standing
        )

    def is_alive(self, text: str) -> bool:
        """Whether some continuation of `text` (the empty one included) is accepted.

        Under `squad` exactly if there is one; under `unicode` a text may count as alive that is not, where only spaces
        or signs are wrong in it, but none is dead that could become right.
        """
        if self._standing and self._is_beginning_of_standing(text):
            return True
        if not self._by_rule:
            return False
        unicode_rule = self._unicode
        return self._is_alive(text) if unicode_rule is None else unicode_rule.is_alive(text, self._skeletons)

    @cached_property
    def _unicode(self) -> UnicodeRule | None:
        return self.matching.unicode_rule

    def _rule_of(self, text: str) -> str:
        return normalise(text) if self._unicode is None else self._unicode.normalise(text)

    @cached_property
    def _by_rule(self) -> frozenset[str]:
        """The distinct answers after the rule, those of which it leaves nothing left out."""
        return frozenset(self._rule_of(answer) for answer in self.answers) - {""}

    @cached_property
    def _standing(self) -> frozenset[str]:
        return frozenset(as_it_stands(each) for each in self.answers if not self._rule_of(each)) - {""}

    @cached_property
    def _skeletons(self) -> Beginnings:
        assert self._unicode is not None
        return self._unicode.beginnings(self._by_rule)

    @cached_property
    def _beginnings(self) -> Beginnings:
        return Beginnings(decompose(answer) for answer in self._by_rule)

    @cached_property
    def _beginnings_of_standing(self) -> Beginnings:
        return Beginnings(decompose(answer) for answer in self._standing)

    @cached_property
    def _word_beginnings(self) -> frozenset[str]:
        """The prefixes that end with a whole white-space word: what may stand before a further word."""
        whole = (decompose(answer).split() for answer in self._by_rule)
        return frozenset(" ".join(words[:count]) for words in whole for count in range(len(words) + 1))

    @cached_property
    def _first_characters(self) -> frozenset[str]:
        """What a right answer can begin with: a target, or an article that vanishes."""
        return frozenset(decompose(word)[0] for word in (*self._by_rule, *ARTICLES))

    def _is_alive(self, text: str) -> bool:
        """As `is_alive`, under SQuAD's rule.

        Only the last word can still change under `normalise`: it may grow, or it may turn out to be an article (or
        become one) and vanish. Everything before it is settled.
        """
        spelling = _fold(text)
        start = spelling.lstrip()[:1]
        if start and start not in self._first_characters and not is_mark(start):
            return False
        last_word = _last_word(spelling)
        settled = _without_articles(spelling[: len(spelling) - len(last_word)])
        words = " ".join(settled.split())
        ends_open = bool(settled) and not settled[-1].isspace()
        if not last_word:
            return words in (self._beginnings if ends_open else self._word_beginnings)
        phrase = words + last_word if ends_open or not words else f"{words} {last_word}"
        if phrase in self._beginnings:
            return True
        return last_word in _ARTICLE_BEGINNINGS and words in self._word_beginnings

    def _is_beginning_of_standing(self, text: str) -> bool:
        bare = decompose(text)
        words = " ".join(bare.split())
        if words and bare[-1].isspace() and f"{words} " in self._beginnings_of_standing:
            return True
        ends_open = bool(words) and not bare[-1].isspace()
        return words in self._beginnings_of_standing if ends_open or not words else compose(words) in self._standing


def token_f1(answer: str, targets: Iterable[str], matching: Matching = SQUAD) -> float:
    """Highest token F1 in [0, 1] between an answer and the targets, counted with repetitions.

    2PR/(P+R) over white-space words after the rule, common words counted min(count, count) times (SQuAD, section
    6.1). Reported beside accuracy only; it never decides a level. Two empty texts score 1.

    >>> token_f1("new york new york", ["New York"])
    0.6666666666666666
    """
    words = matching.normalise(answer).split()
    return max((_f1(words, matching.normalise(target).split()) for target in targets), default=0.0)


def _f1(answer_words: list[str], target_words: list[str]) -> float:
    if not answer_words or not target_words:
        return float(answer_words == target_words)
    common = (Counter(answer_words) & Counter(target_words)).total()
    return 2 * common / (len(answer_words) + len(target_words))
