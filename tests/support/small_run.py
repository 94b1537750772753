"""A whole run, small and without a model: the real pipeline on a fake engine, with a stand-in for training.

The stand-in keeps its epochs as real training does, by `training.checkpoints`, and writes its files past the storage
module, as other libraries do. What is computed and what is kept is written down, so that tests see what is done twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from gradual.config.model import ModelConfig
from gradual.config.run import RunConfig
from gradual.config.yaml_file import parse_config
from gradual.facts.fact import by_relation
from gradual.facts.prepare import RunFacts
from gradual.files import storage
from gradual.files.units import UnitStore
from gradual.knowledge.map import Cost, KnowledgeMap
from gradual.models.load import LoadedModel
from gradual.probing import probe as probing
from gradual.probing.folder import ProbeRequest, make_map
from gradual.progress import Progress, Silent
from gradual.run import checks, pipeline
from gradual.run.folder import RunDir
from gradual.run.measures.drift import Drift, DriftFile, DriftRows, TextDrift
from gradual.testing import FakeEngine, toy_facts
from gradual.training.checkpoints import checkpoint_folder, keep_checkpoints, last_checkpoint, seal_checkpoint
from gradual.training.epochs import EpochRecord
from gradual.training.train import StageResult

_NO_RESULTS = {"attempts.log", "cost.json", "owner.json", "run.lock", "times.jsonl"}
"""Files that tell times and processes."""


class Work:
    """What was computed and what was kept, in order, as names of units, epochs and steps."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.kept: list[str] = []

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Notes the units and steps that a run keeps."""
        put, mark_done = UnitStore.put, RunDir.mark_done

        def noted_put(store: UnitStore, key: str, unit: bytes) -> None:
            self.done.append(f"{store.folder.name}/{key}")
            put(store, key, unit)
            self.kept.append(self.done[-1])

        def noted_mark_done(run: RunDir, step: str, made: Iterable[Path] = ()) -> None:
            self.done.append(step)
            mark_done(run, step, made)
            self.kept.append(step)

        with patch.object(UnitStore, "put", noted_put), patch.object(RunDir, "mark_done", noted_mark_done):
            yield


def small_run(folder: Path, work: Work | None = None, *, stages: int = 1, progress: Progress | None = None) -> RunDir:
    """Makes or continues the run."""
    work = work or Work()
    before = {
        "load_model": lambda *_, **__: LoadedModel("base", None, "fake", {"name": "fake"}),
        "reading_warnings": lambda _: [],
        "check_training": lambda *_: None,
    }
    engine = {
        "TransformersEngine": lambda loaded: FakeEngine(
            seed=int(hashlib.sha256(loaded.model.encode()).hexdigest()[:8], 16)
        )
    }
    stand_ins = {
        "with_adapter": lambda loaded, adapter: nullcontext(
            replace(loaded, model=(adapter / "weights").read_text()) if adapter else loaded
        ),
        "measure_drift": lambda rows, *_: (_no_drift(rows), Cost(seconds=0.0, tokens_read=0, forward_passes=0)),
        "train_stage": lambda *arguments, **named: _train_stage(work, *arguments, **named),
    }
    with (
        patch.multiple(checks, **before, **engine),
        patch.multiple(pipeline, **stand_ins, **engine),
        patch.object(probing, "PROMPTS_PER_UNIT", 1),
        work.watched(),
    ):
        return pipeline.fit(_config(stages), _run_facts(), folder, progress=progress)


def results(folder: Path) -> dict[str, bytes | None]:
    """All files and folders of a run by name, but for those that tell times and processes."""
    found = sorted(path for path in folder.rglob("*") if path.name not in _NO_RESULTS)
    return {path.relative_to(folder).as_posix(): None if path.is_dir() else path.read_bytes() for path in found}


def _config(stages: int) -> RunConfig:
    stage = {"select": "True", "num_train_epochs": 2, "num_shots": 1, "batch_size": 2}
    return parse_config(
        {
            "model": {"name_or_path": "fake"},
            "facts": {"path": "toys"},
            "probe": {
                "method": "sampled",
                "num_exemplar_sets": 1,
                "num_shots": 1,
                "num_samples": 1,
                "max_new_tokens": 1,
            },
            "stages": [stage] * stages,
        }
    )


def _run_facts() -> RunFacts:
    facts = toy_facts(num_relations=2, facts_per_relation=5)

    def part(split: str, *numbers: int) -> tuple[Any, ...]:
        return tuple(replace(fact, split=split) for fact in facts if int(fact.id.rpartition("-")[2]) in numbers)

    shots = part("exemplars", 3, 4)
    exemplars = {name: tuple(fact for fact in shots if fact.relation == name) for name in ("toy-0", "toy-1")}
    return RunFacts(part("train", 0), part("validation", 1), part("test", 2), exemplars, 0, ())


def _no_drift(rows: DriftRows) -> DriftFile:
    text = TextDrift(kl=0.0, num_places=len(rows.text), perplexity_before=2.0, perplexity_after=2.0)
    return DriftFile(text=text, prompts=Drift(kl=0.0, num_places=len(rows.prompts)))


def _train_stage(
    work: Work, loaded: LoadedModel, rows: Any, stage: Any, *, start_adapter: Path | None, folder: Path, **named: Any
) -> StageResult:
    checkpoints = folder / "checkpoints"
    last = last_checkpoint(checkpoints)
    weights = (start_adapter / "weights").read_text() if start_adapter else loaded.model
    epochs_done = 0
    if last:
        weights, epochs_done = json.loads((last / "state").read_text())
    for epoch in range(epochs_done + (last is not None), stage.num_train_epochs + 1):
        if epoch:
            work.done.append(f"{folder.name}/{epoch}")
            packs = [rows.step(epoch, step) for step in range(rows.steps_per_epoch)]
            weights = hashlib.sha256(f"{weights}{packs}".encode()).hexdigest()
        score = named["score"](weights)
        named["on_epoch"](EpochRecord(epoch, 1.0 / (1 + epoch), score.accuracy, score.p, 0.1, 0.0, 0.0, 7, 1))
        if epoch:
            checkpoint = checkpoint_folder(checkpoints, epoch)
            checkpoint.mkdir(parents=True)
            (checkpoint / "state").write_text(json.dumps([weights, epoch]))
            seal_checkpoint(checkpoint)
            work.kept.append(work.done[-1])
            keep_checkpoints(checkpoints, {epoch})
    with storage.staged_folder(folder / "adapter") as staged:
        (staged / "weights").write_text(weights)
    return StageResult(stage.num_train_epochs, stopped_early=False)


def small_probe(folder: Path, work: Work | None = None) -> KnowledgeMap:
    """Makes or continues a probe outside of a run."""
    facts = tuple(toy_facts(num_relations=3, facts_per_relation=2))
    request = ProbeRequest(ModelConfig(name_or_path="fake"), facts, by_relation(facts), _config(1).probe, seed=1)
    work = work or Work()
    with patch.object(probing, "PROMPTS_PER_UNIT", 1), work.watched():
        return make_map(request, folder, open_engine=lambda _: FakeEngine(), progress=Silent())
