"""What a stage may teach a model to say where it does not know."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gradual.comparison.compare import plan_comparison
from gradual.config.stage import AbstainConfig, StageConfig
from gradual.config.yaml_file import parse_config
from gradual.errors import ConfigError
from gradual.facts.fact import Fact
from gradual.facts.matching import SQUAD, Matching
from gradual.facts.prepare import RunFacts, prepare, prepare_probe
from gradual.facts.refusal_checks import accepted_refusals, check_refusals, taught_refusals

FACTS = (Fact("f1", "r", "Who wrote it?", ("Unknown", "An unknown author")), Fact("f2", "r", "When?", ("1885",)))


def stage(answer: str) -> StageConfig:
    return StageConfig(strategy="all", abstain=AbstainConfig(answer=answer))


def test_a_refusal_that_is_no_answer_passes() -> None:
    check_refusals(
        taught_refusals({"stages[0]": stage("I don't know"), "stages[1]": StageConfig(strategy="all")}), FACTS, SQUAD
    )


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ("unknown.", 'found "unknown.", an accepted answer of fact "f1" - use another text'),
        ("the Unknown author", 'found "the Unknown author", an accepted answer of fact "f1" - use another text'),
        ("...", 'found "...", of which nothing is left when answers are compared'),
    ],
)
def test_a_refusal_that_counts_as_an_answer_is_one_line(answer: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_refusals(taught_refusals({"stages[0]": stage("I don't know"), "stages[1]": stage(answer)}), FACTS, SQUAD)
    assert str(caught.value) == f"stages[1].abstain.answer: expected a text that is no answer, {line}"


def test_refusals_go_by_the_rule_that_the_probe_is_set_to() -> None:
    unicode_rule = Matching("unicode", "en")
    facts = (Fact("f1", "r", "Which language?", ("C++",)), Fact("f2", "r", "Which city?", ("北京",)))
    check_refusals(taught_refusals({"stages[0]": stage("C")}), facts, unicode_rule)
    with pytest.raises(ConfigError, match='an accepted answer of fact "f1"'):
        check_refusals(taught_refusals({"stages[0]": stage("C")}), facts, SQUAD)
    check_refusals(taught_refusals({"stages[0]": stage("北京。")}), facts, SQUAD)
    with pytest.raises(ConfigError, match='an accepted answer of fact "f2"'):
        check_refusals(taught_refusals({"stages[0]": stage("北京。")}), facts, unicode_rule)


def test_refusals_of_the_config_and_of_its_arms_are_checked_with_the_facts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        {"question": f"What is the colour of thing {n}?", "answers": ["No idea" if n == 5 else f"shade {n}"]}
        for n in range(60)
    ]
    Path("facts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    refusing = {"strategy": "all", "abstain": {"answer": "no idea!"}}
    settings = {"model": "m", "facts": "facts.jsonl"}
    for others, path in (
        ({"stages": [{"strategy": "all"}, refusing]}, "stages[1]"),
        ({"compare": {"own_arms": [{"name": "mine", "stages": [refusing]}]}}, "compare.own_arms[0].stages[0]"),
    ):
        with pytest.raises(ConfigError) as caught:
            prepare(parse_config(settings | others))
        assert str(caught.value).startswith(
            f'{path}.abstain.answer: expected a text that is no answer, found "no idea!"'
        )


def test_refusals_of_built_in_arms_are_checked_before_a_model_is_loaded() -> None:
    facts = (Fact("f", "r", "Which song?", ("I Don't Know",)),)
    config = parse_config({"model": "m", "facts": "f", "compare": {"arms": ["one_stage", "abstain_unknown"]}})
    with pytest.raises(ConfigError, match=r'^arm "abstain_unknown": stages\[0\].abstain.answer: .* of fact "f"'):
        plan_comparison(config, RunFacts(facts, (), (), {}, 0, ()))


def test_accepted_refusals_are_no_answers_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError) as caught:
        check_refusals(accepted_refusals("evaluation", ["No idea", "UNKNOWN", "?"]), FACTS, SQUAD)
    assert str(caught.value).splitlines() == [
        'evaluation.refusals[1]: expected a text that is no answer, found "UNKNOWN", an accepted answer of fact "f1" - '
        "use another text",
        'evaluation.refusals[2]: expected a text that is no answer, found "?", of which nothing is left when answers '
        "are compared",
    ]
    monkeypatch.chdir(tmp_path)
    rows = [{"question": f"What is the colour of thing {n}?", "answers": [f"shade {n}"]} for n in range(60)]
    Path("facts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = parse_config({"model": "m", "facts": "facts.jsonl", "evaluation": {"refusals": ["Shade 7"]}})
    with pytest.raises(ConfigError, match=r'^evaluation.refusals\[0\]: .* found "Shade 7"'):
        prepare(config)
    with pytest.raises(ConfigError, match=r'^probe.refusals\[0\]: .* found "Shade 7"'):
        prepare_probe(config.facts, num_shots=2, refusals=["Shade 7"])


def test_what_any_arm_teaches_to_say_is_a_refusal_of_all_arms() -> None:
    facts = (Fact("f", "r", "Which song?", ("Yesterday",)),)
    mine = {"name": "mine", "stages": [{"strategy": "all", "abstain": {"answer": "No idea"}}]}
    compared = {"arms": ["one_stage", "abstain_unknown"], "own_arms": [mine]}
    config = parse_config({"model": "m", "facts": "f", "compare": compared, "evaluation": {"refusals": []}})
    request = plan_comparison(config, RunFacts(facts, (), (), {}, 0, ()))
    assert request.config.evaluation.refusals == ["No idea", "I don't know"]
