"""Which arms there are, and what runs they stand for."""

from __future__ import annotations

from typing import Any

import pytest

from gradual.comparison.arms import ARMS, BASE, check_comparison, resolve_arms
from gradual.config.run import CORE_ARMS, RunConfig
from gradual.config.yaml_file import parse_config
from gradual.errors import ConfigError

FIRST = {"strategy": "maybe_known", "learning_rate": 1e-4}
SECOND = {"strategy": "S5", "learning_rate": 5e-5, "weight_decay": 0.01}


def config(*arms: Any, **compare: Any) -> RunConfig:
    compare["arms"] = [arm for arm in arms if isinstance(arm, str)]
    compare["own_arms"] = [arm for arm in arms if not isinstance(arm, str)]
    return parse_config({"model": "m", "facts": "f", "stages": [FIRST, SECOND], "compare": compare})


def test_every_arm_can_be_run_alone_beside_what_it_is_measured_by() -> None:
    for name, arm in ARMS.items():
        beside = "one_stage" if name == BASE else arm.same_steps_as
        names = [name] if beside is None else [name, beside]
        assert [each.name for each in resolve_arms(config(*names))] == names
        assert arm.doc.endswith(".")


def test_core_arms_are_built_in() -> None:
    assert set(CORE_ARMS) <= set(ARMS)
    assert resolve_arms(config(BASE, "S5"))[0].stages == ()


def test_an_arm_keeps_the_configs_stages_but_for_what_it_says() -> None:
    arm = resolve_arms(config("S2", "no_new_look"))[0]
    assert [stage.strategy for stage in arm.stages] == ["maybe_known", "S2"]
    assert [stage.learning_rate for stage in arm.stages] == [1e-4, 5e-5]
    assert arm.stages[1].weight_decay == 0.01


def test_stages_beyond_the_configs_last_are_like_the_last() -> None:
    (arm,) = resolve_arms(config("three_stages"))
    assert [stage.learning_rate for stage in arm.stages] == [1e-4, 5e-5, 5e-5]


def test_a_choice_of_facts_is_never_mixed_from_two() -> None:
    stages = [{"select": "now == WeaklyKnown", "replay": {"ratio": 0.5}, "as_many_as": "trained"}, SECOND]
    mixed = config("natural_mix").model_copy(
        update={"stages": parse_config({"model": "m", "facts": "f", "stages": stages}).stages}
    )
    strategy = resolve_arms(mixed)[0].stages[0].resolve()
    assert (strategy.select, strategy.replay, strategy.as_many_as) == ("True", None, "now == MaybeKnown")


def test_arms_of_ones_own_need_no_code() -> None:
    own = {"name": "mine", "stages": [{}, {"select": "promoted", "learning_rate": 1e-3}], "same_steps_as": "S5"}
    mine = resolve_arms(config("S5", own))[1]
    assert (mine.stages[0].strategy, mine.stages[1].strategy) == ("maybe_known", None)
    assert (mine.stages[1].select, mine.stages[1].learning_rate, mine.same_steps_as) == ("promoted", 1e-3, "S5")


def test_names_may_be_given_beside_the_config() -> None:
    assert [arm.name for arm in resolve_arms(config("S5"), ["base", "S1"])] == ["base", "S1"]


