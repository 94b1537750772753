"""Everything wrong in a source of facts is told in one line with its place, before any model is loaded."""

from __future__ import annotations

import warnings
from pathlib import Path

import pyarrow
import pytest
from facts_fixture import GOOD, TABLE, Write, error_of, lines
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from gradual.config import ColumnsConfig, FactsConfig
from gradual.errors import DataError
from gradual.facts import Fact
from gradual.loading import load_facts
from gradual.sources import TEXT_SUFFIXES

# What is wrong

QUESTION = "write the question or delete the row"
ANSWER = "write the answer or delete the row"
R = '"relation": "r"'


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("f.jsonl", "", "f.jsonl: expected at least one fact, found an empty file - write facts into it"),
        ("f.jsonl", "\n \n", "f.jsonl: expected at least one fact, found an empty file - write facts into it"),
        ("f.parquet", "", "f.parquet: expected at least one fact, found an empty file - write facts into it"),
        ("f.json", "[]", "f.json: expected at least one fact, found no rows - add facts"),
        ("f.csv", "question,answers\n", "f.csv: expected at least one fact, found no rows - add facts"),
        (
            "f.jsonl",
            GOOD + '{"question": "x" "answers": "y"}',
            "f.jsonl:2:18: expected a JSON object, found broken JSON (Expecting ',' delimiter) - correct the line",
        ),
        (
            "f.jsonl",
            GOOD + "\n[1]",
            'f.jsonl:3: expected a JSON object, found a list - write {"question": "...", "answers": ["..."]}',
        ),
        (
            "f.jsonl",
            '{"question": "a", "question": "b"}',
            'f.jsonl:1: expected each key once, found "question" twice - delete one of them',
        ),
        (
            "f.jsonl",
            '{"question": "a", "answers": NaN}',
            'f.jsonl:1: expected a JSON value, found NaN - write a number, text in "..." or null',
        ),
        (
            "f.jsonl",
            "[" * 100_000,
            "f.jsonl:1: expected a JSON object, found brackets nested too deep - write the fact as a flat object",
        ),
        (
            "f.jsonl",
            '{"id": ' + "1" * 5000 + "}",
            'f.jsonl:1: expected a JSON value, found a number of 5000 digits - write it as text in "..."',
        ),
        (
            "f.jsonl",
            GOOD.encode() + b'{"question": "\xff"}',
            "f.jsonl:2: expected UTF-8 text, found the byte 0xff at offset 106 - save the file as UTF-8",
        ),
        (
            "f.jsonl",
            b"\xef\xbb\xbf" + GOOD.encode() + b'{"question": "\xff"}',
            "f.jsonl:2: expected UTF-8 text, found the byte 0xff at offset 109 - save the file as UTF-8",
        ),
        ("f.csv", "a".encode("utf-16"), "f.csv: expected UTF-8 text, found UTF-16 - save the file as UTF-8"),
        (
            "f.jsonl",
            GOOD + "\0",
            "f.jsonl:2: expected text, found a NUL character - delete it, or save the file as UTF-8",
        ),
        (
            "f.json",
            '[\n{"question" 1}]',
            "f.json:2:13: expected JSON, found broken JSON (Expecting ':' delimiter) - correct it there",
        ),
        (
            "f.json",
            '{"a": 1}',
            'f.json: expected a list of facts or {"data": [...]}, found an object with the keys "a" - '
            "write the facts as a list, or as JSON Lines with the ending .jsonl",
        ),
        (
            "f.json",
            '{"data": [{"paragraphs": [{"qas": 3}]}]}',
            'f.json: article 1, paragraph 1: expected a list in "qas", found the number 3 - '
            "write the file as SQuAD does, or as a list of facts",
        ),
        (
            "f.csv",
            "question,answers\nq,x\nq\n",
            "f.csv:3: expected 2 fields as in the header, found 1 - "
            "quote fields that hold the separator, and write every field",
        ),
        (
            "f.csv",
            'question,answers\n"two\nlines" x,a\n',
            "f.csv:2: expected a row of fields, found broken quoting (',' expected after '\"') - "
            'write a quote inside a quoted field as ""',
        ),
        ("f.csv", "a,b,a\n1,2,3\n", 'f.csv:1: expected each column once, found "a" twice - rename one of them'),
        (
            "f.jsonl",
            '{"q": "a", "answers": "b"}',
            'f.jsonl: expected a question column (question, query, prompt, input), found the columns "q", "answers" - '
            "rename it, or name it with facts.columns.question",
        ),
        (
            "f.csv",
            "question,gold\nq,a\n",
            "f.csv: expected an answers column "
            "(answers, answer, targets, target, completion, output, possible_answers), "
            'found the columns "question", "gold" - rename it, or name it with facts.columns.answers',
        ),
        (
            "f.txt",
            GOOD,
            "f.txt: expected a file ending in .parquet, .jsonl, .ndjson, .json, .csv, .tsv, "
            'found the ending ".txt" - convert it',
        ),
        (
            "facts",
            GOOD,
            "facts: expected a file ending in .parquet, .jsonl, .ndjson, .json, .csv, .tsv, "
            "found a name without an ending - convert it",
        ),
        ("f.jsonl.gz", "x", "f.jsonl.gz: expected an unpacked file, found an archive (.gz) - unpack it first"),
        ("f.zip", "x", "f.zip: expected an unpacked file, found an archive (.zip) - unpack it first"),
    ],
)
def test_unreadable_file_is_one_line(write: Write, name: str, content: str | bytes, message: str) -> None:
    assert error_of(write(name, content)) == message


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"question": "", "answers": "x"}', f'expected a non-empty question in "question", found "" - {QUESTION}'),
        ('{"question": " ", "answers": "x"}', f'expected a non-empty question in "question", found " " - {QUESTION}'),
        ('{"question": null, "answers": "x"}', f'expected a non-empty question in "question", found null - {QUESTION}'),
        ('{"answers": "x"}', f'expected a non-empty question in "question", found no such field - {QUESTION}'),
        ('{"question": 5, "answers": "x"}', 'expected text in "question", found the number 5 - write it as "..."'),
        ('{"question": ["x"], "answers": "x"}', 'expected text in "question", found a list - write it as "..."'),
        ('{"question": "Q?", "answers": ""}', f'expected a non-empty answer in "answers", found "" - {ANSWER}'),
        (
            '{"question": "Q?", "answers": []}',
            f'expected a non-empty answer in "answers", found an empty list - {ANSWER}',
        ),
        ('{"question": "Q?", "answers": null}', f'expected a non-empty answer in "answers", found null - {ANSWER}'),
        ('{"question": "Q?"}', f'expected a non-empty answer in "answers", found no such field - {ANSWER}'),
        ('{"question": "Q?", "answers": ["x", ""]}', f'expected a non-empty answer in "answers", found "" - {ANSWER}'),
        (
            '{"question": "Q?", "answers": ["x", 3]}',
            'expected text in "answers", found the number 3 - write it as "..."',
        ),
        (
            '{"question": "Q?", "answers": 1912}',
            'expected text or a list of texts in "answers", found the number 1912 - write it as "..."',
        ),
        (
            '{"question": "Q?", "answers": {"start": 3}}',
            'expected text or a list of texts in "answers", found an object without "text" - write it as "..."',
        ),
        (
            '{"question": "Q?", "answers": "The"}',
            'expected an answer with a word in it in "answers", found "The" '
            "(nothing is left of it without articles and punctuation) - write it in words or delete it",
        ),
        (
            '{"question": "Q?", "answers": ["x", "?!"]}',
            'expected an answer with a word in it in "answers", found "?!" '
            "(nothing is left of it without articles and punctuation) - write it in words or delete it",
        ),
        (
            '{"question": "Q?", "answers": "[\'a\']"}',
            'expected a JSON list of texts in "answers", found "[\'a\']" - write it as ["a", "b"]',
        ),
        (
            '{"question": "a\\nb", "answers": "x"}',
            'expected question text of one line in "question", found a line break in "a\\nb" - delete it',
        ),
        (
            '{"question": "Q?", "answers": "a\\u0000"}',
            'expected answer text of one line in "answers", found a control character in "a\\u0000" - delete it',
        ),
        (
            '{"question": "a\\ud800", "answers": "x"}',
            'expected question text of one line in "question", found half a surrogate pair in "a\\ud800" - delete it',
        ),
        (
            '{"question": "Q?", "answers": "x", "relation": ""}',
            'expected a non-empty relation in "relation", found "" - write the relation or delete the row',
        ),
        (
            '{"question": "Q?", "answers": "x", "relation": "r", "id": null}',
            'expected an id in "id", found null - write an id, or delete the column',
        ),
    ],
)
def test_row_that_is_no_fact_is_one_line(write: Write, row: str, message: str) -> None:
    if '"relation"' not in row:
        row = row[:-1] + f", {R}}}"
    assert error_of(write("f.jsonl", GOOD + row)) == f"f.jsonl:2: {message}"


