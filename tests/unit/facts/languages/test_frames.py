"""In any language, questions of one type are told by what they have in common, and what varies is their subject."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradual.facts.languages.frames import differ_from_english
from gradual.facts.languages.wording import BLANK, Wording, is_wording_of, wordings

RIVERS = ("Elbe", "Oder", "Spree", "Isar", "Saale", "Lahn", "Ruhr", "Ems", "Weser", "Havel")
SETS = {
    "German": ("Welches Meer nimmt die {} auf?", "welches meer nimmt die _ auf", RIVERS),
    "French": ("Quel fleuve traverse {} ?", "quel fleuve traverse _", ("Lyon", "Rome", "Prague", "Vienne", "Porto")),
    "Russian": (
        "Какая река течёт через город {}?",
        "какая река течёт через город _",
        ("Рига", "Омск", "Тула", "Пермь"),
    ),
    "Turkish": ("{}'nin en uzun nehri hangisidir?", "_'nin en uzun nehri hangisidir", ("İrlanda", "Hindistan", "Peru")),
    "Korean": (
        "{}의 가장 긴 강은 무엇입니까?",
        "_의 가장 긴 강은 무엇입니까",
        ("인도", "독일", "터키", "페루", "가나"),
    ),
    "Hindi": ("{} की सबसे लंबी नदी कौन सी है?", "_ की सबसे लंबी नदी कौन सी है", ("भारत", "मिस्र", "नेपाल", "पेरू")),
    "Arabic": ("ما هو أطول نهر في {}؟", "ما هو أطول نهر في _", ("مصر", "العراق", "الهند", "روسيا")),
    "Chinese": ("{}最长的河流是什么？", "_最长的河流是什么", ("印度", "德国", "埃及", "巴西", "秘鲁")),
    "Japanese": ("{}で一番長い川は何ですか？", "_で一番長い川は何ですか", ("インド", "ドイツ", "エジプト", "ペルー")),
    "Thai": ("แม่น้ำที่ยาวที่สุดในประเทศ{}คืออะไร", "แม่น้ำที่ยาวที่สุดในประเทศ_คืออะไร", ("อินเดีย", "เยอรมนี", "เปรู", "กานา")),
}


@pytest.mark.parametrize("language", SETS)
def test_what_differs_between_questions_is_their_subject(language: str) -> None:
    pattern, template, names = SETS[language]
    found = wordings([pattern.format(name) for name in names], minimum=3)
    assert found == [Wording(template, name) for name in names]


def test_types_are_told_apart_where_nouns_have_capitals() -> None:
    patterns = ("Was ist die Hauptstadt von {}?", "Was ist die Währung von {}?", "Was ist das Wappentier von {}?")
    names = ("Peru", "Kuba", "Togo", "Mali", "Oman")
    found = wordings([pattern.format(name) for pattern in patterns for name in names], minimum=4)
    assert [each.template for each in found[::5]] == [
        "was ist die hauptstadt von _", "was ist die währung von _", "was ist das wappentier von _",
    ]  # fmt: skip
    assert [each.subject for each in found] == [*names] * 3


def test_types_are_told_apart_without_spaces() -> None:
    patterns, names = ("{}的首都是哪里？", "{}的货币是什么？"), ("印度", "德国", "埃及", "巴西", "秘鲁")
    found = wordings([pattern.format(name) for pattern in patterns for name in names], minimum=4)
    assert {each.template for each in found} == {"_的首都是哪里", "_的货币是什么"}
    assert [each.subject for each in found] == [*names] * 2


def test_question_of_no_type_is_said_to_have_none() -> None:
    found = wordings([SETS["Chinese"][0].format(name) for name in SETS["Chinese"][2]] + ["谁写了这本书？"], minimum=3)
    assert found[-1] == Wording(BLANK, "")


def test_english_goes_by_its_capitals() -> None:
    assert not differ_from_english(["What is the capital of France?", "Who wrote Faust?"])
    assert not differ_from_english(["Q1?", "Q2?"])
    assert differ_from_english(["Wer schrieb den Faust?", "Wo liegt die Stadt Köln?"])


@given(st.lists(st.text(max_size=12), max_size=8), st.integers(1, 4))
def test_any_texts_have_wordings_that_do_not_depend_on_their_order(texts: list[str], minimum: int) -> None:
    found = wordings(texts, minimum=minimum)
    assert wordings(texts[::-1], minimum=minimum) == found[::-1]
    assert all(
        is_wording_of(each.template, text) or each == Wording(BLANK, "")
        for text, each in zip(texts, found, strict=True)
    )
