"""Published layouts load by themselves, with rows in our own words, and are told in one line."""

# ruff: noqa: E501 - a row of a data set stands on a line

from __future__ import annotations

import json
import warnings
from collections.abc import Callable

import pytest
from tests.support.fact_files import Write, error_of, lines
from tests.support.scripts import ROOT

from gradual.config.run import ColumnsConfig, FactsConfig
from gradual.facts.fact import Fact
from gradual.facts.loading import load_facts
from gradual.facts.problems import Remark
from gradual.facts.reading.layouts import LAYOUTS, layout_of
from gradual.facts.sources.part import Row, part_of

pytestmark = pytest.mark.filterwarnings("ignore:facts put together")  # of so few facts
Q, A = "Which ore holds lead?", "galena"


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


ROWS: dict[str, tuple[str, dict[str, object], tuple[str, ...]]] = {
    "messages": ("chat records", {"messages": [turn("system", "Be brief."), turn("user", Q), turn("assistant", A)]}, (A,)),
    "sharegpt": ("chat records", {"conversations": [{"from": "human", "value": Q}, {"from": "gpt", "value": A}]}, (A,)),
    "parts": ("chat records", {"messages": [{"role": "user", "content": [{"type": "text", "text": Q}]}, turn("assistant", A)]}, (A,)),
    "dpo": ("preferences", {"prompt": Q, "chosen": A, "rejected": "tin"}, (A,)),
    "dpo-chat": ("preferences", {"prompt": [turn("user", Q)], "chosen": [turn("assistant", A)], "rejected": []}, (A,)),
    "completion-chat": ("prompts and completions", {"prompt": [turn("user", Q)], "completion": [turn("assistant", A)]}, (A,)),
    "alpaca": ("Alpaca", {"instruction": Q, "input": "", "output": A}, (A,)),
    "dolly": ("Dolly", {"instruction": Q, "context": "", "response": A, "category": "closed_qa"}, (A,)),
    "simpleqa": ("SimpleQA", {"metadata": "{'topic': 'Ores'}", "problem": Q, "answer": A}, (A,)),
    "popqa": ("PopQA", {"id": 1, "subj": "lead", "prop": "ore", "obj": "galena", "question": Q, "possible_answers": '["galena", "lead glance"]'}, (A, "lead glance")),
    "triviaqa": ("TriviaQA", {"question": Q, "question_id": "x", "answer": {"value": A, "aliases": ["Lead glance"], "normalized_aliases": ["lead glance"]}}, (A, "Lead glance")),
    "triviaqa-original": ("TriviaQA", {"Question": Q, "QuestionId": "x", "Answer": {"Value": A, "Aliases": ["Lead glance"], "Type": "FreeForm"}}, (A, "Lead glance")),
    "kilt": ("KILT", {"id": "7", "input": Q, "output": [{"answer": A, "provenance": []}, {"provenance": []}, {"answer": "lead glance"}]}, (A, "lead glance")),
    "webquestions": ("WebQuestions", {"url": "x", "utterance": Q, "targetValue": '(list (description "lead glance") (description galena))'}, ("lead glance", A)),
    "freebaseqa": ("FreebaseQA", {"Question-ID": "7", "RawQuestion": Q, "Parses": [{"Answers": [{"AnswersMid": "m.1", "AnswersName": ["galena"]}]}]}, (A,)),
    "mintaka": ("Mintaka", {"id": "7", "question": Q, "answer": {"answerType": "entity", "answer": [{"name": "Q1", "label": {"en": "Galena"}}], "mention": A}}, (A, "Galena")),
    "mintaka-hub": ("Mintaka", {"id": "7", "lang": "en", "question": Q, "answerText": A, "category": "science", "complexityType": "generic"}, (A,)),
    "mkqa": ("MKQA", {"example_id": 7, "queries": {"en": Q, "de": "Welches?"}, "answers": {"en": [{"type": "entity", "text": A, "aliases": ["lead glance"]}], "de": []}}, (A, "lead glance")),
    "truthfulqa": ("TruthfulQA", {"Type": "x", "Category": "y", "Question": Q, "Best Answer": A, "Correct Answers": "galena; lead glance"}, (A, "lead glance")),
    "truthfulqa-hub": ("TruthfulQA", {"type": "x", "category": "y", "question": Q, "best_answer": A, "correct_answers": ["galena", "lead glance"]}, (A, "lead glance")),
    "counterfact": ("CounterFact", {"case_id": 7, "requested_rewrite": {"prompt": "The main ore of {} is", "subject": "lead", "relation_id": "P1", "target_true": {"str": A}, "target_new": {"str": "tin"}}}, (A,)),
    "lama": ("LAMA", {"uuid": "u", "obj_label": A, "sub_label": "lead", "predicate_id": "P1", "masked_sentences": ["The main ore of lead is [MASK] ."]}, (A,)),
    "lama-hub": ("LAMA", {"uuid": "u", "obj_label": A, "sub_label": "lead", "predicate_id": "P1", "masked_sentence": "The main ore of lead is [MASK] ."}, (A,)),
    "lama-template": ("LAMA", {"sub_label": "lead", "obj_label": A, "template": "The main ore of [X] is [Y] ."}, (A,)),
    "pararel": ("ParaRel", {"sub_label": "lead", "obj_label": A, "pattern": "The main ore of [X] is [Y] ."}, (A,)),
    "hotpotqa": ("HotpotQA", {"id": "7", "question": Q, "answer": A, "type": "bridge", "level": "easy", "supporting_facts": {}}, (A,)),
    "squad-hub": ("SQuAD", {"id": "7", "title": "Lead", "context": "...", "question": Q, "answers": {"text": [A], "answer_start": [1]}}, (A,)),
    "squad-flat": ("SQuAD", {"question": Q, "answers": [{"text": A, "answer_start": 1}], "is_impossible": False}, (A,)),
    "jeopardy-json": ("Jeopardy", {"show_number": "1", "round": "Jeopardy!", "category": "ORES", "value": "$200", "question": Q, "answer": A, "air_date": "1984"}, (A,)),
    "jeopardy": ("Jeopardy", {"Show Number": "1", "Round": "Jeopardy!", "Category": "ORES", "Value": "$200", "Question": Q, "Answer": A}, (A,)),
    "opentdb": ("Open Trivia DB", {"type": "multiple", "difficulty": "easy", "category": "Science", "question": "Which &quot;ore&quot; holds lead?", "correct_answer": A, "incorrect_answers": ["tin"]}, (A,)),
}  # fmt: skip


