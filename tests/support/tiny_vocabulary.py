"""Engines with so few words that every answer can be written out: the truth that probabilities are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gradual.config.run import ProbeConfig
from gradual.testing import FakeEngine

WORDS = (" Par", "is", " par", " Paris", " the", " a", "the", ".", "\n", ".\n", "!", " Rom", "e", "x")


def small_engine(seed: int) -> FakeEngine:
    """An engine that mostly writes the words above: bytes are made unlikely."""
    engine = FakeEngine(WORDS, seed=seed, spread=2.0)
    plain = engine.logits

    def logits(path: list[int]) -> np.ndarray:
        values = plain(path)
        values[len(WORDS) + 1 :] -= 30.0
        return values

    engine.logits = logits  # type: ignore[method-assign]
    return engine


class TableEngine(FakeEngine):
    """Next tokens with the chances (temperature 1) of a table, by the answer so far; nothing else is possible.

    An answer that is not in the table ends.
    """

    def __init__(self, chances: Mapping[str, Mapping[str, float]]) -> None:
        """Makes a vocabulary of the table's words; `""` as a next word ends the sequence."""
        super().__init__(sorted({word for row in chances.values() for word in row} - {""}))
        self._chances = chances

    def logits(self, path: Sequence[int]) -> np.ndarray:
        """See `FakeEngine`."""
        super().logits(path)
        text = b"".join(self.vocabulary.pieces[token] for token in path).decode(errors="replace")
        logits = np.full(len(self.vocabulary.pieces), -1e9, dtype=np.float32)
        for word, chance in self._chances.get(text.rsplit("A:", 1)[1], {"": 1.0}).items():
            token = self.encode([word], add_special_tokens=False)[0][0] if word else 0
            logits[token] = np.log(chance)
        return logits


def greedy_text(engine: FakeEngine, path: Sequence[int], length: int) -> str:
    """The greedy answer of at most `length` tokens, one token at a time, with the space before it."""
    text, path = b"", list(path)
    for _ in range(length):
        token = int(np.argmax(engine.logits(path)))
        piece = engine.vocabulary.pieces[token]
        text += piece.split(b"\n")[0]
        path.append(token)
        if token == 0 or b"\n" in piece:
            break
    return text.decode(errors="replace")


def every_answer(engine: FakeEngine, prompt: Sequence[int], settings: ProbeConfig) -> dict[str, float]:
    """Every answer that the sampler could give, with its chance over all its tokenisations."""
    answers: dict[str, float] = {}

    def walk(path: list[int], text: bytes, chance: float) -> None:
        for token, next_chance in _next_chances(engine, path, settings):
            piece = engine.vocabulary.pieces[token]
            written = text + piece.split(b"\n")[0]
            if token == 0 or b"\n" in piece or len(path) - len(prompt) + 1 == settings.max_new_tokens:
                answer = written.decode(errors="replace")
                answers[answer] = answers.get(answer, 0.0) + chance * next_chance
            else:
                walk([*path, token], written, chance * next_chance)

    walk(list(prompt), b"", 1.0)
    return answers


def _next_chances(engine: FakeEngine, path: Sequence[int], settings: ProbeConfig) -> list[tuple[int, float]]:
    logits = engine.logits(path).astype(np.float64)
    kept = np.flatnonzero(logits >= np.sort(logits)[-settings.top_k])
    weights = np.exp((logits[kept] - logits.max()) / settings.temperature)
    chances = weights / weights.sum()
    if settings.top_p < 1.0:
        order = np.argsort(-chances)
        before = np.cumsum(chances[order]) - chances[order]
        chances[order[before >= settings.top_p]] = 0.0
        chances /= chances.sum()
    return list(zip(kept.tolist(), chances.tolist(), strict=True))
