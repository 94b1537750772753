"""How a fact is asked: which solved facts stand before it, and the text that a model reads.

Knows facts and texts, not tokens. The exemplars' draw depends on the seed and the relation only, so that a prompt can
be rebuilt from a run folder, byte for byte.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from gradual.config.run import ProbeConfig
from gradual.errors import ConfigError, DataError
from gradual.facts.fact import Fact
from gradual.facts.problems import quote

ChatTemplate = Callable[[list[dict[str, str]], bool], str]
"""Renders messages with `role` and `content`; the flag opens the assistant's turn at the end."""


@dataclass(frozen=True)
class ExemplarSet:
    """The shots of one relation's prompt. The spare stands in where a fact would meet itself among its shots."""

    relation: str
    index: int
    shots: tuple[Fact, ...]
    spare: Fact | None

    def shots_for(self, fact: Fact) -> tuple[Fact, ...]:
        """The shots to put before `fact`; never one with its question."""
        if self.spare is None or all(shot.question != fact.question for shot in self.shots):
            return self.shots
        return tuple(self.spare if shot.question == fact.question else shot for shot in self.shots)


def draw_exemplar_sets(
    exemplars: Sequence[Fact], relation: str, *, num_sets: int, num_shots: int, seed: int
) -> tuple[ExemplarSet, ...]:
    """`num_sets` exemplar sets of `num_shots` facts and a spare each, drawn without repetition inside a set.

    Same seed, same relation, same exemplars in whatever order: same sets (SliCK, arXiv 2405.05904, section 3: drawn
    once per relation, shared by all its facts).

    Raises:
        DataError: fewer than `num_shots` + 1 exemplars.
    """
    if num_shots == 0:
        return tuple(ExemplarSet(relation, index, (), None) for index in range(num_sets))
    pool = sorted(exemplars, key=lambda fact: fact.id)
    if len(pool) < num_shots + 1:
        raise DataError(
            f'relation "{relation}": expected at least {num_shots + 1} exemplars (shots + 1), found {len(pool)} - '
            "add exemplars, lower num_shots, or leave the relation out"
        )
    sets = []
    for index in range(num_sets):
        sample = random.Random(f"exemplars/{seed}/{relation}/{index}").sample(pool, num_shots + 1)
        sets.append(ExemplarSet(relation, index, tuple(sample[:-1]), sample[-1]))
    return tuple(sets)


def check_prompt_settings(settings: ProbeConfig) -> None:
    """Refuses settings of chats where plain prompts would not show them.

    Raises:
        ConfigError: `prompt_style` is plain, and `system_prompt` or `chat_template_kwargs` is set.
    """
    unused = [name for name in ("system_prompt", "chat_template_kwargs") if getattr(settings, name)]
    if unused and settings.prompt_style == "plain":
        raise ConfigError(f"probe.{unused[0]} is for chats; set probe.prompt_style to chat, or leave it out")


class PromptStyle(Protocol):
    """Turns shots and a question into the text a model reads, and a target into the text it should write."""

    def render_prompt(self, shots: Sequence[Fact], question: str, system: str = "") -> str:
        """The whole prompt, up to where the answer begins; `system` is the turn of the system of the fact asked."""
        ...

    def render_answer(self, target: str) -> str:
        """The answer without its stop, as it would follow the prompt."""
        ...

    def render_completion(self, target: str) -> str:
        """The answer with its stop."""
        ...

    def check(self, fact: Fact) -> None:
        """Finds out whether a fact can be asked so.

        Raises:
            DataError: its texts would be read as something else than text.
        """
        ...

    @property
    def adds_special_tokens(self) -> bool:
        """Whether the tokenizer must add its own beginning-of-sequence token (a chat template writes its own)."""
        ...


