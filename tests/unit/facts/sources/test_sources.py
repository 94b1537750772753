"""Folders, saved data sets, EntityQuestions and the Hub are opened as what they are, with their splits."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import pyarrow
import pytest
from pyarrow import ipc
from tests.support.fact_files import PARIS, ROME, TABLE, Write, error_of, lines

from gradual.config.run import FactsConfig
from gradual.facts.loading import load_facts

# Folders


def save_to_disk(folder: Path, rows: list[dict[str, object]]) -> None:
    """Writes what `datasets.Dataset.save_to_disk` writes."""
    folder.mkdir(parents=True)
    table = pyarrow.Table.from_pylist(rows)
    with ipc.new_stream(str(folder / "data-00000-of-00001.arrow"), table.schema) as stream:
        stream.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    (folder / "dataset_info.json").write_text("{}")


def test_saved_data_set_is_read(tmp_path: Path) -> None:
    save_to_disk(tmp_path / "saved", TABLE)
    assert load_facts(tmp_path / "saved") == [PARIS, ROME]


def test_saved_splits_are_kept(tmp_path: Path) -> None:
    save_to_disk(tmp_path / "saved" / "train", TABLE[:1])
    save_to_disk(tmp_path / "saved" / "dev", TABLE[1:])
    (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "dev"]}')
    assert [fact.split for fact in load_facts(tmp_path / "saved")] == ["train", "validation"]


def test_lone_split_says_nothing(tmp_path: Path) -> None:
    save_to_disk(tmp_path / "saved" / "test", TABLE)
    (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["test"]}')
    assert [fact.split for fact in load_facts(tmp_path / "saved")] == ["", ""]


def test_saved_data_set_with_a_selection_is_refused(tmp_path: Path) -> None:
    save_to_disk(tmp_path / "saved", TABLE)
    state = {"_data_files": [{"filename": "x.arrow"}], "_indices_data_files": [{"filename": "i.arrow"}]}
    (tmp_path / "saved" / "state.json").write_text(json.dumps(state))
    assert "expected the data files of a saved data set, found none" in error_of(str(tmp_path / "saved"))


def test_files_of_a_folder_carry_their_splits(write: Write) -> None:
    write("d/README.md", "x")
    write("d/data/train-00000-of-00001.jsonl", lines(TABLE[0]))
    write("d/data/validation-00000-of-00001.jsonl", lines(TABLE[1]))
    assert [fact.split for fact in load_facts("d")] == ["train", "validation"]


def test_folder_of_files_without_splits_is_one_set(write: Write) -> None:
    write("d/one.jsonl", lines(TABLE[0]))
    write("d/two.jsonl", lines(TABLE[1]))
    assert load_facts("d") == [PARIS, ROME]


def entity_questions(write: Write, **extra: list[dict[str, object]]) -> str:
    """EntityQuestions' layout with invented rows."""
    for split in ("train", "dev", "test"):
        rows: list[dict[str, object]] = [
            {"question": f"Where is {split}{n} located?", "answers": [f"in{n}"]} for n in range(2)
        ]
        write(f"eq/{split}/P131.{split}.json", json.dumps(rows + extra.get(split, [])))
    write("eq/train/P36.train.json", json.dumps([{"question": "What is the capital of X?", "answers": ["Y"]}]))
    return "eq"


def test_entity_questions_layout(write: Write) -> None:
    facts = load_facts(entity_questions(write))
    assert [(fact.relation, fact.split) for fact in facts] == [
        ("P131", "validation"), ("P131", "validation"), ("P131", "test"), ("P131", "test"),
        ("P131", "train"), ("P131", "train"), ("P36", "train"),
    ]  # fmt: skip
    assert facts[0].subject == "dev0"


def test_ambiguous_questions_of_a_published_data_set_are_left_out(write: Write) -> None:
    row: dict[str, object] = {"question": "Where is train0 located?", "answers": ["elsewhere"]}
    with pytest.warns(UserWarning, match="eq: questions with different answers or in several splits, left out: 1"):
        facts = load_facts(entity_questions(write, test=[row]))
    assert "Where is train0 located?" not in {fact.question for fact in facts}
    assert len(facts) == 6


def test_relations_may_be_chosen(write: Write) -> None:
    path = entity_questions(write)
    assert [fact.relation for fact in load_facts(FactsConfig(path=path, relations=["P36"]))] == ["P36"]
    assert error_of(FactsConfig(path=path, relations=["P363"])).startswith(
        'eq: expected one of the relations "P131", "P36", found "P363" in facts.relations - did you mean "P36"?'
    )


# The Hub


def hub(monkeypatch: pytest.MonkeyPatch, load: Callable[..., object]) -> None:
    """Puts a stand-in for the `datasets` package in place."""

    class HubError(Exception):
        pass

    module = SimpleNamespace(load_dataset=load, exceptions=SimpleNamespace(DatasetsError=HubError))
    monkeypatch.setitem(sys.modules, "datasets", module)


class HubSplit:
    """The part of `datasets.Dataset` that is used."""

    def __init__(self, rows: list[dict[str, object]]) -> None:
        self._rows = rows
        self.column_names = list(rows[0])

    def select_columns(self, names: list[str]) -> Iterable[dict[str, object]]:
        return [{name: row[name] for name in names} for row in self._rows]


def test_hub_data_set_is_asked_for_by_name_configuration_and_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def load(name: str, config: str | None, *, revision: str | None) -> dict[str, HubSplit]:
        asked.append((name, config, revision))
        return {"train": HubSplit(TABLE[:1]), "test": HubSplit(TABLE[1:])}

    hub(monkeypatch, load)
    assert [fact.split for fact in load_facts("hf:owner/name:easy@v2")] == ["train", "test"]
    load_facts("hf:owner/name@main")
    load_facts("hf:name")
    assert asked == [("owner/name", "easy", "v2"), ("owner/name", None, "main"), ("name", None, None)]


def test_hub_failure_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_args: object, **_kwargs: object) -> None:
        raise ConnectionError("no network\nat all")

    hub(monkeypatch, load)
    said = "hf:owner/name: expected a data set on the Hub, found ConnectionError (no network) - "
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert error_of("hf:owner/name") == (
        f"{said}check the name, the configuration and the network, or name a local file"
    )
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert error_of("hf:owner/name") == f"{said}allow the network (--online), or name a local file"
    assert error_of("hf:a/b/c").startswith("hf:a/b/c: expected hf:owner/name, hf:owner/name:config or")


def test_missing_package_for_the_hub_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert error_of("hf:owner/name") == (
        "hf:owner/name: expected the package `datasets`, found it is not installed - "
        "run `pip install datasets`, or name a local file"
    )
