"""Which answers count as the same answer as a greedy one."""

from __future__ import annotations

import itertools

import pytest

from gradual.facts.matching import normalise
from gradual.probing.same_answer import NothingSaid, same_answer


@pytest.mark.parametrize("answer", [" Rome", "rome", "the Rome.", "a, Rome!"])
def test_case_articles_and_punctuation_make_no_other_answer(answer: str) -> None:
    assert same_answer(" Rome").accepts(answer)
    assert same_answer(answer).accepts(" Rome")


@pytest.mark.parametrize("answer", ["", "Rome Italy", "Paris"])
def test_other_words_make_another_answer(answer: str) -> None:
    assert not same_answer("Rome").accepts(answer)


@pytest.mark.parametrize("greedy", ["", "  ", ".", " the", "A. The!", "\u3000"])
def test_an_answer_that_says_nothing_is_the_same_as_any_other_that_says_nothing(greedy: str) -> None:
    same = same_answer(greedy)
    assert same.accepts("")
    assert same.accepts("the")
    assert same.accepts(" . a")
    assert not same.accepts("x")


def test_a_text_is_alive_exactly_if_some_continuation_says_nothing() -> None:
    letters = "ant he.x"
    endings = ["", *("".join(each) for size in (1, 2, 3) for each in itertools.product(letters, repeat=size))]
    for text in ("".join(each) for size in range(4) for each in itertools.product(letters, repeat=size)):
        assert NothingSaid().is_alive(text) == any(not normalise(text + ending) for ending in endings), text