@pytest.mark.parametrize(
    ("arms", "line"),
    [
        (["S9x"], 'compare.arms: unknown arm "S9x"; expected one of base, one_stage, '),
        (["one_stag"], "compare.arms: unknown arm \"one_stag\"; did you mean 'one_stage'?"),
        (["S5", "S5"], 'compare.arms: "S5" occurs twice; give each arm a name of its own'),
        (
            ["same_steps"],
            'compare.arms: "same_steps": takes as many steps as "S5", which is not among the arms; add it',
        ),
        (["base"], 'compare.arms: "base" alone trains nothing; add an arm, such as one_stage'),
        (
            [{"name": "like_zz", "stages": [{}], "same_steps_as": "zz"}],
            'compare.arms: "like_zz": same_steps_as: unknown arm "zz"; expected one of one_stage, natural_mix, ',
        ),
        (
            ["S5", {"name": "both", "stages": [{}], "same_steps_as": "S5", "max_stages": 3}],
            'compare.arms: "both": has both max_stages and same_steps_as; leave one of the two out',
        ),
        (
            [{"name": "capped", "stages": [{}, {}], "max_stages": 1}],
            'compare.arms: "capped": has 2 stages, and max_stages is 1; raise it',
        ),
        (
            [{"name": "s5", "stages": [{}]}],
            'compare.own_arms: "s5" differs from "S5" in case alone; give it another name',
        ),
        (
            ["S5", {"name": "circle", "stages": [{}], "same_steps_as": "circle"}],
            'compare.arms: "circle": takes as many steps as itself; name another arm',
        ),
        ([{"name": "empty"}], 'compare.arms: "empty": has no stages; give at least one'),
        (
            ["S5", {"name": "as_base", "stages": [{}], "same_steps_as": "base"}, "base"],
            'compare.arms: "as_base": takes as many steps as "base", which has no number of its own; name another arm',
        ),
        (
            ["S5", "same_steps", {"name": "chain", "stages": [{}], "same_steps_as": "same_steps"}],
            'compare.arms: "chain": takes as many steps as "same_steps", which has no number of its own; name another',
        ),
        (
            [{"name": "base", "stages": [{}]}],
            'compare.own_arms: "base" is a built-in arm; give yours another name',
        ),
        (
            [{"name": "late", "stages": [{"select": "trained"}]}],
            'compare.arms: "late": stages[0]: `trained` can match no fact in the first stage',
        ),
    ],
)
def test_what_cannot_be_is_said_in_one_line(arms: list[Any], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_arms(config(*arms))
    (found,) = str(caught.value).splitlines()
    assert found.startswith(line)


def test_two_arms_of_ones_own_with_one_name_are_refused() -> None:
    mine = {"name": "mine", "stages": [{}]}
    for names in (None, ["mine"]):
        with pytest.raises(ConfigError, match=r'^compare\.own_arms: "mine" occurs twice'):
            resolve_arms(config(mine, mine), names)


def test_an_arm_of_ones_own_takes_no_built_in_arms_place() -> None:
    with pytest.raises(ConfigError, match=r'^compare\.own_arms: "S5" is a built-in arm'):
        resolve_arms(config({"name": "S5", "stages": [{}]}), ["base", "S5"])


def test_an_arm_of_ones_own_that_is_listed_as_well_is_refused() -> None:
    with pytest.raises(ConfigError, match=r'^compare\.arms: "mine" occurs twice'):
        resolve_arms(config("mine", {"name": "mine", "stages": [{}]}))


def test_a_comparison_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^compare\.arms: expected at least one arm, found none"):
        resolve_arms(config(), [])


def test_an_arm_that_is_asked_about_must_exist() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_arms(config("S5", main="S55", reference="one_stag"))
    assert [line.split(";")[0] for line in str(caught.value).splitlines()] == [
        'compare.main: unknown arm "S55"',
        'compare.reference: unknown arm "one_stag"',
    ]


def test_rounds_need_a_retest_to_end_by() -> None:
    with pytest.raises(ConfigError, match=r'"rounds": goes on until .* set compare\.num_retested to more than 0'):
        resolve_arms(config("rounds", num_retested=0))


def test_an_arm_with_the_configs_own_strategy_keeps_its_options() -> None:
    guarded = parse_config({"model": "m", "facts": "f", "stages": [FIRST, SECOND | {"max_unknown_share": 0.3}]})
    s5, s2 = resolve_arms(guarded, ["S5", "S2"])
    assert (s5.stages[1].max_unknown_share, s2.stages[1].max_unknown_share) == (0.3, None)


def test_a_strategy_that_does_not_exist_is_named_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"compare\.own_arms\[0\]\.stages\[0\]\.strategy: unknown strategy \"S7\""):
        config({"name": "mine", "stages": [{"strategy": "S7"}]})


def test_tests_that_cannot_be_made_are_told() -> None:
    few = config("base", "S5", num_seeds=1)
    assert check_comparison(resolve_arms(few), few.compare) == [
        '"same_steps" (compare.reference) is not among the arms, so nothing is held against it; add it, or set '
        "compare.reference to one that is",
        "one seed: differences that training alone makes cannot be told from those of the arms",
    ]
    enough = config("same_steps", "S5")
    assert check_comparison(resolve_arms(enough), enough.compare) == []


def test_an_arm_held_against_itself_is_told() -> None:
    same = config("same_steps", "S5", main="S5", reference="S5")
    assert check_comparison(resolve_arms(same), same.compare) == [
        '"S5" is both compare.main and compare.reference; it is not held against itself'
    ]


def test_no_question_is_asked_about_what_trains_nothing() -> None:
    with pytest.raises(
        ConfigError,
        match=r'^compare\.main: "base" trains nothing, and every arm is held against it anyway; name another',
    ):
        resolve_arms(config("base", "S5", main="base"))


def test_an_arm_of_ones_own_that_is_left_out_is_told() -> None:
    mine = config("same_steps", "S5", {"name": "mine", "stages": [{}]})
    assert check_comparison(resolve_arms(mine, ["same_steps", "S5"]), mine.compare) == [
        '"mine" (compare.own_arms) is left out, as the arms named do not include it'
    ]
