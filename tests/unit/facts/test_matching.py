"""Right and wrong answers by a table, and the agreement of `accepts` and `is_alive` by search for counterexamples."""

from __future__ import annotations

import csv
from itertools import product
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gradual.facts.matching import Targets, normalise, token_f1

with (Path(__file__).resolve().parents[2] / "golden" / "matching.tsv").open(encoding="utf-8", newline="") as stream:
    TABLE = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))

# Letters of the articles, what vanishes, what separates, and letters whose lower case is odd.
TEXT = st.text(alphabet="aAnthe e.–'_\u0301é€ İΣ1n t\t\xa0", max_size=12)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row['answer']} / {row['targets']}")
def test_right_answers(row: dict[str, str]) -> None:
    targets = Targets(tuple(row["targets"].split("|")))
    assert targets.accepts(row["answer"]) is (row["right"] == "yes"), row["why"]


@pytest.mark.parametrize(
    ("answers", "text", "is_alive"),
    [
        (("Paris",), "", True),
        (("Paris",), " Par", True),
        (("Paris",), " the ", True),
        (("Paris",), " th", True),
        (("Paris",), " tho", False),
        (("Paris",), " Paris", True),
        (("Paris",), " Paris, ", True),
        (("Paris",), " Paris a", True),
        (("Paris",), " Paris ab", False),
        (("Paris",), " Parish", False),
        (("Paris",), " Pa ", False),
        (("New York",), " New", True),
        (("New York",), " New ", True),
        (("New York",), " New the Y", True),
        (("New York",), " NewY", False),
        (("theory",), " the", True),
        (("theory",), " the ", True),
        (("theory",), " the o", False),
        (("Rome", "New York"), " New", True),
        (("a–b",), "a–", True),
    ],
)
def test_which_unfinished_answers_can_still_become_right(answers: tuple[str, ...], text: str, is_alive: bool) -> None:
    assert Targets(answers).is_alive(text) is is_alive


@settings(max_examples=1000, deadline=None)
@given(TEXT, TEXT)
def test_no_beginning_of_a_right_answer_is_dead(beginning: str, rest: str) -> None:
    targets = Targets((beginning + rest,))
    assume(targets.normalised)
    assert targets.accepts(beginning + rest)
    assert targets.is_alive(beginning)


@settings(max_examples=1000, deadline=None)
@given(TEXT, TEXT, TEXT)
def test_dead_text_is_never_right_whatever_follows(text: str, rest: str, target: str) -> None:
    targets = Targets((target,))
    assume(not targets.is_alive(text))
    assert not targets.accepts(text + rest)


@pytest.mark.parametrize("target", ["ate", "h e", "t–e", "ha t"])
def test_a_text_is_alive_exactly_if_some_continuation_is_right(target: str) -> None:
    targets = Targets((target,))
    # What finishes a begun article, and then any rest of the target.
    finishing = ["", " ", "e ", "he ", "n ", "e–", "he–"]
    short = ["".join(chosen) for size in range(3) for chosen in product("ath e–", repeat=size)]
    endings = [*short, *(begin + target[place:] for begin in finishing for place in range(len(target) + 1))]
    for text in ("".join(chosen) for size in range(4) for chosen in product("ath e-–", repeat=size)):
        has_ending = any(targets.accepts(text + ending) for ending in endings)
        assert targets.is_alive(text) is has_ending, (target, text)


@given(TEXT)
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


def test_token_f1_counts_repetitions() -> None:
    assert token_f1("new york new york", ["New York"]) == pytest.approx(2 / 3)
    assert token_f1("Paris, Texas", ["Paris", "Texas City"]) == pytest.approx(2 / 3)
    assert token_f1("Rome", ["Paris"]) == 0.0
