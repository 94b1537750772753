"""One odd question or small relation does not stop a run of many: it borrows its shots or is left out, and is told."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.fact_files import Write, lines

from gradual.config.run import FactsConfig
from gradual.config.yaml_file import parse_config
from gradual.errors import DataError
from gradual.facts.exemplars import check_exemplars
from gradual.facts.fact import Fact
from gradual.facts.loading import OTHER
from gradual.facts.prepare import RunFacts, prepare, prepare_probe


def made(relation: str, count: int) -> list[Fact]:
    return [Fact(f"{relation}{n}", relation, f"{relation} {n}?", ("x",)) for n in range(count)]


def rows(relation: str | None, pattern: str, count: int) -> list[dict[str, object]]:
    named = {"relation": relation} if relation else {}
    return [{"question": pattern.format(n), "answer": f"{relation} answer {n}"} | named for n in range(count)]


def run_facts(path: str, **settings: Any) -> RunFacts:
    return prepare(parse_config({"model": "m", "facts": {"path": path, **settings}}))


def test_short_relations_borrow_from_each_other_and_from_other() -> None:
    facts = {"ore": made("ore", 3), "river": made("river", 2), "long": made("long", 3)}
    shots = {"ore": made("ore shot", 2), "river": made("river shot", 2), OTHER: made("odd", 1), "long": made("shot", 5)}
    with pytest.warns(UserWarning, match=r"borrowed from each other and from 'other': \"ore\", \"river\"; facts: 5"):
        checked = check_exemplars(facts, shots, num_shots=4)
    assert [fact.id for fact in checked.exemplars["ore"]] == [
        "ore shot0", "ore shot1", "odd0", "river shot0", "river shot1"
    ]  # fmt: skip
    assert len(checked.exemplars["river"]) == 5
    assert checked.exemplars["long"] == tuple(made("shot", 5))


def test_relation_that_cannot_borrow_is_left_out() -> None:
    facts, shots = {"ore": made("ore", 3), "long": made("long", 3)}, {"ore": made("o", 1), "long": made("l", 5)}
    with pytest.warns(UserWarning, match='fewer than 5 exemplars, left out: "ore"; facts: 3'):
        checked = check_exemplars(facts, shots, num_shots=4)
    assert list(checked.facts) == ["long"]


def test_nothing_left_is_an_error_of_a_line_each() -> None:
    with pytest.raises(DataError) as caught:
        check_exemplars({"ore": made("ore", 3), "river": made("river", 3)}, {}, num_shots=4)
    assert str(caught.value).splitlines()[0] == (
        'relation "ore": expected at least 5 exemplars for 4 shots, found 0 - '
        "add exemplars, lower probe.num_shots, or leave the relation out (facts.relations)"
    )


@pytest.mark.parametrize("odd", [1, 4])
def test_odd_questions_do_not_stop_a_run(write: Write, odd: int) -> None:
    asked = [*rows(None, "Which ore holds Metal{}?", 80), *rows(None, "Who found lake No{}?", odd)]
    found = run_facts(write("f.jsonl", lines(*asked)))
    assert any("left out" in each or "borrowed" in each for each in found.warnings)
    assert len(found.train) > 20


def test_small_relation_does_not_stop_a_probe(write: Write) -> None:
    path = write(
        "f.jsonl", lines(*rows("ore", "Which ore holds metal {}?", 40), *rows("lake", "Who found lake {}?", 3))
    )
    with pytest.warns(UserWarning, match='left out: "lake"; facts: 3'):
        found = prepare_probe(FactsConfig(path=path), num_shots=4)
    assert {fact.relation for fact in found.facts} == set(found.exemplars) == {"ore"}


def test_many_small_relations_are_put_together_before_they_are_divided(write: Write) -> None:
    small = [row for name in "abcdefghijkl" for row in rows(f"topic {name}", f"What is {name}{{}}?", 5)]
    found = run_facts(write("f.jsonl", lines(*small)))
    assert {fact.relation for fact in found.train} == {OTHER}
    assert found.validation
    assert any(
        "put together in the relation 'other', as their relations have too few" in each for each in found.warnings
    )


def test_facts_are_written_once_however_often_they_are_lent() -> None:
    lent = made("ore", 2)
    found = RunFacts((), (), (), {"a": tuple(lent), "b": tuple(lent)}, 0, ())
    assert found.all_facts() == lent


def test_bad_rows_of_a_file_of_exemplars_are_kept_with_those_of_the_facts(write: Write) -> None:
    bad: dict[str, object] = {"question": "ore bad?", "answer": None, "relation": "ore"}
    facts = write("f.jsonl", lines(*rows("ore", "ore {}?", 40), bad))
    solved = write("solved.jsonl", lines(bad, *rows("ore", "solved ore {}?", 5)))
    with pytest.warns(UserWarning, match=r"rows left out \(facts\.on_bad_row: skip\): 1, "):
        probed = prepare_probe(FactsConfig(path=facts, exemplars=solved, on_bad_row="skip"), num_shots=4)
    for found in (probed, run_facts(facts, exemplars=solved, on_bad_row="skip")):
        assert [each.where for each in found.left_out] == ["f.jsonl:41", "solved.jsonl:1"]


def test_part_of_which_no_relation_has_exemplars_is_refused_with_that_cause(write: Write) -> None:
    trained = [row | {"split": "train"} for row in rows("ore", "ore {}?", 40)]
    held = [row | {"split": "validation"} for row in rows("river", "river {}?", 16)]
    with pytest.raises(DataError) as caught:
        run_facts(write("f.jsonl", lines(*trained, *held)))
    assert str(caught.value) == (
        'f.jsonl: expected facts for validation, found 16 of relations with too few exemplars ("river") - give these '
        "exemplars, from their training facts or facts.exemplars, or lower probe.num_shots"
    )