def test_unknown_and_missing_splits_are_named(write: Write) -> None:
    rows = [{"question": f"Q{n}?", "answers": "x", "relation": "r"} for n in range(2)]
    assert error_of(write("f.jsonl", lines(rows[0] | {"split": "later"}, rows[1]))).splitlines() == [
        'f.jsonl:1: expected train, validation, test or exemplars in "split", found "later" - write one of them',
        'f.jsonl:2: expected train, validation, test or exemplars in "split", found no such field - write one of them',
        "2 problems in f.jsonl",
    ]


def test_missing_file_and_empty_folder_are_named(write: Write, tmp_path: Path) -> None:
    assert error_of("gone.jsonl") == "gone.jsonl: expected a file of facts, found nothing there - check the path"
    (tmp_path / "empty").mkdir()
    assert error_of("empty").startswith("empty: expected data files (.parquet, .jsonl,")
    assert error_of("").startswith("facts: expected the path of a file or folder, found an empty text")


def test_folder_of_mixed_kinds_is_refused(write: Write) -> None:
    write("d/a.csv", "x")
    write("d/b.jsonl", "x")
    expected = "d: expected data files of one kind, found 1 .csv, 1 .jsonl - name the file to read"
    assert error_of("d") == expected


def test_folder_where_only_some_files_have_a_split_is_refused(write: Write) -> None:
    write("d/train.jsonl", GOOD)
    write("d/more.jsonl", GOOD)
    assert error_of("d").startswith("d: expected a split (train, validation, test) in every file name, found")


