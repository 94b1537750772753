"""A whole run on a tiny random model: made, interrupted, continued, refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import gradual
from gradual.cli.app import app
from gradual.config.run import RunConfig
from gradual.config.yaml_file import parse_config
from gradual.errors import ConfigError, RunDirError
from gradual.files import storage
from gradual.knowledge.map import read_map
from gradual.probing.check import Check
from gradual.progress import Advance, Silent
from gradual.run.folder import RunDir
from gradual.testing import toy_facts

pytestmark = pytest.mark.tiny


@pytest.fixture(scope="module")
def facts_file(tmp_path_factory: pytest.TempPathFactory, toys_writer: Callable[[Path, int, int], Path]) -> Path:
    return toys_writer(tmp_path_factory.mktemp("facts") / "toys.jsonl", 2, 40)


def make_config(model: Path, facts: Path, /, **changes: Any) -> RunConfig:
    settings: dict[str, Any] = {
        "model": {"name_or_path": str(model), "dtype": "float32", "device": "cpu"},
        "facts": {"path": str(facts), "splits": {"exemplars_per_relation": 6}},
        "probe": {"num_exemplar_sets": 2, "num_shots": 2, "max_new_tokens": 4, "tolerance": 0.1},
        "lora": {"r": 4, "lora_dropout": 0.1},
        "stages": [
            {"strategy": "all", "learning_rate": 0.01, "num_train_epochs": 2, "num_shots": 2, "batch_size": 8},
            {
                "select": "now <= MaybeKnown",
                "replay": {"pool": "trained", "ratio": 0.2, "of": "mixture"},
                "learning_rate": 0.005,
                "num_train_epochs": 1,
                "num_shots": 2,
            },
        ],
    }
    return parse_config(settings | changes)


def results(run: Path) -> dict[str, bytes]:
    """What must be the same however often a run was interrupted: maps, selections and adapters."""
    kept = ("*.parquet", "adapter_model.safetensors")
    return {str(path.relative_to(run)): path.read_bytes() for name in kept for path in sorted(run.rglob(name))}


@pytest.fixture(scope="module")
def unbroken(tiny_folder: Path, facts_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    gradual.fit(make_config(tiny_folder, facts_file), folder)
    return folder


def test_a_run_leaves_everything_behind(unbroken: Path) -> None:
    run = RunDir(unbroken)
    assert run.status == "complete"
    summary = storage.read_json(run.summary)
    train = summary["num_facts"]["train"]
    assert [sum(levels.values()) for levels in summary["levels"]] == [train] * 3
    assert summary["stages"][0]["num_new"] == train
    assert [epoch["epoch"] for epoch in summary["stages"][0]["epochs"]] == [0, 1, 2]
    assert (
        summary["stages"][1]["num_replay"] + summary["stages"][1]["replay_shortfall"]
        == summary["stages"][1]["replay_wanted"]
    )
    assert [row["total"] for row in summary["test_accuracy"]] == [summary["num_facts"]["test"]] * 3
    for epoch in storage.read_json_lines(run.epochs(2)):
        verdicts = str(epoch["verdicts"])
        assert len(verdicts) == summary["num_facts"]["validation"]
        assert epoch["eval_accuracy"] == verdicts.count("1") / len(verdicts)
    assert gradual.report(unbroken).is_file()


def test_the_next_probe_sees_the_trained_weights(unbroken: Path) -> None:
    run = RunDir(unbroken)
    before, after = read_map(run.probe(0)), read_map(run.probe(1))
    assert sum(after[fact.id].greedy_answer != fact.greedy_answer for fact in before) > len(before) / 2


def test_the_adapter_loads_with_peft(unbroken: Path, tiny_folder: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny_folder)
    model = PeftModel.from_pretrained(base, str(RunDir(unbroken).adapter(2)))
    assert model.peft_config["default"].base_model_name_or_path == str(tiny_folder)


class _Interrupting:
    """Stops the run after a number of units of work, wherever that is."""

    def __init__(self, units: int) -> None:
        self.left = units

    @contextmanager
    def bar(self, name: str, total: int, unit: str) -> Iterator[Advance]:
        def advance(count: int) -> None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

        yield advance

    def say(self, text: str) -> None:
        pass


def test_an_interrupted_run_goes_on_and_ends_the_same(
    unbroken: Path, tiny_folder: Path, facts_file: Path, tmp_path: Path
) -> None:
    config, folder = make_config(tiny_folder, facts_file), tmp_path / "run"
    interruptions = 0
    for units in (1, 4, 5, 6, 7):
        try:
            gradual.fit(config, folder, progress=_Interrupting(units))
        except KeyboardInterrupt:
            interruptions += 1
    gradual.fit(config, folder)
    assert interruptions >= 4
    assert results(folder) == results(unbroken)
    epochs = storage.read_json_lines(RunDir(folder).epochs(1))
    assert [epoch["epoch"] for epoch in epochs] == [0, 1, 2]


def test_other_settings_are_refused_by_name(unbroken: Path, tiny_folder: Path, facts_file: Path) -> None:
    with pytest.raises(RunDirError, match=r"seed"):
        gradual.fit(make_config(tiny_folder, facts_file, seed=7), unbroken)


def test_a_run_with_nothing_to_train_on_ends_in_order(tiny_folder: Path, facts_file: Path, tmp_path: Path) -> None:
    config = make_config(tiny_folder, facts_file, stages=[{"strategy": "highly_known"}])
    run = gradual.fit(config, tmp_path / "run")
    assert run.status == "nothing_to_train"
    assert "no fact" in gradual.report(run.path).read_text().lower() or run.summary.is_file()


def test_a_plan_trains_nothing_and_counts_what_is_known(unbroken: Path, tiny_folder: Path, facts_file: Path) -> None:
    config = make_config(tiny_folder, facts_file)
    before = results(unbroken)
    fresh, informed = gradual.plan(config), gradual.plan(config, unbroken)
    assert results(unbroken) == before
    assert [stage.is_estimate for stage in fresh.stages] == [False, True] or fresh.stages[0].is_estimate
    assert [stage.is_estimate for stage in informed.stages] == [False, False]
    summary = storage.read_json(RunDir(unbroken).summary)
    assert [stage.num_facts for stage in informed.stages] == [
        stage["num_new"] + stage["num_replay"] for stage in summary["stages"]
    ]
    supervised = [line.text for line in fresh.training_example if line.has_loss]
    assert supervised[-1] == "\n"
    assert "".join(supervised).strip() in {fact.answers[0] for fact in toy_facts(2, 40)}


def test_a_plan_counts_the_probes_of_other_relations_and_without_shots(
    tiny_folder: Path, tmp_path: Path, toys_writer: Callable[[Path, int, int], Path]
) -> None:
    facts = {
        "path": str(toys_writer(tmp_path / "toys.jsonl", 3, 20)),
        "relations": ["toy-0", "toy-1"],
        "splits": {"exemplars_per_relation": 6, "max_test_per_relation": 3},
    }
    plain = gradual.plan(make_config(tiny_folder, tmp_path, facts=facts))
    others = {"facts": facts | {"out_of_distribution": ["toy-2"]}, "evaluation": {"transfer": ["zero_shot"]}}
    more = gradual.plan(make_config(tiny_folder, tmp_path, **others))
    assert more.num_facts == plain.num_facts
    # 3 facts of toy-2, and test and training facts without shots, under one set each, before training and after both
    # stages; and the 3 once under both sets, for their levels at the start.
    asked = 3 + plain.num_facts["test"] + plain.num_facts["train"]
    assert more.disk_bytes - plain.disk_bytes == 24 * (3 * asked + 3 * 2)
    assert more.probe_tokens > plain.probe_tokens + 3 * asked


def test_the_tiny_model_passes_the_check_against_sampling(tiny_folder: Path, facts_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "map"
    gradual.probe(str(tiny_folder), facts_file, out=out, limit=24, num_checked=4, settings=gradual_settings())
    assert storage.read_json(out / "check.json")["is_passed"]


def test_a_check_that_disagrees_ends_with_exit_code_1(
    tiny_folder: Path, facts_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--model", str(tiny_folder), "--facts", str(facts_file), "--limit", "4", "--check", "2"]
    options += ["--set", "probe.num_exemplar_sets=2", "--set", "probe.num_shots=2", "--set", "probe.max_new_tokens=4"]
    agreeing = CliRunner().invoke(app, ["probe", *options, "--out", str(tmp_path / "agreeing")])
    assert agreeing.exit_code == 0, agreeing.output
    monkeypatch.setattr(Check, "is_passed", property(lambda check: False))
    disagreeing = CliRunner().invoke(app, ["probe", *options, "--out", str(tmp_path / "disagreeing")])
    assert disagreeing.exit_code == 1
    assert "THE TWO METHODS DISAGREE" in disagreeing.output


def gradual_settings() -> Any:
    from gradual.config.run import ProbeConfig

    return ProbeConfig(num_exemplar_sets=3, num_shots=2, max_new_tokens=4)


def test_the_first_stage_may_not_ask_for_what_cannot_be() -> None:
    with pytest.raises(ConfigError, match="can match no fact in the first stage"):
        parse_config({"model": {"name_or_path": "x"}, "facts": {"path": "y"}, "stages": [{"strategy": "S1"}]})


class _Listening(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_a_model_that_reads_no_trees_is_probed_and_trained_slower_and_says_so(
    treeless_folders: dict[str, Path], facts_file: Path, tmp_path: Path
) -> None:
    splits = {f"max_{part}_per_relation": 6 for part in ("train", "validation", "test")}
    changes = {
        "facts": {"path": str(facts_file), "splits": {"exemplars_per_relation": 6, **splits}},
        "probe": {"num_exemplar_sets": 2, "num_shots": 2, "max_new_tokens": 2, "tolerance": 0.1},
        "stages": [{"strategy": "all", "learning_rate": 0.01, "num_train_epochs": 1, "num_shots": 2, "batch_size": 8}],
    }
    config, heard = make_config(treeless_folders["bloom"], facts_file, **changes), _Listening()
    run = gradual.fit(config, tmp_path / "run", progress=heard)
    warning = "this architecture (bloom) does not take tree masks: questions are read one by one, slower"
    assert [line for line in heard.lines if "bloom)" in line] == [f"warning: {warning}"]
    assert run.status == "complete"
    summary = storage.read_json(run.summary)
    trained, epochs = summary["stages"][0]["num_new"], summary["stages"][0]["epochs"]
    assert [epoch["steps"] for epoch in epochs] == [0, -(-trained // 8)]
    before, after = read_map(run.probe(0)), read_map(run.probe(1))
    right = [sum(answer.p for fact in known for answer in fact.sets) for known in (before, after)]
    assert right[1] > right[0]

    plan = gradual.plan(config)
    assert warning in plan.warnings
    assert plan.stages[0].max_steps == epochs[1]["steps"]

    heard = _Listening()
    gradual.probe(config.model, facts_file, settings=config.probe, limit=4, progress=heard)
    assert heard.lines.count(f"warning: {warning}") == 1
