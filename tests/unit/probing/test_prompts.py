"""Prompts as a probe asks and keeps them: each fact under its own turn of the system."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gradual.errors import ModelError
from gradual.facts.prompts import ChatPrompts, PlainPrompts
from gradual.probing.prompts import draw_probe_prompts
from gradual.testing import toy_facts

SYSTEMS = ("Be brief.", "Be brief.", "Rhyme.", "")
FACTS = [replace(fact, system=system) for fact, system in zip(toy_facts(1, 4), SYSTEMS, strict=True)]
SHOTS = {"toy-0": toy_facts(1, 12)[4:]}


def written(messages: list[dict[str, str]], opens_answer: bool) -> str:
    return "".join(f"<{each['role']}>{each['content']}" for each in messages) + "<assistant>" * opens_answer


def test_each_fact_is_asked_under_its_own_turn_of_the_system_and_kept_so() -> None:
    style = ChatPrompts(written, "<end>", system="Be kind.")
    probe_prompts = draw_probe_prompts(FACTS, SHOTS, style, num_sets=2, num_shots=1, seed=1)
    begins = [probe_prompts.prompt(fact, 1).split("<user>")[0] for fact in FACTS]
    assert begins == ["<system>Be brief.", "<system>Be brief.", "<system>Rhyme.", "<system>Be kind."]
    kept = {(prompt.set, prompt.for_fact): prompt for prompt in probe_prompts.record(FACTS)}
    # One for the two facts that share theirs, one for each other fact, under either exemplar set.
    assert set(kept) == {(number, name) for number in (0, 1) for name in ("", "toy-0-2", "toy-0-3")}
    for fact in FACTS:
        for number in (0, 1):
            prompt = kept.get((number, fact.id)) or kept[number, ""]
            assert prompt.before + fact.question + prompt.after == probe_prompts.prompt(fact, number)


def test_plain_prompts_know_no_turn_of_the_system() -> None:
    probe_prompts = draw_probe_prompts(FACTS, SHOTS, PlainPrompts(), num_sets=1, num_shots=1, seed=1)
    assert [prompt.for_fact for prompt in probe_prompts.record(FACTS)] == [""]


def test_template_that_refuses_turns_of_the_system_is_found_before_anything_is_asked() -> None:
    def refusing(messages: list[dict[str, str]], opens_answer: bool) -> str:
        if messages[0]["role"] == "system":
            raise ModelError("no turn of the system")
        return written(messages, opens_answer)

    draw_probe_prompts(FACTS[3:], SHOTS, ChatPrompts(refusing, "<end>"), num_sets=1, num_shots=1, seed=1)
    with pytest.raises(ModelError, match="no turn of the system"):
        draw_probe_prompts(FACTS, SHOTS, ChatPrompts(refusing, "<end>"), num_sets=1, num_shots=1, seed=1)
