"""How well `gradual plan` predicts memory: random models of three sizes are probed and trained, the peak is measured.

    python benchmarks/memory.py                      # three sizes on this machine's CPU, in processes of their own
    python benchmarks/memory.py --shapes small --activation-checkpointing

Measured is what a process that has trained before, on a tiny model, grew by at most (Linux: VmHWM); on a GPU, torch's
own peak. The C library is told to give large blocks back at once (MALLOC_MMAP_THRESHOLD_): what it else keeps of them
depends on what came before.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SHAPES = {
    "tiny": {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 6, "num_attention_heads": 4},
    "small": {"hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 8, "num_attention_heads": 8},
    "medium": {"hidden_size": 768, "intermediate_size": 2560, "num_hidden_layers": 12, "num_attention_heads": 12},
}
VOCABULARY = 32_000
NUM_FACTS = 32


def main() -> None:
    """Runs each shape in a process of its own and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=SHAPES)
    parser.add_argument("--activation-checkpointing", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--one", nargs=2, metavar=("SHAPE", "WHAT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(_measure(*args.one, again=args.activation_checkpointing, device=args.device)))
        return
    print("| model | what | predicted MB | measured MB | predicted / measured |\n|---|---|---:|---:|---:|")
    for shape in args.shapes:
        for what in ("training", "probe"):
            again = ["--activation-checkpointing"] if args.activation_checkpointing else []
            command = [sys.executable, __file__, "--device", args.device, *again, "--one", shape, what]
            environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(1 << 17)}
            told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
            predicted, measured, millions = json.loads(told.splitlines()[-1])
            ratio = predicted / measured
            print(
                f"| {millions:.0f} M | {what} | {predicted / 1e6:,.0f} | {measured / 1e6:,.0f} | {ratio:.2f} |",
                flush=True,
            )


def _measure(shape: str, what: str, *, again: bool, device: str) -> tuple[int, int, float]:
    """Predicted and measured peak bytes of a step of training or a unit of a probe, and millions of weights."""
    from gradual.config.model import ModelConfig
    from gradual.config.run import FactsConfig, ProbeConfig, RunConfig
    from gradual.config.stage import StageConfig
    from gradual.engines.transformers_engine import TransformersEngine
    from gradual.facts.fact import Fact
    from gradual.facts.prompts import PlainPrompts
    from gradual.models.load import LoadedModel, load_model
    from gradual.probing.probe import probe_facts
    from gradual.run.planning.memory import plan_memory
    from gradual.run.planning.timing import step_key
    from gradual.testing import make_tiny_model, toy_facts
    from gradual.training.epochs import Score
    from gradual.training.rows import TrainingRows
    from gradual.training.train import train_stage

    facts = toy_facts(2, NUM_FACTS // 2 + 20)
    asked = [fact for fact in facts if int(fact.id.split("-")[2]) < NUM_FACTS // 2]
    exemplars = {name: [f for f in facts if f.relation == name and f not in asked] for name in ("toy-0", "toy-1")}
    with tempfile.TemporaryDirectory() as place:
        _save_random_model(Path(place) / "model", SHAPES[shape])
        config = RunConfig(
            model=ModelConfig(name_or_path=f"{place}/model", dtype="float32", device=device),
            facts=FactsConfig(path="none"),
            probe=ProbeConfig(max_new_tokens=2, tolerance=0.9, greedy_answers="none"),
            stages=[StageConfig(select="True", num_train_epochs=1, activation_checkpointing=again)],
        )
        stage, few = config.stages[0], config.probe.model_copy(update={"num_exemplar_sets": 1})

        def train(loaded: LoadedModel, facts: Sequence[Fact], name: str) -> TrainingRows:
            engine = TransformersEngine(loaded)
            rows = TrainingRows(
                facts, exemplars, PlainPrompts(), lambda texts, add: engine.encode(texts, add_special_tokens=add),
                num_shots=4, pack_size=stage.pack_size, batch_size=stage.batch_size, seed=1,
            )  # fmt: skip
            train_stage(
                loaded, rows, stage, lora=config.lora, start_adapter=None, folder=Path(place) / name,
                score=lambda model: Score(0.0, 0.0), seed=1,
            )  # fmt: skip
            return rows

        make_tiny_model(f"{place}/warm")
        warm = load_model(config.model.model_copy(update={"name_or_path": f"{place}/warm"}))
        rows = train(warm, asked[:8], "warm-stage")
        before = _peak(device, anew=True)
        loaded = load_model(config.model)
        engine = TransformersEngine(loaded)
        if what == "training":
            rows = train(loaded, asked, "stage")
            measured = _peak(device) - before
            sample = probe_facts(asked[:8], exemplars, engine, few, seed=1)
        else:
            sample = probe_facts(asked, exemplars, engine, config.probe, seed=1)
            measured = _peak(device) - before
        plan = plan_memory(config, loaded, {step_key(stage): rows}, sample, len(asked))
        assert plan is not None
        num_weights = sum(each.numel() for each in loaded.model.parameters())
        return getattr(plan.own, what), measured, num_weights / 1e6


def _save_random_model(folder: Path, shape: dict[str, Any]) -> None:
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from gradual.testing import make_tiny_model

    make_tiny_model(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, **ends, **shape)).save_pretrained(folder)


def _peak(device: str, *, anew: bool = False) -> int:
    """Most bytes so far; with `anew`, counted from now."""
    import torch

    if device != "cpu":
        if anew:
            torch.cuda.reset_peak_memory_stats()
        return int(torch.cuda.max_memory_allocated())
    from gradual.models.memory import free_memory

    if anew:
        free_memory()
        Path("/proc/self/clear_refs").write_text("5")
    status = Path(f"/proc/{os.getpid()}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    main()
