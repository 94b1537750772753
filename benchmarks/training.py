"""How long an epoch with shots takes: packed behind shared shots, one fact a row, and TRL's default rows.

    python benchmarks/training.py                 # SmolLM2 and the atlas on this machine's CPU
    python benchmarks/training.py --num-facts 64

All three train the same adapter on the same facts with the same number of shots, 32 facts an optimiser step.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from gradual.config.model import ModelConfig
from gradual.config.run import FactsConfig, LoraSettings, ProbeConfig
from gradual.engines.transformers_engine import TransformersEngine
from gradual.engines.tree_attention import MaskKinds
from gradual.facts.fact import Fact, spread
from gradual.facts.prepare import prepare_probe
from gradual.models.adapters import add_adapter, unload_adapter
from gradual.models.load import LoadedModel, load_model
from gradual.training.loss import pack_tensors, packed_loss
from gradual.training.rows import TrainingRows

RELATIONS = ["capital", "country_of_city", "currency", "region"]
BATCH_SIZE = 32


def main() -> None:
    """Runs the benchmark and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--num-facts", type=int, default=128)
    parser.add_argument("--num-shots", type=int, default=4)
    args = parser.parse_args()
    loaded = load_model(ModelConfig(name_or_path=args.model))
    engine = TransformersEngine(loaded)
    run_facts = prepare_probe(FactsConfig(path="atlas", relations=RELATIONS), num_shots=args.num_shots)
    facts, exemplars = run_facts.facts, run_facts.exemplars
    chosen = spread(facts, args.num_facts)

    def rows(pack_size: int) -> TrainingRows:
        return TrainingRows(
            facts=chosen,
            exemplars=exemplars,
            style=engine.prompt_style(ProbeConfig()),
            encode=lambda texts, add: engine.encode(texts, add_special_tokens=add),
            num_shots=args.num_shots,
            pack_size=pack_size,
            batch_size=BATCH_SIZE,
            seed=1,
        )

    results = [
        ("packed, 8 facts behind one set of shots", *_epoch(loaded, rows(8))),
        ("one fact a row, same code", *_epoch(loaded, rows(1))),
        ("TRL's default rows", *_trl_epoch(loaded, rows(1), chosen)),
    ]
    slowest_first = results[0][1]
    print(
        f"{loaded.fingerprint['name']}, {loaded.fingerprint['dtype']}, {loaded.fingerprint['threads']} threads, ",
        end="",
    )
    print(f"{len(chosen)} facts, {args.num_shots} shots\n")
    print("| rows | seconds an epoch | tokens | packed is faster by |\n|---|---:|---:|---:|")
    for name, seconds, tokens in results:
        print(f"| {name} | {seconds:.1f} | {tokens:,} | {seconds / slowest_first:.1f} x |")


def _epoch(loaded: LoadedModel, rows: TrainingRows) -> tuple[float, int]:
    """Seconds and tokens of one epoch with our loss and AdamW."""
    model = add_adapter(loaded, LoraSettings(), None)
    masks = MaskKinds(loaded.model.config)
    optimiser = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=1e-4)
    tokens = 0
    packed_loss(model, pack_tensors(rows.step(0, 0)[:1], 0), masks).backward()  # warm up
    started = time.perf_counter()
    for step in range(rows.steps_per_epoch):
        batch = pack_tensors(rows.step(0, step), loaded.tokenizer.pad_token_id)
        (packed_loss(model, batch, masks) / len(batch["labels"])).backward()
        optimiser.step()
        optimiser.zero_grad()
        tokens += int(batch["num_tokens"])
    seconds = time.perf_counter() - started
    unload_adapter(model)
    return seconds, tokens


def _trl_epoch(loaded: LoadedModel, rows: TrainingRows, facts: Sequence[Fact]) -> tuple[float, int]:
    """The same by TRL alone: prompt and completion, its collator, its loss."""
    tokenizer = loaded.tokenizer
    examples = [e for step in range(rows.steps_per_epoch) for pack in rows.step(0, step) for e in pack.examples]
    data = [
        {"prompt": tokenizer.decode(e.prompt_ids), "completion": tokenizer.decode(e.completion_ids)} for e in examples
    ]
    model = add_adapter(loaded, LoraSettings(), None)
    with tempfile.TemporaryDirectory() as folder:
        settings: dict[str, Any] = {
            "output_dir": folder, "num_train_epochs": 1, "per_device_train_batch_size": 8,
            "gradient_accumulation_steps": BATCH_SIZE // 8, "learning_rate": 1e-4, "bf16": False, "use_cpu": True,
            "gradient_checkpointing": False, "save_strategy": "no", "report_to": "none", "disable_tqdm": True,
        }  # fmt: skip
        trainer = SFTTrainer(
            model=model, args=SFTConfig(**settings), train_dataset=Dataset.from_list(data), processing_class=tokenizer
        )
        started = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - started
    unload_adapter(model)
    return seconds, sum(len(e.prompt_ids) + len(e.completion_ids) for e in examples)


if __name__ == "__main__":
    main()
