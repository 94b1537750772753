"""An `Engine` whose next tokens come from a server: every node of a forest is a prompt of its own.

Knows trees, tokens and what may be asked of a server (`answers`); `opening` finds out whether it is the right one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from gradual.config.model import ServerConfig
from gradual.config.run import ProbeConfig
from gradual.engines.engine import NextTokens, Node, ReadCost, UnseenTokens
from gradual.engines.server.answers import Answer, TooManyLogprobsError, ask
from gradual.engines.server.client import Client, RefusedError
from gradual.engines.token_tree import TokenTree
from gradual.engines.vocabulary import Vocabulary
from gradual.errors import ModelError
from gradual.facts.prompts import PromptStyle

TIE_ROOM = 24
"""Log-probabilities that are asked for beyond top_k, for ties; more ties than that take further requests."""
_NOT_FOUND = 404
_ROUNDING = 1e-5
"""Most by which log-probabilities in float32 may fail to add up to 1."""


class Speech(Protocol):
    """The tokens and prompts of the served model (`texts.Texts` and its vocabulary)."""

    def encode(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[list[int]]:
        """See `Engine`."""
        ...

    def prompt_style(self, settings: ProbeConfig) -> PromptStyle:
        """See `Engine`."""
        ...


class ServerModel(NamedTuple):
    """A model as a server has it."""

    name: str
    """Under which it is asked for: an adapter's, where there is one."""
    vocab_size: int
    speech: Speech
    vocabulary: Vocabulary


