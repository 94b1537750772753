"""Rubbish in a cell does not become an answer: it is divided, left out or refused by a rule that can be set."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
from tests.support.fact_files import Write, error_of, lines

from gradual.config.run import FactsConfig
from gradual.config.yaml_file import parse_config
from gradual.facts.loading import load_facts
from gradual.facts.prepare import prepare


def ores(answers: list[object], **more: object) -> list[dict[str, object]]:
    return [
        {"question": f"Which ore holds metal {n}?", "answer": answer, "relation": "ore"} | more
        for n, answer in enumerate(answers)
    ]


def loaded(path: str, **settings: Any) -> list[tuple[str, ...]]:
    return [fact.answers for fact in load_facts(FactsConfig(path=path, **settings))]


@pytest.mark.parametrize("separator", [";", "/", "|"])
def test_texts_that_look_joined_are_refused_or_divided_as_set(write: Write, separator: str) -> None:
    path = write("f.jsonl", lines(*ores([f"galena {n} {separator} lead glance {n}" for n in range(4)])))
    assert error_of(path) == (
        f'f.jsonl: expected one answer in each text of "answer", found 4 that "{separator}" may divide, the first '
        f'"galena 0 {separator} lead glance 0" - set facts.answer_separator: "{separator}" to divide them, '
        "or none to keep them whole"
    )
    assert loaded(path, answer_separator=separator)[0] == ("galena 0", "lead glance 0")
    assert loaded(path, answer_separator="none")[0] == (f"galena 0 {separator} lead glance 0",)


def test_one_joined_text_among_many_is_kept(write: Write) -> None:
    answers: list[object] = ["AC / DC", *(f"ore {n}" for n in range(40))]
    assert loaded(write("f.jsonl", lines(*ores(answers))))[0] == ("AC / DC",)


def test_bars_divide_in_tables_with_or_without_spaces(write: Write) -> None:
    path = write(
        "f.csv", "question,relation,answers\nWhich ore?,ore,galena|lead glance\nWhich other?,ore,tinstone | tin ore\n"
    )
    assert loaded(path) == [("galena", "lead glance"), ("tinstone", "tin ore")]


@pytest.mark.parametrize("word", ["N/A", "NaN", "None", "#N/A", "null"])
def test_words_for_nothing_are_no_answers(write: Write, word: str) -> None:
    path = write("f.jsonl", lines(*ores(["galena", word])))
    assert (
        f'f.jsonl:2: expected an answer in "answer", found "{word}", a word for nothing (facts.missing_words)'
        in error_of(path)
    )
    assert loaded(path, missing_words=[])[1] == (word,)


def test_entities_of_html_are_read_as_their_characters(write: Write) -> None:
    path = write("f.jsonl", lines(*ores(["Rio &amp; Tinto", "AT&T"])))
    with pytest.warns(
        UserWarning, match=r"f\.jsonl: HTML entities \(&amp; \.\.\.\) read as their characters, in rows: 1"
    ):
        assert loaded(path) == [("Rio & Tinto",), ("AT&T",)]


def test_composed_and_decomposed_letters_are_the_same(write: Write) -> None:
    row = {"question": "Quel minerai contient du fer à Génolhac ?", "answer": "hématite", "relation": "ore"}
    path = write("f.jsonl", lines(row, {key: unicodedata.normalize("NFD", value) for key, value in row.items()}))
    with pytest.warns(UserWarning, match="rows that repeat an earlier row, dropped: 1"):
        (fact,) = load_facts(path)
    assert fact.answers == ("hématite",)


def test_questions_that_differ_in_case_are_told(write: Write) -> None:
    rows = [{"question": question, "answer": "x", "relation": "r"} for question in ("Who is Ann?", "who is ann")]
    with pytest.warns(UserWarning, match='questions that differ only in their case or end mark: 1 \\("who is ann"\\)'):
        assert len(load_facts(write("f.jsonl", lines(*rows)))) == 2


def test_question_of_several_lines_is_asked_as_it_stands(write: Write) -> None:
    rows = [{"question": "Which ore?\r\nHint: grey.", "answer": "galena", "relation": "ore"}]
    (fact,) = load_facts(write("f.jsonl", lines(*rows)))
    assert fact.question == "Which ore?\nHint: grey."
    assert 'expected answer text of one line in "answer"' in error_of(write("g.jsonl", lines(*ores(["a\nb"]))))


@pytest.mark.parametrize("answer", ["A", "+", "The", "#"])
def test_answers_that_squads_rule_empties_are_kept(write: Write, answer: str) -> None:
    assert loaded(write("f.jsonl", lines(*ores([answer])))) == [(answer,)]


# on_bad_row: skip


def bad_and_good() -> str:
    rows = [*ores([f"ore {n}" for n in range(60)]), *ores([None, "NaN"], relation="other_ore")]
    return "{broken\n" + lines(*rows, {"question": "Which ore holds metal 0?", "answer": "no", "relation": "ore"})


def test_bad_rows_stop_by_default_and_are_left_out_where_asked(write: Write) -> None:
    path = write("f.jsonl", bad_and_good())
    assert len(error_of(path).splitlines()) == 5
    with pytest.warns(UserWarning, match=r"f\.jsonl: rows left out \(facts\.on_bad_row: skip\): 5, of these 1 "):
        facts = load_facts(FactsConfig(path=path, on_bad_row="skip"))
    assert len(facts) == 59  # of a contradiction neither row is kept


def test_reasons_are_counted_by_kind_not_by_what_was_found(write: Write) -> None:
    path = write("f.jsonl", lines(*ores(["galena", "NaN", "N/A", "None", None])))
    told = r"skip\): 4, of these 3 expected an answer in \"answer\"; 1 expected a non-empty answer in \"answer\"\Z"
    with pytest.warns(UserWarning, match=told):
        load_facts(FactsConfig(path=path, on_bad_row="skip"))


def test_rows_left_out_are_kept_with_their_reason_and_change_the_fingerprint(write: Write) -> None:
    path = write("f.jsonl", bad_and_good())
    run_facts = prepare(parse_config({"model": "m", "facts": {"path": path, "on_bad_row": "skip"}}))
    assert [each.where for each in run_facts.left_out] == [
        "f.jsonl:1:2",
        "f.jsonl:62",
        "f.jsonl:63",
        "f.jsonl:64",
        "f.jsonl:2",
    ]
    first = run_facts.left_out[0].as_json()
    assert json.loads(first["row"]) == {"line": "{broken"}
    assert "broken JSON" in first["reason"]
    good = write("g.jsonl", lines(*ores([f"ore {n}" for n in range(60)])[1:]))
    whole = prepare(parse_config({"model": "m", "facts": good}))
    assert {fact.id for fact in whole.all_facts()} == {fact.id for fact in run_facts.all_facts()}
    assert whole.digest() != run_facts.digest()


# What is shown before a model is asked


def test_first_three_facts_are_shown_as_read(write: Write) -> None:
    path = write("f.jsonl", lines(*ores([f"ore {n}" for n in range(60)])))
    (told,) = [each for each in prepare(parse_config({"model": "m", "facts": path})).remarks if "as read" in each]
    assert told.startswith(
        'the first facts as read: "Which ore holds metal 0?" -> "ore 0" [relation "ore", subject "0"]; '
    )
    assert told.count("->") == 3


def test_answers_that_matching_confuses_are_warned_of(write: Write) -> None:
    answers: list[object] = ["Vitamin A", "Vitamin", "1.5", "15", "C", "C++", *(f"ore {n}" for n in range(60))]
    path = write("f.jsonl", lines(*ores(answers)))
    config = {"model": "m", "facts": path, "probe": {"num_shots": 2}}
    (told,) = [each for each in prepare(parse_config(config)).warnings if "takes for the same" in each]
    assert told.startswith('relation "ore": answers of different facts that the rule squad takes for the same: ')
    unicode = prepare(parse_config(config, ["probe.matching=unicode"]))
    assert not any("takes for the same" in each for each in unicode.warnings)
