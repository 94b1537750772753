"""The rule `unicode` of what a right answer is: spellings of one answer in any script are the same, others are not.

Unlike SQuAD's rule it keeps what changes an answer: articles inside a name ("Vitamin A"), signs and separators inside
numbers (-40, 1.5, 1/2, 10:30), and signs at the end of a name (C++, A+). Knows texts only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from gradual.facts.languages.letters import Beginnings, compose, decompose, is_mark

# fmt: off
LEADING_ARTICLES = {
    "de": ("der", "die", "das", "den", "dem", "des", "ein", "eine", "einen", "einem", "einer", "eines"),
    "el": ("ο", "η", "το", "οι", "τα"),
    "en": ("a", "an", "the"),
    "es": ("el", "la", "los", "las", "un", "una"),
    "fr": ("le", "la", "les", "un", "une", "des"),
    "hu": ("a", "az"),
    "it": ("il", "lo", "la", "i", "gli", "le", "un", "uno", "una"),
    "nl": ("de", "het", "een"),
    "pt": ("o", "a", "os", "as", "um", "uma"),
}
"""Words that may be left out before an answer, by language; none in languages that are not here."""
_AND = {"de": "und", "es": "y", "fr": "et", "it": "e", "nl": "en", "pt": "e"}
_DECIMAL_COMMA = frozenset(("cs", "da", "de", "el", "es", "fi", "fr", "hu", "it", "nb", "nl", "no", "pl", "pt", "ro",
                            "ru", "sv", "tr", "uk"))
# fmt: on
_ELIDED = {"fr": "l", "it": "l", "ca": "l"}
"""The article that loses its vowel before another: l'Italia."""
_DOTTED_I = frozenset(("az", "tr"))
"""Languages in which I is the capital of dotless ı, and İ that of i."""

_THIN_SPACES = "\u00a0\u2007\u2009\u202f"
_THIN = "\ue000"
"""Stands for a thin or no-break space while the text is folded; a private character that no text has."""
_APOSTROPHES = dict.fromkeys(map(ord, "\u2018\u2019\u201b\u02bc\u02bb\u02b9\u2032\u00b4`\uff07\u05f3"), "'")
_SPELLINGS = _APOSTROPHES | str.maketrans(
    {"ی": "ي", "ک": "ك", "ـ": "", "٫": ".", "٬": ",", "⁄": "/", "∕": "/", **dict.fromkeys(_THIN_SPACES, _THIN)}
)
"""Letters of one sound on Persian and Arabic keyboards, separators of Arabic numbers, slashes, apostrophes."""
_WITHOUT_STROKE = str.maketrans("łøđħŧıȷ", "lodhtij")
_SIGNS_IN_NUMBERS = frozenset(".,:/^")
_SIGNS_OF_NAMES = frozenset("+#")
_WITHOUT_TRACE = frozenset("'.^")

_SUPERSCRIPTS = re.compile("[⁰¹²³⁴-⁹]+")
_VULGAR_FRACTION = re.compile("[¼-¾⅐-⅞↉]")
_ELISION = re.compile(r"\A\W*(\w)'(?=\w)")
_GROUPS_BY_SPACE = re.compile(rf"(?<![\d.,])\d{{1,3}}(?:[ {_THIN}]\d{{3}})+(?!\d)")
_GROUPS_BY_COMMA = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{2,3})*,\d{3}(?![\d,])")
_GROUPS_BY_DOT = re.compile(r"(?<![\d.,])\d{1,3}(?:\.\d{3})+(?![\d.])")
_SEVERAL_GROUPS_BY_DOT = re.compile(r"(?<![\d.,])\d{1,3}(?:\.\d{3}){2,}(?![\d.])")
_NOT_ALPHANUMERIC = re.compile("[^a-z0-9]+")
_DECIMAL = re.compile(r"(?<=\d),(?=\d)")


