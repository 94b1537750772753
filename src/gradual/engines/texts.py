"""From texts to tokens and prompts with a tokenizer alone: what an engine needs beside whatever reads tokens.

Knows tokenizers of transformers; no model and no server.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gradual.config.run import ProbeConfig
from gradual.errors import ModelError
from gradual.facts.prompts import ChatPrompts, PlainPrompts, PromptStyle, end_of_turn
from gradual.models.chat_templates import open_template


class Texts:
    """The tokens and prompts of a tokenizer; `source` is what errors call its origin."""

    def __init__(self, tokenizer: Any, source: str) -> None:
        self._tokenizer, self._source = tokenizer, source
        self._has_control_tokens = False  # only a chat template writes control tokens; in plain prompts all is text

    def encode(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[list[int]]:
        """See `Engine`."""
        if not texts:
            return []
        ids: list[list[int]] = self._tokenizer(
            list(texts), add_special_tokens=add_special_tokens, split_special_tokens=not self._has_control_tokens
        )["input_ids"]
        return ids

    def prompt_style(self, settings: ProbeConfig) -> PromptStyle:
        """See `Engine`.

        Raises:
            ModelError: `chat` with a tokenizer that has no chat template, or where nothing would end an answer.
        """
        self._has_control_tokens = settings.prompt_style == "chat"
        if settings.prompt_style == "plain":
            return PlainPrompts.from_settings(settings)
        tokenizer, source = self._tokenizer, self._source
        if not tokenizer.chat_template:
            raise ModelError(
                'probe.prompt_style: "chat" needs a chat template, and the tokenizer of '
                f'"{source}" has none - use prompt_style "plain"'
            )
        text = tokenizer.get_chat_template()
        known = settings.chat_template_kwargs | dict(tokenizer.special_tokens_map)
        template = open_template(text, json.dumps(known, default=str), source)
        end = end_of_turn(template) or tokenizer.eos_token
        if not end:
            raise ModelError(
                f'chat template of "{source}": expected an end of the assistant\'s turn, found none, and no '
                'eos_token of the tokenizer either - use prompt_style "plain", or a template that ends turns'
            )
        return ChatPrompts(template, end, _control_tokens(tokenizer, text), settings.system_prompt or "")


def stop_tokens(generation_config: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end a sequence: those of a model's generation config and of its tokenizer."""
    configured = getattr(generation_config, "eos_token_id", None)
    stops = configured if isinstance(configured, list) else [configured]
    return frozenset(token for token in [*stops, tokenizer.eos_token_id] if token is not None)


def _control_tokens(tokenizer: Any, template: str) -> tuple[str, ...]:
    """Texts that a tokenizer reads as one token with a meaning: special ones, and marks that its template writes."""
    added = tokenizer.added_tokens_decoder.values()
    return tuple(
        token.content
        for token in added
        if token.special or (token.content in template and not token.content.replace(" ", "").isalnum())
    )
