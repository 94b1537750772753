"""A run whose probes go to workers, and a comparison whose legs do, are what one process writes, byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.room import Question, RoomCluster

from gradual.comparison.compare import compare, plan_comparison
from gradual.config.run import RunConfig
from gradual.config.yaml_file import parse_config
from gradual.errors import ModelError, ProbeError
from gradual.facts.prepare import prepare
from gradual.run.pipeline import fit

pytestmark = pytest.mark.tiny

STAGE = {"num_shots": 1, "batch_size": 8, "learning_rate": 0.01, "num_train_epochs": 1}
OWN = [
    {"name": "as_long", "stages": [{}], "same_steps_as": "two_stages"},
    {"name": "two_stages", "stages": [{}, {}]},
    {"name": "never", "stages": [{}, {"select": "now == HighlyKnown"}]},  # a random model knows nothing
]
WITH_TIMES = {"cost.json", "times.jsonl", "attempts.log", "run.lock"}
"""Files that no result depends on."""


@pytest.fixture(scope="module")
def config(
    tiny_folder: Path, toys_writer: Callable[[Path, int, int], Path], tmp_path_factory: pytest.TempPathFactory
) -> RunConfig:
    facts = toys_writer(tmp_path_factory.mktemp("facts") / "toys.jsonl", 2, 12)
    settings: dict[str, Any] = {
        "model": {"name_or_path": str(tiny_folder), "dtype": "float32", "device": "cpu"},
        "facts": {"path": str(facts), "splits": {"exemplars_per_relation": 4}},
        "probe": {"num_exemplar_sets": 1, "num_shots": 1, "max_new_tokens": 3, "tolerance": 0.1},
        "lora": {"r": 4},
        "stages": [{"strategy": "all", **STAGE}, {"select": "trained", **STAGE}],
        "compare": {"arms": [], "own_arms": OWN, "num_seeds": 1, "num_retested": 4},
    }
    return parse_config(settings | {"compare": settings["compare"] | {"main": "two_stages", "reference": "as_long"}})


def files_of(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in WITH_TIMES)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_workers_write_the_folder_of_one_process(config: RunConfig, tmp_path: Path) -> None:
    lost: list[str] = []

    def is_lost(question: Question) -> bool:
        name = "" if question.task is None else question.task.name
        if name.endswith("stage 2") and len(lost) < 2:
            lost.append(name)
            return True
        return False

    request = plan_comparison(config, prepare(config))
    cluster: Any = RoomCluster(2, config.model, is_lost)
    compare(request, tmp_path / "spread", cluster=cluster)
    compare(request, tmp_path / "here")
    spread, here = files_of(tmp_path / "spread"), files_of(tmp_path / "here")
    assert spread.keys() == here.keys()
    assert [name for name in here if spread[name] != here[name]] == []
    sent = [question.task.name for question in cluster.room.asked if question.task is not None]
    assert sum(name.endswith("before training") for name in sent) == 1
    assert [name for name in sent if name.endswith("stage 1")] == [
        "arm two_stages, seed 42, stage 1",
        "arm as_long, seed 42, stage 1",  # with more steps
    ]
    assert len(lost) == 2
    assert [line for line in cluster.said if "a worker was lost" in line] == [
        f"a worker was lost; {name}: done again elsewhere" for name in lost
    ]


def test_a_run_is_the_same_whose_probes_workers_do(config: RunConfig, tmp_path: Path) -> None:
    short = config.model_copy(update={"stages": config.stages[:1]})
    cluster: Any = RoomCluster(2, config.model)
    fit(short, prepare(short), tmp_path / "spread", cluster=cluster)
    fit(short, prepare(short), tmp_path / "here")
    spread, here = files_of(tmp_path / "spread"), files_of(tmp_path / "here")
    assert spread.keys() == here.keys()
    assert [name for name in here if spread[name] != here[name]] == []
    sent = [question.task for question in cluster.room.asked if question.task is not None]
    asked_with = [unit.adapter.folder.name if unit.adapter else "none" for unit in sent]
    # The training facts, the test facts and their levels; after the stage the first two again.
    assert asked_with == ["none"] * 3 + ["adapter"] * 2


def test_a_worker_that_sees_another_adapter_says_so(config: RunConfig, tmp_path: Path) -> None:
    short = config.model_copy(update={"stages": config.stages[:1]})

    def is_lost(question: Question) -> bool:
        unit = question.task
        if unit is not None and unit.adapter is not None:
            path = unit.adapter.folder / "adapter_model.safetensors"
            path.write_bytes(path.read_bytes() + b"\0")
        return False

    cluster: Any = RoomCluster(1, config.model, is_lost)
    with pytest.raises(ProbeError, match=r"adapter: expected the adapter that the command has trained, found another"):
        fit(short, prepare(short), tmp_path / "run", cluster=cluster)


def test_a_worker_that_sees_another_disk_is_refused(config: RunConfig, tmp_path: Path) -> None:
    class OtherDisk(RoomCluster):
        def start(self, kind: Any, start: Any, expected: Any) -> Any:
            return super().start(kind, (*start[:2], tmp_path / "elsewhere", *start[3:]), expected)

    cluster: Any = OtherDisk(1, config.model)
    with pytest.raises(ModelError, match=r"^worker on .*: .*elsewhere: expected the folder that the command writes"):
        compare(plan_comparison(config, prepare(config)), tmp_path / "here", cluster=cluster)
    assert not (tmp_path / "here" / "comparison_plan.json").exists()


def test_a_worker_with_other_settings_is_refused_before_anything_is_written(config: RunConfig, tmp_path: Path) -> None:
    class OtherSettings(RoomCluster):
        def start(self, kind: Any, start: Any, expected: Any) -> Any:
            other = start[0].model_copy(update={"lora": start[0].lora.model_copy(update={"r": 2})})
            return super().start(kind, (other, *start[1:]), expected)

    cluster: Any = OtherSettings(1, config.model)
    with pytest.raises(ModelError, match=r"would compute otherwise: config\.lora\.r is '2' and '4' in this process"):
        compare(plan_comparison(config, prepare(config)), tmp_path / "here", cluster=cluster)
    assert not (tmp_path / "here" / "comparison_plan.json").exists()
