"""A canary before every probe through a server: 16 prompts whose answers tell its noise, and whether it stays the same.

Knows answers and how far they lie apart; not where they come from. Loads nothing that talks to a server.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gradual.errors import RunDirError
from gradual.files import storage

CANARY_FILE = "canary.json"
"""Beside a map: what the server answered before it was made."""
CANARY_TEXTS = (
    "The",
    "Q: Which is the first?\nA:",
    "Q: Where does the Danube end?\nA: the Black Sea\nQ: Where does the Rhine end?\nA:",
    "1, 2, 3, 4, 5,",
    "Wer schrieb „Faust“? Es war Johann Wolfgang von",
    "La capitale de la France est",
    "東京は",
    "Столица России —",
    "def double(number):\n    return",
    "In the beginning God created the heaven and the",
    "Question: What is the colour of the sky on a clear day?\nAnswer: The sky is",
    "Water boils at a temperature of 100 degrees",
    "Q: one?\nA: red\nQ: two?\nA: blue\nQ: three?\nA: green\nQ: four?\nA: gold\nQ: five?\nA:",
    "São Tomé e Príncipe",
    "A list of planets, from the sun: Mercury, Venus, Earth,",
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it",
)
"""Texts of several lengths and scripts."""
OTHER_MODEL = 1.0
"""Nats. Two number formats, or a model and its 4-bit copy, lie below; two models or tokenizers far above."""

_COMPARED = 5
"""Likeliest tokens by which models are told apart: what is unlikely differs more by rounding."""
_SAME_MODEL = (4.0, 0.01)
"""A later canary may differ by so many times the noise, and by so many nats in any case."""


class CanaryAnswer(NamedTuple):
    """What was answered to one prompt of a canary: tokens, likeliest first, and their log-probabilities."""

    tokens: Sequence[int]
    logprobs: Sequence[float]


class Canary(NamedTuple):
    """What a server answered to the 16 prompts, and what was found out with them."""

    answers: Sequence[CanaryAnswer]
    noise: float
    """Largest change of a difference of two log-probabilities between being asked in a batch and alone, in nats."""
    found: Mapping[str, str]
    """For the fingerprint of the model: what else was measured."""


def largest_difference(one: Sequence[CanaryAnswer], other: Sequence[CanaryAnswer], *, top: int | None = None) -> float:
    """The largest of `differences`, in nats."""
    return max(differences(one, other, top=top))


def differences(one: Sequence[CanaryAnswer], other: Sequence[CanaryAnswer], *, top: int | None = None) -> list[float]:
    """By prompt, how far the differences of log-probabilities to the likeliest token change, at most, in nats.

    Only tokens that both tell are compared, of the first only the `top` likeliest; infinite where both tell fewer than
    half of these, or not the likeliest one. Differences, because log-probabilities and logits have another zero.
    """
    return [_difference(a, b, top) for a, b in zip(one, other, strict=True)]


def is_other_model(one: Sequence[CanaryAnswer], other: Sequence[CanaryAnswer]) -> bool:
    """Whether two sets of answers come from different models or prompts, whatever their number formats."""
    return statistics.median(differences(one, other, top=_COMPARED)) > OTHER_MODEL


def is_same_server(before: Canary, now: Sequence[CanaryAnswer]) -> bool:
    """Whether a server answers as it did, within its noise."""
    factor, least = _SAME_MODEL
    return largest_difference(before.answers, now, top=_COMPARED) <= max(factor * before.noise, least)


def _difference(one: CanaryAnswer, other: CanaryAnswer, top: int | None) -> float:
    in_other = dict(zip(other.tokens, other.logprobs, strict=True))
    pairs = list(zip(one.tokens, one.logprobs, strict=True))[:top]
    common = [(value, in_other[token]) for token, value in pairs if token in in_other]
    if not pairs or one.tokens[0] not in in_other or 2 * len(common) < len(pairs):
        return float("inf")
    first, first_other = common[0]
    return max(abs((value - first) - (value_other - first_other)) for value, value_other in common)


def write_canary(canary: Canary, path: Path) -> None:
    """Keeps a canary, so that a probe that is gone on with can hold the server against it."""
    storage.make_folder(path.parent)
    answers: list[storage.Json] = [[list(each.tokens), list(each.logprobs)] for each in canary.answers]
    storage.write_json(path, {"answers": answers, "noise": canary.noise, "found": dict(canary.found)})


def read_canary(path: Path) -> Canary | None:
    """The canary that was kept; None where none was.

    Raises:
        RunDirError: the file is damaged.
    """
    if not path.is_file():
        return None
    value: Mapping[str, Any] = storage.read_json(path)
    try:
        answers = [
            CanaryAnswer([int(token) for token in tokens], list(map(float, logprobs)))
            for tokens, logprobs in value["answers"]
        ]
        fields = {str(name): str(text) for name, text in value["found"].items()}
        return Canary(answers, float(value["noise"]), fields)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise RunDirError(f"{path}: expected the answers of a server, found something else - remove the file") from None
