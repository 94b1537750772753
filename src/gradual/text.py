"""How numbers and texts of others are written wherever people read them: console, tables, pages and sentences.

A number with its interval is written by the `*_estimate` functions alone. Knows no run folder and no HTML.
"""

from __future__ import annotations

import difflib
import math
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

NO_VALUE = "\N{EN DASH}"
NBSP = "\N{NO-BREAK SPACE}"
INFINITY = "\N{INFINITY}"
MINUS = "\N{MINUS SIGN}"
LONGEST_TEXT = 400
"""Characters shown of one question, answer, setting or warning; the run folder holds the rest."""

_WHOLE = 0.05
"""A mean that is nearer to a whole number is written as one."""
_JOINERS = frozenset("\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}")
_SHORT_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
_NUMBER_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def visible(text: str) -> str:
    r"""The text with every invisible or direction-changing character written as an escape.

    Control, format (bidi marks among them), surrogate, private and separator characters become `\n`, `\u202e` and the
    like, so that no answer of a model can reorder or hide what stands around it. Joiners stay: scripts need them.

    >>> visible("a\u202eb\n")
    'a\\u202eb\\n'
    """
    if text.isprintable():
        return text
    return "".join(_escape(character) for character in text)


def _escape(character: str) -> str:
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    category = unicodedata.category(character)
    if character in _JOINERS or (category[0] != "C" and category not in ("Zl", "Zp")):
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def clip(text: str, *, longest: int = LONGEST_TEXT) -> str:
    """The text, cut with an ellipsis where it is longer than `longest` characters."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def number_word(number: int) -> str:
    """The number in words up to ten, in digits beyond: `two`, `12`."""
    return _NUMBER_WORDS[number] if 0 <= number < len(_NUMBER_WORDS) else count(number)


def plural(number: int, noun: str) -> str:
    """The number and its noun: `1 fact`, `2 facts`."""
    return f"{count(number)} {noun}" + ("" if number == 1 else "s")


def count(number: float | None) -> str:
    """A count with thousands set apart by commas; a dash where there is none."""
    if number is None or not math.isfinite(number):
        return NO_VALUE
    return f"{number:,.0f}".replace("-", MINUS)


def signed(number: int) -> str:
    """A difference with its sign: `+12`, `0`, or a minus sign before the number."""
    return count(number) if number <= 0 else f"+{count(number)}"


def mean_count(number: float | None) -> str:
    """A count that may be a mean: `359`, `340.3`; a dash where there is none."""
    if number is None or not math.isfinite(number):
        return NO_VALUE
    return count(number) if abs(number - round(number)) < _WHOLE else decimal(number, 1)


def signed_decimal(number: float | None, digits: int = 1) -> str:
    """A difference with its sign and decimals: `+2.1`, `0.0`, or a minus sign before the number."""
    if number is None or not math.isfinite(number):
        return NO_VALUE
    # Adding 0.0 turns a rounded -0.0 into 0.0.
    rounded = round(number, digits) + 0.0
    return f"{'+' if rounded > 0 else ''}{decimal(rounded, digits)}"


def percent(share: float | None, *, digits: int = 1) -> str:
    """A share in [0, 1] (or a relative change) as a percentage: 0.266 gives `26.6 %`."""
    if share is None or not math.isfinite(share):
        return NO_VALUE
    # Adding 0.0 turns a rounded -0.0 into 0.0.
    return f"{round(100 * share, digits) + 0.0:,.{digits}f}".replace("-", MINUS) + f"{NBSP}%"


class Estimate(NamedTuple):
    """A number and its interval as they are written; as text, one behind the other: `44.8 % [41.0, 48.7]`."""

    number: str
    interval: str
    """With its brackets; empty where there is none."""

    def __str__(self) -> str:
        """Both in one text."""
        return f"{self.number} {self.interval}".rstrip()


def interval(low: float | None, high: float | None, digits: int = 1, *, signed: bool = False) -> str:
    """Bounds in brackets: `[330, 385]`, signed `[-0.4, +4.6]` with a minus sign; empty where one is missing.

    An infinite upper bound is shown: `[0.50, ∞]`.
    """
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return ""
    write = signed_decimal if signed else decimal
    upper = INFINITY if math.isinf(high) else write(high, digits)
    return f"[{write(low, digits)}, {upper}]"


def share_estimate(share: float | None, low: float | None, high: float | None, *, digits: int = 1) -> Estimate:
    """A share in [0, 1] with its interval in percent: `44.8 % [41.0, 48.7]`; `digits` are those of the interval."""
    bottom, top = (None if bound is None else 100 * min(max(bound, 0.0), 1.0) for bound in (low, high))
    return Estimate(percent(share), interval(bottom, top, digits))


def points_estimate(difference: float | None, low: float | None, high: float | None, *, unit: str = "") -> Estimate:
    """A difference of shares or a relative change, times 100: `+1.9 [-0.2, +3.9]`; `unit` stands behind the number."""
    number, bottom, top = (None if part is None else 100 * part for part in (difference, low, high))
    return Estimate(f"{signed_decimal(number)}{unit}", interval(bottom, top, signed=True))


def count_estimate(number: float | None, low: float | None, high: float | None) -> Estimate:
    """A number of facts, mean over seeds, with its interval: `359 [330, 385]`."""
    return Estimate(mean_count(number), interval(low, high, 0))


def count_change_estimate(number: float | None, low: float | None, high: float | None) -> Estimate:
    """A difference of two numbers of facts: `+2 [0, +4]`, `+18.7 [-3.3, +40.7]`; decimals where one is not whole."""
    parts = [part for part in (number, low, high) if part is not None]
    digits = 0 if all(abs(part - round(part)) < _WHOLE for part in parts) else 1
    return Estimate(signed_decimal(number, digits), interval(low, high, digits, signed=True))


def p_value(p: float | None) -> str:
    """A p-value for a column: `0.034`, `< 0.0001`."""
    if p is None or not math.isfinite(p):
        return NO_VALUE
    if p < 1e-4:
        return f"<{NBSP}0.0001"
    return f"{p:.2g}" if p < 0.995 else "1"


def p_equals(p: float | None) -> str:
    """A p-value for a sentence: `p = 0.034`, `p < 0.0001`."""
    words = p_value(p)
    return f"p{NBSP}{words}" if words.startswith("<") else f"p{NBSP}={NBSP}{words}"


def decimal(number: float | None, digits: int = 2) -> str:
    """A plain decimal number; a dash where there is none."""
    if number is None or not math.isfinite(number):
        return NO_VALUE
    return f"{number:,.{digits}f}".replace("-", MINUS)


def gigabytes(size: float) -> str:
    """Bytes in units of 10^9: `16.1 GB`, `0.35 GB`."""
    return f"{size / 1e9:.{1 if size >= 1e9 else 2}f}{NBSP}GB"


def duration(seconds: float | None) -> str:
    """Seconds as people say them: `8.4 s`, `9 min 12 s`, `2 h 05 min`."""
    if seconds is None or not math.isfinite(seconds):
        return NO_VALUE
    if seconds < 59.95:
        return f"{seconds:.1f}{NBSP}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}{NBSP}min {whole % 60:02d}{NBSP}s"
    minutes = round(seconds / 60)
    return f"{minutes // 60:,}{NBSP}h {minutes % 60:02d}{NBSP}min"


def stage_name(stage: int) -> str:
    """What a probe or evaluation after this many stages is called: `base model`, `after stage 1`."""
    return "base model" if stage == 0 else f"after stage {stage}"


def span_name(start: int, end: int) -> str:
    """What lies between two probes or evaluations: `base model to stage 1`."""
    return f"{stage_name(start)} to {stage_name(end).removeprefix('after ')}"


def join_words(parts: Sequence[str]) -> str:
    """The parts as an enumeration: `a`, `a and b`, `a, b and c`."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest candidate, whatever the case and underscores; empty if none is near."""
    by_key = {candidate.lower().replace("_", ""): candidate for candidate in candidates}
    near = difflib.get_close_matches(word.lower().replace("_", ""), by_key, n=1)
    return f"; did you mean '{by_key[near[0]]}'?" if near else ""
