"""The likeliest next tokens behind prompts, as a server tells them: asked in batches, counted, and put in order.

Knows the request and the answer of OpenAI's completions with token ids (vLLM); nothing of trees.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gradual.engines.server.client import Client, RefusedError
from gradual.errors import ModelError, ProbeError

COMPLETIONS = "/v1/completions"
_MOST_ROUNDS = 4
"""So often are answers asked for that a server leaves out."""
_TOKEN = re.compile(r"token_id:(\d+)")


class Answer(NamedTuple):
    """The likeliest next tokens behind one prompt, likeliest first; equally likely ones in order of token id."""

    tokens: list[int]
    logprobs: list[float]


class TooManyLogprobsError(ProbeError):
    """A server gives fewer log-probabilities than were asked for; `most` says how many, where it tells."""

    def __init__(self, number: int, most: int | None) -> None:
        self.number, self.most = number, most
        super().__init__(f"expected {number} log-probabilities, found {most or 'fewer'}")


def request_body(model: str, prompts: Sequence[Sequence[int] | str], number: int) -> dict[str, Any]:
    """A request for the `number` likeliest next tokens behind each prompt: one greedy token, whose rest is told."""
    return {
        "model": model,
        "prompt": [prompt if isinstance(prompt, str) else list(prompt) for prompt in prompts],
        "max_tokens": 1,
        "temperature": 0.0,
        "logprobs": number,
        "return_tokens_as_token_ids": True,
    }


def ask(client: Client, model: str, prompts: Sequence[Sequence[int] | str], number: int) -> list[Answer]:
    """The `number` likeliest next tokens behind each prompt, in the order of the prompts, by one request.

    What a server leaves out, or gives twice, is asked for again.

    Raises:
        TooManyLogprobsError: it gives fewer log-probabilities.
        ModelError: it does not tell token ids.
        ProbeError: it refuses, goes on leaving answers out, or tells what is no number.
    """
    by_place: dict[int, Answer] = {}
    for _ in range(_MOST_ROUNDS):
        places = [place for place in range(len(prompts)) if place not in by_place]
        reply = post(client, request_body(model, [prompts[place] for place in places], number))
        by_index = answers_of(reply)
        by_place |= {place: by_index[index] for index, place in enumerate(places) if index in by_index}
        if len(by_place) == len(prompts):
            return [by_place[place] for place in range(len(prompts))]
    raise ProbeError(
        f'"{client.url}": expected {len(prompts)} answers to as many prompts, found {len(by_place)} - see to the '
        "server and give the same command again, which goes on"
    )


def post(client: Client, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What comes back for a request.

    Raises:
        TooManyLogprobsError: refused for its log-probabilities.
        ProbeError: refused for anything else, or no JSON object came back.
    """
    try:
        reply = client.post(COMPLETIONS, body)
    except RefusedError as error:
        if error.status in (400, 422) and "logprob" in error.text.lower():
            most = re.search(r"(?:allowed|maximum|exceed|at most|<=)\D*(\d+)", error.text)
            raise TooManyLogprobsError(body["logprobs"], int(most.group(1)) if most else None) from None
        raise
    if not isinstance(reply, Mapping):
        raise ProbeError(f'"{client.url}": expected JSON with choices from {COMPLETIONS}, found {str(reply)[:80]!r}')
    return reply


def answers_of(reply: Mapping[str, Any]) -> dict[int, Answer]:
    """The answers of a reply by the number of their prompt; without those that are there twice.

    Raises:
        ModelError: token ids or log-probabilities are not told.
        ProbeError: one is no number.
    """
    by_index: dict[int, list[Any]] = {}
    for choice in reply.get("choices") or ():
        by_index.setdefault(choice.get("index"), []).append(choice)
    return {index: _read(choices[0]) for index, choices in by_index.items() if len(choices) == 1}


def _read(choice: Mapping[str, Any]) -> Answer:
    """One choice as an answer."""
    top_logprobs = (choice.get("logprobs") or {}).get("top_logprobs")
    if not top_logprobs or not isinstance(top_logprobs[0], Mapping):
        raise ModelError(
            "expected logprobs.top_logprobs in the answers of the server, found none - use a server that tells them "
            "(vLLM does)"
        )
    pairs = []
    for name, value in top_logprobs[0].items():
        match = _TOKEN.fullmatch(name)
        if match is None:
            raise ModelError(
                f"expected token ids (token_id:123) in the answers of the server, found {name!r} - use a server that "
                "heeds return_tokens_as_token_ids (vLLM does)"
            )
        if value is None or not math.isfinite(value):
            raise ProbeError(
                f"expected finite log-probabilities, found {value} - the server's weights or number format are broken"
            )
        pairs.append((-float(np.float32(value)), int(match.group(1))))
    pairs.sort()
    return Answer([token for _, token in pairs], [-value for value, _ in pairs])