SENTENCES: dict[str, dict[str, object]] = {
    "wikiqa-hub": {"question": Q, "document_title": "Lead", "answer": "It is found as galena.", "label": 1},
    "wikiqa": {"QuestionID": "Q1", "Question": Q, "DocumentTitle": "Lead", "Sentence": "It is found so.", "Label": 1},
}
BY_USUAL_NAMES: dict[str, dict[str, object]] = {
    "NQ-open": {"question": Q, "answer": [A]},
    "WebQuestions on the Hub": {"url": "x", "question": Q, "answers": [A]},
    "PopQA": ROWS["popqa"][1],
}
"""Layouts of the documentation's table that need no entry in `LAYOUTS`, or have one only to be told."""
SECTION = (ROOT / "docs" / "facts.md").read_text(encoding="utf-8").split("## Layouts that load by themselves")[1]
DOCUMENTED = [
    name
    for row in SECTION.split("\n## ")[0].splitlines()
    if row.startswith("| ") and not row.startswith("| layout")
    for name in row.split(" | ")[0].removeprefix("| ").split(", ")
]


@pytest.mark.parametrize("name", ROWS)
def test_layout_loads_by_itself_and_is_told(write: Write, name: str) -> None:
    layout, row, answers = ROWS[name]
    path = write("f.jsonl", lines(row))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (fact,) = load_facts(path, num_shots=0)
    assert fact.answers == answers
    assert fact.question in {
        Q, "The main ore of lead is", "The main ore of lead is ___ .", 'Which "ore" holds lead?'
    }  # fmt: skip
    (told,) = [str(each.message) for each in caught if "f.jsonl: read as " in str(each.message)]
    assert told.startswith("f.jsonl: read as ")
    assert layout in told


