"""What a stage reads: training facts with their shots, packed so that facts that share shots share their reading.

Owns the order of the facts, the drawn shots and which tokens carry loss; the same seed and epoch give the same rows.
Knows tokens, not tensors: `loss` makes those, `train` trains on them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from gradual.engines.token_tree import ROOT, TokenTree
from gradual.errors import TrainingError
from gradual.facts.fact import Fact, by_relation
from gradual.facts.prompts import PromptStyle, continuation

Encode = Callable[[Sequence[str], bool], list[list[int]]]
"""Token ids of texts; the flag adds the tokenizer's special tokens."""


DrawnTokens = tuple[int, ...]
"""An answer that a model has drawn, as the tokens that it drew."""


class TrainingExample(NamedTuple):
    """One fact as it is trained on: only the completion (the answer and its stop token) carries loss."""

    fact_id: str
    prompt_ids: list[int]
    completion_ids: list[int]
    weight: float = 1.0
    """What the loss of each of its tokens is multiplied by."""


class TrainingPrompt(NamedTuple):
    """What a fact's answer stands behind in an epoch."""

    fact_id: str
    token_ids: list[int]


@dataclass(frozen=True)
class Pack:
    """Facts of one relation behind one drawn exemplar set."""

    examples: tuple[TrainingExample, ...]

    def weights(self) -> list[float]:
        """The weight of each supervised place, in the order of `tree`."""
        return [example.weight for example in self.examples for _ in example.completion_ids]

    def kl_weights(self, kl: Mapping[str, float]) -> list[float]:
        """The weight of the distance to the reference at each supervised place; see `TrainingRows.kl`."""
        return [kl.get(example.fact_id, 0.0) for example in self.examples for _ in example.completion_ids]

    def tree(self) -> tuple[TokenTree, list[tuple[int, int]]]:
        """The pack as one token tree, and its supervised places: (node that predicts, token to predict)."""
        tree = TokenTree()
        targets = []
        for example in self.examples:
            nodes = tree.add(ROOT, example.prompt_ids + example.completion_ids[:-1])
            first = len(example.prompt_ids) - 1
            targets += list(zip(nodes[first:], example.completion_ids, strict=True))
        return tree, targets


@dataclass(frozen=True)
class TrainingRows:
    """The rows of a stage, epoch by epoch and step by step."""

    facts: Sequence[Fact]
    exemplars: Mapping[str, Sequence[Fact]]
    style: PromptStyle
    encode: Encode
    num_shots: int
    pack_size: int
    batch_size: int
    seed: int
    weights: Mapping[str, float] = field(default_factory=dict)
    """Weight of each fact's loss by id; those that are not in it have 1."""
    own_answers: Mapping[str, Sequence[Sequence[DrawnTokens]]] = field(default_factory=dict)
    """By fact and epoch, answers in the place of its target; its weight is shared among those of an epoch."""
    kl: Mapping[str, float] = field(default_factory=dict)
    """By fact, the weight of the distance to a reference model at each token that it is trained on; most have none."""

    def as_data(self) -> dict[str, Any]:
        """All but how texts become tokens, which can't be told another process: what `TrainingRows` takes besides."""
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in ("style", "encode")}
        return {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}

    @property
    def facts_per_pack(self) -> int:
        """Most facts of one row."""
        return min(self.pack_size, self.batch_size)

    @property
    def packs_per_step(self) -> int:
        """Rows of one optimiser step."""
        return self.batch_size // self.facts_per_pack

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of one epoch."""
        num_packs = sum(-(-len(members) // self.facts_per_pack) for members in by_relation(self.facts).values())
        return -(-num_packs // self.packs_per_step)

    def step(self, epoch: int, step: int) -> list[Pack]:
        """The packs of one optimiser step.

        Raises:
            TrainingError: a fact would be trained on without a supervised token.
        """
        groups = self._groups(epoch)[step * self.packs_per_step : (step + 1) * self.packs_per_step]
        return [self._pack(facts, shots, epoch) for facts, shots in groups]

    def prompts(self, epoch: int, facts: Collection[str]) -> list[list[TrainingPrompt]]:
        """The prompts of some facts in an epoch, pack by pack, where a pack has any: what `step` puts them behind."""
        packs = []
        for members, shots in self._groups(epoch):
            if part := [fact for fact in members if fact.id in facts]:
                texts = [self.style.render_prompt(shots, fact.question, fact.system) for fact in part]
                ids = self.encode(texts, self.style.adds_special_tokens)
                packs.append([TrainingPrompt(fact.id, tokens) for fact, tokens in zip(part, ids, strict=True)])
        return packs

    def _groups(self, epoch: int) -> list[tuple[list[Fact], list[Fact]]]:
        """All packs of an epoch in their order, as (facts, shots): every fact once, shots drawn anew."""
        rng = random.Random(f"rows/{self.seed}/{epoch}")
        groups = []
        for relation, members in by_relation(self.facts).items():
            members = sorted(members, key=lambda fact: fact.id)
            rng.shuffle(members)
            pool = sorted(self.exemplars.get(relation, ()), key=lambda fact: fact.id)
            for start in range(0, len(members), self.facts_per_pack):
                facts = members[start : start + self.facts_per_pack]
                questions = {fact.question for fact in facts}
                others = [shot for shot in pool if shot.question not in questions]
                groups.append((facts, rng.sample(others, min(self.num_shots, len(others)))))
        rng.shuffle(groups)
        return groups

    def _pack(self, facts: Sequence[Fact], shots: Sequence[Fact], epoch: int) -> Pack:
        prompts = [self.style.render_prompt(shots, fact.question, fact.system) for fact in facts]
        completions = [self.style.render_completion(fact.answers[0]) for fact in facts]
        add_special_tokens = self.style.adds_special_tokens
        prompt_ids = self.encode(prompts, add_special_tokens)
        whole_ids = self.encode([p + c for p, c in zip(prompts, completions, strict=True)], add_special_tokens)
        alone_ids = self.encode(completions, False)
        examples = []
        for fact, prompt, whole, alone in zip(facts, prompt_ids, whole_ids, alone_ids, strict=True):
            completion = continuation(prompt, whole, alone)
            if not completion:
                raise TrainingError(f'fact "{fact.id}": expected an answer with at least one token, found none')
            own = self.own_answers.get(fact.id)
            targets = [completion] if own is None else [list(tokens) for tokens in own[epoch]]
            weight = self.weights.get(fact.id, 1.0) / len(targets)
            examples += [TrainingExample(fact.id, prompt, tokens, weight) for tokens in targets]
        return Pack(tuple(examples))


def split_packs(packs: Sequence[Pack], most: int) -> list[list[Pack]]:
    """The packs in parts of at most `most` facts, in their order; a pack with more facts is divided."""
    pieces = [
        Pack(pack.examples[start : start + most]) for pack in packs for start in range(0, len(pack.examples), most)
    ]
    parts: list[list[Pack]] = []
    room = 0
    for piece in pieces:
        if len(piece.examples) > room:
            parts.append([])
            room = most
        parts[-1].append(piece)
        room -= len(piece.examples)
    return parts
