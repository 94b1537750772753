"""The seam between the probe and a model: what an engine must offer, in plain numbers.

Knows no torch. `transformers_engine` implements it for Hugging Face models, `server` for an inference server, `testing`
with a fake one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from gradual.config.run import ProbeConfig
from gradual.engines.token_tree import TokenTree
from gradual.engines.vocabulary import Vocabulary
from gradual.facts.prompts import PromptStyle

Node = tuple[int, int]
"""A node of a forest: (row, number of the node in that row's tree)."""


class UnseenTokens(NamedTuple):
    """What is known of next tokens that an engine keeps to itself, though they are among the k likeliest."""

    mass: npt.NDArray[np.float64]  # (N,)
    """Their probability together is at most this, with temperature 1; 0 where all are told. Where it is not 0, the
    logits of the row are log-probabilities."""
    num_tokens: int
    """They are at most so many."""


class NextTokens(NamedTuple):
    """The likeliest next tokens at N nodes, likeliest first; rows are padded with token -1 and logit -inf.

    Kept are all tokens whose logit is at least the k-th largest, so a row may hold more than k where there are ties.
    Equal logits are in order of token id, as `argmax` takes them.
    """

    tokens: npt.NDArray[np.int64]  # (N, K)
    logits: npt.NDArray[np.float32]  # (N, K)
    unseen: UnseenTokens | None = None
    """None: every row tells all that is kept. Each unseen token is at most as likely as the last one of its row."""


class Forest(Protocol):
    """One token tree per row, with what the model has computed for it so far."""

    @property
    def trees(self) -> Sequence[TokenTree]:
        """The trees, by row; nodes are added to them between reads."""
        ...

    def read(self, wanted: Sequence[Node]) -> NextTokens:
        """Runs the model over all nodes added since the last call; next tokens at `wanted`, which are among them.

        A forest whose read has failed is of no further use.
        """
        ...


class ReadCost(NamedTuple):
    """What reading has cost an engine since it was made."""

    tokens: int
    """Tokens that the model has read, padding left out."""
    padded_tokens: int
    """Tokens that went through the model, padding included."""
    forward_passes: int
    seconds: float
    """Time inside the model."""

    def plus(self, more: ReadCost, *, sign: int = 1) -> ReadCost:
        """Both together; with sign -1, what this one is above the other."""
        return ReadCost(
            self.tokens + sign * more.tokens,
            self.padded_tokens + sign * more.padded_tokens,
            self.forward_passes + sign * more.forward_passes,
            self.seconds + sign * more.seconds,
        )


class Engine(Protocol):
    """A model that reads forests."""

    vocabulary: Vocabulary
    fingerprint: Mapping[str, str]
    """What identifies the model for a run: weights, tokenizer, dtype, versions."""
    unit_scale: int
    """How many times the units of an exact probe may be as large as what suits a CPU; at least 1."""
    reads_ahead: bool
    """Whether it is cheaper to read the usual rest of an answer at once than to come back for it."""
    noise: float
    """So much may a difference of two logits change from one read to the next; 0 where reading is a pure function."""

    def encode(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[list[int]]:
        """Token ids of each text."""
        ...

    def prompt_style(self, settings: ProbeConfig) -> PromptStyle:
        """How this model is asked: plain or in chats, as the settings of a probe say."""
        ...

    def new_forest(self, num_rows: int, *, top_k: int) -> Forest:
        """An empty forest."""
        ...

    def cost(self) -> ReadCost:
        """What has been read so far."""
        ...
