"""What each process of a launch runs in `tests/tiny/test_ranks.py`: a stage and a probe that they share.

    python -m tests.support.shared_stage MODEL FOLDER [STEP_TO_DIE_AFTER [fsdp]]

The second process runs out of memory in steps, and reads them in parts. Weights are kept as each process has them while
it trains, before anything is read from a checkpoint.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.support.out_of_memory import ERRORS, limit_memory
from tests.support.training import make_rows

from gradual.config.model import ModelConfig
from gradual.config.run import LoraSettings, ProbeConfig
from gradual.config.stage import StageConfig
from gradual.engines.transformers_engine import TransformersEngine, reads_trees
from gradual.knowledge.map import KnowledgeMap, write_map
from gradual.models.load import LoadedModel, load_model
from gradual.models.ranks import ALONE, Ranks, launch
from gradual.probing.probe import probe_facts
from gradual.testing import toy_facts
from gradual.training.epochs import EpochRecord, Score
from gradual.training.rows import TrainingRows
from gradual.training.train import StageResult, train_stage


def odd_rows(engine: TransformersEngine) -> TrainingRows:
    """Two packs a step, and one in the last step of each epoch: the second process has nothing to do there."""
    rows = make_rows(engine)
    return replace(rows, facts=rows.facts[:17])


def train(
    loaded: LoadedModel, folder: Path, *, ranks: Ranks = ALONE, die_after: int = 0
) -> tuple[list[EpochRecord], StageResult]:
    """A stage of three epochs whose second one scores best."""
    records: list[EpochRecord] = []
    num_steps = 0

    def score(model: Any) -> Score:
        weights = {name: each.detach().clone() for name, each in model.named_parameters() if each.requires_grad}
        size = sum(float(each.norm()) for name, each in weights.items() if "lora_B" in name)
        (folder / "weights").mkdir(parents=True, exist_ok=True)
        save_file(weights, folder / "weights" / f"{ranks.number}-{num_steps}.safetensors")
        return Score(1 - abs(size - 4.0) / 10, 0.0)

    def on_step() -> None:
        nonlocal num_steps
        num_steps += 1
        if num_steps == die_after and not ranks.is_first:
            os.kill(os.getpid(), signal.SIGKILL)

    stage = StageConfig(select="True", num_train_epochs=3, learning_rate=0.01, warmup_steps=0)
    result = train_stage(
        loaded, odd_rows(TransformersEngine(loaded)), stage, lora=LoraSettings(r=4), start_adapter=None, folder=folder,
        score=score, seed=3, on_step=on_step, on_epoch=records.append, ranks=ranks,
    )  # fmt: skip
    return records, result


def probe(loaded: LoadedModel, ranks: Ranks = ALONE) -> KnowledgeMap:
    """A map of three units: the last turn has work for one of two processes."""
    facts = toy_facts(3, 6)
    exemplars = {name: [fact for fact in facts if fact.relation == name] for name in {fact.relation for fact in facts}}
    settings = ProbeConfig(num_exemplar_sets=40, num_shots=1, max_new_tokens=1, greedy_answers="none")
    return probe_facts(facts, exemplars, TransformersEngine(loaded), settings, seed=1, ranks=ranks)


def main(model: str, folder: Path, die_after: int = 0, *, in_step: bool = False) -> None:
    """See the top."""
    torch.set_num_threads(1)
    with launch("cpu", in_step=in_step) as ranks:
        fsdp = "full_shard" if in_step else None
        loaded = load_model(ModelConfig(name_or_path=model, dtype="float32", device="cpu", fsdp=fsdp))
        assert reads_trees(loaded)
        if not die_after:
            known = probe(loaded, ranks)
            if ranks.is_first:
                write_map(known, folder / "map")
        with pytest.MonkeyPatch.context() as patch:
            failures: list[int] = []
            if not ranks.is_first and not in_step:
                failures = limit_memory(loaded.model, patch, lambda ids: ids.numel() <= 130, ERRORS["cpu"])
            records, result = train(loaded, folder, ranks=ranks, die_after=die_after)
        if ranks.is_first:
            losses = [record.loss for record in records]
            _say(str([losses, [record.tokens for record in records], result.best_epoch]))
        else:
            _say(f"{len(failures)} passes did not fit")


def _say(line: str) -> None:
    """A line in one piece: both processes write to the same pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:4]), in_step=sys.argv[4:] == ["fsdp"])
