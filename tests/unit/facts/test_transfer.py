"""Facts in other words and the other way round: how they are read, what is refused, and what the atlas has of both."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.support.fact_files import Write, error_of, lines

from gradual.config.run import FactsConfig
from gradual.config.yaml_file import parse_config
from gradual.errors import ConfigError, DataError
from gradual.facts.fact import Fact
from gradual.facts.loading import load_facts
from gradual.facts.matching import normalise
from gradual.facts.prepare import RunFacts, prepare
from gradual.facts.transfer import origin_of, reversal_of, reverses, rewordings_of

CAPITAL = {"id": "c", "question": "What is the capital of France?", "answers": ["Paris"], "relation": "capital"}
COUNTRY = {"id": "p", "question": "Paris is the capital of where?", "answers": ["France"], "relation": "country"}


def test_rewordings_are_a_list_or_one_text_and_each_counts_once(write: Write) -> None:
    rows = [
        CAPITAL | {"rewordings": ["Name France's capital.", " Name France's capital. ", "France's capital?"]},
        COUNTRY | {"rewordings": "Where is Paris the capital?"},
        CAPITAL | {"id": "d", "question": "Of Italy?", "rewordings": None},
    ]
    facts = load_facts(write("f.jsonl", lines(*rows)))
    assert [fact.rewordings for fact in facts] == [
        ("Name France's capital.", "France's capital?"),
        ("Where is Paris the capital?",),
        (),
    ]


def test_in_a_table_bars_stand_between_rewordings_and_columns_can_be_named(write: Write) -> None:
    path = write("f.csv", "relation,question,answer,say,also\nr,Q1?,a,A? | B?,C?\nr,Q2?,b,,\n")
    facts = load_facts(FactsConfig.model_validate({"path": path, "columns": {"rewordings": ["say", "also"]}}))
    assert [fact.rewordings for fact in facts] == [("A?", "B?", "C?"), ()]


def test_a_link_holds_in_both_directions(write: Write) -> None:
    capital, country = load_facts(write("f.jsonl", lines(CAPITAL, COUNTRY | {"reverse_of": "c"})))
    assert (capital.reverse_of, country.reverse_of) == ("", "c")
    assert reverses([capital, country]) == {"c": country, "p": capital}
    assert reverses([capital]) == {}


def test_a_fact_in_another_form_has_an_id_that_leads_back() -> None:
    fact = Fact("c~1", "capital", "Q?", ("Paris",), rewordings=("A?", "B?"))
    forms = [*rewordings_of(fact), reversal_of(fact, Fact("p", "country", "R?", ("France",)))]
    assert [(each.id, each.question) for each in forms] == [("c~1~1", "A?"), ("c~1~2", "B?"), ("c~1~reverse", "R?")]
    assert {origin_of(each.id) for each in forms} == {"c~1"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [CAPITAL | {"rewordings": ["what is the capital of  France"]}],
            'expected other words than the question\'s in "rewordings", found "what is the capital of  France" - write '
            "the question in other words, or leave it out",
        ),
        (
            [CAPITAL | {"rewordings": [""]}, CAPITAL | {"id": "d", "question": "Q?", "rewordings": ["", "B?"]}],
            'f.jsonl:2: expected a non-empty rewording in "rewordings", found "" - write the question in other words',
        ),
        ([CAPITAL | {"rewordings": {"a": 1}}], 'expected text or a list of texts in "rewordings", found an object'),
        (
            [CAPITAL, COUNTRY | {"reverse_of": "x"}],
            'f.jsonl:2: expected the id of another fact in reverse_of, found "x", which no fact has - correct the id',
        ),
        ([CAPITAL | {"reverse_of": "c"}], 'found "c", its own - correct the id, or leave it out'),
        (
            [CAPITAL, COUNTRY | {"reverse_of": "c"}, COUNTRY | {"id": "q", "question": "Q?", "reverse_of": "c"}],
            'f.jsonl:3: expected one reverse of each fact, found another of "c" at f.jsonl:2 - correct the id',
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_line(write: Write, rows: list[dict[str, Any]], message: str) -> None:
    assert message in error_of(write("f.jsonl", lines(*rows)))


def test_a_bad_link_can_be_left_out_with_its_row(write: Write) -> None:
    path = write("f.jsonl", lines(CAPITAL, COUNTRY | {"reverse_of": "x"}))
    with pytest.warns(UserWarning, match="rows left out"):
        facts = load_facts(FactsConfig(path=path, on_bad_row="skip"))
    assert [fact.id for fact in facts] == ["c"]


# In a run


def prepared_from(folder: Path, rows: list[dict[str, Any]], *transfer: str, **facts: Any) -> RunFacts:
    path = folder / "facts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    settings = {"facts": {"path": str(path), **facts}, "evaluation": {"transfer": list(transfer), "drift": False}}
    return prepare(
        parse_config(
            {"model": "m", "probe": {"num_shots": 1}, "stages": [{"strategy": "all", "num_shots": 1}]} | settings
        )
    )


def rows_of_a_run() -> list[dict[str, Any]]:
    """Four facts for each purpose in relation r, with a rewording each; in relation s the reverse of each."""
    splits = ("train", "test", "validation", "exemplars")
    rows = [
        {"id": f"{s}{n}", "relation": "r", "question": f"What of {s} {n}?", "answer": f"a{s}{n}", "split": s}
        | {"rewordings": [f"Tell me of {s} {n}!"]}
        for s in splits
        for n in range(4)
    ]
    others = [
        {"id": f"s-{row['id']}", "relation": "s", "question": f"Whose is {row['answer']}?", "answer": f"{row['id']} it"}
        | {"split": row["split"], "reverse_of": row["id"]}
        for row in rows
    ]
    return [*rows, *others]


def test_a_run_keeps_only_what_it_asks(tmp_path: Path) -> None:
    plain = prepared_from(tmp_path, rows_of_a_run())
    assert {(fact.rewordings, fact.reverse_of) for fact in plain.all_facts()} == {((), "")}
    assert plain.reverses == {}
    without = [{key: row[key] for key in row if key not in ("rewordings", "reverse_of")} for row in rows_of_a_run()]
    assert prepared_from(tmp_path, without).digest() == plain.digest()
    probe_prompts = prepared_from(tmp_path, rows_of_a_run(), "rewordings")
    assert {len(fact.rewordings) for fact in probe_prompts.train if fact.relation == "r"} == {1}
    assert probe_prompts.digest() != plain.digest()


def test_a_reverse_may_be_of_relations_that_are_only_scored_and_is_never_a_shot(tmp_path: Path) -> None:
    run_facts = prepared_from(
        tmp_path,
        rows_of_a_run(),
        "reverse",
        relations=["r"],
        out_of_distribution=["s"],
        splits={"max_test_per_relation": 1},
    )
    asked = {fact.id for fact in (*run_facts.train, *run_facts.test)}
    assert asked == {*(f"train{n}" for n in range(4)), *(fact.id for fact in run_facts.test)}
    assert {fact_id: other.id for fact_id, other in run_facts.reverses.items()} == {each: f"s-{each}" for each in asked}
    only_asked = [fact for fact in run_facts.all_facts() if fact.split == "reverse"]
    # One fact of s is scored for itself; the others are there as reverses alone.
    assert len(only_asked) == len(asked) - sum(
        fact.id.removeprefix("s-") in asked for fact in run_facts.out_of_distribution
    )


@pytest.mark.parametrize(
    ("change", "transfer", "message"),
    [
        (
            lambda rows: [row | {"rewordings": ["what of train 2"]} if row["id"] == "test1" else row for row in rows],
            "rewordings",
            'fact "test1": expected rewordings that nothing is trained on, found "what of train 2", the question of '
            'training fact "train2" - reword it, or delete it',
        ),
        (
            lambda rows: [{key: row[key] for key in row if key != "rewordings"} for row in rows],
            "rewordings",
            "expected training or test facts that can be asked so (evaluation.transfer: rewordings), found none - "
            "add a column `rewordings`; or leave rewordings out",
        ),
        (
            lambda rows: rows[:16],
            "reverse",
            "expected training or test facts that can be asked so (evaluation.transfer: reverse), found none - add a "
            "column `reverse_of`, and keep the relations of both facts (facts.relations, facts.out_of_distribution)",
        ),
    ],
)
def test_a_form_that_cannot_be_asked_is_refused(tmp_path: Path, change: Any, transfer: str, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        prepared_from(tmp_path, change(rows_of_a_run()), transfer)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"evaluation": {"transfer": ["chat"]}, "probe": {"prompt_style": "chat"}},
            "found chat and probe.prompt_style",
        ),
        ({"evaluation": {"transfer": ["zero_shot"]}, "probe": {"num_shots": 0}}, "found zero_shot and probe.num_shots"),
        ({"evaluation": {"transfer": ["reverse", "reverse"]}}, "expected each form once, found reverse, reverse"),
    ],
)
def test_a_form_that_is_the_usual_one_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config({"model": "m", "facts": "f"} | settings)


@pytest.mark.parametrize(
    ("content", "found"),
    [(None, "no such file"), (b" \n", "an empty file"), (b"no\xebl", "a byte that is none (byte 3)")],
)
def test_a_text_for_drift_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, found: str) -> None:
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    facts = tmp_path / "facts.jsonl"
    facts.write_text("".join(json.dumps(row) + "\n" for row in rows_of_a_run()), encoding="utf-8")
    stages = [{"strategy": "all", "num_shots": 1}]
    settings = {"facts": str(facts), "probe": {"num_shots": 1}, "stages": stages}
    config = parse_config({"model": "m", "evaluation": {"drift_text": str(path)}} | settings)
    with pytest.raises(
        DataError, match=re.escape(f"drift_text: {path}: expected a file of text in UTF-8, found {found}")
    ):
        prepare(config)


# The atlas


@pytest.fixture(scope="module")
def atlas() -> list[Fact]:
    return load_facts("atlas")


def test_every_fact_of_the_atlas_has_two_other_wordings_that_no_other_has(atlas: list[Fact]) -> None:
    assert {len(fact.rewordings) for fact in atlas} == {2}
    texts = [text for fact in atlas for text in (fact.question, *fact.rewordings)]
    assert len(set(texts)) == 3 * len(atlas)
    by_id = {fact.id: fact for fact in atlas}
    assert by_id["element-symbol-ac"].rewordings == (
        "How do chemists abbreviate actinium?",
        "Which letter or letters does actinium have on the periodic table?",
    )


def test_no_wording_of_the_atlas_contains_its_answer(atlas: list[Fact]) -> None:
    def words(text: str) -> str:
        return f" {normalise(text)} "

    assert [
        (fact.id, text) for fact in atlas for text in fact.rewordings for a in fact.answers if words(a) in words(text)
    ] == []


def test_the_atlas_links_what_it_holds_in_both_directions(atlas: list[Fact]) -> None:
    links = reverses(atlas)
    assert links["capital-fr"].id == "country-of-capital-fr"
    assert links["country-of-capital-fr"].id == "capital-fr"
    assert links["element-of-symbol-mg"].question == "What is the chemical symbol of magnesium?"
    assert "neighbour-fr" not in links
    # What is asked of the one is said by the other: a reverse's first answer is the subject of its fact.
    by_id = {fact.id: fact for fact in atlas}
    wrong = [fact.id for fact in atlas if fact.reverse_of and by_id[fact.reverse_of].subject not in fact.answers]
    assert wrong == []