def test_every_layout_of_the_table_has_a_row_here_or_is_refused() -> None:
    kinds = {layout_of(part_of("f", [Row("f:1", dict(row))])) for _, row, _ in ROWS.values()}
    kinds |= {layout_of(part_of("f", [Row("f:1", dict(row))])) for row in SENTENCES.values()}
    assert [each for each in LAYOUTS if each not in kinds] == []


def test_table_of_the_documentation_names_every_layout_and_no_other(write: Write) -> None:
    told = {layout.name.split(" in English")[0] for layout in LAYOUTS}
    assert sorted(told - set(DOCUMENTED)) == []
    assert sorted(set(DOCUMENTED) - told) == sorted(set(BY_USUAL_NAMES) - told)
    for row in BY_USUAL_NAMES.values():
        (fact,) = load_facts(write("f.jsonl", lines(row)), num_shots=0)
        assert (fact.question, fact.answers[0]) == (Q, A)


def test_relations_and_subjects_of_layouts(write: Write) -> None:
    def first(name: str) -> Fact:
        return load_facts(write("f.jsonl", lines(ROWS[name][1])), num_shots=0)[0]

    assert (first("counterfact").relation, first("counterfact").subject, first("counterfact").id) == ("P1", "lead", "7")
    assert (first("popqa").relation, first("popqa").subject) == ("ore", "lead")
    assert first("jeopardy").relation == "ORES"
    with pytest.warns(UserWarning, match="HTML entities"):
        assert first("opentdb").relation == "Science"  # not `type`, which says multiple or boolean
    with pytest.warns(UserWarning, match="facts put together in the relation 'other'"):
        facts = load_facts(write("f.jsonl", lines(ROWS["hotpotqa"][1])))
    assert facts[0].relation == "other"  # told from wording: `type` says bridge or comparison


def test_layout_gives_way_to_named_columns(write: Write) -> None:
    path = write("f.jsonl", lines(ROWS["simpleqa"][1]))
    (fact,) = load_facts(FactsConfig(path=path, columns=ColumnsConfig(relation="metadata.topic")))
    assert (fact.question, fact.relation) == (Q, "Ores")


def test_longer_conversations_are_left_out_with_their_number(write: Write) -> None:
    long = {"messages": [turn("user", "Hi"), turn("assistant", "Hi"), turn("user", Q), turn("assistant", A)]}
    path = write("f.jsonl", lines(long, ROWS["messages"][1], long))
    with pytest.warns(UserWarning, match=r"chat records: left out, as each is a conversation of 4 turns: 2"):
        assert len(load_facts(path, num_shots=0)) == 1


def test_turn_of_the_system_is_told_and_kept_with_its_fact(write: Write) -> None:
    other = {"messages": [turn("user", "Which ore holds iron?"), turn("assistant", "hematite")]}
    path = write("f.jsonl", lines(ROWS["messages"][1], other))
    with pytest.warns(Remark, match=r'records with the system turn "Be brief\.": 1; it begins chat prompts'):
        facts = load_facts(path, num_shots=0)
    assert [fact.system for fact in facts] == ["Be brief.", ""]
    completion = {"prompt": [turn("system", "Be brief."), turn("user", Q)], "completion": [turn("assistant", A)]}
    assert load_facts(write("g.jsonl", lines(completion)), num_shots=0)[0].system == "Be brief."


