"""A whole tuning on a tiny random model: halving, the run it ends in, and going on after a kill."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from gradual import afterwards
from gradual.cli.results import tuning_parts, tuning_result
from gradual.config.run import RunConfig
from gradual.config.yaml_file import load_config, parse_config
from gradual.errors import RunDirError
from gradual.exporting.chosen import choose_adapter
from gradual.facts.prepare import prepare
from gradual.progress import Silent
from gradual.reporting.table import Table
from gradual.run import checks, pipeline
from gradual.run.folder import RunDir
from gradual.run.stage_files import read_epochs
from gradual.tuning import ladder
from gradual.tuning.record import TuningFile, read_tuning
from gradual.tuning.tune import TuneRequest, tune

pytestmark = pytest.mark.tiny


class KillError(BaseException):
    """Nobody catches it."""


@contextmanager
def shorter_ladder() -> Iterator[None]:
    """Three recipes of one stage, of which two are halved away, and one of two."""
    firsts = [each for each in ladder.FIRST_STAGES if each.name in ("as_configured", "low_rate", "abstain")]
    with patch.multiple(ladder, FIRST_STAGES=firsts, SECOND_STAGES=ladder.SECOND_STAGES[:1]):
        yield


def tuned(config: RunConfig, out: Path) -> TuningFile:
    with shorter_ladder():
        return tune(TuneRequest(config, prepare(config), "few_confident_errors", budget=36_000.0), out)


@pytest.fixture(scope="module")
def config(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory, toys_writer: Any) -> RunConfig:
    facts: Callable[[Path, int, int], Path] = toys_writer
    stage = {"num_shots": 1, "batch_size": 8, "learning_rate": 0.01, "warmup_steps": 0}
    return parse_config(
        {
            "model": {"name_or_path": str(tiny_folder), "dtype": "float32", "device": "cpu"},
            "facts": {
                "path": str(facts(tmp_path_factory.mktemp("facts") / "toys.jsonl", 2, 12)),
                "splits": {"exemplars_per_relation": 2},
            },
            "probe": {"num_exemplar_sets": 1, "num_shots": 1, "max_new_tokens": 2, "tolerance": 0.1},
            "lora": {"r": 4},
            "evaluation": {"drift": False},
            "stages": [
                {"strategy": "all", "num_train_epochs": 3, **stage},
                {"select": "trained", "num_train_epochs": 1, **stage},
            ],
        }
    )


@pytest.fixture(scope="module")
def whole(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tune") / "whole"
    tuned(config, out)
    return out


def record(folder: Path) -> TuningFile:
    found = read_tuning(folder)
    assert found is not None
    return found


def choice(folder: Path) -> dict[str, Any]:
    """The record without what depends on the clock."""
    data: dict[str, Any] = json.loads(json.dumps(record(folder).as_json()))
    del data["seconds"], data["estimated_seconds"]
    for each in data["results"]:
        del each["seconds"]
    return data


def test_recipes_are_halved_and_the_best_becomes_a_run(whole: Path) -> None:
    found = record(whole)
    assert [each.name for each in found.results][:4] == ["base", "as_configured", "low_rate", "abstain"]
    # One epoch for all three, two more for two of them; then one epoch of a second stage on the best.
    assert sorted(each.epochs for each in found.results[1:4]) == [1, 3, 3]
    assert [each.epochs for each in found.results[4:]] == [1]
    assert all(each.area is not None for each in found.results)
    assert [each.is_finalist for each in found.results[1:]].count(True) == 3
    best = found.result(found.best)
    assert RunDir(whole).status == "complete"
    assert len(list((whole / "stages").iterdir())) == best.stage
    assert read_epochs(RunDir(whole), best.stage)[-1].epoch == best.epochs
    assert "How the recipe of this run was chosen" in afterwards.report(whole).read_text()
    assert next(part.title for part in tuning_parts(found, whole) if isinstance(part, Table)).startswith("Recipes, for")
    assert set(tuning_result(found, whole)) == {"tuning", "summary"}
    assert choose_adapter(whole).stage in range(1, best.stage + 1)


def test_no_recipe_asks_a_test_fact_and_none_keeps_checkpoints(whole: Path) -> None:
    assert {path.name for path in whole.glob("tuning/runs/*/*") if path.is_dir()} == {"probes", "stages", "units"}
    assert list(whole.glob("tuning/runs/*/stages/*/checkpoints/*")) == []


def test_a_killed_tuning_goes_on_and_gives_the_same(config: RunConfig, whole: Path, tmp_path: Path) -> None:
    append, scored = pipeline.append_epoch, iter(range(100))

    def append_or_die(*arguments: Any) -> None:
        append(*arguments)
        if next(scored) == 6:  # in the second rung: before that, three recipes had epochs 0 and 1
            raise KillError

    with patch.object(pipeline, "append_epoch", append_or_die), pytest.raises(KillError):
        tuned(config, tmp_path / "tuned")
    tuned(config, tmp_path / "tuned")
    assert choice(tmp_path / "tuned") == choice(whole)
    assert (tmp_path / "tuned" / "summary.json").read_bytes() == (whole / "summary.json").read_bytes()


def test_a_recipe_that_was_left_and_gone_on_with_is_as_one_that_was_not(whole: Path, tmp_path: Path) -> None:
    finalist = next(each.name for each in record(whole).results if each.is_finalist)  # left after epoch 1
    halved = RunDir(whole / "tuning" / "runs" / finalist)
    own = load_config(halved.config)
    unbroken = pipeline.train_in_part(
        own,
        prepare(own),
        checks.load_to_train(own, Silent()),
        tmp_path / "run",
        stage=1,
        num_epochs=3,
        progress=Silent(),
        before=lambda run, steps: None,
    )
    assert unbroken.epochs(1).read_bytes() == halved.epochs(1).read_bytes()
    assert unbroken.stage_summary(1).read_bytes() == halved.stage_summary(1).read_bytes()
    weights = "adapter_model.safetensors"
    assert (unbroken.adapter(1) / weights).read_bytes() == (halved.adapter(1) / weights).read_bytes()


def test_a_folder_of_another_goal_is_refused(config: RunConfig, whole: Path) -> None:
    with shorter_ladder(), pytest.raises(RunDirError, match="--goal: 'few_confident_errors' in the folder, 'accuracy'"):
        tune(TuneRequest(config, prepare(config), "accuracy", budget=36_000.0), whole)
