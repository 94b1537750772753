"""Columns may be refused, named by path or number, put together by a template, and are named where they mislead."""

from __future__ import annotations

import pytest
from tests.support.fact_files import Write, error_of, lines

from gradual.config.run import ColumnsConfig, FactsConfig
from gradual.config.yaml_file import parse_config
from gradual.errors import DataError
from gradual.facts.loading import load_facts
from gradual.facts.prepare import prepare

pytestmark = pytest.mark.filterwarnings("ignore:facts put together")  # of so few facts
ROW = {"question": "Which ore holds lead?", "answer": "galena", "relation": "ore"}


def facts_of(path: str, **columns: object) -> list[tuple[str, tuple[str, ...], str, str]]:
    config = FactsConfig(path=path, columns=ColumnsConfig.model_validate(columns))
    return [(fact.question, fact.answers, fact.relation, fact.subject) for fact in load_facts(config, num_shots=0)]


def test_detected_column_can_be_refused(write: Write) -> None:
    path = write("f.jsonl", lines(ROW | {"id": "chapter 1", "subject": "Geology"}))
    assert facts_of(path) == [(ROW["question"], ("galena",), "ore", "Geology")]
    assert facts_of(path, subject="none", id="none")[0][3] == "lead"
    assert load_facts(FactsConfig(path=path, columns=ColumnsConfig(id="none")))[0].id != "chapter 1"
    assert facts_of(path, relation="none")[0][2] == "other"


def test_columns_are_named_by_path(write: Write) -> None:
    row = {
        "qa": {
            "question": {"en": ROW["question"]},
            "answers": {"en": [{"text": "galena"}, {"text": "lead glance"}, {"no": 1}]},
        },
        "about": '{"topic": "ore"}',
    }
    found = facts_of(
        write("f.jsonl", lines(row)), question="qa.question.en", answers="qa.answers.en[].text", relation="about.topic"
    )
    assert found == [(ROW["question"], ("galena", "lead glance"), "ore", "lead")]


def test_path_is_offered_where_a_column_is_missing(write: Write) -> None:
    told = error_of(write("f.jsonl", lines({"id": 1, "qa": {"question": "a?", "answer": "b"}}))).splitlines()
    assert told[0].endswith("or name it with facts.columns.question (qa.question)")
    assert told[1].endswith("or name it with facts.columns.answers (qa.answer)")


def test_several_columns_hold_answers(write: Write) -> None:
    path = write("f.csv", "question,answer,answer2,relation\nWhich ore holds lead?,galena,lead glance,ore\n")
    with pytest.warns(
        UserWarning, match=r"not read: answer2 - facts\.columns\.answers: \[answer, answer2\] reads them"
    ):
        assert facts_of(path)[0][1] == ("galena",)
    assert facts_of(path, answers=["answer", "answer2"])[0][1] == ("galena", "lead glance")


@pytest.mark.parametrize("blank", ["", "N/A", None])
def test_one_of_several_columns_must_hold_an_answer(write: Write, blank: str | None) -> None:
    path = write("f.jsonl", lines(ROW | {"answer2": blank, "answer3": "lead glance"}, ROW | {"question": "Which?"}))
    found = facts_of(path, answers=["answer", "answer2", "answer3"])
    assert [answers for _, answers, _, _ in found] == [("galena", "lead glance"), ("galena",)]
    path = write("g.jsonl", lines(ROW | {"answer": blank, "answer2": "galena"}))
    assert facts_of(path, answers=["answer", "answer2"])[0][1] == ("galena",)
    path = write("h.jsonl", lines(ROW | {"answer": blank, "answer2": blank}))
    with pytest.raises(DataError, match='expected a non-empty answer in "answer", found'):
        facts_of(path, answers=["answer", "answer2"])


def test_field_of_an_object_is_offered_where_it_holds_the_answer(write: Write) -> None:
    path = write("f.jsonl", lines(ROW | {"answer": {"en": "galena"}}))
    assert error_of(path).endswith("or name the field that holds it (facts.columns.answers: answer.en)")
    assert facts_of(path, answers="answer.en")[0][1] == ("galena",)


def test_question_is_made_by_a_template(write: Write) -> None:
    rows = [{"s": "lead", "p": "ore", "o": "galena"}, {"s": "lead", "p": "symbol", "o": "Pb"}]
    path = write("f.jsonl", lines(*rows))
    found = facts_of(path, question="What is the {p} of {s}?", answers="o", relation="p")
    assert found[0] == ("What is the ore of lead?", ("galena",), "ore", "lead")
    by_relation = {"ore": "Which ore holds {s}?", "symbol": "How is {s} written?"}
    found = facts_of(path, question=by_relation, answers="o", relation="p")
    assert [question for question, *_ in found] == ["Which ore holds lead?", "How is lead written?"]


def test_relation_without_a_template_is_named(write: Write) -> None:
    path = write("f.jsonl", lines({"s": "lead", "p": "ore", "o": "galena"}))
    columns = ColumnsConfig(question={"symbol": "How is {s} written?"}, answers="o", relation="p")
    assert "f.jsonl:1: expected a non-empty question in" in error_of(FactsConfig(path=path, columns=columns))


def test_column_that_keeps_facts_from_being_divided_is_named_with_the_remedy(write: Write) -> None:
    rows = [
        ROW | {"question": f"Which ore holds metal {n}?", "answer": f"ore {n}", "subject": "Geology"} for n in range(60)
    ]
    path = write("f.jsonl", lines(*rows))
    with pytest.raises(DataError) as caught:
        prepare(parse_config({"model": "m", "facts": path}))
    assert str(caught.value) == (
        "f.jsonl: expected facts for validation, found none after dividing 60 facts - there are 1 subjects for all "
        'facts, "Geology" for 60 of them (column "subject"); if that is not what each question asks about, set '
        "facts.columns.subject to another column, or to none"
    )
    divided = prepare(parse_config({"model": "m", "facts": {"path": path, "columns": {"subject": "none"}}}))
    assert divided.validation
