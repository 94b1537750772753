"""What the recipes come to for a config."""

from __future__ import annotations

from gradual.config.run import RunConfig
from gradual.config.stage import check_stages
from gradual.config.yaml_file import parse_config
from gradual.tuning.ladder import first_candidates, second_candidates

SECOND = {"strategy": "S5", "learning_rate": 6e-5, "weight_decay": 0.01}


def config(*stages: dict[str, object]) -> RunConfig:
    return parse_config({"model": "m", "facts": "f", "stages": list(stages)})


USUAL = config({"strategy": "maybe_known", "learning_rate": 3e-4, "max_steps": 50}, SECOND)


def test_recipes_are_the_configs_stages_but_for_what_they_say() -> None:
    found = {each.name: each.stages for each in first_candidates(USUAL, "accuracy")}
    assert list(found) == [
        "as_configured", "all_facts", "low_rate", "all_facts_low_rate", "own_answers", "replay", "kl_anchor",
    ]  # fmt: skip
    assert all(len(stages) == 1 for stages in found.values())
    strategies = [stages[0].strategy for stages in found.values()]
    assert strategies == ["maybe_known", "all", "maybe_known", "all", *["maybe_known"] * 3]
    assert [stages[0].learning_rate for stages in found.values()] == [3e-4, 3e-4, 1e-4, 1e-4, 3e-4, 3e-4, 3e-4]
    assert {stages[0].max_steps for stages in found.values()} == {None}  # rungs are counted in epochs


def test_second_stages_stand_on_the_best_first_one() -> None:
    first = first_candidates(USUAL, "accuracy")[1]
    found = second_candidates(USUAL, "accuracy", first)
    # S5 is what the config has already.
    assert [each.name for each in found] == [
        "all_facts_then_as_configured",
        "all_facts_then_S5_low_rate",
        "all_facts_then_maybe_and_weakly_known",
        "all_facts_then_S4",
    ]
    assert all(each.stages[0] == first.stages[0] for each in found)
    assert [each.stages[1].learning_rate for each in found] == [6e-5, 2e-5, 6e-5, 6e-5]
    assert {each.stages[1].weight_decay for each in found} == {0.01}


def test_a_config_of_one_stage_has_second_ones_like_it() -> None:
    alone = config({"strategy": "maybe_known", "learning_rate": 3e-4})
    found = second_candidates(alone, "accuracy", first_candidates(alone, "accuracy")[0])
    assert found[0].name == "as_configured_then_S5"
    assert found[0].stages[1].learning_rate == 3e-4


def test_the_goal_says_which_epoch_is_kept_and_whether_to_abstain() -> None:
    accurate, sure = (first_candidates(USUAL, goal) for goal in ("accuracy", "few_confident_errors"))
    assert {each.stages[0].keep_epoch for each in accurate} == {"best_accuracy"}
    assert {each.stages[0].keep_epoch for each in sure} == {"best_risk_coverage"}
    assert [each.name for each in accurate if each.stages[0].abstain] == []
    assert [each.name for each in sure if each.stages[0].abstain] == ["abstain"]


def test_recipes_that_come_to_the_same_are_tried_once() -> None:
    every = config({"strategy": "all"}, SECOND)
    names = [each.name for each in first_candidates(every, "accuracy")]
    assert "all_facts" not in names
    assert "all_facts_low_rate" not in names


def test_every_recipe_can_choose_facts() -> None:
    for goal in ("accuracy", "few_confident_errors", "none_lost"):
        for first in first_candidates(USUAL, goal):
            check_stages(first.stages)
            for second in second_candidates(USUAL, goal, first):
                check_stages(second.stages)
