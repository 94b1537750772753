from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gradual.config.run import ProbeConfig
from gradual.errors import ConfigError, DataError
from gradual.facts.fact import Fact
from gradual.facts.prompts import ChatPrompts, PlainPrompts, check_prompt_settings, draw_exemplar_sets

FACTS = [Fact(f"f{n}", "r", f"Q{n}?", (f"A{n}", f"B{n}")) for n in range(8)]


def test_sets_depend_on_the_seed_and_the_relation_and_not_on_the_order() -> None:
    drawn = draw_exemplar_sets(FACTS, "r", num_sets=3, num_shots=2, seed=1)
    assert drawn == draw_exemplar_sets(FACTS[::-1], "r", num_sets=3, num_shots=2, seed=1)
    assert drawn != draw_exemplar_sets(FACTS, "r", num_sets=3, num_shots=2, seed=2)
    assert [each.shots for each in drawn] != [
        each.shots for each in draw_exemplar_sets(FACTS, "s", num_sets=3, num_shots=2, seed=1)
    ]
    assert all(len(set(each.shots)) == 2 for each in drawn)


def test_more_sets_leave_the_first_ones_as_they_are() -> None:
    assert draw_exemplar_sets(FACTS, "r", num_sets=5, num_shots=2, seed=1)[:3] == draw_exemplar_sets(
        FACTS, "r", num_sets=3, num_shots=2, seed=1
    )


def test_a_fact_never_meets_itself_among_its_shots() -> None:
    for drawn in draw_exemplar_sets(FACTS, "r", num_sets=5, num_shots=3, seed=1):
        for fact in FACTS:
            shots = drawn.shots_for(fact)
            assert len(shots) == 3
            assert fact.question not in {shot.question for shot in shots}


def test_too_few_exemplars_are_refused() -> None:
    with pytest.raises(DataError, match=r'relation "r": expected at least 5 exemplars \(shots \+ 1\), found 4'):
        draw_exemplar_sets(FACTS[:4], "r", num_sets=1, num_shots=4, seed=1)


def test_without_shots_no_exemplars_are_needed() -> None:
    assert [each.shots for each in draw_exemplar_sets([], "r", num_sets=2, num_shots=0, seed=1)] == [(), ()]


def test_plain_prompts() -> None:
    assert PlainPrompts().render_prompt(FACTS[:1], "Who?") == "Q: Q0?\nA: A0\nQ: Who?\nA:"
    assert PlainPrompts().render_completion("Me") == " Me\n"


def test_chat_prompts_put_shots_in_turns() -> None:
    def template(messages: list[dict[str, str]], opens_answer: bool) -> str:
        return "".join(f"<{m['role']}>{m['content']}" for m in messages) + "<assistant>" * opens_answer

    prompts = ChatPrompts(template, "<end>")
    assert prompts.render_prompt(FACTS[:1], "Who?") == "<user>Q0?<assistant>A0<user>Who?<assistant>"
    assert prompts.render_completion("Me") == "Me<end>"


def test_marks_of_plain_prompts_are_in_the_language_of_the_facts() -> None:
    chinese = PlainPrompts("问：", "答：")
    assert chinese.render_prompt(FACTS[:1], "谁？") == "问：Q0?\n答：A0\n问：谁？\n答："
    assert chinese.render_completion("我") == "我\n"
    german = PlainPrompts("Frage:", "Antwort:")
    assert german.render_prompt(FACTS[:1], "Wer?") == "Frage: Q0?\nAntwort: A0\nFrage: Wer?\nAntwort:"


def test_question_of_several_lines_stands_in_a_plain_prompt_as_it_is() -> None:
    assert PlainPrompts().render_prompt([], "Which?\nA. tin") == "Q: Which?\nA. tin\nA:"


def test_turn_of_the_system_stands_before_all_others() -> None:
    def template(messages: list[dict[str, str]], opens_answer: bool) -> str:
        return "".join(f"<{m['role']}>{m['content']}" for m in messages) + "<assistant>" * opens_answer

    prompts = ChatPrompts(template, "<end>", system="Be brief.")
    assert prompts.render_prompt([], "Who?") == "<system>Be brief.<user>Who?<assistant>"
    shots = [replace(FACTS[0], system="Be long.")]
    expected = "<system>Rhyme.<user>Q0?<assistant>A0<user>Who?<assistant>"  # the fact's own, once
    assert prompts.render_prompt(shots, "Who?", "Rhyme.") == expected
    assert PlainPrompts().render_prompt(shots, "Who?", "Rhyme.") == "Q: Q0?\nA: A0\nQ: Who?\nA:"


def test_control_tokens_in_the_turn_of_the_system_are_refused() -> None:
    prompts = ChatPrompts(lambda messages, _: "", "<end>", ("<end>",))
    with pytest.raises(DataError, match=r'found "<end>" in "Be brief\.<end>"'):
        prompts.check(replace(FACTS[0], system="Be brief.<end>"))


@pytest.mark.parametrize(
    "setting", [{"system_prompt": "Be brief."}, {"chat_template_kwargs": {"enable_thinking": False}}]
)
def test_settings_of_chats_are_refused_in_plain_prompts(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"probe.{next(iter(setting))} is for chats; set probe.prompt_style to chat"):
        check_prompt_settings(ProbeConfig(**setting))
    check_prompt_settings(ProbeConfig(prompt_style="chat", **setting))