class ServerEngine:
    """An `Engine` over a server. It reads nothing ahead: each node costs a request."""

    unit_scale = 4
    reads_ahead = False

    def __init__(self, client: Client, settings: ServerConfig, server_model: ServerModel) -> None:
        self.client, self.server_model = client, server_model
        self.vocabulary = server_model.vocabulary
        self.fingerprint: Mapping[str, str] = {}
        self.noise = 0.0
        self.after_drops: Callable[[], None] = lambda: None
        """Called when connections broke during a read, before what was read is used: is it still the same server?"""
        self._settings = settings
        self._most = settings.logprobs
        """Log-probabilities that the server gives at most, as far as is known."""
        self._cost = ReadCost(0, 0, 0, 0.0)

    def encode(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[list[int]]:
        """See `Engine`."""
        return self.server_model.speech.encode(texts, add_special_tokens=add_special_tokens)

    def prompt_style(self, settings: ProbeConfig) -> PromptStyle:
        """See `Engine`."""
        return self.server_model.speech.prompt_style(settings)

    def new_forest(self, num_rows: int, *, top_k: int) -> ServerForest:
        """See `Engine`."""
        return ServerForest(self, num_rows, top_k)

    def cost(self) -> ReadCost:
        """Tokens as they were sent: what a server has of them in its cache is not known here."""
        return self._cost

    def num_logprobs(self, top_k: int) -> int:
        """How many log-probabilities are asked for at first."""
        return min(self.server_model.vocab_size, self._settings.logprobs or top_k + TIE_ROOM)

    def answers(self, prompts: Sequence[Sequence[int]], number: int) -> list[Answer]:
        """The `number` likeliest next tokens behind each prompt.

        Prompts that begin alike go into one request: what they share is then in the server's cache.

        Raises:
            ModelError: the server does not give so many log-probabilities.
            ProbeError: it cannot answer, or answers with what cannot be.
        """
        started, drops = time.perf_counter(), self.client.num_drops
        order = sorted(range(len(prompts)), key=lambda place: tuple(prompts[place]))
        size = self._settings.prompts_per_request
        parts = [order[start : start + size] for start in range(0, len(order), size)]
        by_place: dict[int, Answer] = {}
        replies = self.client.each(lambda part: self._ask([prompts[place] for place in part], number), parts)
        for part, answers in zip(parts, replies, strict=True):
            by_place.update(zip(part, answers, strict=True))
        cost = self._cost
        self._cost = ReadCost(
            cost.tokens + sum(map(len, prompts)),
            cost.padded_tokens + sum(map(len, prompts)),
            cost.forward_passes + len(parts),
            cost.seconds + time.perf_counter() - started,
        )
        if self.client.num_drops != drops:
            self.after_drops()
        return [by_place[place] for place in range(len(prompts))]

    def next_tokens(self, prompts: Sequence[Sequence[int]], top_k: int) -> NextTokens:
        """What follows each prompt: all tokens whose logit is at least the k-th largest, as far as they are told."""
        number = self.num_logprobs(top_k)
        rows = [_Row(answer, top_k, self.server_model.vocab_size) for answer in self.answers(prompts, number)]
        while places := [place for place, row in enumerate(rows) if not row.is_whole and self._may_ask(2 * number)]:
            number = min(2 * number, self.server_model.vocab_size)
            try:
                answers = self.answers([prompts[place] for place in places], number)
            except TooManyLogprobsError:
                self._most = number // 2  # the ties that are not told stay open
                break
            for place, answer in zip(places, answers, strict=True):
                rows[place] = _Row(answer, top_k, self.server_model.vocab_size)
        return _as_next_tokens(rows, self.server_model.vocab_size)

    def _may_ask(self, number: int) -> bool:
        return self._most is None or number <= self._most

    def _ask(self, prompts: Sequence[Sequence[int]], number: int) -> list[Answer]:
        try:
            answers = ask(self.client, self.server_model.name, prompts, number)
        except RefusedError as error:
            if error.status != _NOT_FOUND:
                raise
            self.after_drops()  # a server that was started anew has lost its adapter
            answers = ask(self.client, self.server_model.name, prompts, number)
        fewest = min(len(answer.tokens) for answer in answers)
        if fewest < number:
            raise TooManyLogprobsError(number, fewest)
        beyond = max(max(answer.tokens) for answer in answers)
        if beyond >= self.server_model.vocab_size:
            raise ModelError(
                f"expected token ids below {self.server_model.vocab_size}, as the model's settings say, found {beyond} "
                "in the answers of the server - name the model that it serves (model.name_or_path)"
            )
        return answers


class ServerForest:
    """A `Forest` over a `ServerEngine`; every wanted node is read as the path from its root."""

    def __init__(self, engine: ServerEngine, num_rows: int, top_k: int) -> None:
        self._engine, self._top_k = engine, top_k
        self.trees: Sequence[TokenTree] = [TokenTree() for _ in range(num_rows)]

    def read(self, wanted: Sequence[Node]) -> NextTokens:
        """See `Forest`.

        Raises:
            ProbeError: the server cannot answer.
        """
        return self._engine.next_tokens([self.trees[row].path(node) for row, node in wanted], self._top_k)


class _Row:
    """What is kept of an answer, and what it leaves open."""

    def __init__(self, answer: Answer, top_k: int, vocab_size: int) -> None:
        tokens, logprobs = np.array(answer.tokens, np.int64), np.array(answer.logprobs, np.float64)
        kth = logprobs[min(top_k, len(logprobs)) - 1]
        is_top = logprobs >= kth
        has_all = len(tokens) >= vocab_size
        self.is_whole = has_all or (len(tokens) >= top_k and not is_top.all())
        """Whether every token at least as likely as the k-th is among them."""
        self.tokens, self.logprobs = tokens[is_top], logprobs[is_top]
        self.unseen_mass = 0.0 if self.is_whole else max(0.0, 1.0 - float(np.exp(logprobs).sum())) + _ROUNDING


def _as_next_tokens(rows: Sequence[_Row], vocab_size: int) -> NextTokens:
    width = max((len(row.tokens) for row in rows), default=1)
    tokens = np.full((len(rows), width), -1, np.int64)
    logits = np.full((len(rows), width), -np.inf, np.float32)
    for place, row in enumerate(rows):
        tokens[place, : len(row.tokens)] = row.tokens
        logits[place, : len(row.logprobs)] = row.logprobs
    mass = np.array([row.unseen_mass for row in rows])
    return NextTokens(tokens, logits, UnseenTokens(mass, vocab_size) if mass.any() else None)
