"""Splits are found in names as words, wherever they stand, and a folder that names them only partly is refused."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from tests.support.fact_files import Write, error_of, lines

from gradual.config.run import FactsConfig
from gradual.facts.loading import load_facts
from gradual.facts.problems import Remark
from gradual.facts.sources.split_names import split_of_path


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("QA-set.train.jsonl", "train"),
        ("qa.dev.jsonl", "validation"),
        ("ore-dev-kilt.jsonl", "validation"),
        ("split=test/part-0.jsonl", "test"),
        ("ores_eval.json", "validation"),
        ("data/validation-00000-of-00002.parquet", "validation"),
        ("VALID.csv", "validation"),
        ("train/more.csv", "train"),
        ("train/ores.test.csv", "test"),  # the file's own name counts first
        ("testament.csv", ""),
        ("contest.csv", ""),
        ("train-test.csv", ""),  # which of the two?
    ],
)
def test_split_is_a_word_of_the_name(path: str, split: str) -> None:
    assert split_of_path(PurePosixPath(path)) == split


def ore(number: int) -> str:
    return lines({"question": f"Which ore holds metal {number}?", "answer": f"ore {number}", "relation": "ore"})


@pytest.mark.parametrize(
    "names", [("Ores.train.jsonl", "Ores.dev.jsonl"), ("split=train/a.jsonl", "split=val/a.jsonl")]
)
def test_published_splits_are_kept_and_told(write: Write, names: tuple[str, str]) -> None:
    for number, name in enumerate(names):
        write(f"d/{name}", ore(number))
    with pytest.warns(Remark, match="d: splits told from the names of files: "):
        facts = load_facts("d")
    assert sorted(fact.split for fact in facts) == ["train", "validation"]


def test_folder_that_names_splits_only_partly_is_refused_with_the_remedy(write: Write) -> None:
    for number, name in enumerate(("ores.train.jsonl", "sample.jsonl")):
        write(f"d/{name}", ore(number))
    assert error_of("d") == (
        'd: expected a split (train, validation, test) in every file name, found none in "sample.jsonl" - '
        "rename them, or name the files to read (facts.path may be a list)"
    )


def test_several_files_keep_the_splits_of_their_names(write: Write) -> None:
    paths = [write("a/ores_train.jsonl", ore(0)), write("a/ores_test.jsonl", ore(1))]
    assert [fact.split for fact in load_facts(FactsConfig(path=paths))] == ["train", "test"]


def test_rows_may_call_validation_eval(write: Write) -> None:
    rows = [{"question": f"Q{n}?", "answer": "x", "relation": "r", "split": s} for n, s in enumerate(("train", "eval"))]
    assert [fact.split for fact in load_facts(write("f.jsonl", lines(*rows)))] == ["train", "validation"]
