"""Stand-ins for real models, for our tests and a user's first steps: offline, on a CPU, the same every time.

`FakeEngine` is an engine without a model, `make_tiny_model` a real but random one with two layers. `toy_facts` are what
to ask them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gradual.config.run import ProbeConfig
from gradual.engines.engine import NextTokens, Node, ReadCost
from gradual.engines.token_tree import TokenTree
from gradual.engines.vocabulary import Vocabulary
from gradual.facts.fact import Fact
from gradual.facts.prompts import PlainPrompts, PromptStyle

_TOY_WORDS = ("red", "blue", "green", "gold", "black", "white")


def toy_facts(num_relations: int = 2, facts_per_relation: int = 24) -> list[Fact]:
    """Facts about invented things: `toy-0-3` asks in relation `toy-0` for the colour of thing 3."""
    return [
        Fact(
            id=f"toy-{relation}-{number}",
            relation=f"toy-{relation}",
            question=f"What is the {'colour' if relation % 2 == 0 else 'tint'} of thing {relation}{number}?",
            answers=(_TOY_WORDS[(relation + number) % len(_TOY_WORDS)],),
            subject=f"thing {relation}{number}",
        )
        for relation in range(num_relations)
        for number in range(facts_per_relation)
    ]


class FakeEngine:
    """An `Engine` whose logits are a hash of the tokens read so far, so whatever changes a prompt changes its answers.

    Text is tokenised by the longest piece that fits; every single byte is a piece. Token 0 ends the sequence.
    """

    def __init__(self, words: Sequence[str] = (), *, seed: int = 0, spread: float = 3.0) -> None:
        """Make the vocabulary: end of sequence, `words`, then all bytes; `spread` is the logits' standard deviation."""
        pieces = [b"", *(word.encode() for word in words), *(bytes([byte]) for byte in range(256))]
        self.vocabulary = Vocabulary(tuple(pieces), frozenset({0}))
        self.fingerprint: Mapping[str, str] = {"name": "fake", "seed": str(seed), "words": "|".join(words)}
        self.reads_trees = True
        self.unit_scale = 1
        self.reads_ahead, self.noise = True, 0.0
        self._token_of = {piece: token for token, piece in reversed(list(enumerate(pieces))) if piece}
        self._longest = max(len(piece) for piece in pieces)
        self._seed = seed
        self._spread = spread
        self._num_read = 0

    def encode(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[list[int]]:
        """See `Engine`; there are no special tokens to add."""
        return [self._encode_one(text.encode()) for text in texts]

    def prompt_style(self, settings: ProbeConfig) -> PromptStyle:
        """See `Engine`; always plain."""
        return PlainPrompts.from_settings(settings)

    def new_forest(self, num_rows: int, *, top_k: int) -> FakeForest:
        """See `Engine`."""
        return FakeForest(self, num_rows, top_k)

    def cost(self) -> ReadCost:
        """See `Engine`."""
        return ReadCost(self._num_read, self._num_read, 0, 0.0)

    def logits(self, path: Sequence[int]) -> np.ndarray:
        """(V,) logits of the next token after a path of tokens."""
        self._num_read += 1
        key = hashlib.blake2b(f"{self._seed}/{list(path)}".encode(), digest_size=8).digest()
        noise = np.random.default_rng(int.from_bytes(key)).normal(0.0, self._spread, len(self.vocabulary.pieces))
        return noise.astype(np.float32)

    def _encode_one(self, text: bytes) -> list[int]:
        tokens = []
        while text:
            size = next(size for size in range(min(self._longest, len(text)), 0, -1) if text[:size] in self._token_of)
            tokens.append(self._token_of[text[:size]])
            text = text[size:]
        return tokens


class FakeForest:
    """A `Forest` over a `FakeEngine`."""

    def __init__(self, engine: FakeEngine, num_rows: int, top_k: int) -> None:
        """Start with empty trees."""
        self.trees: Sequence[TokenTree] = [TokenTree() for _ in range(num_rows)]
        self._engine = engine
        self._top_k = top_k
        self._num_read = [0] * num_rows

    def read(self, wanted: Sequence[Node]) -> NextTokens:
        """See `Forest`.

        Raises:
            ValueError: a node is asked for that was read before: a real engine could not answer.
        """
        late = [(row, node) for row, node in wanted if node < self._num_read[row]]
        if late:
            raise ValueError(f"expected nodes that are new to the forest, found {late[0]} read before")
        self._num_read = [len(tree) for tree in self.trees]
        tops = [self._top(self._engine.logits(self.trees[row].path(node))) for row, node in wanted]
        width = max((len(tokens) for tokens, _ in tops), default=1)
        tokens_NK = np.full((len(tops), width), -1, dtype=np.int64)
        logits_NK = np.full((len(tops), width), -np.inf, dtype=np.float32)
        for place, (tokens, logits) in enumerate(tops):
            tokens_NK[place, : len(tokens)] = tokens
            logits_NK[place, : len(logits)] = logits
        return NextTokens(tokens_NK, logits_NK)

    def _top(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        order = np.lexsort((np.arange(len(logits)), -logits))
        top = order[logits[order] >= logits[order[min(self._top_k, len(order)) - 1]]]
        return top, logits[top]


def make_tiny_model(folder: str | Path, *, seed: int = 0, sliding_window: int | None = None) -> Path:
    """Saves a random two-layer Llama (Mistral with `sliding_window`) with a byte-level tokenizer; returns the folder.

    Grouped-query attention (4 heads, 2 of keys and values), 288 tokens, a chat template. Needs torch and transformers.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

    folder = Path(folder)
    torch.manual_seed(seed)
    tokenizer = _tiny_tokenizer()
    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "initializer_range": 0.3,  # wide, so that answers differ from each other
    }
    if sliding_window is None:
        model = LlamaForCausalLM(LlamaConfig(**shape))
    else:
        model = MistralForCausalLM(MistralConfig(**shape, sliding_window=sliding_window))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tiny_tokenizer() -> Any:
    """All bytes, the toy words' pieces and an end of sequence."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pairs = [("r", "e"), ("re", "d"), ("Ġ", "red"), ("b", "l"), ("bl", "ue"), ("u", "e"), ("Ġ", "blue"), ("g", "re")]
    words = ["<eos>", "<pad>", *alphabet, *dict.fromkeys(a + b for a, b in pairs)]
    pairs.sort(key=lambda pair: len(pair[0] + pair[1]))
    backend = Tokenizer(models.BPE(vocab={word: place for place, word in enumerate(words)}, merges=pairs))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>", pad_token="<pad>")
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}{% if m['role'] == 'assistant' %}<eos>{% endif %}|"
        "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
    )
    return tokenizer
