"""The steps of a run as data, and what they took in all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.comparisons import OTHERS, TEST, verdicts, write_folder

from gradual.config.run import RunConfig
from gradual.config.yaml_file import parse_config
from gradual.facts.prepare import RunFacts
from gradual.knowledge.map import write_map
from gradual.run.cost import count_cost
from gradual.run.folder import RunDir
from gradual.run.steps import Step, planned_steps, possible_steps, scoring_settings
from gradual.testing import toy_facts

FACTS = toy_facts(2, 5)
PREPARED = RunFacts(
    train=tuple(FACTS[:2]),
    validation=tuple(FACTS[2:3]),
    test=tuple(FACTS[3:4]),
    exemplars={"toy-0": tuple(FACTS[4:5])},
    dropped_for_overlap=0,
    warnings=(),
)


def config(*, evaluation: dict[str, object] | None = None, zero_shot: bool = False) -> RunConfig:
    scored = evaluation or {"exemplar_seed": 42, "zero_shot": zero_shot}
    return parse_config({"model": "m", "facts": "f", "seed": 7, "evaluation": scored})


def test_a_run_of_two_stages_looks_before_the_first_and_after_each() -> None:
    steps = planned_steps(config(), PREPARED)
    assert [step.name for step in steps] == [
        *("facts", "probe-0", "evaluation-0", "levels"),
        *("stage-1", "probe-1", "evaluation-1", "drift-1"),
        *("stage-2", "probe-2", "evaluation-2", "drift-2"),
    ]
    assert [step.training is not None for step in steps] == [step.kind == "stage" for step in steps]


def test_a_stage_rests_on_the_probes_and_stages_before_it_and_on_no_test() -> None:
    steps = planned_steps(config(zero_shot=True), replace(PREPARED, out_of_distribution=tuple(FACTS[5:8])))
    assert [step.name for step in steps if step.is_needed_for(1)] == ["facts", "probe-0", "stage-1"]
    second = [step.name for step in steps if step.is_needed_for(2)]
    assert second == ["facts", "probe-0", "stage-1", "probe-1", "stage-2"]


def test_other_relations_and_questions_without_shots_are_steps_where_they_are_asked() -> None:
    run_facts = replace(PREPARED, out_of_distribution=tuple(FACTS[5:8]))
    steps = {step.name: step for step in planned_steps(config(zero_shot=True), run_facts)}
    assert list(steps)[:6] == ["facts", "probe-0", "evaluation-0", "ood-0", "zero_shot-0", "levels"]
    ood, bare = steps["ood-2"].questions, steps["zero_shot-1"].questions
    assert ood is not None
    assert bare is not None
    assert (len(ood.facts), ood.settings.num_exemplar_sets, ood.exemplar_seed) == (3, 1, 42)
    assert (bare.facts, bare.settings.num_shots, bare.settings.greedy_answers) == (PREPARED.test, 0, "none")


def test_an_epoch_is_scored_by_verdicts_alone_unless_confidence_keeps_it() -> None:
    plain, sure = (
        scoring_settings(config(evaluation={"confidence": False}), with_confidence=asked) for asked in (False, True)
    )
    assert (plain.confidence, plain.refusals, plain.greedy_answers, plain.tolerance) == (False, [], "none", 1.0)
    assert (sure.confidence, sure.greedy_answers, sure.tolerance) == (True, "first", 1e-3)
    assert sure.refusals == ["I don't know", "I do not know"]
    assert (plain.num_exemplar_sets, sure.num_exemplar_sets) == (1, 1)


def test_levels_of_test_facts_are_asked_as_those_of_training_facts() -> None:
    steps = {step.name: step.questions for step in planned_steps(config(), PREPARED)}
    probe, levels = steps["probe-0"], steps["levels"]
    assert probe is not None
    assert levels is not None
    assert levels.settings == probe.settings.model_copy(update={"levels_only": True})
    assert (probe.exemplar_seed, levels.exemplar_seed) == (7, 7)


@pytest.mark.parametrize(
    ("step", "label", "purpose", "folder"),
    [
        (Step("probe", 1), "probe 1", "probing", "probes/1"),
        (Step("levels"), "levels of test facts", "probing", "evaluation/levels"),
        (Step("evaluation", 0), "evaluation 0", "testing", "evaluation/0"),
        (Step("ood", 2), "ood 2", "testing", "evaluation/ood-2"),
        (Step("zero_shot", 2), "zero-shot 2", "testing", "evaluation/zero-shot-2"),
        (Step("ood_levels"), "levels of other relations", "probing", "evaluation/ood-levels"),
        (Step("rewordings", 0), "rewordings 0", "testing", "evaluation/rewordings-0"),
        (Step("zero_shot_train", 1), "zero-shot-train 1", "testing", "evaluation/zero-shot-train-1"),
        (Step("drift", 1), "drift 1", "testing", "evaluation/drift-1"),
        (Step("lm_eval", 0), "lm-eval 0", "testing", "evaluation/lm-eval-0"),
        (Step("own_answers", 2), "own-answers 2", "training", "stages/2"),
        (Step("stage", 2), "stage 2", "training", "stages/2"),
    ],
)
def test_a_step_knows_its_label_its_purpose_and_its_folder(step: Step, label: str, purpose: str, folder: str) -> None:
    run = RunDir(Path("run"))
    assert (step.label, step.purpose, step.folder(run)) == (label, purpose, run.path / folder)


def test_every_planned_step_is_a_possible_one() -> None:
    reworded = tuple(replace(fact, rewordings=("In other words?",)) for fact in PREPARED.train)
    run_facts = replace(
        PREPARED, train=reworded, out_of_distribution=tuple(FACTS[5:8]), reverses={FACTS[3].id: FACTS[5]}
    )
    everything = {
        "evaluation": {
            "lm_eval": ["hellaswag"],
            "zero_shot": True,
            "transfer": ["rewordings", "reverse", "zero_shot", "chat"],
        }
    }
    own = {"strategy": "all", "anchor": {"kind": "own_answers"}}
    settings = parse_config({"model": "m", "facts": "f", "stages": [own, own], **everything})
    planned = [step.name for step in planned_steps(settings, run_facts)]
    assert planned == [step.name for step in possible_steps(2)]


def test_other_forms_change_the_question_the_shots_or_the_style_and_nothing_else() -> None:
    train = (replace(FACTS[0], rewordings=("A?", "B?")), FACTS[1])
    run_facts = replace(PREPARED, train=train, reverses={FACTS[3].id: FACTS[9]})
    evaluation = {"transfer": ["rewordings", "reverse", "zero_shot", "chat"], "exemplar_seed": 42}
    asked = {step.name: step.questions for step in planned_steps(config(evaluation=evaluation), run_facts)}
    usual = asked["evaluation-0"]
    assert usual is not None
    quiet = usual.settings.model_copy(update={"greedy_answers": "none", "confidence": False, "refusals": []})
    changes: dict[str, dict[str, object]] = {
        "rewordings-1": {},
        "reverse-1": {},
        "zero_shot-1": {"num_shots": 0},
        "zero_shot_train-1": {"num_shots": 0},
        "chat-1": {"prompt_style": "chat"},
    }
    for name, change in changes.items():
        questions = asked[name]
        assert questions is not None
        assert questions.settings == quiet.model_copy(update=change)
        assert questions.exemplar_seed == 42
    facts = {name: [(f.id, f.question) for f in each.facts] for name, each in asked.items() if each is not None}
    assert facts["rewordings-0"] == [("toy-0-0~1", "A?"), ("toy-0-0~2", "B?")]
    assert facts["reverse-0"] == [("toy-0-3~reverse", FACTS[9].question)]
    assert [name for name, _ in facts["zero_shot-0"]] == ["toy-0-3"]
    assert [name for name, _ in facts["zero_shot_train-0"]] == ["toy-0-0", "toy-0-1"]
    assert [name for name, _ in facts["chat-0"]] == ["toy-0-0", "toy-0-1", "toy-0-3"]


def test_the_cost_of_a_run_counts_other_relations_and_questions_without_shots(tmp_path: Path) -> None:
    run = RunDir(write_folder(tmp_path / "out") / "runs" / "S5" / "1")
    write_map(verdicts(OTHERS, set(), 3.0, relation="r3"), run.ood_evaluation(1))
    write_map(verdicts(TEST, set(), 4.0), run.zero_shot_evaluation(2))
    cost = count_cost(run, 2)
    # Base: map 10 s, test 1 s, levels 5 s. Stages: 7 s and 3 s, each with a map of 20 s and a test of 2 s.
    assert cost.total_seconds == (10 + 1 + 5) + (7 + 20 + 2) + (3 + 20 + 2) + 3 + 4
    seconds = {step.name: step.seconds for step in cost.steps}
    assert (seconds["ood 1"], seconds["zero-shot 2"], seconds["stage 1"]) == (3.0, 4.0, 7.0)
    assert [stage.seconds_per_step for stage in cost.stages] == [1.0, 2 / 6]
