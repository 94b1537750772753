"""What holds beyond the wording and what else changed: asked of whom, counted by hand, told in words."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tests.support.maps import known_fact, make_map

from gradual.facts.fact import Fact
from gradual.knowledge.levels import Level
from gradual.knowledge.map import Cost, KnowledgeMap, write_map
from gradual.reporting.run_transfer import bystanders_table, drift_table, transfer_table, what_else_changed
from gradual.run.cost import count_cost
from gradual.run.folder import RunDir, read_facts, write_facts
from gradual.run.measures.drift import Drift, DriftFile, TextDrift, write_drift
from gradual.run.summary.side_effects import bystanders_of_run, count_bystanders, drift_of_run
from gradual.run.summary.summary_file import Summary
from gradual.run.summary.transfer import transfer_of_run
from gradual.run.summary.transfer_file import FormScores, Transfer
from gradual.run.transfer import questions_left

LEVEL = {level.value[0]: level for level in Level}


def levels(**letters: str) -> KnowledgeMap:
    return make_map({fact: LEVEL[letter] for fact, letter in letters.items()})


def verdicts(**right: bool) -> KnowledgeMap:
    """A map under one exemplar set: p is 0.75 where the answer is right, and 0.25 where it is wrong."""
    facts = tuple(
        dataclasses.replace(
            known_fact(fact.replace("_", "~"), Level.HIGHLY_KNOWN if is_right else Level.UNKNOWN),
            p_sampled=0.75 if is_right else 0.25,
        )
        for fact, is_right in right.items()
    )
    return dataclasses.replace(make_map({}), facts=facts)


PROBES = [levels(a="M", b="U", c="H", d="H", e="W"), levels(a="H", b="H", c="H", d="M", e="W")]
"""a and b become HighlyKnown, c stays so, d is lost, e never was."""
FACTS = [
    *(Fact(each, "r", f"{each}?", ("x",), split="train") for each in "abcde"),
    Fact("t", "r", "t?", ("x",), split="test"),
    *(Fact(f"r{each}", "s", f"r{each}?", ("x",), split="reverse", reverse_of=each) for each in "abc"),
]


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """Two rewordings of a, one of b and c; b and c reversed."""
    run = RunDir(tmp_path)
    write_map(verdicts(t=False), run.evaluation(0))
    write_map(verdicts(t=True), run.evaluation(1))
    write_map(
        verdicts(a_1=True, a_2=False, b_1=False, c_1=True, d_1=True, e_1=False, t_1=False),
        run.transfer("rewordings", 0),
    )
    write_map(verdicts(a_1=True, a_2=False, b_1=True, c_1=True, t_1=False), run.transfer("rewordings", 1))
    write_map(verdicts(b_reverse=False, c_reverse=True), run.transfer("reverse", 0))
    write_map(verdicts(b_reverse=True, c_reverse=True), run.transfer("reverse", 1))
    write_map(verdicts(t=False), run.zero_shot_evaluation(0))
    write_map(verdicts(t=True), run.zero_shot_evaluation(1))
    write_map(verdicts(a=False, b=False, c=True, d=True, e=False), run.transfer("zero_shot_train", 0))
    write_map(verdicts(a=True, b=False, c=True), run.transfer("zero_shot_train", 1))
    return run


def counted(found: Transfer) -> dict[tuple[str, str], FormScores]:
    return {(group.group, scores.form): scores for group in found.groups for scores in group.forms}


def test_gained_facts_are_counted_in_every_form_beside_those_known_all_along(run: RunDir) -> None:
    found = transfer_of_run(run, ["rewordings", "reverse", "zero_shot"], PROBES, FACTS, taught={"a", "rb"})
    assert found is not None
    assert [(group.group, group.num_facts) for group in found.groups] == [
        ("became_highly_known", 2),
        ("became_and_trained", 1),
        ("became_not_trained", 1),
        ("highly_known_all_along", 1),
        ("test", 1),
    ]
    scores = counted(found)

    def right(group: str, form: str) -> tuple[int, int, int]:
        each = scores[group, form]
        assert each.before.right.total == each.after.right.total
        return each.before.right.count, each.after.right.count, each.after.right.total

    assert right("became_highly_known", "usual") == (0, 2, 2)
    # Of a one of two rewordings is right after, as before: it does not hold; b was wrong in its one and is right.
    assert right("became_highly_known", "rewordings") == (0, 1, 2)
    assert scores["became_highly_known", "rewordings"].after.share_of_prompts == 0.75
    assert scores["became_highly_known", "rewordings"].before.share_of_prompts == 0.25
    assert scores["became_highly_known", "rewordings"].after.p == pytest.approx((0.5 + 0.75) / 2)
    # a has no reverse that was asked, and that of b was trained on.
    assert right("became_highly_known", "reverse") == (0, 0, 0)
    assert scores["became_highly_known", "reverse"].left_out == 2
    assert right("highly_known_all_along", "reverse") == (1, 1, 1)
    assert right("became_highly_known", "zero_shot") == (0, 1, 2)
    assert right("became_and_trained", "zero_shot") == (0, 1, 1)
    assert right("became_not_trained", "zero_shot") == (0, 0, 1)
    assert right("highly_known_all_along", "rewordings") == (1, 1, 1)
    assert [right("test", form) for form in ("usual", "rewordings", "zero_shot")] == [(0, 1, 1), (0, 0, 1), (0, 1, 1)]
    # Wilson's interval of 1 of 2: centre 0.5, half-width 1.96 sqrt(0.25/2 + 3.84/16) / (1 + 3.84/2) = 0.4055.
    share = scores["became_highly_known", "rewordings"].after.right
    assert (share.low, share.high) == (pytest.approx(0.0945, abs=1e-4), pytest.approx(0.9055, abs=1e-4))


def test_a_reverse_that_was_not_trained_on_counts(run: RunDir) -> None:
    found = transfer_of_run(run, ["reverse"], PROBES, FACTS, taught={"a", "b"})
    assert found is not None
    scores = counted(found)["became_highly_known", "reverse"]
    assert (scores.before.right.count, scores.after.right.count, scores.after.right.total) == (0, 1, 1)


def test_nothing_is_told_before_the_first_stage_or_where_nothing_was_asked(run: RunDir) -> None:
    assert transfer_of_run(run, ["rewordings"], PROBES[:1], FACTS, set()) is None
    assert transfer_of_run(run, [], PROBES, FACTS, set()) is None


def test_after_a_stage_only_what_is_highly_known_and_test_facts_are_asked(run: RunDir) -> None:
    write_map(PROBES[1], run.probe(1))
    facts = [Fact(each, "r", "?", ("x",)) for each in ("a~1", "a~2", "d~1", "e~1", "t~1")]
    assert [fact.id for fact in questions_left(run, "rewordings", 1, facts)] == ["a~1", "a~2", "t~1"]
    assert questions_left(run, "rewordings", 0, facts) == facts
    bare = [Fact(each, "r", "?", ("x",)) for each in ("c", "d")]
    assert [fact.id for fact in questions_left(run, "zero_shot", 1, bare)] == ["c"]


def test_facts_of_a_run_keep_their_other_forms_and_older_files_have_none(tmp_path: Path) -> None:
    facts = [Fact("a", "r", "a?", ("x",), rewordings=("A?", "B?")), Fact("b", "r", "b?", ("x",), reverse_of="a")]
    write_facts(facts, tmp_path / "new.parquet")
    assert read_facts(tmp_path / "new.parquet") == facts
    plain = [dataclasses.replace(fact, rewordings=(), reverse_of="") for fact in facts]
    write_facts(plain, tmp_path / "old.parquet")
    assert read_facts(tmp_path / "old.parquet") == plain


# What else changed


def test_bystanders_lost_are_counted_out_of_those_right_before() -> None:
    before = {"h1": True, "h2": True, "h3": True, "m1": True, "m2": False, "u1": False}
    after = {"h1": True, "h2": False, "h3": True, "m1": False, "m2": True, "u1": True}
    found = count_bystanders(before, after, {fact: LEVEL[fact[0].upper()] for fact in before})
    assert [(each.level, each.num_facts, each.lost.count, each.lost.total, each.gained) for each in found.by_level] == [
        (Level.HIGHLY_KNOWN, 3, 1, 3, 0),
        (Level.MAYBE_KNOWN, 2, 1, 1, 1),
        (Level.UNKNOWN, 1, 0, 0, 1),
    ]
    assert (found.known.num_facts, found.known.lost.count, found.known.lost.total, found.known.gained) == (5, 2, 4, 1)
    assert found.p_value == 1.0  # two lost, two gained


def test_bystanders_are_read_from_the_folder_and_told_with_drift_in_one_line(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    write_map(verdicts(o=True, q=True), run.ood_evaluation(0))
    write_map(verdicts(o=False, q=True), run.ood_evaluation(1))
    assert bystanders_of_run(run, 1) is None  # a folder from before levels were asked
    write_map(levels(o="H", q="M"), run.ood_levels)
    assert bystanders_of_run(run, 0) is None
    text = TextDrift(kl=0.0125, num_places=100, perplexity_before=32.4, perplexity_after=33.1)
    write_drift(run, 1, DriftFile(text=text, prompts=Drift(kl=0.25, num_places=9)), Cost(seconds=2.5, tokens_read=218))
    drift = drift_of_run(run, 1)
    assert drift is not None
    assert drift[0].as_json() == {
        "stage": 1,
        "text": {"kl": 0.0125, "num_places": 100, "perplexity_before": 32.4, "perplexity_after": 33.1},
        "prompts": {"kl": 0.25, "num_places": 9},
    }
    summary = Summary(bystanders=bystanders_of_run(run, 1), drift=drift)
    told = what_else_changed(summary).replace("\u00a0", " ")
    assert told.startswith(
        "What else changed: of relations never trained on, the model lost 1 of 1 HighlyKnown fact (100"
    )
    assert "and 0 of 1 MaybeKnown fact (0.0 %" in told
    assert told.endswith(
        "Its drift from the base model is 0.0125 nats a token on a reference text and 0.2500 nats on questions never "
        "trained on; the text's perplexity went from 32.40 to 33.10."
    )
    assert [len(table(summary).rows) for table in (bystanders_table, drift_table, transfer_table)] == [3, 1, 0]
    assert what_else_changed(Summary()) == ""
    steps = [step for step in count_cost(run, 1).steps if step.name == "drift 1"]
    assert [(step.seconds, step.tokens) for step in steps] == [(2.5, 218)]


def test_the_table_tells_memorised_from_known(run: RunDir) -> None:
    table = transfer_table(Summary(transfer=transfer_of_run(run, ["rewordings"], PROBES, FACTS, {"a"})))
    rows = [[cell.value.replace("\u00a0", " ") for cell in row] for row in table.rows]
    assert rows[:2] == [
        ["became HighlyKnown", "as trained", "2", "0.0 %", "100.0 %", "0.38", "0.50"],
        ["", "in other words", "2", "0.0 %", "50.0 %", "0.38", "0.62"],
    ]
    assert rows[-1] == ["", "in other words", "1", "0.0 %", "0.0 %", "0.25", "0.25"]
