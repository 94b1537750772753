"""Prompts as a probe asks them: every fact of a relation under every exemplar set, as text, as tokens and as a tree.

Knows prompts, tokens and trees of them; not how answers are searched or drawn (`exact`, `sampled`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gradual.engines.engine import Engine
from gradual.engines.token_tree import ROOT, TokenTree
from gradual.errors import ModelError
from gradual.facts.fact import Fact, by_relation
from gradual.facts.prompts import ExemplarSet, PromptStyle, continuation, draw_exemplar_sets
from gradual.knowledge.map import Prompt

_QUESTION = "\ue000question\ue000"
"""Stands for the question while the text around it is rendered; private-use characters that no template touches."""


@dataclass(frozen=True)
class ProbePrompts:
    """The exemplar sets of every relation and the style in which they are put before a question."""

    style: PromptStyle
    exemplar_sets: Mapping[str, tuple[ExemplarSet, ...]]

    def prompt(self, fact: Fact, number: int) -> str:
        """The whole prompt of a fact under one exemplar set."""
        exemplar_set = self.exemplar_sets[fact.relation][number]
        before, after = self._frame(exemplar_set.shots_for(fact), fact.system)
        return before + fact.question + after

    def completions(self, fact: Fact) -> list[str]:
        """Each accepted answer as it would follow the prompt, without the stop token."""
        return [self.style.render_answer(answer) for answer in fact.answers]

    def record(self, facts: Sequence[Fact]) -> list[Prompt]:
        """What has to be kept so that every prompt can be rebuilt byte for byte."""
        prompts = []
        for relation, members in by_relation(facts).items():
            system = Counter(sorted(fact.system for fact in members)).most_common(1)[0][0]
            for exemplar_set in self.exemplar_sets[relation]:
                usual = self._frame(exemplar_set.shots, system)
                frames = {(exemplar_set.shots, system): usual}
                of_fact = {"": (exemplar_set.shots, usual)}
                for fact in members:
                    shots = exemplar_set.shots_for(fact)
                    frame = frames.get((shots, fact.system)) or self._frame(shots, fact.system)
                    frames[shots, fact.system] = frame
                    if (shots, frame) != (exemplar_set.shots, usual):
                        of_fact[fact.id] = (shots, frame)
                for fact_id, (shots, frame) in of_fact.items():
                    prompts.append(
                        Prompt(relation, exemplar_set.index, fact_id, tuple(shot.id for shot in shots), *frame)
                    )
        return prompts

    def _frame(self, shots: Sequence[Fact], system: str) -> tuple[str, str]:
        """The text before and after the question."""
        parts = self.style.render_prompt(shots, _QUESTION, system).split(_QUESTION)
        if len(parts) != 2:
            raise ModelError(
                f"expected a chat template that writes the question once, found it {len(parts) - 1} times - "
                'use prompt_style "plain", or a model with another template'
            )
        return parts[0], parts[1]


def draw_probe_prompts(
    facts: Sequence[Fact],
    exemplars: Mapping[str, Sequence[Fact]],
    style: PromptStyle,
    *,
    num_sets: int,
    num_shots: int,
    seed: int,
) -> ProbePrompts:
    """The exemplar sets for all relations of `facts`.

    Raises:
        DataError: a relation has fewer exemplars than shots + 1, or a fact cannot be asked in this style.
        ModelError: a chat template refuses a turn of the system.
    """
    for fact in (*facts, *(shot for group in exemplars.values() for shot in group)):
        style.check(fact)
    for system in sorted({fact.system for fact in facts}):
        style.render_prompt((), _QUESTION, system)  # a template may refuse turns of the system: not after hours
    relations = sorted({fact.relation for fact in facts})
    return ProbePrompts(
        style,
        {
            relation: draw_exemplar_sets(
                exemplars.get(relation, ()), relation, num_sets=num_sets, num_shots=num_shots, seed=seed
            )
            for relation in relations
        },
    )


def plant_prompts(
    trees: Mapping[int, TokenTree], probe_prompts: ProbePrompts, facts: Sequence[Fact], engine: Engine
) -> list[list[int]]:
    """Adds every prompt of the facts (of one relation) to the trees, one for each number of an exemplar set.

    Each prompt is tokenised whole, and the tree shares what turns out equal: where shots and question would merge into
    other tokens at their seam, that is what is read. Returns the last node of each prompt, by fact and exemplar set.
    """
    texts = [probe_prompts.prompt(fact, number) for fact in facts for number in trees]
    ids = iter(engine.encode(texts, add_special_tokens=probe_prompts.style.adds_special_tokens))
    return [[tree.add(ROOT, next(ids))[-1] for tree in trees.values()] for _ in facts]


def usual_completion_ids(probe_prompts: ProbePrompts, fact: Fact, engine: Engine) -> list[list[int]]:
    """The usual tokens of each target behind the fact's first prompt, without the stop token.

    Tokenised together with the prompt; where the two merge at their seam, apart. A proposal for where to look first,
    never a limit: the exact probe counts every tokenisation.
    """
    prompt = probe_prompts.prompt(fact, 0)
    texts = probe_prompts.completions(fact)
    add = probe_prompts.style.adds_special_tokens
    prompt_ids, *together = engine.encode([prompt, *(prompt + text for text in texts)], add_special_tokens=add)
    apart = engine.encode(texts, add_special_tokens=False)
    return [continuation(prompt_ids, whole, alone) for whole, alone in zip(together, apart, strict=True)]
