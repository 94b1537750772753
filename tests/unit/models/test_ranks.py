"""Which process of which launch this is, by its environment."""

from __future__ import annotations

import pytest

from gradual.errors import LaunchError
from gradual.models import ranks
from gradual.models.ranks import ALONE, Ranks, device_of_rank, launch, launched_ranks, refuse_several


def launched(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ALONE),
        ({"RANK": "0", "WORLD_SIZE": "1"}, ALONE),
        ({"RANK": "3", "WORLD_SIZE": "8"}, Ranks(3, 8)),
        ({"RANK": "1", "WORLD_SIZE": "2", "OMPI_COMM_WORLD_SIZE": "2"}, Ranks(1, 2)),
        ({"ACCELERATE_MIXED_PRECISION": "no"}, ALONE),  # accelerate launch --num_processes 1
    ],
)
def test_a_process_is_what_the_launcher_says(environment: dict[str, str], expected: Ranks) -> None:
    assert launched_ranks(environment) == expected


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"ACCELERATE_MIXED_PRECISION": "no", "MASTER_ADDR": "127.0.0.1"}, "several processes and has started one"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "found OMPI_COMM_WORLD_SIZE alone"),
        ({"RANK": "0", "WORLD_SIZE": "2", "ACCELERATE_USE_DEEPSPEED": "true"}, "found one with DeepSpeed"),
        ({"RANK": "0", "WORLD_SIZE": "2", "ACCELERATE_USE_FSDP": "true"}, "found one with FSDP"),
    ],
)
def test_a_launch_that_would_train_wrong_is_refused(environment: dict[str, str], told: str) -> None:
    with pytest.raises(LaunchError, match=told) as refused:
        launched_ranks(environment)
    assert "torchrun" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_command_for_one_process_is_refused_to_several(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_several("probe")
    launched(monkeypatch, RANK="1", WORLD_SIZE="4")
    with pytest.raises(LaunchError, match=r"^probe: expected one process, found a launch of 4"):
        refuse_several("probe")


def test_one_gpu_for_several_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device_of_rank("cuda:0") == "cuda:0"
    launched(monkeypatch, RANK="1", WORLD_SIZE="2", LOCAL_RANK="1")
    assert device_of_rank("cpu") == "cpu"
    with pytest.raises(LaunchError, match="cuda:0 is one GPU"):
        device_of_rank("cuda:0")


def test_a_process_alone_can_be_in_step_with_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    alone = "^model.fsdp: expected a launch of several processes, found one - use torchrun"
    with pytest.raises(LaunchError, match=alone), launch("cpu", in_step=True):
        pytest.fail("begins")


def test_a_process_alone_needs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with launch("cpu") as alone:
        assert alone is ALONE
        assert alone.is_first
        assert alone.share("it") == "it"
        assert alone.gather("it") == ["it"]
        alone.wait()
        alone.refuse_differences({"seed": "1"})
        assert ranks.add_up_gradients([], [0.5, 3.0], alone) == [0.5, 3.0]


def test_processes_that_would_do_other_runs_are_told_apart_by_field(monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = {"seed": "1", "lora.r": "16"}, {"seed": "2", "lora.r": "16"}
    monkeypatch.setattr(Ranks, "gather", lambda self, value: [value, other])
    with pytest.raises(LaunchError, match=r"process 1 of the launch .* seed is '1' in process 0 and '2' in it - start"):
        Ranks(0, 2).refuse_differences(mine)
    Ranks(0, 2).refuse_differences(other)
