"""The shipped atlas: its form, its size, and the three rules that make its facts usable as probes."""

from __future__ import annotations

import gzip
import json
import re
import unicodedata
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

DATA = Path(__file__).resolve().parents[3] / "src" / "gradual" / "data"
FIELDS = ["id", "relation", "subject", "question", "answers"]
SMALL_RELATIONS = {  # the world has no more of them
    "australian_state_of_city",
    "country_of_currency",
    "state_abbreviation",
    "state_capital",
    "state_largest_city",
    "state_of_abbreviation",
    "state_of_capital",
}


class Row(NamedTuple):
    """A line of the atlas."""

    id: str
    relation: str
    subject: str
    question: str
    answers: list[str]


@pytest.fixture(scope="module")
def raw() -> list[dict[str, object]]:
    lines = gzip.decompress((DATA / "atlas.jsonl.gz").read_bytes()).decode("utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def atlas(raw: list[dict[str, object]]) -> list[Row]:
    return [Row(**row) for row in raw]  # type: ignore[arg-type]


@cache
def padded_words(text: str) -> str:
    """Words of the text, folded to plain letters, each with a space before and after."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))
    plain = re.sub(r"['.]", "", plain)
    return f" {' '.join(re.findall(r'[a-z0-9]+', plain))} "


def answers_to(atlas: list[Row], identity: str) -> list[str]:
    return next(row.answers for row in atlas if row.id == identity)


def test_every_row_has_the_five_fields_in_order(raw: list[dict[str, object]]) -> None:
    assert all(list(row) == FIELDS for row in raw)


def test_rows_are_sorted_by_unique_id(atlas: list[Row]) -> None:
    ids = [row.id for row in atlas]
    assert ids == sorted(set(ids))
    assert all(re.fullmatch(r"[a-z0-9-]+", identity) for identity in ids)


def test_ids_begin_with_their_relation(atlas: list[Row]) -> None:
    assert all(row.id.startswith(row.relation.replace("_", "-") + "-") for row in atlas)


def test_each_question_is_asked_once(atlas: list[Row]) -> None:
    asked = Counter(padded_words(row.question) for row in atlas)
    assert [question for question, times in asked.items() if times > 1] == []


def test_the_atlas_is_about_fifteen_thousand_facts_in_many_relations(atlas: list[Row]) -> None:
    counts = Counter(row.relation for row in atlas)
    assert 14_000 <= len(atlas) <= 18_000
    assert len(counts) >= 18
    assert [relation for relation, n in counts.items() if n < 90 and relation not in SMALL_RELATIONS] == []
    assert [relation for relation, n in counts.items() if n < 45] == []


def test_the_file_stays_small_and_carries_no_build_time() -> None:
    data = (DATA / "atlas.jsonl.gz").read_bytes()
    assert len(data) < 600_000
    assert data[4:8] == b"\0\0\0\0"


def test_answers_are_short_distinct_and_not_empty(atlas: list[Row]) -> None:
    for row in atlas:
        assert row.answers, row
        assert len(set(row.answers)) == len(row.answers), row
        assert all(answer == answer.strip() and 1 <= len(answer.split()) <= 5 for answer in row.answers), row


def test_no_question_contains_its_answer(atlas: list[Row]) -> None:
    leaks = [row for row in atlas for a in row.answers if padded_words(a) in padded_words(row.question)]
    assert leaks == []


def test_no_answer_contains_its_subject(atlas: list[Row]) -> None:
    leaks = [row for row in atlas for a in row.answers if padded_words(row.subject) in padded_words(a)]
    assert leaks == []


def test_questions_are_single_clean_sentences(atlas: list[Row]) -> None:
    for row in atlas:
        assert re.fullmatch(r"[A-Z][^?]*\?", row.question), row
        assert not re.search(r"  |\n|the the", row.question, re.IGNORECASE), row


def test_the_subject_stands_at_the_end_of_the_question(atlas: list[Row]) -> None:
    """Shared beginnings make probing cheap. A nationality is followed by two more words."""
    for row in atlas:
        place = row.question.lower().rfind(row.subject.lower())
        assert place > 0, row
        assert len(row.question) - place - len(row.subject) <= len(" people from?"), row


def test_questions_of_a_relation_share_their_beginning(atlas: list[Row]) -> None:
    beginnings = defaultdict(set)
    for row in atlas:
        beginnings[row.relation].add(" ".join(row.question.split()[:3]))
    assert {relation: b for relation, b in beginnings.items() if len(b) > 1} == {}


def test_entities_have_one_spelling_across_relations(atlas: list[Row]) -> None:
    countries = {row.subject for row in atlas if row.relation in {"continent", "country_code", "currency"}}
    answered = {row.answers[0] for row in atlas if row.relation.startswith("country_of_")}
    assert answered - countries == set()
    capitals = {row.answers[0] for row in atlas if row.relation == "capital"}
    assert {row.subject for row in atlas if row.relation == "country_of_capital"} - capitals == set()


def test_letters_with_diacritics_have_a_plain_form(atlas: list[Row]) -> None:
    assert answers_to(atlas, "capital-co") == ["Bogotá", "Bogota"]


@pytest.mark.parametrize(
    ("identity", "answer"),
    [
        ("capital-fr", "Paris"),
        ("country-of-capital-ua", "Ukraine"),
        ("continent-ke", "Africa"),
        ("currency-jp", "Yen"),
        ("currency-code-br", "BRL"),
        ("top-level-domain-gb", ".uk"),
        ("calling-code-de", "+49"),
        ("nationality-pl", "Polish"),
        ("neighbour-pt", "Spain"),
        ("official-language-at", "German"),
        ("country-of-city-jp-osaka", "Japan"),
        ("state-of-city-houston", "Texas"),
        ("state-capital-ca", "Sacramento"),
        ("city-of-airport-code-lhr", "London"),
        ("element-symbol-fe", "Fe"),
        ("atomic-number-au", "79"),
    ],
)
def test_well_known_facts_are_right(atlas: list[Row], identity: str, answer: str) -> None:
    assert answers_to(atlas, identity)[0] == answer


def test_the_notice_names_every_source_and_licence_and_the_counts(atlas: list[Row]) -> None:
    notice = (DATA / "ATLAS.md").read_text(encoding="utf-8")
    for word in ("GeoNames", "CC BY 4.0", "airportsdata", "mendeleev", "countryinfo", "Sunlight Labs", "MIT", "BSD"):
        assert word in notice
    for relation, count in Counter(row.relation for row in atlas).items():
        assert f"| {relation} | {count} |" in notice
