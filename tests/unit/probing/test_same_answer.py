"""Which answers count as the same answer as a greedy one."""

from __future__ import annotations

import itertools

import pytest

from gradual.facts.matching import SQUAD, Matching, normalise
from gradual.probing.same_answer import NothingSaid, same_answer


@pytest.mark.parametrize("answer", [" Rome", "rome", "the Rome.", "a, Rome!"])
def test_case_articles_and_punctuation_make_no_other_answer(answer: str) -> None:
    assert same_answer(" Rome", SQUAD).accepts(answer)
    assert same_answer(answer, SQUAD).accepts(" Rome")


@pytest.mark.parametrize("answer", ["", "Rome Italy", "Paris"])
def test_other_words_make_another_answer(answer: str) -> None:
    assert not same_answer("Rome", SQUAD).accepts(answer)


@pytest.mark.parametrize("greedy", ["", "  ", ".", " the", "A. The!", "\u3000"])
def test_an_answer_that_says_nothing_is_the_same_as_any_other_that_says_nothing(greedy: str) -> None:
    same = same_answer(greedy, SQUAD)
    assert same.accepts("")
    assert same.accepts("the")
    assert same.accepts(" . a")
    assert not same.accepts("x")


def test_a_text_is_alive_exactly_if_some_continuation_says_nothing() -> None:
    letters = "ant he.x"
    endings = ["", *("".join(each) for size in (1, 2, 3) for each in itertools.product(letters, repeat=size))]
    for text in ("".join(each) for size in range(4) for each in itertools.product(letters, repeat=size)):
        assert NothingSaid().is_alive(text) == any(not normalise(text + ending) for ending in endings), text


ENGLISH = Matching("unicode", "en")


def test_signs_of_a_name_make_another_answer_under_the_unicode_rule() -> None:
    assert same_answer("C++", SQUAD).accepts("C")
    same = same_answer("C++", ENGLISH)
    assert not same.accepts("C")
    assert same.accepts(" c++.")
    assert same.is_alive("C")
    assert not same.is_alive("D")


def test_a_chinese_answer_is_the_same_with_or_without_its_full_stop_under_the_unicode_rule() -> None:
    same = same_answer("北京", Matching("unicode", "zh"))
    assert same.accepts(" 北京。")
    assert not same.accepts("南京")
    assert same.is_alive("北")
    assert not same.is_alive("南")
    assert not same_answer("北京", SQUAD).accepts("北京。")


def test_what_says_nothing_goes_by_the_rule() -> None:
    nothing = same_answer("。", Matching("unicode", "zh"))
    assert nothing == NothingSaid(Matching("unicode", "zh"))
    assert nothing.accepts("")
    assert nothing.accepts("!?")
    assert nothing.is_alive("。")
    assert not nothing.is_alive("北")
    assert not same_answer("。", SQUAD).accepts("")
    assert same_answer("the", ENGLISH).accepts("The.")
    assert not same_answer("the", ENGLISH).accepts("")


@pytest.mark.parametrize("language", ["en", "fr"])
def test_no_text_is_dead_that_can_say_nothing_under_the_unicode_rule(language: str) -> None:
    matching = Matching("unicode", language)
    nothing = NothingSaid(matching)
    signs = "la'_. "
    endings = ["", " \u0301", *("".join(each) for size in (1, 2) for each in itertools.product(signs, repeat=size))]
    for text in ("".join(each) for size in range(4) for each in itertools.product(signs, repeat=size)):
        if any(not matching.normalise(text + ending) for ending in endings):
            assert nothing.is_alive(text), text
    assert not nothing.is_alive("lx")
