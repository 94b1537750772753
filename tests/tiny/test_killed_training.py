"""A stage of training killed at any point ends with the bytes of an unbroken one: adapter, settings and epochs."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.training import make_rows

from gradual.config.model import ModelConfig
from gradual.config.run import LoraSettings
from gradual.config.stage import StageConfig
from gradual.engines.transformers_engine import TransformersEngine
from gradual.errors import TrainingError
from gradual.files import storage
from gradual.models.load import LoadedModel, load_model
from gradual.training import epochs
from gradual.training.checkpoints import last_checkpoint, seal_checkpoint
from gradual.training.epochs import EpochRecord, Score
from gradual.training.train import StageResult, train_stage

pytestmark = pytest.mark.tiny


class Killed(BaseException):
    pass


class Stage:
    """A stage whose score falls as it trains; `epochs` are its records as a run keeps them."""

    def __init__(self, tiny: LoadedModel, folder: Path, start: Path | None = None, **settings: Any) -> None:
        self.folder = folder
        self.epochs: dict[int, object] = {}
        self.tiny = tiny
        self.start = start
        self.settings = StageConfig(
            **({"select": "True", "num_train_epochs": 3, "learning_rate": 0.01, "warmup_steps": 2} | settings)
        )
        self.rows = make_rows(TransformersEngine(tiny))
        self.num_scored = 0

    def train(
        self, on_step: Callable[[], None] = lambda: None, on_epoch: Callable[[], None] = lambda: None
    ) -> StageResult:
        def note(record: EpochRecord) -> None:
            self.epochs[record.epoch] = record._replace(seconds=0.0, eval_seconds=0.0)
            on_epoch()

        def score(model: Any) -> Score:
            self.num_scored += 1
            size = sum(float(p.detach().norm()) for name, p in model.named_parameters() if "lora_B" in name)
            return Score(1 / (1 + size), 0.0)

        torch.manual_seed(next(_SEEDS))  # what another process had drawn by now
        return train_stage(
            self.tiny, self.rows, self.settings, lora=LoraSettings(r=4, lora_dropout=0.1), start_adapter=self.start,
            folder=self.folder, score=score, seed=3, on_step=on_step, on_epoch=note,
        )  # fmt: skip

    def train_killed(self, **at: Callable[[], None]) -> None:
        with pytest.raises(Killed):
            self.train(**at)

    @property
    def adapter(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted((self.folder / "adapter").iterdir())}


_SEEDS = count(1000)


def killing_at(number: int) -> Callable[[], None]:
    calls = count(1)

    def call() -> None:
        if next(calls) == number:
            raise Killed

    return call


@pytest.fixture(scope="module")
def first(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    loaded = load_model(ModelConfig(name_or_path=str(tiny_folder), dtype="float32", device="cpu"))
    stage = Stage(loaded, tmp_path_factory.mktemp("unbroken") / "1")
    stage.train()
    return stage


@pytest.mark.parametrize("number", [1, 2])
def test_stage_killed_after_every_optimiser_step_ends_the_same(
    tiny: LoadedModel, first: Stage, tmp_path: Path, number: int
) -> None:
    start = None if number == 1 else first.folder / "adapter"
    unbroken = first
    if number == 2:
        unbroken = Stage(tiny, tmp_path / "unbroken", start, num_train_epochs=2)
        unbroken.train()
    killed = Stage(tiny, tmp_path / "killed", start, num_train_epochs=4 - number)
    per_epoch = killed.rows.steps_per_epoch
    assert per_epoch >= 3
    assert killed.rows.packs_per_step == 2
    for step in range(per_epoch * killed.settings.num_train_epochs):
        goes_past_a_checkpoint = step > 0 and step % per_epoch == 0
        killed.train_killed(on_step=killing_at(step % per_epoch + 1 + per_epoch * goes_past_a_checkpoint))
    killed.train()
    assert killed.adapter == unbroken.adapter
    assert killed.epochs == unbroken.epochs
    assert killed.num_scored == per_epoch + 1 + killed.settings.num_train_epochs  # none again once it is kept


def test_stage_killed_between_score_and_checkpoint_ends_the_same(
    tiny: LoadedModel, first: Stage, tmp_path: Path
) -> None:
    killed = Stage(tiny, tmp_path)
    for number in (1, 2, 3, 2, 1):
        killed.train_killed(on_epoch=killing_at(number))
    killed.train()
    assert (killed.adapter, killed.epochs) == (first.adapter, first.epochs)


@pytest.mark.parametrize("patience", [1, 9], ids=["stopped early", "all epochs"])
def test_stage_killed_behind_its_last_epoch_does_not_train_on(
    tiny: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience: int
) -> None:
    settings = {"early_stopping_patience": patience, "num_train_epochs": 3}
    unbroken, killed = (Stage(tiny, tmp_path / name, **settings) for name in ("unbroken", "killed"))
    result = unbroken.train()
    assert result == StageResult(best_epoch=1, stopped_early=patience == 1)
    with monkeypatch.context() as patch:
        patch.setattr(storage, "staged_folder", lambda folder: killing_at(1)())
        killed.train_killed()
    done = killed.num_scored
    assert killed.train() == result
    assert killed.num_scored == done
    assert (killed.adapter, killed.epochs) == (unbroken.adapter, unbroken.epochs)


def test_checkpoint_that_is_damaged_or_not_sealed_is_not_gone_on_from(
    tiny: LoadedModel, first: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = Stage(tiny, tmp_path)
    per_epoch = killed.rows.steps_per_epoch
    killed.train_killed(on_step=killing_at(2 * per_epoch + 1))
    second = tmp_path / "checkpoints" / f"checkpoint-{2 * per_epoch}"
    weights = bytearray((second / "adapter_model.safetensors").read_bytes())
    weights[-1] ^= 1
    (second / "adapter_model.safetensors").write_bytes(weights)
    with monkeypatch.context() as patch:
        patch.setattr(epochs, "seal_checkpoint", lambda checkpoint: killing_at(1)())
        killed.train_killed()  # in place of the damaged one an unsealed one
    assert not (second / "sealed.json").exists()
    killed.train()
    assert (killed.adapter, killed.epochs) == (first.adapter, first.epochs)


class Canary:
    def __init__(self, fired: Path) -> None:
        self.fired = fired

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.fired),)


def bomb(path: Path) -> None:
    """Gigabytes of zeros in a small archive, and a name that leads out of it."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
        archive.writestr("optimizer/data/999", bytes(1 << 28))
        archive.writestr("/../../fired", b"")


