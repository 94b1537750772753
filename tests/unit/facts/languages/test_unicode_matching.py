"""Spellings of one answer in any script are the same, and what makes two answers two is kept."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from gradual.config.run import ProbeConfig
from gradual.facts.matching import SQUAD, Matching, Targets, matching_of, normalise, recorded_matching, token_f1

ENGLISH = Matching(rule="unicode")
FOLDING = Matching(rule="unicode", diacritics="fold")
LANGUAGES = ("ar", "de", "el", "en", "fr", "hi", "it", "ja", "ko", "nl", "th", "tr", "zh")
RULES = [SQUAD, FOLDING, *(Matching(rule="unicode", language=language) for language in LANGUAGES)]

# Letters that compose or have odd cases, marks that change places, digits, separators, spaces, signs; then all scripts.
HARD = st.text(alphabet="aAnthe eIıi\u0307İ.,'’-–−+#&^12½²\u0301\u0323\u0327\u200bßΣςé한ㄱकि़نَ٣１ﬁ\u2009\n", max_size=10)
TEXT = HARD | st.text(max_size=8)


def unicode_rule(language: str = "en") -> Matching:
    return Matching(rule="unicode", language=language)


@pytest.mark.parametrize(
    ("answer", "target", "language"),
    [
        ("Lome\u0301", "Lomé", "en"),
        ("Ville d’Avray", "Ville d'Avray", "fr"),
        ("«Carmen»", "Carmen", "en"),
        ("南京。", "南京", "zh"),
        ("（東京）", "東京", "ja"),
        ("२०२४", "2024", "hi"),
        ("１８６７年", "1867年", "ja"),
        ("N₂O", "N2O", "en"),
        ("7\u202f000", "7000", "fr"),
        ("7,000", "7000", "en"),
        ("7.000", "7000", "de"),
        ("2,5", "2.5", "en"),
        ("Elsass–Lothringen", "Elsass-Lothringen", "de"),
        ("Elsass Lothringen", "Elsass-Lothringen", "de"),
        ("GIESSEN", "Gießen", "de"),
        ("die Elbe", "Elbe", "de"),
        ("L’Aquila", "Aquila", "it"),
        ("ΠΑΤΡΟΣ", "πατρος", "el"),
        ("DİYARBAKIR", "diyarbakır", "tr"),
        ("C. S. Lewis", "C.S. Lewis", "en"),
        ("Marks & Spencer", "Marks and Spencer", "en"),
        ("Lisa\u00adbon", "Lisabon", "de"),
        ("\u200fالرباط", "الرباط", "ar"),
        ("दिल्ली।", "दिल्ली", "hi"),
        ("Oslo 🎉", "Oslo", "en"),
        ("½", "1/2", "en"),
    ],
)
def test_spellings_of_one_answer_are_the_same(answer: str, target: str, language: str) -> None:
    assert Targets((target,), unicode_rule(language)).accepts(answer)


@pytest.mark.parametrize(
    ("answer", "target"),
    [
        ("Vitamin K", "Vitamin"), ("Vitamin A", "Vitamin"), ("15", "1.5"), ("40", "-40"), ("12", "1/2"),
        ("1030", "10:30"),        ("C", "C++"), ("C", "C#"), ("105", "10⁵"), ("Malaga", "Málaga"), ("10:3", "1:03"),
        ("lord of rings", "lord of the rings"),
    ],
)  # fmt: skip
def test_signs_and_articles_that_make_another_answer_are_kept(answer: str, target: str) -> None:
    assert not Targets((target,), ENGLISH).accepts(answer)
    assert not Targets((answer,), ENGLISH).accepts(target)


def test_accents_count_or_do_not_as_set() -> None:
    assert Targets(("Málaga",), FOLDING).accepts("Malaga")
    assert Targets(("Łódź",), FOLDING).accepts("Lodz")
    assert not Targets(("दिल्ली",), FOLDING).accepts("दल")  # vowel signs are letters


@pytest.mark.parametrize("rule", [SQUAD, ENGLISH])
def test_answers_of_which_a_rule_leaves_nothing_are_matched_as_they_stand(rule: Matching) -> None:
    plus = Targets(("+", "plus"), rule)
    assert plus.accepts(" + ")
    assert plus.accepts("Plus")
    assert not plus.accepts("-")
    assert not plus.accepts("")
    assert not plus.is_alive("-x")
    ampere = Targets(("A",), SQUAD)
    assert ampere.accepts("A")
    assert not ampere.accepts("the")
    assert ampere.is_alive(" A")
    assert not ampere.is_alive("An")


def test_squads_rule_takes_composed_and_decomposed_letters_for_the_same() -> None:
    decomposed = unicodedata.normalize("NFD", "à la carte")
    assert normalise(decomposed) == normalise("à la carte") == "à la carte"
    assert Targets(("à la carte",)).accepts(decomposed)
    assert Targets((decomposed,)).accepts("À la carte")
    assert Targets(("한국",)).accepts(unicodedata.normalize("NFD", "한국"))


def test_settings_of_the_probe_name_the_rule() -> None:
    assert matching_of(ProbeConfig()) == SQUAD
    probe = ProbeConfig(matching="unicode", language="tr", diacritics="fold")
    assert matching_of(probe) == Matching(rule="unicode", language="tr", diacritics="fold")


def test_rule_is_told_from_the_record_of_a_map_or_a_run() -> None:
    turkish = {"matching": "unicode", "language": "tr", "diacritics": "keep"}
    assert recorded_matching(turkish) == Matching(rule="unicode", language="tr")
    assert recorded_matching({f"probe.{name}": value for name, value in turkish.items()}) == recorded_matching(turkish)
    assert recorded_matching({"num_shots": 4}) == SQUAD  # made before there was a choice


@settings(max_examples=600, deadline=None)
@example("a\u0301", "\u0323", SQUAD)  # the second mark is sorted before the first
@example("I", "\u0307", unicode_rule("tr"))
@example("l", "'eau", unicode_rule("fr"))
@given(TEXT, TEXT, st.sampled_from(RULES))
def test_no_beginning_of_a_right_answer_is_dead(beginning: str, rest: str, rule: Matching) -> None:
    targets = Targets((beginning + rest,), rule)
    assume(targets.normalised)
    assert targets.accepts(beginning + rest)
    assert targets.is_alive(beginning)


@settings(max_examples=600, deadline=None)
@given(TEXT, TEXT, TEXT, st.sampled_from(RULES))
def test_dead_text_is_never_right_whatever_follows(text: str, rest: str, target: str, rule: Matching) -> None:
    targets = Targets((target,), rule)
    assume(not targets.is_alive(text))
    assert not targets.accepts(text + rest)


def in_form(form: Any) -> Any:
    return lambda text: unicodedata.normalize(form, text)


def with_front(front: str) -> Any:
    return lambda text: f"{front}{text}!"


def with_other(old: str, new: str) -> Any:
    return lambda text: text.replace(old, new)


RESPELLINGS = st.sampled_from(
    [
        *(str.upper, str.lower, str.swapcase, in_form("NFD"), in_form("NFKC")),
        *(with_front("The "), with_front(" l'"), with_front("die ")),
        *(with_other(" ", "-"), with_other(".", ""), with_other("&", " and "), with_other(",", "")),
    ]
)


@settings(max_examples=600, deadline=None)
@given(TEXT, st.lists(RESPELLINGS, max_size=3), st.sampled_from(RULES))
def test_no_beginning_of_another_spelling_that_is_right_is_dead(text: str, changes: list[Any], rule: Matching) -> None:
    targets, spelling = Targets((text,), rule), text
    for change in changes:
        spelling = change(spelling)
    assume(targets.accepts(spelling))
    assert all(targets.is_alive(spelling[:end]) for end in range(len(spelling) + 1))


@settings(max_examples=200, deadline=None)
@given(TEXT, st.sampled_from(["NFC", "NFD"]), st.sampled_from(RULES))
def test_normal_forms_of_a_text_are_the_same_answer(text: str, form: str, rule: Matching) -> None:
    targets = Targets((text,), rule)
    assume(targets.normalised)
    assert targets.accepts(unicodedata.normalize(form, text))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.rule}-{rule.language}-{rule.diacritics}")
def test_what_cannot_become_right_is_dead(rule: Matching) -> None:
    targets = Targets(("Rolls-Royce", "北京"), rule)
    assert targets.is_alive("Rolls")
    assert targets.is_alive(" 北")
    assert not targets.is_alive("Rollo")
    assert not targets.is_alive("Rolls-Royce again")
    assert not targets.is_alive("京")


def test_token_f1_goes_by_the_rule() -> None:
    rule = Matching("unicode", "en")
    assert token_f1("C code", ["C++ code"]) == 1.0
    assert token_f1("C code", ["C++ code"], rule) == 0.5
    assert token_f1("北京。", ["北京"]) == 0.0
    assert token_f1("北京。", ["北京"], rule) == 1.0
