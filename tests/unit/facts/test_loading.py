"""Facts come out of every kind of file alike, with relations and exemplars as the file or the wording has them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet
from tests.support.fact_files import GOOD, PARIS, ROME, TABLE, Write, lines

from gradual.config.run import ColumnsConfig, FactsConfig
from gradual.errors import DataError
from gradual.facts.exemplars import check_exemplars, load_exemplars
from gradual.facts.fact import Fact, by_relation
from gradual.facts.loading import OTHER, load_facts, pool_small_groups


def capitals(count: int, *, start: int = 0) -> list[dict[str, object]]:
    """Questions of one wording, without a relation."""
    return [
        {"question": f"What is the capital of Land{number}?", "answers": [f"City{number}"]}
        for number in range(start, start + count)
    ]


# What is read


@pytest.mark.parametrize("suffix", [".jsonl", ".ndjson", ".json", ".JSONL"])
def test_json_kinds_are_read_alike(write: Write, suffix: str) -> None:
    content = json.dumps(TABLE) if suffix == ".json" else lines(*TABLE)
    assert load_facts(write(f"facts{suffix}", content)) == [PARIS, ROME]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "f.csv",
            "id,relation,question,answers,subject\n1,capital,What is the capital of France?,Paris,France\n"
            "2,capital,What is the capital of Italy?,Rome | Roma,Italy\n",
        ),
        (
            "f.csv",
            "\ufeffID,Relation,Question,Answers,Subject\r\n"
            '1,capital,What is the capital of France?,"[""Paris""]",France\r\n'
            '2,capital,What is the capital of Italy?,"[""Rome"", ""Roma""]",Italy\r\n',
        ),
        (
            "f.tsv",
            "id\tcategory\tquery\ttarget\tentity\n1\tcapital\tWhat is the capital of France?\tParis\tFrance\n\n"
            "2\tcapital\tWhat is the capital of Italy?\tRome | Roma\tItaly\n",
        ),
    ],
    ids=["bars", "json-lists-and-mark", "tabs"],
)
def test_delimited_tables_are_read(write: Write, name: str, content: str) -> None:
    assert load_facts(write(name, content)) == [PARIS, ROME]


def test_parquet_is_read(write: Write) -> None:
    write("f.parquet", b"")
    parquet.write_table(pyarrow.Table.from_pylist(TABLE), "f.parquet")
    assert load_facts(Path("f.parquet")) == [PARIS, ROME]


@pytest.mark.parametrize(
    ("row", "answers"),
    [
        ({"answer": "Rome"}, ("Rome",)),
        ({"answers": " Rome "}, ("Rome",)),
        ({"answers": ["Rome", "Roma", "Rome"]}, ("Rome", "Roma")),
        ({"completion": " Rome"}, ("Rome",)),
        ({"answers": {"text": ["Rome", "Roma"], "answer_start": [3, 9]}}, ("Rome", "Roma")),
        ({"answers": [{"text": "Rome", "answer_start": 3}]}, ("Rome",)),
        ({"answer": {"value": "Rome", "aliases": ["Roma", "The", "Rome"]}}, ("Rome", "Roma")),
        ({"answer": "Rome", "aliases": ["Roma"]}, ("Rome", "Roma")),
        ({"answer": "Rome", "aliases": None}, ("Rome",)),
        ({"possible_answers": '["Rome", "Roma"]'}, ("Rome", "Roma")),
        ({"answer": "Rome | Roma"}, ("Rome | Roma",)),
        ({"answer": "[Rome]"}, ("[Rome]",)),
    ],
)
def test_answers_come_in_many_forms(write: Write, row: dict[str, object], answers: tuple[str, ...]) -> None:
    facts = load_facts(write("f.jsonl", lines({"question": ROME.question, "relation": "capital"} | row)))
    assert [fact.answers for fact in facts] == [answers]


def test_columns_may_be_named(write: Write) -> None:
    row = {"question": "not this", "answers": "nor this", "frage": "Was ist X?", "antwort": "Y", "art": "was", "nr": 7}
    columns = ColumnsConfig(question="frage", answers="antwort", relation="art", id="nr")
    facts = load_facts(FactsConfig(path=write("f.jsonl", lines(row)), columns=columns))
    assert facts == [Fact("7", "was", "Was ist X?", ("Y",), subject="X")]


def test_squad_nesting_is_read_without_impossible_questions(write: Write) -> None:
    questions = [
        {"id": "a", "question": "Who wrote Faust?", "answers": [{"text": "Goethe", "answer_start": 1}]},
        {"id": "b", "question": "Who wrote Fist?", "answers": [], "is_impossible": True},
    ]
    path = write("f.json", json.dumps({"version": "2", "data": [{"title": "t", "paragraphs": [{"qas": questions}]}]}))
    with pytest.warns(UserWarning, match="put together"):
        assert load_facts(path) == [Fact("a", OTHER, "Who wrote Faust?", ("Goethe",), subject="Faust")]


def test_id_does_not_depend_on_the_rows_around(write: Write) -> None:
    first = load_facts(write("a.jsonl", lines(*capitals(10))))
    second = load_facts(write("b.jsonl", lines(*reversed(capitals(12)))))
    assert {fact.id for fact in first} < {fact.id for fact in second}


def test_splits_have_many_names(write: Write) -> None:
    names = ["train", "Training", "dev", "valid", "validation", "TEST", "exemplars"]
    rows = [
        {"question": f"Q{number}?", "answers": "x", "relation": "r", "split": name} for number, name in enumerate(names)
    ]
    splits = [fact.split for fact in load_facts(write("f.jsonl", lines(*rows)))]
    assert splits == ["train", "train", "validation", "validation", "validation", "test", "exemplars"]


def test_line_separators_inside_strings_do_not_end_a_line(write: Write) -> None:
    row = '{"question": "Where is X?", "answers": "y", "relation": "r", "note": "a\u2028b\x85"}\n'
    assert len(load_facts(write("f.jsonl", row))) == 1


def test_atlas_is_embedded() -> None:
    facts = load_facts("atlas")
    assert len(facts) > 1000
    assert all(fact.subject and fact.relation and fact.answers for fact in facts)
    assert len({fact.id for fact in facts}) == len(facts)


# Relations from wording


def test_wording_stands_for_a_missing_relation(write: Write) -> None:
    authors = [{"question": f"Who wrote Book{n}?", "answers": [f"Author{n}"]} for n in range(10)]
    facts = load_facts(write("f.jsonl", lines(*capitals(10), *authors)))
    assert {name: len(group) for name, group in by_relation(facts).items()} == {
        "what is the capital of _": 10,
        "who wrote _": 10,
    }
    assert facts[0].subject == "Land0"


def test_rare_wordings_share_one_relation_with_a_warning(write: Write) -> None:
    path = write("f.jsonl", lines(*capitals(10), {"question": "Who wrote Faust?", "answers": "Goethe"}))
    with pytest.warns(UserWarning, match=r"in the relation 'other', as fewer than 10 share their wording: 1"):
        facts = load_facts(path)
    assert facts[-1].relation == OTHER
    with pytest.warns(UserWarning, match="as fewer than 12 share their wording: 11"):
        assert {fact.relation for fact in load_facts(path, num_shots=5)} == {OTHER}


def test_wordings_may_be_chosen_as_relations(write: Write) -> None:
    path = write("f.jsonl", lines(*capitals(10), *({"question": f"Who is A{n}?", "answers": "b"} for n in range(10))))
    assert len(load_facts(FactsConfig(path=path, relations=["who is _"]))) == 10


def test_small_named_relations_are_not_pooled(write: Write) -> None:
    assert [fact.relation for fact in load_facts(write("f.jsonl", GOOD))] == ["capital"]


def test_pooling_leaves_large_groups_alone() -> None:
    facts = [PARIS, ROME]
    assert pool_small_groups(facts, minimum=2) == facts


# Exemplars


def test_exemplars_come_by_relation(write: Write) -> None:
    path = write("e.jsonl", lines(TABLE[1]))
    assert load_exemplars(path, [PARIS]).exemplars == {
        "capital": (Fact("2", "capital", ROME.question, ROME.answers, subject="Italy", split="exemplars"),)
    }


def test_exemplars_of_an_unknown_relation_are_refused(write: Write) -> None:
    path = write("e.jsonl", lines(TABLE[1], TABLE[0] | {"relation": "city"}))
    with pytest.raises(DataError) as caught:
        load_exemplars(path, [PARIS])
    assert str(caught.value) == (
        'e.jsonl:2: expected a relation of the facts ("capital"), found "city" - correct it or delete the exemplar'
    )


def test_exemplars_without_relations_are_refused_where_facts_have_them(write: Write) -> None:
    path = write("e.jsonl", lines(*capitals(3)))
    with pytest.raises(DataError) as caught:
        load_exemplars(path, [PARIS])
    assert str(caught.value) == (
        'e.jsonl: expected a relation column, as the facts have one, found the columns "question", "answers" - '
        "add the relation of each exemplar"
    )


def test_exemplars_get_the_wording_of_the_facts(write: Write) -> None:
    facts = load_facts(write("f.jsonl", lines(*capitals(10))))
    rows = [*capitals(2, start=20), {"question": "what is the capital of upper egypt?", "answers": "Thebes"}]
    exemplars = load_exemplars(
        write("e.jsonl", lines(*rows, {"question": "Who wrote Faust?", "answers": "Goethe"})), facts
    ).exemplars
    assert {name: len(group) for name, group in exemplars.items()} == {OTHER: 1, "what is the capital of _": 3}


def test_too_few_exemplars_are_counted() -> None:
    facts, enough = {"capital": [PARIS]}, [Fact(str(n), "capital", f"Q{n}?", ("x",)) for n in range(5)]
    checked = check_exemplars(facts, {"capital": enough}, num_shots=4)
    assert checked.facts == {"capital": (PARIS,)}
    assert checked.exemplars == {"capital": tuple(enough)}
    with pytest.raises(DataError) as caught:
        check_exemplars(facts, {"capital": enough[:4]}, num_shots=4)
    assert str(caught.value) == (
        'relation "capital": expected at least 5 exemplars for 4 shots, found 4 - '
        "add exemplars, lower probe.num_shots, or leave the relation out (facts.relations)"
    )
    with pytest.raises(DataError, match='relation "capital": expected at least 2 exemplars for 1 shots, found 0 -'):
        check_exemplars(facts, {}, num_shots=1)


def test_no_shots_need_no_exemplars() -> None:
    assert check_exemplars({"capital": [PARIS]}, {}, num_shots=0).facts == {"capital": (PARIS,)}


def test_wordings_with_too_few_exemplars_share_a_pool() -> None:
    wrote = Fact("3", "who wrote _", "Who wrote Faust?", ("Goethe",))
    shots = [Fact(f"s{n}", "who wrote _", f"Who wrote Book{n}?", ("x",)) for n in range(2)]
    spare = [Fact(f"o{n}", OTHER, f"Odd {n}?", ("x",)) for n in range(3)]
    with pytest.warns(UserWarning, match="fewer than 5 exemplars, put together in 'other': \"who wrote _\""):
        checked = check_exemplars({"who wrote _": [wrote]}, {"who wrote _": shots, OTHER: spare}, num_shots=4)
    assert [fact.id for fact in checked.facts[OTHER]] == ["3"]
    assert [fact.id for fact in checked.exemplars[OTHER]] == ["o0", "o1", "o2", "s0", "s1"]
    assert "who wrote _" not in checked.exemplars