@dataclass(frozen=True)
class PlainPrompts:
    """`Q: ...` / `A: ...` lines; an answer ends with the line (SliCK, arXiv 2405.05904, appendix)."""

    question_mark: str = "Q:"
    answer_mark: str = "A:"
    """Marks as in `config.run.PromptConfig`."""
    adds_special_tokens: bool = True

    @classmethod
    def from_settings(cls, settings: ProbeConfig) -> Self:
        """The style with the marks of the settings."""
        return cls(settings.prompt.question, settings.prompt.answer)

    def render_prompt(self, shots: Sequence[Fact], question: str, system: str = "") -> str:
        """See `PromptStyle`; a plain prompt has no turns, so it leaves `system` out."""
        prefix = f"{self.question_mark}{_space_after(self.question_mark)}"
        solved = "".join(
            f"{prefix}{shot.question}\n{self.answer_mark}{self.render_completion(shot.answers[0])}" for shot in shots
        )
        return f"{solved}{prefix}{question}\n{self.answer_mark}"

    def render_answer(self, target: str) -> str:
        """See `PromptStyle`."""
        return f"{_space_after(self.answer_mark)}{target}"

    def render_completion(self, target: str) -> str:
        """See `PromptStyle`; the newline is the stop token."""
        return f"{self.render_answer(target)}\n"

    def check(self, fact: Fact) -> None:
        """See `PromptStyle`; any text will do, as nothing in a plain prompt is read as a control token."""


def _space_after(mark: str) -> str:
    return "" if unicodedata.east_asian_width(mark[-1]) in "WF" else " "


@dataclass(frozen=True)
class ChatPrompts:
    """The tokenizer's chat template, shots as finished turns; an answer ends with the turn or the line."""

    template: ChatTemplate
    end_of_turn: str
    control_tokens: tuple[str, ...] = ()
    """Texts that the tokenizer reads as one token with a meaning of its own, such as the end of a turn."""
    system: str = ""
    """Turn before all others, where the fact asked has none of its own; empty for none."""
    adds_special_tokens: bool = False

    def render_prompt(self, shots: Sequence[Fact], question: str, system: str = "") -> str:
        """See `PromptStyle`. A prompt has one turn of the system; those of the shots are not shown."""
        first = system or self.system
        messages = [{"role": "system", "content": first}] if first else []
        for shot in shots:
            messages.append({"role": "user", "content": shot.question})
            messages.append({"role": "assistant", "content": shot.answers[0]})
        messages.append({"role": "user", "content": question})
        return self.template(messages, True)

    def render_answer(self, target: str) -> str:
        """See `PromptStyle`."""
        return target

    def render_completion(self, target: str) -> str:
        """See `PromptStyle`; the end-of-turn token is the stop token."""
        return f"{target}{self.end_of_turn}"

    def check(self, fact: Fact) -> None:
        """See `PromptStyle`.

        Raises:
            DataError: a text holds a control token: it would end the turn, or begin another.
        """
        for text in (fact.system, fact.question, *fact.answers):
            control = next((token for token in self.control_tokens if token in text), None)
            if control is not None:
                raise DataError(
                    f"fact {quote(fact.id)}: expected a text without control tokens of the model, found "
                    f"{quote(control)} "
                    f'in {quote(text)} - delete it there, or use prompt_style "plain"'
                )


def end_of_turn(template: ChatTemplate) -> str:
    """What a chat template writes behind an answer, up to white space; empty where it writes nothing."""
    messages = [{"role": "user", "content": "question"}, {"role": "assistant", "content": "\ue000answer\ue000"}]
    return template(messages, False).split("\ue000answer\ue000")[-1].strip()


def continuation(prompt_ids: list[int], whole_ids: list[int], alone_ids: list[int]) -> list[int]:
    """The tokens of a text behind its prompt: as tokenised with it, or alone where the two merge at their seam."""
    is_prefix = whole_ids[: len(prompt_ids)] == prompt_ids
    return whole_ids[len(prompt_ids) :] if is_prefix else alone_ids
