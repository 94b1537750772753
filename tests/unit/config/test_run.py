"""The settings: every one documented, settable alone, and checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import pytest
from pydantic import BaseModel, ValidationError

from gradual.config.base import settings_that_matter
from gradual.config.model import ModelConfig
from gradual.config.run import FactsConfig, ProbeConfig, RunConfig, SplitsConfig, evaluation_settings
from gradual.config.stage import ReplayConfig, StageConfig
from gradual.selection.strategies import Replay


def sections(model: type[BaseModel] = RunConfig) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from sections(kind)


FIELDS = sorted({(section.__name__, name) for section in sections() for name in section.model_fields})
BY_NAME = {section.__name__: section for section in sections()}


def run_config(**parts: object) -> RunConfig:
    return RunConfig.model_validate({"model": {"name_or_path": "m"}, "facts": {"path": "f"}, **parts})


@pytest.mark.parametrize(("section", "name"), FIELDS)
def test_every_field_says_what_it_does(section: str, name: str) -> None:
    description = BY_NAME[section].model_fields[name].description
    assert description is not None
    assert description.strip().endswith((".", ")"))


def test_every_section_is_found() -> None:
    assert len(BY_NAME) == 17
    assert all(section.__doc__ for section in BY_NAME.values())


def test_defaults_are_the_papers_method() -> None:
    config = run_config()
    first, second = (stage.resolve() for stage in config.stages)
    assert (first.select, first.replay) == ("now == MaybeKnown", None)
    assert (second.select, second.replay) == ("now == MaybeKnown", Replay("now == HighlyKnown", 0.2, "new"))
    assert (config.stages[1].learning_rate, config.stages[1].weight_decay) == (1.5e-4, 0.01)
    assert (config.probe.num_exemplar_sets, config.probe.num_shots, config.probe.num_samples) == (10, 4, 16)
    assert (config.probe.temperature, config.probe.top_k, config.seed) == (0.5, 40, 42)


def test_stage_overrides_its_strategy_in_parts() -> None:
    stage = StageConfig(strategy="S5", select="promoted", replay=ReplayConfig(ratio=0.0))
    strategy = stage.resolve()
    assert (strategy.name, strategy.select) == ("S5 (modified)", "promoted")
    assert strategy.replay == Replay("now == HighlyKnown", 0.0, "new")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"stages": [{"strategy": "maybe_knwon"}]}, "did you mean 'maybe_known'"),
        ({"stages": [{"select": "now == MaybeKnwon"}]}, "did you mean 'MaybeKnown'"),
        ({"stages": [{"strategy": "S5", "replay": {"pool": "now"}}]}, "is a level, not a condition"),
        ({"stages": [{"select": "now == Unknown and now == MaybeKnown"}]}, "contradicts itself"),
        ({"stages": [{"strategy": "S1"}]}, r"stages\[0\]: `trained` can match no fact in the first stage"),
        ({"stages": [{"strategy": "all"}, {}]}, r"stages\[1\]: expected `strategy` .* or `select`, found neither"),
        ({"stages": []}, "at least 1 item"),
        (
            {"stages": [{"strategy": "unknown", "max_unknown_share": 0.5}]},
            r"stages\[0\].max_unknown_share: `now == Unknown` matches only Unknown facts, so none would be left",
        ),
        (
            {"probe": {"confidence": True, "method": "sampled"}},
            "confidence: true needs .* found method: sampled",
        ),
        ({"probe": {"confidence": True, "levels_only": True}}, "confidence: true needs .* found .*levels_only: true"),
        ({"probe": {"confidence": True, "greedy_answers": "none"}}, "confidence: true needs .* greedy_answers: none"),
        ({"probe": {"refusals": ["No idea"], "method": "sampled"}}, "refusals need .* found method: sampled"),
        ({"probe": {"refusals": ["No idea"], "levels_only": True}}, "refusals need .*found .*levels_only: true"),
        ({"facts": {"path": "f", "splits": {"validation": 0.6, "test": 0.4}}}, "leave nothing to train on"),
        ({"model": {"name_or_path": ""}}, "at least 1 character"),
        ({"seed": "42"}, "valid integer"),
        ({"seed": True}, "valid integer"),
        ({"probe": {"num_shots": 4.0}}, "valid integer"),
        ({"probe": {"temperature": float("nan")}}, "finite"),
        ({"sead": 1}, "Extra inputs"),
    ],
)
def test_contradictions_are_refused(parts: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        run_config(**parts)


def test_an_evaluation_counts_as_refusals_what_is_accepted_and_what_a_stage_teaches() -> None:
    taught = {"strategy": "all", "abstain": {"answer": "No idea"}}
    default, own = run_config(stages=[taught, taught]), run_config(stages=[taught], evaluation={"refusals": []})
    assert evaluation_settings(default).refusals == ["I don't know", "I do not know", "No idea"]
    assert evaluation_settings(own).refusals == ["No idea"]
    assert evaluation_settings(run_config(evaluation={"refusals": []})).refusals == []
    assert default.probe.refusals == []


def test_unknown_facts_may_be_limited_where_others_are_replayed() -> None:
    settings = {"strategy": "unknown", "max_unknown_share": 0.5, "replay": {"ratio": 0.5}}
    assert StageConfig.model_validate(settings).max_unknown_share == 0.5


def test_test_facts_are_asked_for_confidence_and_training_facts_are_not_unless_told_otherwise() -> None:
    plain, turned = run_config(), run_config(probe={"confidence": True}, evaluation={"confidence": False})
    assert (plain.probe.confidence, evaluation_settings(plain).confidence) == (False, True)
    assert (turned.probe.confidence, evaluation_settings(turned).confidence) == (True, False)


def test_what_is_kept_of_a_probe_names_confidence_only_where_it_is_asked() -> None:
    assert "confidence" not in settings_that_matter(ProbeConfig())
    assert settings_that_matter(ProbeConfig(confidence=True)) == settings_that_matter(ProbeConfig()) | {
        "confidence": True
    }


def test_settings_that_are_gone_may_stand_where_they_changed_nothing() -> None:
    stage: dict[str, object] = {"strategy": "S5", "replay": {"ratio": 0.1}}
    former = stage | {"placement": "mixed", "weighting": "none", "replay": {"ratio": 0.1, "choose": "random"}}
    old = run_config(stages=[former], compare={"own_arms": [{"name": "mine", "stages": [former]}]})
    assert old == run_config(stages=[stage], compare={"own_arms": [{"name": "mine", "stages": [stage]}]})
    with pytest.raises(ValidationError, match="`placement: end`, `weighting: p`: removed, as it helped nowhere"):
        run_config(stages=[former | {"placement": "end", "weighting": "p"}])


def test_what_folders_were_made_with_names_the_settings_that_are_gone_as_ever() -> None:
    config = run_config(
        stages=[{"strategy": "all"}, {"strategy": "S5", "replay": {"ratio": 0.1}}],
        compare={"own_arms": [{"name": "mine", "stages": [{"strategy": "S5"}]}]},
    )
    settings = settings_that_matter(config, leave_out=("compare",))
    assert {name: value for name, value in settings.items() if name.endswith(("placement", "weighting", "choose"))} == {
        "stages.0.placement": "mixed",
        "stages.0.weighting": "none",
        "stages.1.placement": "mixed",
        "stages.1.weighting": "none",
        "stages.1.replay.choose": "random",
    }
    assert settings_that_matter(config.stages[1])["replay.choose"] == "random"
    assert not any(name.startswith("compare") for name in settings)


def test_whole_numbers_are_numbers() -> None:
    assert run_config(lora={"lora_alpha": 16}).lora.lora_alpha == 16.0


def test_settings_do_not_change() -> None:
    config = RunConfig(model=ModelConfig(name_or_path="m"), facts=FactsConfig(path="f"))
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 1
    assert SplitsConfig() == SplitsConfig()