@pytest.mark.parametrize(
    "spoil",
    [bomb, lambda path: path.write_bytes(b"no archive"), lambda path: path.write_bytes(path.read_bytes()[:-100])],
    ids=["bomb", "no archive", "half an archive"],
)
@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_sealed_state_that_is_no_archive_of_torch_is_not_gone_on_from(
    tiny: LoadedModel, first: Stage, tmp_path: Path, name: str, spoil: Callable[[Path], object]
) -> None:
    killed = Stage(tiny, tmp_path)
    per_epoch = killed.rows.steps_per_epoch
    killed.train_killed(on_step=killing_at(per_epoch + 1))
    checkpoint = tmp_path / "checkpoints" / f"checkpoint-{per_epoch}"
    spoil(checkpoint / name)
    seal_checkpoint(checkpoint)
    assert last_checkpoint(tmp_path / "checkpoints") is None
    killed.train()
    assert (killed.adapter, killed.epochs) == (first.adapter, first.epochs)


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"])
@pytest.mark.parametrize("what", ["code", "numbers"])
def test_sealed_state_of_something_else_stops_the_stage_and_runs_nothing(
    tiny: LoadedModel, tmp_path: Path, name: str, what: str
) -> None:
    killed = Stage(tiny, tmp_path)
    per_epoch = killed.rows.steps_per_epoch
    killed.train_killed(on_step=killing_at(per_epoch + 1))
    checkpoint = tmp_path / "checkpoints" / f"checkpoint-{per_epoch}"
    torch.save(Canary(tmp_path / "fired") if what == "code" else [1, 2], checkpoint / name)
    seal_checkpoint(checkpoint)
    with pytest.raises(
        TrainingError, match=rf"checkpoint-{per_epoch}: expected the state of training, found something"
    ):
        killed.train()
    assert not (tmp_path / "fired").exists()
