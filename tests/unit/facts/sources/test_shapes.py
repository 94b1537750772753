"""Files are read by what is in them: JSON of any shape, tables of any separator, packed files, links and patterns."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet
from tests.support.fact_files import PARIS, ROME, TABLE, Write, error_of, lines

from gradual.config.run import ColumnsConfig, FactsConfig
from gradual.facts.loading import load_facts
from gradual.facts.sources import json_rows

ROWS = [{key: value for key, value in row.items() if key != "id"} for row in TABLE]


def zstd(data: bytes) -> bytes:
    return pyarrow.Codec("zstd").compress(data, asbytes=True)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("lines.json", lines(*TABLE)),
        ("list.jsonl", json.dumps(TABLE, indent=1)),
        ("list.JSON", json.dumps(TABLE)),
        ("data.json", json.dumps({"version": 1, "data": TABLE})),
        ("results.json", json.dumps({"response_code": 0, "results": TABLE})),
        ("data.jsonl", json.dumps({"data": TABLE})),
        ("by_id.json", json.dumps({row["id"]: {k: v for k, v in row.items() if k != "id"} for row in TABLE})),
        ("columns.json", json.dumps({key: [row[key] for row in TABLE] for key in TABLE[0]})),
        ("pandas.json", json.dumps({key: {str(n): row[key] for n, row in enumerate(TABLE)} for key in TABLE[0]})),
        ("marks.jsonl", "\ufeff" + lines(TABLE[0]) + "\ufeff" + lines(TABLE[1])),
    ],
)
def test_json_is_read_in_every_shape(write: Write, name: str, content: str) -> None:
    assert load_facts(write(name, content)) == [PARIS, ROME]


def test_object_keyed_by_split(write: Write) -> None:
    facts = load_facts(write("f.json", json.dumps({"train": TABLE[:1], "dev": TABLE[1:]})))
    assert [fact.split for fact in facts] == ["train", "validation"]


def test_utf_16_is_told_by_its_mark(write: Write) -> None:
    assert load_facts(write("f.jsonl", lines(*TABLE).encode("utf-16"))) == [PARIS, ROME]


@pytest.mark.parametrize(
    ("ending", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress), ("zst", zstd)]
)
def test_packed_files_are_read_whatever_they_are_called(
    write: Write, ending: str, pack: Callable[[bytes], bytes]
) -> None:
    packed = pack(lines(*TABLE).encode())
    assert load_facts(write(f"f.jsonl.{ending}", packed)) == [PARIS, ROME]
    assert load_facts(write("g.jsonl", packed)) == [PARIS, ROME]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("f.csv", "relation;question;answers;subject\nore;Which ore, of two, holds tin?;cassiterite;tin\n"),
        ("f.csv", "sep=;\nrelation;question;answers;subject\nore;Which ore, of two, holds tin?;cassiterite;tin\n"),
        ("f.csv", "relation|question|answers|subject\nore|Which ore, of two, holds tin?|cassiterite|tin\n"),
        ("f.csv", "relation\tquestion\tanswers\tsubject\nore\tWhich ore, of two, holds tin?\tcassiterite\ttin\n"),
        ("f.tsv", 'relation,question,answers,subject\nore,"Which ore, of two, holds tin?",cassiterite,tin\n'),
        (
            "f.csv",
            '\ufeff\ufeffrelation,question,answers,subject\nore,"Which ore, of two, holds tin?",cassiterite,tin\n',
        ),
    ],
)
def test_separator_of_a_table_is_found(write: Write, name: str, content: str) -> None:
    (fact,) = load_facts(write(name, content))
    assert (fact.question, fact.answers) == ("Which ore, of two, holds tin?", ("cassiterite",))


def test_separator_and_encoding_may_be_set(write: Write) -> None:
    path = write("f.csv", "relation~question~answers\nore~Welches Erz enthält Zinn?~Kassiterit\n".encode("cp1252"))
    assert "found the byte 0xe4 at offset 46 - save the file as UTF-8, or set facts.encoding (cp1252)" in error_of(path)
    (fact,) = load_facts(FactsConfig(path=path, encoding="cp1252", delimiter="~"))
    assert fact.question == "Welches Erz enthält Zinn?"


def test_quotation_marks_in_tabbed_text_may_mean_themselves(write: Write) -> None:
    path = write("f.tsv", 'relation\tquestion\tanswers\nfilm\tWho made "M"?\tLang\nfilm\t"Metropolis\tLang\n')
    assert [fact.question for fact in load_facts(path)] == ['Who made "M"?', '"Metropolis']


def test_table_without_a_header_is_read_by_numbers(write: Write) -> None:
    path = write("f.csv", "which ore holds tin\t['cassiterite', 'tinstone']\nwhich ore holds lead\t['galena']\n")
    facts = load_facts(FactsConfig(path=path, columns=ColumnsConfig(question=1, answers=2)), num_shots=0)
    assert [fact.answers for fact in facts] == [("cassiterite", "tinstone"), ("galena",)]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_links_home_lists_and_patterns_are_followed(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, row in enumerate(TABLE):
        write(f"real/part{number}.jsonl", lines(row))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "around").mkdir()
    (tmp_path / "around" / "inner").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "loop").symlink_to(tmp_path / "real")
    monkeypatch.setenv("HOME", str(tmp_path))
    sources: list[str | list[str]] = [
        "link",
        "around",
        "~/real",
        "real/*.jsonl",
        ["real/part0.jsonl", "real/part1.jsonl"],
    ]
    for source in sources:
        assert load_facts(FactsConfig(path=source)) == [PARIS, ROME]
    assert error_of("nowhere/*.csv") == "nowhere/*.csv: expected files of that pattern, found none - check the pattern"


def test_values_of_every_type_become_text(write: Write) -> None:
    write("f.parquet", b"")
    table = pyarrow.table(
        {
            "question": [b"When?", b"Which day?", b"Which moment?", b"How many?"],
            "relation": pyarrow.array(["r"] * 4).dictionary_encode(),
            "answer": [["1969"], ["1969-07-20"], ["1969-07-20 20:17:00"], ["3"]],
        }
    )
    parquet.write_table(table, "f.parquet")
    assert [fact.question for fact in load_facts("f.parquet")] == ["When?", "Which day?", "Which moment?", "How many?"]
    values: list[object] = [1969, 1969.0, date(1969, 7, 20), datetime(1969, 7, 20), datetime(1969, 7, 20, 20, 17)]
    for value, text in zip(values, ["1969", "1969", "1969-07-20", "1969-07-20", "1969-07-20 20:17:00"], strict=True):
        parquet.write_table(pyarrow.table({"question": ["When?"], "relation": ["r"], "answer": [value]}), "g.parquet")
        assert load_facts("g.parquet")[0].answers == (text,)


def test_lists_of_objects_in_parquet(write: Write) -> None:
    write("f.parquet", b"")
    row = {"question": "Which ore?", "relation": "r", "answers": [{"text": "galena"}, {"text": "cerussite"}]}
    parquet.write_table(pyarrow.Table.from_pylist([row]), "f.parquet")
    assert load_facts("f.parquet")[0].answers == ("galena", "cerussite")


@pytest.mark.parametrize(
    ("cell", "answers"),
    [
        ("['galena', \"miner's ore\"]", ("galena", "miner's ore")),
        ("['galena' 'cerussite']", ("galena", "cerussite")),  # as numpy prints it
        ("[1969, 1970]", ("1969", "1970")),
        ("galena|cerussite", ("galena", "cerussite")),
        ("[Fe]", ("[Fe]",)),
        ("__import__('os')", ("__import__('os')",)),
    ],
)
def test_lists_written_as_text_are_read_and_nothing_is_run(write: Write, cell: str, answers: tuple[str, ...]) -> None:
    doubled = cell.replace('"', '""')
    path = write("f.csv", f'question,relation,answers\nWhich?,r,"{doubled}"\n')
    assert load_facts(path)[0].answers == answers


def test_nan_in_an_unused_column_does_not_matter(write: Write) -> None:
    path = write("f.jsonl", '{"question": "Q?", "answer": "x", "relation": "r", "difficulty": NaN}\n')
    assert len(load_facts(path)) == 1


def test_large_lists_are_read_again_instead_of_held(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("f.json", json.dumps(TABLE, indent=2))
    monkeypatch.setattr(json_rows, "MOST_CHARACTERS_HELD", 10)
    monkeypatch.setattr("gradual.facts.sources.content.PIECE_BYTES", 7)  # values reach over many pieces
    assert load_facts(path) == [PARIS, ROME]
    broken = write("g.json", json.dumps(TABLE, indent=2)[:-3] + "x]")
    assert error_of(broken).startswith("g.json:")


def test_memory_does_not_grow_with_a_list(tmp_path: Path) -> None:
    row = json.dumps({"question": "Q%d?", "answer": "x", "relation": "r", "context": "y" * 100_000})
    with (tmp_path / "f.json").open("w") as stream:
        stream.write("[" + ",\n".join(row % number for number in range(1_500)) + "]")  # 150 MB
    code = (
        "import resource, sys, warnings; warnings.simplefilter('ignore')\n"
        "from gradual.facts.loading import load_facts\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "assert len(load_facts(sys.argv[1])) == 1500\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "f.json")], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 100  # MB; held whole, it takes more than 150