def test_parquet_that_is_none_is_refused(write: Write) -> None:
    assert error_of(write("f.parquet", "abc")).startswith("f.parquet: expected a Parquet file, found something else (")


def test_empty_cell_of_a_parquet_file_is_named_by_row(write: Write) -> None:
    write("f.parquet", "")
    parquet.write_table(pyarrow.Table.from_pylist([*TABLE, TABLE[0] | {"question": None}]), "f.parquet")
    assert error_of("f.parquet") == (
        f'f.parquet: row 3: expected a non-empty question in "question", found null - {QUESTION}'
    )


def test_named_column_that_is_not_there_is_refused(write: Write) -> None:
    config = FactsConfig(path=write("f.jsonl", GOOD), columns=ColumnsConfig(question="frage"))
    assert error_of(config) == (
        'f.jsonl: expected the column "frage" (facts.columns.question), '
        'found the columns "question", "answers", "relation" - correct the name'
    )


def test_repeated_id_names_both_lines(write: Write) -> None:
    rows = lines(*({"id": 7, "question": q, "answers": "x", "relation": "r"} for q in ("A?", "B?")))
    assert error_of(write("f.jsonl", rows)) == (
        'f.jsonl:2: expected an id of its own, found "7", which stands at f.jsonl:1 already - give each fact its own id'
    )


