from __future__ import annotations

import pytest

from gradual.errors import DataError
from gradual.facts.fact import Fact
from gradual.facts.prompts import ChatPrompts, PlainPrompts, draw_exemplar_sets

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
