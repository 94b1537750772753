"""How many workers a cluster has room for, counted machine by machine, and what is refused before any is started."""

from __future__ import annotations

from typing import Any

import pytest

from gradual.config.cluster import RayConfig
from gradual.config.model import ModelConfig
from gradual.errors import ConfigError, LaunchError
from gradual.workers.cluster import choose_workers, refuse_device


def machine(cpus: float, gpus: float = 0, *, is_up: bool = True) -> dict[str, Any]:
    return {"Alive": is_up, "Resources": {"CPU": cpus, **({"GPU": gpus} if gpus else {})}}


@pytest.mark.parametrize(
    ("nodes", "given", "device", "expected"),
    [
        ([machine(8), machine(4)], {}, "auto", (2, 0.0)),
        ([machine(8), machine(4)], {"workers": 12}, "auto", (12, 0.0)),
        ([machine(2), machine(16, 8), machine(16, 4)], {}, "auto", (12, 1.0)),
        ([machine(2), machine(16, 8), machine(16, 4)], {}, "cpu", (3, 0.0)),
        ([machine(16, 8), machine(16, 3)], {"gpus_per_worker": 2.0}, "cuda", (5, 2.0)),
        ([machine(16, 2)], {"gpus_per_worker": 0.5}, "cuda", (4, 0.5)),
        ([machine(16, 2)], {"gpus_per_worker": 0.4}, "cuda", (4, 0.4)),
        ([machine(3, 8)], {}, "cuda", (3, 1.0)),
        ([machine(8), machine(8, is_up=False)], {}, "auto", (1, 0.0)),
    ],
)
def test_workers_by_default_and_as_wanted(
    nodes: list[dict[str, Any]], given: dict[str, Any], device: str, expected: tuple[int, float]
) -> None:
    model = ModelConfig(name_or_path="m", device=device)
    assert choose_workers(RayConfig(address="auto", **given), model, nodes) == expected


@pytest.mark.parametrize(
    ("nodes", "given", "said"),
    [
        ([machine(8), machine(4)], {"workers": 13}, "room for 13 workers of a CPU each .* room for 12 on 2 machines"),
        (
            [machine(16, 3), machine(16, 3)],
            {"gpus_per_worker": 2.0, "workers": 3},
            "3 workers of 2 GPUs and a CPU",
        ),
        ([machine(16)], {"gpus_per_worker": 1.0}, "room for 1 workers of 1 GPUs .* found room for 0 on 1 machines"),
        ([machine(8, is_up=False)], {}, "found room for 0 on 0 machines"),
    ],
)
def test_more_workers_than_there_is_room_for_are_refused(
    nodes: list[dict[str, Any]], given: dict[str, Any], said: str
) -> None:
    with pytest.raises(LaunchError, match=said):
        choose_workers(RayConfig(address="auto", **given), ModelConfig(name_or_path="m"), nodes)


@pytest.mark.parametrize(("device", "share"), [("cuda:1", None), ("cuda:0", 1.0), ("cuda", 0.0)])
def test_a_device_that_workers_cannot_have_is_refused(device: str, share: float | None) -> None:
    config = RayConfig(address="auto", gpus_per_worker=share)
    with pytest.raises(ConfigError, match=r"^model\.device: cuda"):
        refuse_device(ModelConfig(name_or_path="m", device=device), config)