def test_same_question_with_other_answers_names_both_lines(write: Write) -> None:
    assert error_of(write("f.jsonl", GOOD + "\n" + GOOD.replace("Paris", "Lyon"))) == (
        'f.jsonl:3: expected one set of answers to "What is the capital of France?", '
        'found "Lyon" here and "Paris" at f.jsonl:1 - delete one row, or write all accepted answers into one'
    )


def test_same_question_in_two_splits_is_refused(write: Write) -> None:
    row = {"question": "A?", "answers": "x", "relation": "r", "split": "train"}
    assert error_of(write("f.jsonl", lines(row, row | {"split": "test"}))) == (
        'f.jsonl:2: expected "A?" in one split, found it in test here and in train at f.jsonl:1 - delete one row'
    )


def test_same_question_in_two_relations_is_two_facts(write: Write) -> None:
    path = write("f.jsonl", GOOD + GOOD.replace("Paris", "Lyon").replace('"capital"}', '"other_city"}'))
    assert [fact.relation for fact in load_facts(path)] == ["capital", "other_city"]


@pytest.mark.parametrize("again", [GOOD, GOOD.replace("Paris", "paris!"), GOOD.replace("What is", "What  is")])
def test_identical_rows_are_dropped_with_a_warning(write: Write, again: str) -> None:
    path = write("f.jsonl", GOOD + again)
    with pytest.warns(UserWarning, match=r"f\.jsonl: rows that repeat an earlier row, dropped: 1"):
        facts = load_facts(path)
    assert [fact.answers for fact in facts] == [("Paris",)]


def test_all_problems_are_told_at_once(write: Write) -> None:
    bad = '{"question": "", "answers": "x", "relation": "r"}\n'
    told = error_of(write("f.jsonl", GOOD + bad + "{\n" + bad)).splitlines()
    # Broken lines come first: rows are looked at once all lines are read.
    assert [line.split(": ")[0] for line in told] == ["f.jsonl:3:2", "f.jsonl:2", "f.jsonl:4", "3 problems in f.jsonl"]


def test_only_the_first_twenty_problems_are_shown(write: Write) -> None:
    told = error_of(write("f.jsonl", '{"question": "", "answers": "x"}\n' * 23)).splitlines()
    assert len(told) == 21
    assert told[-1] == "23 problems in f.jsonl; the first 20 are shown"


def test_long_text_is_cut_in_the_message(write: Write) -> None:
    row = {"question": "a\n" + "b" * 5000, "answers": "x", "relation": "r"}
    assert len(error_of(write("f.jsonl", lines(row)))) < 250


SNIPPETS = st.sampled_from(
    [b'{"question": "', b'", "answers": ["', b'"]}', b"\n", b",", b'"', b"[", b"NaN", b"\xff", b"\0", b"\xef\xbb\xbf",
     b"question,answers", b"\\ud800", b"\\n", b"a | b", b"1e999", b"null", b"\r", b"id", b"x"]
)  # fmt: skip


def outcome(path: Path) -> list[Fact] | str:
    """The facts of a file, or what the error says."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return load_facts(path)
        except DataError as error:
            return str(error)


@given(st.lists(SNIPPETS | st.binary(max_size=8), max_size=20).map(b"".join), st.sampled_from(TEXT_SUFFIXES))
def test_any_bytes_give_facts_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, kind: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{kind}"
    path.write_bytes(data)
    found = outcome(path)
    if isinstance(found, str):
        assert found.encode()
        assert len(found.splitlines()) <= 21
    else:
        assert all(fact.question and fact.answers and fact.relation for fact in found)


@given(st.binary(max_size=40), st.integers(0, 2000))
def test_damaged_parquet_gives_facts_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, damage: bytes, offset: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(TABLE), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:offset] + damage + whole[offset + len(damage) :])
    assert outcome(path)