@dataclass(frozen=True, slots=True)
class UnicodeRule:
    """How texts of a language are compared.

    A text is put into compatible forms (NFKC: full-width letters, ligatures, subscripts) and case-folded (ß is ss, a
    final sigma a sigma; in Turkish I is ı). Invisible characters go, digits of all scripts become 0 to 9. Punctuation
    and symbols go by their Unicode category, but for those between digits (1.5, 1/2, 10:30), a minus before a number,
    and + and # behind a letter or digit (C++). Apostrophes and the dots of abbreviations go without a trace, all
    others leave a space, so that a hyphen is one. Thousands are no longer grouped, a decimal comma is a point. Initials
    stand together (J. R. R. is JRR), & is the language's "and", an article before the rest goes.
    """

    language: str = "en"
    folds_diacritics: bool = False

    def normalise(self, text: str) -> str:
        """The text as this rule compares it, composed; empty where there is neither a letter nor a digit in it.

        >>> UnicodeRule().normalise("The Rolls\u2013Royce, \u201c12\u202f000\u201d")
        'rolls royce 12000'
        """
        spelling = self._fold(text)
        if self.language in _ELIDED:
            spelling = _ELISION.sub(
                lambda match: "" if match[1] == _ELIDED[self.language] else match[0], spelling, count=1
            )
        words = _joined_initials(self._numbers(_without_signs(_GROUPS_BY_SPACE.sub(_digits, spelling))).split())
        if len(words) > 1 and words[0] in LEADING_ARTICLES.get(self.language, ()):
            words = words[1:]
        phrase = " ".join(words)
        return compose(phrase) if any(char.isalnum() for char in phrase) else ""

    def beginnings(self, normalised: Iterable[str]) -> Beginnings:
        """What `is_alive` needs to know of some normalised texts."""
        articles = ("", *LEADING_ARTICLES.get(self.language, ()), _ELIDED.get(self.language, ""))
        return Beginnings(_skeleton(self._fold(article) + text) for text in normalised for article in articles)

    def is_alive(self, text: str, beginnings: Beginnings) -> bool:
        """Whether some continuation of the text may be normalised to one of the texts that `beginnings` are of.

        Only letters and digits are looked at, which no continuation changes: the rule keeps all of them but an article
        in front. So spaces and signs in the wrong place do not make a text dead.
        """
        if text.isascii() and self.language not in _DOTTED_I:  # nothing to compose: the same, much faster
            return _NOT_ALPHANUMERIC.sub("", text.lower().replace("&", self._and)) in beginnings
        return _skeleton(self._fold(text)) in beginnings

    @property
    def _and(self) -> str:
        return f" {_AND.get(self.language, 'and')} "

    def _fold(self, text: str) -> str:
        """The text decomposed and case-folded, letters and digits as they are compared; marks apart a homomorphism."""
        if self.language in _DOTTED_I:
            # Dotted i as dotless with a dot: what comes behind an I or i may still be that dot, or another mark.
            text = decompose(text).replace("i", "I\u0307").replace("I", "ı")
        text = _VULGAR_FRACTION.sub(r" \g<0>", _SUPERSCRIPTS.sub(r"^\g<0>", text)).translate(_SPELLINGS)
        letters = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold()).translate(_SPELLINGS)
        letters = letters.replace("&", self._and)
        if self.folds_diacritics:
            letters = "".join(char for char in letters if not _is_diacritic(char)).translate(_WITHOUT_STROKE)
        return decompose("".join(_plain(char) for char in letters))

    def _numbers(self, text: str) -> str:
        """Numbers without groups of thousands, with a decimal point."""
        if self.language in _DECIMAL_COMMA:
            text = _GROUPS_BY_DOT.sub(_digits, text)
        else:
            text = _SEVERAL_GROUPS_BY_DOT.sub(_digits, _GROUPS_BY_COMMA.sub(_digits, text))
        return _DECIMAL.sub(".", text)


def _skeleton(text: str) -> str:
    return decompose("".join(char for char in text if char.isalnum() or is_mark(char)))


def _plain(char: str) -> str:
    """A digit of any script as 0 to 9, any dash as a hyphen, nothing for what is invisible."""
    if char.isascii():
        return char
    category = unicodedata.category(char)
    if category == "Nd":
        return str(unicodedata.decimal(char))
    if category == "Pd" or char == "\u2212":
        return "-"
    return "" if category == "Cf" or "\ufe00" <= char <= "\ufe0f" else char


def _is_diacritic(char: str) -> bool:
    """Accents of alphabets and the vowel points of Arabic; not the vowel signs of Indic scripts, which are letters."""
    return "\u0300" <= char <= "\u036f" or "\u064b" <= char <= "\u0652" or char == "\u0670"


def _digits(match: re.Match[str]) -> str:
    return "".join(char for char in match[0] if char.isdigit())


def _without_signs(text: str) -> str:
    """The text with only those punctuation marks and symbols that change an answer; a space for most others."""
    chars: list[str] = []
    for place, char in enumerate(text):
        if char.isalnum() or char.isspace() or is_mark(char):
            chars.append(char)
            continue
        before, after = text[place - 1 : place], text[place + 1 : place + 2]
        is_between_digits = before.isdigit() and after.isdigit()
        if char in _WITHOUT_TRACE and not is_between_digits and not _begins_decimal(before, char, after):
            continue
        is_kept = (
            (char in _SIGNS_IN_NUMBERS and is_between_digits)
            or _begins_decimal(before, char, after)
            or (char in _SIGNS_OF_NAMES and bool(chars) and (chars[-1].isalnum() or chars[-1] in _SIGNS_OF_NAMES))
            or (char == "-" and after.isdigit() and not _ends_word(before))
        )
        if is_kept or char != "'":
            chars.append(char if is_kept else " ")
    return "".join(chars)


def _ends_word(before: str) -> bool:
    return bool(before) and (before.isalnum() or is_mark(before))


def _begins_decimal(before: str, char: str, after: str) -> bool:
    return char == "." and after.isdigit() and not before.isalpha()


def _joined_initials(words: list[str]) -> list[str]:
    """The words, neighbours of one letter each put together: j r r tolkien is jrr tolkien."""
    units: list[str] = []
    follows = False
    for word in words:
        is_initial = len(word) == 1 and word.upper() != word
        if is_initial and follows:
            units[-1] += word
        else:
            units.append(word)
        follows = is_initial
    return units
