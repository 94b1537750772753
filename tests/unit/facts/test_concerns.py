"""Wrong answers that only the rule of matching makes wrong are told once, with their number and the first of them."""

from __future__ import annotations

import pytest

from gradual.facts.concerns import missed_spellings
from gradual.facts.matching import SQUAD, Matching


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("1984", "１９８４"),
        ("12,000", "12\u2009000"),
        ("12000", "12\u202f000"),
        ("Straße", "Strasse"),
        ("οδός", "οδόσ"),
        ("H₂O", "H2O"),
        ("O'Neil", "O\u2019Neil"),
        ("1900\u20131910", "1900-1910"),
    ],
    ids=["wide digits", "thin space", "narrow space", "sharp s", "final sigma", "subscript", "apostrophe", "dash"],
)
def test_spelling_that_only_the_rule_unicode_knows_is_told(target: str, answer: str) -> None:
    told = missed_spellings([([target], [answer])], SQUAD)
    assert told == (
        f"facts with a wrong answer that probe.matching: unicode takes for right: 1, "
        f'such as "{shown_text(answer)}" for "{target}"'
    )


def shown_text(answer: str) -> str:
    """Spaces other than the usual one are printed by their numbers."""
    return answer.replace("\u2009", "\\u2009").replace("\u202f", "\\u202f")


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("Zürich", "Zu\u0308rich"),  # right by both: letters are composed before they are compared
        ("12,000", "12000"),  # right by both
        ("1.5", "15"),  # right by SQuAD's rule alone, which drops the point
        ("Köln", "Koln"),  # wrong by both: diacritics count
        ("Paris", "Rome"),
    ],
    ids=["composed", "comma", "point", "diacritic", "another"],
)
def test_answer_that_the_rule_unicode_would_not_make_right_is_not_told(target: str, answer: str) -> None:
    assert missed_spellings([([target], [answer])], SQUAD) == ""


def test_facts_are_counted_once_and_the_first_is_shown() -> None:
    answered = [
        (["Paris"], ["Rome"]),
        (["1984", "the year 1984"], ["1984", "１９８４", "１９８４ AD"]),
        (["Straße"], ["Strasse", "strasse"]),
        (["Zürich"], []),
    ]
    told = missed_spellings(answered, SQUAD)
    assert told.endswith(': 2, such as "１９８４" for "1984"')


def test_nothing_is_told_where_the_rule_is_unicode_already() -> None:
    answered = [(["1984"], ["１９８４"]), (["Straße"], ["Strasse"])]
    assert missed_spellings(answered, Matching(rule="unicode")) == ""


def test_nothing_is_told_of_no_answers() -> None:
    assert missed_spellings([], SQUAD) == ""