def test_turn_of_the_system_may_stand_beside_the_others(write: Write) -> None:
    for row in (ROWS["sharegpt"][1], ROWS["alpaca"][1]):
        path = write("f.jsonl", lines(row | {"system": "Be brief."}))
        assert load_facts(path, num_shots=0)[0].system == "Be brief."


def test_instructions_that_go_on_from_earlier_turns_are_left_out_with_their_number(write: Write) -> None:
    row = ROWS["alpaca"][1]
    later = row | {"instruction": "And which iron?", "history": [["Hello.", "Hello."]]}
    with pytest.warns(UserWarning, match=r"left out, as each is a conversation of 4 turns: 1"):
        assert len(load_facts(write("f.jsonl", lines(row | {"history": []}, later)), num_shots=0)) == 1


def test_questions_without_an_answer_are_left_out_where_the_data_set_has_them(write: Write) -> None:
    row = ROWS["squad-hub"][1]
    empty = row | {"id": "8", "question": "Which ore holds none?", "answers": {"text": [], "answer_start": []}}
    with pytest.warns(Remark, match="SQuAD: questions without an answer, left out: 1"):
        assert len(load_facts(write("f.jsonl", lines(row, empty)), num_shots=0)) == 1


def nested(*questions: dict[str, object]) -> str:
    paragraphs = [{"context": "...", "qas": [question]} for question in questions]
    return json.dumps({"version": "1.1", "data": [{"title": "Ores", "paragraphs": paragraphs}]})


def test_repeated_questions_of_squad_are_left_out(write: Write) -> None:
    asked: list[dict[str, object]] = [
        {"id": str(n), "question": question, "answers": [{"text": answer, "answer_start": 1}]}
        for n, (question, answer) in enumerate([("How deep?", "9 m"), ("How deep?", "7 m"), (Q, A)])
    ]
    with pytest.warns(UserWarning, match="questions with different answers or in several splits, left out: 1"):
        assert [fact.question for fact in load_facts(write("f.json", nested(*asked)), num_shots=0)] == [Q]


def test_answers_of_repeated_questions_are_merged_where_the_data_set_means_that(write: Write) -> None:
    row = ROWS["freebaseqa"][1]
    other = row | {"Question-ID": "8", "Parses": [{"Answers": [{"AnswersName": ["lead glance"]}]}]}
    (fact,) = load_facts(write("f.json", json.dumps({"Questions": [row, other]})), num_shots=0)
    assert fact.answers == (A, "lead glance")


@pytest.mark.parametrize("name", SENTENCES)
def test_sentences_are_refused_with_what_to_do(write: Write, name: str) -> None:
    row = SENTENCES[name]
    assert "write a short answer for each question" in error_of(write("f.jsonl", lines(row)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda row: row | {"answer": 1},
            'multiple choice (the number 1, one of "choices") - set facts.columns.choices:',
        ),
        (lambda row: row | {"answer": "B"}, 'multiple choice ("B", one of "choices")'),
    ],
)
def test_multiple_choice_is_refused_by_name(
    write: Write, change: Callable[[dict[str, object]], dict[str, object]], said: str
) -> None:
    row: dict[str, object] = {"question": Q, "choices": ["cinnabar", "galena"]}
    assert said in error_of(write("f.jsonl", lines(change(row))))


@pytest.mark.parametrize("answer", [1, "B", "galena"])
def test_multiple_choice_is_asked_with_its_choices(write: Write, answer: object) -> None:
    row = {"question": Q, "choices": ["cinnabar", "galena"], "answer": answer, "relation": "r"}
    path = write("f.jsonl", lines(row))
    (fact,) = load_facts(FactsConfig(path=path, columns=ColumnsConfig(choices="choices")))
    assert fact.question == f"{Q}\nA. cinnabar\nB. galena"
    assert fact.answers == ("B", "galena")
