"""Everything wrong in a source of facts is told in one line with its place; single files are in test_bad_input."""

from __future__ import annotations

import warnings
from pathlib import Path

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from tests.support.fact_files import GOOD, TABLE, Write, error_of, lines

from gradual.config.run import ColumnsConfig, FactsConfig
from gradual.errors import DataError
from gradual.facts.fact import Fact
from gradual.facts.loading import load_facts
from gradual.facts.sources.opening import TEXT_SUFFIXES

# What is wrong

QUESTION = "write the question or delete the row"
ANSWER = "write the answer or delete the row"
R = '"relation": "r"'


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


def test_named_column_that_is_not_there_is_refused(write: Write) -> None:
    config = FactsConfig(path=write("f.jsonl", GOOD), columns=ColumnsConfig(question="frage"))
    assert error_of(config) == (
        'f.jsonl: expected the column "frage" (facts.columns.question), '
        'found the columns "question", "answers", "relation" - correct the name'
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


def test_many_problems_of_one_kind_are_one_line_with_their_number(write: Write) -> None:
    assert error_of(write("f.jsonl", '{"question": "", "answers": "x"}\n' * 23)) == (
        f'f.jsonl:1: expected a non-empty question in "question", found "" - {QUESTION} '
        "(23 like it: also f.jsonl:2, f.jsonl:3 ...)"
    )


def test_only_the_first_twenty_lines_are_shown(write: Write) -> None:
    rows = ({"question": f"Q{n}?", "answers": f"x{answer}", "relation": "r"} for n in range(23) for answer in range(2))
    told = error_of(write("f.jsonl", lines(*rows))).splitlines()
    assert len(told) == 21
    assert told[-1] == "23 problems in f.jsonl; the first 20 lines are shown"


def test_long_text_is_cut_in_the_message(write: Write) -> None:
    row = {"question": "Q?", "answers": "a\n" + "b" * 5000, "relation": "r"}
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
