"""The text of each token of a tokenizer, as bytes, and which tokens end an answer.

Knows a tokenizer's vocabulary, not the model. Bytes, because one token may hold a part of a character only.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from gradual.errors import ModelError
from gradual.facts.matching import STOP_CHARACTER

_STOP = STOP_CHARACTER.encode()
_CHECK_TEXTS = ("Q: Who wrote it?\nA: Émile Zola, in 1885\n", " São Tomé–Príncipe 東京 (1.5 %)", " the U.S. of A.")


@dataclass(frozen=True)
class Vocabulary:
    """`pieces[i]` is what token i adds to an answer; `stops` are the tokens that end it and add nothing."""

    pieces: tuple[bytes, ...]
    stops: frozenset[int]

    def piece(self, token: int) -> bytes:
        """The bytes of a token; empty for special tokens and for rows of the model beyond the tokenizer."""
        return self.pieces[token] if token < len(self.pieces) else b""


def settled_text(answer: bytes) -> str:
    """The text of an unfinished answer without a last character that is still incomplete.

    Whatever is cut off can only add to the text, so a continuation that is right stays possible (an upper bound stays
    one).
    """
    if answer.isascii():
        return answer.decode()
    return codecs.getincrementaldecoder("utf-8")(errors="replace").decode(answer)


def finished_text(answer: bytes) -> str:
    """The text of a finished answer; bytes that are no character become U+FFFD, as tokenizers decode them."""
    return answer.decode("utf-8", errors="replace")


def read_vocabulary(tokenizer: Any, stops: Collection[int]) -> Vocabulary:
    """The vocabulary of a fast Hugging Face tokenizer (byte-level BPE, or SentencePiece style with byte fallback).

    Raises:
        ModelError: the tokenizer decodes in a way whose token texts cannot be added up.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ModelError(
            f"expected a fast tokenizer (tokenizer.json), found {type(tokenizer).__name__} - "
            "convert it, or use a model with one"
        )
    decoder = json.dumps(json.loads(backend.to_str()).get("decoder"))
    to_bytes = _byte_level if "ByteLevel" in decoder else _sentencepiece
    special = set(tokenizer.all_special_ids)
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    pieces = tuple(b"" if i in special or token is None else to_bytes(token) for i, token in enumerate(tokens))
    vocabulary = Vocabulary(pieces, frozenset(stops))
    for text in _CHECK_TEXTS:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        whole = finished_text(b"".join(vocabulary.piece(i) for i in ids))
        if whole.strip() != text.strip():
            raise ModelError(
                f"expected token texts that add up to {text!r}, found {whole!r} with {type(tokenizer).__name__} - "
                "this tokenizer's decoder is not supported yet"
            )
    return vocabulary


def ends_line(piece: bytes) -> bool:
    """Whether a token brings the newline that ends an answer."""
    return _STOP in piece


def until_line_end(piece: bytes) -> bytes:
    """What a token adds to an answer: its bytes up to the newline that ends the answer, if it brings one."""
    return piece.split(_STOP, 1)[0]


def _byte_level_alphabet() -> dict[str, int]:
    """The printable stand-ins that byte-level BPE writes for the 256 bytes (GPT-2)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = {chr(byte): byte for byte in printable}
    return alphabet | {chr(256 + place): byte for place, byte in enumerate(others)}


_BYTE_OF = _byte_level_alphabet()


def _byte_level(token: str) -> bytes:
    if all(char in _BYTE_OF for char in token):
        return bytes(_BYTE_OF[char] for char in token)
    return token.encode()  # an added token, stored as plain text


def _sentencepiece(token: str) -> bytes:
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return bytes([int(token[3:5], 16)])
    return token.replace("▁", " ").encode()
