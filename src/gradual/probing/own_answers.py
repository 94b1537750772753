"""Answers that a model draws for itself: whole answers at random, with the tokens that it drew.

All prompts of a pack lie in one tree, so what they share is read once. The random numbers of an answer come from its
key alone: no neighbour changes them. Knows engines and prompts as tokens; what the answers are for is known above.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gradual.engines.engine import Engine, Forest, Node
from gradual.engines.token_tree import ROOT
from gradual.engines.vocabulary import Vocabulary, ends_line, finished_text, until_line_end
from gradual.errors import OutOfMemoryError, ProbeError
from gradual.facts.problems import quote

KEPT_TOKENS = 4096
"""Likeliest next tokens among which one is drawn; what a larger vocabulary holds beside them is never drawn."""
PACKS_PER_FOREST = 64
"""Packs whose answers are written together on a CPU, at most."""


class Draw(NamedTuple):
    """An answer to be drawn."""

    key: str
    """What its random numbers come from; with the seed in it."""
    prompt_ids: Sequence[int]


class OwnAnswer(NamedTuple):
    """An answer that a model has drawn."""

    text: str
    """Up to its end or its first newline, without white space around it; it may be empty."""
    tokens: tuple[int, ...]
    """As drawn, the token that ended it included; an answer that was cut at the longest length has none."""


def draw_answers(
    packs: Sequence[Sequence[Draw]],
    engine: Engine,
    *,
    temperature: float,
    max_new_tokens: int,
    progress: Callable[[int], None] = lambda count: None,
) -> list[OwnAnswer]:
    """An answer for each draw, in their order: a sample of the engine's model at `temperature`.

    A sequence y has the probability that the model gives it, prod_t p(y_t | prompt, y_<t), with the tokens beyond the
    `KEPT_TOKENS` likeliest left out. Its loss -log q(y | prompt) in training therefore has the expectation
    KL(p || q) + H(p), and its gradient is an unbiased estimate of that of KL(p || q), p being the engine's model and q
    the trained one.

    Args:
        packs: prompts that share their beginning belong in one pack.
        engine: reads with the model whose answers they are.
        temperature: above 0; 1 for the model's own probabilities.
        max_new_tokens: longest answer; a longer one is cut there.
        progress: told how many answers have just been drawn.

    Raises:
        ProbeError: the model's logits are not numbers, or a prompt does not fit into memory.
    """
    answers: list[OwnAnswer] = []
    size = PACKS_PER_FOREST * engine.unit_scale
    for start in range(0, len(packs), size):
        block = packs[start : start + size]
        answers += _draw_within_memory(block, engine, temperature, max_new_tokens)
        progress(sum(map(len, block)))
    return answers


def _draw_within_memory(
    packs: Sequence[Sequence[Draw]], engine: Engine, temperature: float, max_new_tokens: int
) -> list[OwnAnswer]:
    """The answers of some packs; where these do not fit into memory together, of their halves one after the other."""
    try:
        return _Writer(packs, engine, temperature, max_new_tokens).run()
    except OutOfMemoryError as error:
        pieces = packs if len(packs) > 1 else [[draw] for draw in packs[0]]
        if len(pieces) == 1:
            raise ProbeError(
                f"{quote(pieces[0][0].key)}: its prompt does not fit into memory even alone ({error}) - use fewer "
                "shots (num_shots of the stage), or a device with more memory"
            ) from None
    middle = len(pieces) // 2
    halves = (pieces[:middle], pieces[middle:])
    return [answer for half in halves for answer in _draw_within_memory(half, engine, temperature, max_new_tokens)]


@dataclass(eq=False)
class _Writing:
    """An answer being written, and where in the forest it has come to."""

    place: Node
    numbers: npt.NDArray[np.float64]
    """A uniform random number in [0, 1) for each token."""
    tokens: list[int] = field(default_factory=list)
    text: bytes = b""
    is_finished: bool = False


class _Writer:
    """Writes all answers of one forest to their ends, all by one token at a time."""

    def __init__(
        self, packs: Sequence[Sequence[Draw]], engine: Engine, temperature: float, max_new_tokens: int
    ) -> None:
        self._vocabulary: Vocabulary = engine.vocabulary
        self._temperature = temperature
        self._forest: Forest = engine.new_forest(len(packs), top_k=KEPT_TOKENS)
        self._answers = [
            _Writing((row, self._forest.trees[row].add(ROOT, draw.prompt_ids)[-1]), _numbers(draw.key, max_new_tokens))
            for row, pack in enumerate(packs)
            for draw in pack
        ]

    def run(self) -> list[OwnAnswer]:
        """The answers in the order of their draws."""
        writing = self._answers
        while writing:
            self._add_a_token(writing)
            writing = [answer for answer in writing if not answer.is_finished]
        return [OwnAnswer(finished_text(answer.text).strip(), tuple(answer.tokens)) for answer in self._answers]

    def _add_a_token(self, writing: Sequence[_Writing]) -> None:
        places = {place: number for number, place in enumerate(dict.fromkeys(answer.place for answer in writing))}
        next_tokens = self._forest.read(list(places))
        logits = next_tokens.logits.astype(np.float64) / self._temperature
        cumulative = np.cumsum(np.exp(logits - logits[:, :1]), axis=1)
        for answer in writing:
            row = places[answer.place]
            total = cumulative[row, -1]
            place = np.searchsorted(cumulative[row], answer.numbers[len(answer.tokens)] * total, side="right")
            last = np.searchsorted(cumulative[row], total)  # rounding may leave the number at the total itself
            self._add(answer, int(next_tokens.tokens[row, min(place, last)]))

    def _add(self, answer: _Writing, token: int) -> None:
        answer.tokens.append(token)
        piece = b"" if token in self._vocabulary.stops else self._vocabulary.piece(token)
        answer.text += until_line_end(piece)
        is_cut = len(answer.tokens) == len(answer.numbers)
        answer.is_finished = is_cut or token in self._vocabulary.stops or ends_line(piece)
        if not answer.is_finished:
            row, node = answer.place
            answer.place = row, self._forest.trees[row].add(node, [token])[0]


def _numbers(key: str, count: int) -> npt.NDArray[np.float64]:
    seed = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(seed)).random(count)
