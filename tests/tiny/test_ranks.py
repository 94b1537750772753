"""Processes that are launched together do what one does, and end together with a reason."""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.support.shared_stage import probe, train

from gradual.config.stage import StageConfig
from gradual.errors import LaunchError
from gradual.knowledge.map import read_map
from gradual.models.load import LoadedModel
from gradual.run.checks import check_packs

pytestmark = pytest.mark.tiny

ROOT = Path(__file__).resolve().parents[2]
STAGE = ("-m", "tests.support.shared_stage")
MOST_SECONDS = 240


def environment(**changes: str) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"} | changes


def start_both(*arguments: object, second: tuple[str, ...] = ()) -> list[subprocess.Popen[str]]:
    """Two processes that meet, without a launcher that would end one for the other."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [
        subprocess.Popen(
            [sys.executable, *map(str, arguments), *more],
            env=environment(RANK=str(rank), LOCAL_RANK=str(rank), **place),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, more in enumerate(((), second))
    ]


def share_a_stage(model: Path, folder: Path, *more: str) -> tuple[Path, str]:
    """The folder and output of a stage and a probe that two processes of `torchrun` have shared."""
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    done = subprocess.run(
        [*torchrun, *STAGE, str(model), str(folder), *more],
        env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=MOST_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.fixture(scope="module")
def shared(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What two processes that each have the whole model leave; the second runs out of memory in steps."""
    return share_a_stage(tiny_folder, tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="module")
def in_step(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What two processes leave in which the model lies in parts (FSDP2)."""
    return share_a_stage(tiny_folder, tmp_path_factory.mktemp("in-step"), "0", "fsdp")


@pytest.mark.parametrize("way", ["shared", "in_step"])
def test_two_processes_train_what_one_trains(
    way: str, tiny: LoadedModel, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder, output = request.getfixturevalue(way)
    losses, tokens, best_epoch = ast.literal_eval(next(line for line in output.splitlines() if line.startswith("[")))
    assert "passes did not fit" in output
    # The second process had to read its packs in parts, unless it has to keep in step.
    assert ("\n0 passes" in f"\n{output}") == (way == "in_step")
    records, result = train(tiny, tmp_path)
    assert best_epoch == result.best_epoch == 1
    assert losses[1:] == pytest.approx([record.loss for record in records[1:]], rel=1e-5)
    assert tokens == [record.tokens for record in records]
    names = sorted(path.name for path in (tmp_path / "weights").iterdir())
    assert names == [f"0-{step}.safetensors" for step in (0, 3, 6, 9)]
    for name in names:
        alone = load_file(tmp_path / "weights" / name)
        first, second = (load_file(folder / "weights" / f"{rank}{name[1:]}") for rank in (0, 1))
        for weight, expected in alone.items():
            assert torch.equal(first[weight], second[weight])
            torch.testing.assert_close(first[weight], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("way", ["shared", "in_step"])
def test_two_processes_probe_what_one_probes(way: str, tiny: LoadedModel, request: pytest.FixtureRequest) -> None:
    found, expected = read_map(request.getfixturevalue(way)[0] / "map"), probe(tiny)
    assert [fact.id for fact in found] == [fact.id for fact in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.level is other.level
        assert one.p_sampled == pytest.approx(other.p_sampled, abs=1e-5)
    assert found.info.cost.tokens_read == expected.info.cost.tokens_read


def test_a_process_that_dies_ends_the_other_soon_and_the_stage_goes_on(
    tiny_folder: Path, shared: tuple[Path, str], tmp_path: Path
) -> None:
    first, second = start_both(*STAGE, tiny_folder, tmp_path, 5)  # in the second epoch
    second.communicate(timeout=MOST_SECONDS)
    died = time.monotonic()
    _, told = first.communicate(timeout=30)
    assert time.monotonic() - died < 30
    assert (first.returncode, second.returncode) == (1, -9)
    assert "LaunchError: another process of this launch has ended" in told
    assert not (tmp_path / "adapter").exists()
    again = start_both(*STAGE, tiny_folder, tmp_path, 99)
    for process in again:
        _, told = process.communicate(timeout=MOST_SECONDS)
        assert process.returncode == 0, told
    adapters = [folder / "adapter" / "adapter_model.safetensors" for folder in (shared[0], tmp_path)]
    assert adapters[0].read_bytes() == adapters[1].read_bytes()


def test_more_processes_than_a_step_has_packs_are_refused() -> None:
    stages = [StageConfig(select="True", batch_size=32, pack_size=8)]
    check_packs(stages, 4, reads_trees=True)
    check_packs(stages, 32, reads_trees=False)  # packs of one fact
    with pytest.raises(LaunchError, match=r"^stages\[0\]: expected a pack .* of 5 processes, found 4 \(batch_size"):
        check_packs(stages, 5, reads_trees=True)
