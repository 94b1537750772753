"""Questions of one type get one template, and what varies in them is their subject."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradual.facts.languages.wording import BLANK, is_wording_of, names, telling_words, wording, wordings


@pytest.mark.parametrize(
    ("question", "template", "subject"),
    [
        ("What is the capital of France?", "what is the capital of _", "France"),
        ("What is  the capital of France", "what is the capital of _", "France"),
        ("Who is the author of The Old Man and the Sea?", "who is the author of _", "The Old Man and the Sea"),
        ("Who is Ann O'Neil's child?", "who is _'s child", "Ann O'Neil"),
        ("Where was Vincent van Gogh born?", "where was _ born", "Vincent van Gogh"),
        ("Where is Paris, Texas located?", "where is _ located", "Paris, Texas"),
        ('Who wrote "the raven"?', "who wrote _", "the raven"),
        ("Which element has the number 79?", "which element has the number _", "79"),
        ("Who performed No. 5 in Rome?", "who performed _", "No. 5 in Rome"),
        ("Who founded iFixit?", "who founded _", "iFixit"),
        ("France has which capital?", "_ has which capital", "France"),
        ("who wrote faust?", "who wrote _", "faust"),
        ("WHO WROTE FAUST?", "who wrote _", "FAUST"),
        ("What is the capital of France?\nHint: a city", "what is the capital of _? hint: a city", "France"),
        ("Which country is this?\nFrance", "which country is this? _", "France"),
        ("Where is Are You There?\nRome", "where is _? _", ""),
        ("In which year did Goethe publish Faust?", "in which year did _ publish _", ""),
    ],
)
def test_template_and_subject(question: str, template: str, subject: str) -> None:
    assert wording(question) == (template, subject)


def test_rare_wording_takes_a_frequent_frame() -> None:
    questions = ["Where is Rome located?", "Where is Oslo located?", "Where is Paco railway station located?"]
    assert wordings(questions, minimum=2)[2] == ("where is _ located", "Paco railway station")
    assert wordings(questions, minimum=3)[2].template == "where is _ railway station located"


def test_longest_frame_wins() -> None:
    known = ["what is the _", "what is the capital of _"]
    found = wordings(["What is the capital of upper Egypt?"], minimum=2, known=known)
    assert found == [("what is the capital of _", "upper Egypt")]


def test_order_does_not_matter() -> None:
    questions = [f"Who wrote Book{n}?" for n in range(3)] + ["Who wrote book of Kells?", "Who is Ann?"]
    forward = dict(zip(questions, wordings(questions, minimum=3), strict=True))
    backward = dict(zip(questions[::-1], wordings(questions[::-1], minimum=3), strict=True))
    assert forward == backward


def test_wording_is_recognised() -> None:
    assert is_wording_of("where is _ located", "Where is Paco railway station located?")
    assert not is_wording_of("where is _ located", "Who is Ann?")
    assert not is_wording_of("capital", "What is the capital of France?")


@given(st.text(max_size=60))
def test_any_text_has_one_line_of_template_that_is_recognised(text: str) -> None:
    found = wording(text)
    assert len(found.template.splitlines()) <= 1
    assert is_wording_of(found.template, text)


@given(st.from_regex(r"[a-z]{1,9}", fullmatch=True), st.from_regex(r"[A-Z][a-z]{1,9}", fullmatch=True))
def test_capitalised_name_is_blanked(word: str, name: str) -> None:
    assert wording(f"What is the {word} of {name}?") == (f"what is the {word} of {BLANK}", name)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("When did Real Madrid's team beat Ajax?", ("Real Madrid", "Ajax")),
        ('Who wrote "the raven"?', ("the raven",)),
        ("what happened in 1066?", ("1066",)),
        ("who wrote faust?", ()),
        ("WHO WROTE FAUST?", ()),
        ("", ()),
    ],
)
def test_names_are_what_is_quoted_or_written_with_capitals_or_digits(question: str, expected: tuple[str, ...]) -> None:
    assert names(question) == expected


def test_telling_words_are_neither_openers_nor_links() -> None:
    assert telling_words("What is the County's seat, in Texas?") == ("county", "seat", "texas")
    assert telling_words("who is it?") == ()
