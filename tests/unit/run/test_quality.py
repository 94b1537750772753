"""What `summary.json` says of answers and confidence, counted by hand from evaluation maps and a run folder."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from tests.support.maps import known_fact, make_map, write_run

from gradual.config.run import RunConfig
from gradual.config.yaml_file import parse_config
from gradual.facts.fact import Fact
from gradual.facts.matching import SQUAD
from gradual.files.storage import write_json
from gradual.knowledge.levels import Level
from gradual.knowledge.map import FactKnowledge, KnowledgeMap, write_map
from gradual.run.folder import RunDir
from gradual.run.summary.quality import answer_quality_of_run, risk_points
from gradual.run.summary.refusals import refusals_of_run
from gradual.run.summary.summarise import summarise
from gradual.run.summary.summary_file import Summary
from gradual.run.summary.wrong_answers import SHOWN_OF_EACH, wrong_answers_of_run
from gradual.statistics.calibration import AnsweredFact


def answered(
    fact_id: str, confidence: float | None, answer: str = "Rome", *, is_right: bool = False, relation: str = "capital"
) -> FactKnowledge:
    """A test fact whose accepted answers are Bern and Berne, with its greedy answer under the one exemplar set."""
    fact = known_fact(fact_id, Level.HIGHLY_KNOWN if is_right else Level.UNKNOWN)
    at_one = None if confidence is None else confidence / 2
    return dataclasses.replace(
        fact, greedy_answer=answer, confidence=confidence, confidence_t1=at_one, relation=relation
    )


def evaluation(*facts: FactKnowledge) -> KnowledgeMap:
    return dataclasses.replace(make_map({}), facts=facts)


BEFORE = evaluation(
    answered("a", 0.8, "Bern", is_right=True),
    answered("b", 0.3),
    answered("c", 0.6),
    answered("d", 0.95),
    answered("e", 0.2),
)
AFTER = evaluation(
    answered("a", 0.7, "the Paris"),
    answered("b", 0.9, "Oslo"),
    answered("c", 0.6),
    answered("d", 0.9, "Bern", is_right=True),
    answered("e", 0.4),
)
LEVELS = {"a": Level.HIGHLY_KNOWN, "b": Level.UNKNOWN, "c": Level.UNKNOWN, "d": Level.UNKNOWN, "e": Level.WEAKLY_KNOWN}
TAUGHT = [
    Fact("t2", "capital", "Capital of France?", ("Paris",), split="train"),
    Fact("t1", "song", "Which song?", ("Paris!",), split="train"),
    Fact("t3", "capital", "Capital of Norway?", ("Oslo",), split="train"),
]


def test_each_evaluation_is_counted_and_the_change_is_paired() -> None:
    found = answer_quality_of_run([BEFORE, AFTER], LEVELS)
    assert found is not None
    base, last = found.stages
    assert (base.all_facts.right.count, base.all_facts.confidently_wrong.count) == (1, 2)  # c, d
    assert (base.all_facts.very_confidently_wrong.count, base.all_facts.unsure_and_wrong.count) == (1, 2)
    assert last.all_facts.confidently_wrong.share == pytest.approx(3 / 5)  # a, b, c
    assert last.by_level[Level.UNKNOWN].confidently_wrong.count == 2  # b and c of b, c and d
    assert last.by_level[Level.UNKNOWN].confidently_wrong.total == 3
    assert found.change is not None
    # a and b became so, d no longer is: 2 P(X <= 1) with X of 3 is 1.
    assert (found.change.became, found.change.no_longer, found.change.p_value) == (2, 1, 1.0)
    assert base.at_temperature_1 is not None
    assert base.at_temperature_1.confidence_of_right == pytest.approx(0.4)


def test_the_risk_of_the_surest_is_kept_at_few_points_that_end_with_all_answers() -> None:
    # Surest first: wrong, right, right, wrong.
    answers = [AnsweredFact(0.9, False), AnsweredFact(0.8, True), AnsweredFact(0.7, True), AnsweredFact(0.6, False)]
    assert [(point.coverage, point.risk) for point in risk_points(answers)] == [
        (0.25, 1.0),
        (0.5, 0.5),
        (0.75, pytest.approx(1 / 3)),
        (1.0, 0.5),
    ]
    many = risk_points([AnsweredFact(place / 1000, place % 2 == 0) for place in range(777)])
    assert len(many) == 50
    assert (many[-1].coverage, many[-1].risk) == (1.0, pytest.approx(388 / 777))


def refusing(fact: FactKnowledge, *, p_refuse: float = 0.0) -> FactKnowledge:
    """The fact with refusals asked: it is refused from a probability of 0.5 on, and then not right."""
    return dataclasses.replace(fact, p_refuse=p_refuse, p_greedy_refuse=float(p_refuse >= 0.5))


REFUSED_BEFORE = evaluation(
    refusing(answered("a", 0.8, "Bern", is_right=True)),
    refusing(answered("b", 0.7)),
    refusing(answered("c", 0.9, "No idea"), p_refuse=0.9),
    refusing(answered("d", 0.3)),
)
REFUSED_AFTER = evaluation(
    refusing(answered("a", 0.9, "No idea"), p_refuse=0.9),
    refusing(answered("b", 0.6, "No idea"), p_refuse=0.6),
    refusing(answered("c", 0.5, "No idea"), p_refuse=0.5),
    refusing(answered("d", 0.7, "Bern", is_right=True), p_refuse=0.2),
)


def test_refusals_are_no_wrong_answers_however_sure() -> None:
    found = answer_quality_of_run([REFUSED_BEFORE, REFUSED_AFTER], LEVELS)
    assert found is not None
    counts = [
        (each.right.count, each.confidently_wrong.count, each.unsure_and_wrong.count, each.refused.count)
        for each in (stage.all_facts for stage in found.stages)
    ]
    assert counts == [(1, 1, 1, 1), (1, 0, 0, 3)]  # b, d and c at first; then d is right
    assert found.stages[0].all_facts.confidence_of_wrong == pytest.approx((0.7 + 0.3) / 2)
    # The refusal comes last: a is right, b wrong, d wrong, c refused.
    assert found.stages[0].all_facts.area_under_risk_coverage == pytest.approx((0 + 1 / 2 + 2 / 3 + 3 / 4) / 4)
    wrong = wrong_answers_of_run([REFUSED_BEFORE, REFUSED_AFTER], [], matching=SQUAD)
    assert wrong is not None
    assert (wrong.became.total, wrong.remained.total) == (0, 0)


def test_what_is_refused_is_told_by_level_with_its_harm_and_its_worth() -> None:
    found = refusals_of_run([REFUSED_BEFORE, REFUSED_AFTER], LEVELS)
    assert found is not None
    base, last = found.stages
    assert (base.all_facts.coverage.count, base.all_facts.accuracy_of_answered.total) == (3, 3)
    assert base.all_facts.accuracy_of_answered.share == pytest.approx(1 / 3)
    assert (last.all_facts.coverage.share, last.all_facts.accuracy_of_answered.share) == (0.25, 1.0)
    assert (base.known_refused.count, last.known_refused.count, last.known_refused.total) == (0, 1, 1)  # a
    assert (last.by_level[Level.UNKNOWN].refused.count, last.by_level[Level.UNKNOWN].refused.total) == (2, 3)
    assert last.p_refuse == pytest.approx((0.9 + 0.6 + 0.5 + 0.2) / 4)
    # Base: one right, two wrong of four, which cost 1, 3 and 9 each. After: one right, none wrong.
    assert [each.value for each in base.scores] == pytest.approx([(1 - 2) / 4, (1 - 6) / 4, (1 - 18) / 4])
    assert [each.value for each in last.scores] == pytest.approx([0.25] * 3)
    assert all((each.low or 0.0) <= 0.25 <= (each.high or 0.0) for each in last.scores)
    assert found.change is not None
    assert (found.change.was_right, found.change.was_wrong) == (1, 1)  # a and b; c was refused already


def test_maps_without_refusals_say_nothing_of_them() -> None:
    assert refusals_of_run([REFUSED_BEFORE, AFTER], LEVELS) is None
    assert refusals_of_run([], LEVELS) is None


def test_wrong_answers_are_told_apart_by_what_they_were_before_and_traced_to_what_was_taught() -> None:
    wrong = wrong_answers_of_run([BEFORE, AFTER], TAUGHT, matching=SQUAD)
    assert wrong is not None
    became, remained = wrong.became, wrong.remained
    assert [each.id for each in became.shown] == ["b", "a"]  # 0.9, then 0.7
    assert (became.total, became.taught_elsewhere, became.taught_elsewhere_before) == (2, 2, 0)
    of_b, of_a = became.shown
    assert of_b.taught_question == "Capital of Norway?"
    assert of_a.taught_question == "Capital of France?"  # of the same relation, though t1 comes first by id
    assert (of_a.before.answer, of_a.before.confidence, of_a.before.is_right) == ("Bern", 0.8, True)
    assert (of_a.after.answer, of_a.after.confidence, of_a.after.is_right) == ("the Paris", 0.7, False)
    assert [each.id for each in remained.shown] == ["c"]
    assert (remained.total, remained.taught_elsewhere) == (1, 0)
    assert remained.shown[0].taught_question is None


def test_few_are_shown_the_surest_first_and_ties_by_id() -> None:
    names = [f"f{place:02d}" for place in range(12)]
    before = evaluation(*(answered(each, 0.1) for each in names))
    after = evaluation(*(answered(each, 0.99 if each == "f11" else 0.7) for each in names))
    wrong = wrong_answers_of_run([before, after], [], matching=SQUAD)
    assert wrong is not None
    assert [each.id for each in wrong.became.shown] == ["f11", *names[: SHOWN_OF_EACH - 1]]
    assert wrong.became.total == 12


def test_maps_without_confidence_say_nothing() -> None:
    silent = evaluation(answered("a", None))
    assert answer_quality_of_run([silent, silent], {}) is None
    assert wrong_answers_of_run([silent, silent], [], matching=SQUAD) is None
    assert wrong_answers_of_run([BEFORE], [], matching=SQUAD) is None


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """Two evaluations of one test fact, t; the stage between them trained on fact a, whose answer is Bern."""
    run = write_run(tmp_path)
    write_map(evaluation(dataclasses.replace(answered("t", 0.2), answers=("Lima",))), run.evaluation(0))
    write_map(evaluation(dataclasses.replace(answered("t", 0.8, "Bern"), answers=("Lima",))), run.evaluation(1))
    write_map(make_map({"t": Level.UNKNOWN}), run.test_levels)
    write_json(run.stage_summary(1), {})
    run.epochs(1).write_text("")
    return run


def config() -> RunConfig:
    return parse_config({"model": {"name_or_path": "toy"}, "facts": {"path": "toys"}, "stages": [{"select": "True"}]})


def test_a_run_folder_is_summed_up_with_the_answers_that_a_stage_taught(run: RunDir) -> None:
    found = summarise(run, config())
    assert found.wrong_answers is not None
    assert [(each.id, each.taught_question) for each in found.wrong_answers.became.shown] == [("t", "a?")]
    assert found.answer_quality is not None
    unknown = [stage.by_level[Level.UNKNOWN].confidently_wrong.count for stage in found.answer_quality.stages]
    assert unknown == [0, 1]
    assert Summary.model_validate(json.loads(json.dumps(found.as_json()))) == found


def test_the_summary_of_a_run_without_confidence_does_not_name_it(run: RunDir) -> None:
    for stage in (0, 1):
        write_map(evaluation(answered("t", None)), run.evaluation(stage))
    content = summarise(run, config()).as_json()
    assert not {"answer_quality", "wrong_answers"} & content.keys()
