"""Scores on other people's tasks: read from the harness's results, kept, summed up and told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gradual.config.run import EvaluationConfig
from gradual.config.yaml_file import parse_config
from gradual.errors import ConfigError, ModelError
from gradual.facts.prepare import RunFacts
from gradual.knowledge.map import Cost
from gradual.preparation import prepare_run
from gradual.reporting.run_transfer import benchmarks_table, what_else_changed
from gradual.run.cost import count_cost
from gradual.run.folder import RunDir
from gradual.run.measures.benchmarks import (
    ScoresFile,
    TaskScore,
    benchmark_fingerprint,
    check_benchmarks,
    scores_of,
    write_scores,
)
from gradual.run.steps import planned_steps
from gradual.run.summary.side_effects import benchmarks_of_run
from gradual.run.summary.summary_file import Summary

RESULTS = {
    "results": {
        "mmlu": {"alias": "mmlu", "acc,none": 0.5, "acc_stderr,none": 0.1},
        "mmlu_law": {"alias": " - law", "acc,none": 0.4, "acc_stderr,none": 0.2},
        "gsm8k": {
            "alias": "gsm8k",
            "sample_len": 8,
            "exact_match,strict-match": 0.25,
            "exact_match_stderr,strict-match": "N/A",
        },
    },
    "group_subtasks": {"mmlu": ["mmlu_law"]},
    "higher_is_better": {"mmlu": {"acc": True}, "gsm8k": {"exact_match": True}},
    "n-samples": {"mmlu_law": {"original": 20, "effective": 8}, "gsm8k": {"original": 99, "effective": 8}},
}
"""In the harness's form: a group with a number of its own, a task of it, and a task with a filter and no error."""


def test_numbers_are_those_of_tasks_and_of_groups_in_place_of_their_tasks() -> None:
    assert scores_of(RESULTS) == [
        TaskScore(task="mmlu", metric="acc", value=0.5, standard_error=0.1, higher_is_better=True),
        TaskScore(task="gsm8k", metric="exact_match,strict-match", value=0.25, higher_is_better=True, num_examples=8),
    ]
    of_tag = RESULTS["results"] | {"mmlu": {"alias": "mmlu"}}  # a group that sums nothing up: its tasks are told
    assert [score.task for score in scores_of(RESULTS | {"results": of_tag})] == ["mmlu_law", "gsm8k"]


def test_scores_before_and_after_stand_in_the_summary_and_in_the_report(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    assert benchmarks_of_run(run, 1) is None
    for stage, value in ((0, 0.5), (1, 0.25), (2, 0.375)):
        score = TaskScore(task="mmlu", metric="acc", value=value, standard_error=0.125, num_examples=16)
        write_scores(run, stage, ScoresFile(scores=[score]), Cost(seconds=2.0 + stage))
    found = benchmarks_of_run(run, 2)
    assert found is not None
    assert [(each.stage, each.scores[0].value) for each in found] == [(0, 0.5), (1, 0.25), (2, 0.375)]
    summary = Summary(benchmarks=found)
    assert [[cell.text for cell in row] for row in benchmarks_table(summary).rows] == [
        ["mmlu", "acc", "16", "0.5000 ± 0.1250", "0.3750 ± 0.1250", "\N{MINUS SIGN}0.1250"]
    ]
    assert what_else_changed(summary) == "On other tasks: mmlu (acc) from 0.500 to 0.375."
    assert benchmarks_table(Summary(benchmarks=found[:1])).rows == ()
    costs = [(step.name, step.seconds) for step in count_cost(run, 2).steps]
    assert costs == [("lm-eval 0", 2.0), ("lm-eval 1", 3.0), ("lm-eval 2", 4.0)]


def test_tasks_are_scored_before_the_first_stage_and_after_each() -> None:
    config = parse_config({"model": "m", "facts": "f", "evaluation": {"lm_eval": ["hellaswag"]}})
    names = [step.name for step in planned_steps(config, RunFacts((), (), (), {}, 0, ()))]
    assert [name for name in names if name.startswith("lm_eval")] == ["lm_eval-0", "lm_eval-1", "lm_eval-2"]
    assert names.index("lm_eval-0") < names.index("stage-1") < names.index("lm_eval-1") < names.index("stage-2")


def test_tasks_of_ones_own_are_code_and_need_trust(tmp_path: Path) -> None:
    def check(folder: Path, *, trust: bool) -> None:
        section = {"lm_eval": ["mine"], "lm_eval_tasks": str(folder)}
        trusted = ["model.trust_remote_code=true"] if trust else []
        check_benchmarks(parse_config({"model": "m", "facts": "f", "evaluation": section}, trusted))

    with pytest.raises(ConfigError, match=r"tasks are code.* give --trust-remote-code if you trust them"):
        check(tmp_path, trust=False)
    with pytest.raises(ConfigError, match=re.escape(f"expected a folder with tasks (YAML), found none at {tmp_path}")):
        check(tmp_path / "none", trust=True)
    check_benchmarks(parse_config({"model": "m", "facts": "f"}))  # without tasks nothing is looked for


def test_a_run_that_names_tasks_needs_the_harness_and_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradual.environment.util.find_spec", lambda name: None if name == "lm_eval" else object())
    config = parse_config({"model": "smollm2", "facts": str(tmp_path / "f"), "evaluation": {"lm_eval": ["hellaswag"]}})
    with pytest.raises(ModelError, match=r"found no lm_eval - pip install 'gradual-learning\[lm-eval\]'"):
        prepare_run(config)


def test_other_files_of_a_task_are_another_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradual.run.measures.benchmarks.metadata.version", lambda name: f"{name} 1")
    evaluation = EvaluationConfig(lm_eval=["mine"], lm_eval_tasks=str(tmp_path))
    (tmp_path / "mine.yaml").write_text("task: mine")
    before = benchmark_fingerprint(evaluation)
    assert before["version.lm_eval"] == "lm_eval 1"
    (tmp_path / "mine.yaml").write_text("task: other")
    assert benchmark_fingerprint(evaluation)["lm_eval_tasks.digest"] != before["lm_eval_tasks.digest"]
    assert benchmark_fingerprint(EvaluationConfig()) == {}
