"""What an anchor costs: an epoch of the same rows without one, with each kind, and drawing own answers for it.

    python benchmarks/anchors.py                  # SmolLM2 and the atlas on this machine's CPU
    python benchmarks/anchors.py --num-facts 64

Half of the facts anchor the other half. Processor time is told beside seconds: it holds on a machine with other work.
Beside it, how much of the base model's probability lies beyond the tokens among which own answers are drawn.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from gradual.config.model import ModelConfig
from gradual.config.run import FactsConfig, LoraSettings, ProbeConfig
from gradual.config.stage import AnchorConfig, AnchorKind
from gradual.engines.transformers_engine import TransformersEngine
from gradual.engines.tree_attention import MaskKinds
from gradual.facts.fact import spread
from gradual.facts.prepare import prepare_probe
from gradual.models.adapters import add_adapter, unload_adapter
from gradual.models.load import LoadedModel, load_model
from gradual.probing.own_answers import KEPT_TOKENS, Draw, draw_answers
from gradual.training.anchor_losses import Base, loss_of
from gradual.training.loss import pack_tensors
from gradual.training.rows import TrainingRows

RELATIONS = ["capital", "country_of_city", "currency", "region"]


def main() -> None:
    """Runs the benchmark and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--num-facts", type=int, default=128)
    args = parser.parse_args()
    loaded = load_model(ModelConfig(name_or_path=args.model))
    engine = TransformersEngine(loaded)
    run_facts = prepare_probe(FactsConfig(path="atlas", relations=RELATIONS), num_shots=4)
    facts, exemplars = run_facts.facts, run_facts.exemplars
    chosen = spread(facts, args.num_facts)
    rows = TrainingRows(
        facts=chosen,
        exemplars=exemplars,
        style=engine.prompt_style(ProbeConfig()),
        encode=lambda texts, add: engine.encode(texts, add_special_tokens=add),
        num_shots=4,
        pack_size=8,
        batch_size=32,
        seed=1,
    )
    anchors = frozenset(fact.id for fact in chosen[::2])
    held = replace(rows, kl=dict.fromkeys(anchors, 1.0), weights=dict.fromkeys(anchors, 0.0))
    results = [
        ("no anchor", *timed(lambda: epoch(loaded, rows, None))),
        ("kl", *timed(lambda: epoch(loaded, held, "kl"))),
        ("l2", *timed(lambda: epoch(loaded, rows, "l2"))),
        ("drawing the own answers of an epoch", *timed(lambda: draw(engine, rows, anchors))),
    ]
    print(f"{loaded.fingerprint['name']}, {loaded.fingerprint['dtype']}, {len(chosen)} facts, {len(anchors)} anchors")
    print(f"beyond the {KEPT_TOKENS} likeliest first tokens: {beyond(loaded, rows, anchors):.3%}\n")
    print("| | seconds | processor time | of an epoch without |\n|---|---:|---:|---:|")
    for name, seconds, work in results:
        print(f"| {name} | {seconds:.1f} | {work:.1f} | {work / results[0][2]:.2f} |")


def timed(do: Callable[[], object]) -> tuple[float, float]:
    """Seconds and processor time."""
    do()  # first calls allocate
    started, worked = time.perf_counter(), time.process_time()
    do()
    return time.perf_counter() - started, time.process_time() - worked


def epoch(loaded: LoadedModel, rows: TrainingRows, kind: AnchorKind | None) -> None:
    """Losses and gradients of an epoch."""
    model, masks = add_adapter(loaded, LoraSettings(), None), MaskKinds(loaded.model.config)
    anchor = None if kind is None else AnchorConfig(kind=kind)
    loss = loss_of(anchor, model, Base() if kind == "kl" else None)
    for step in range(rows.steps_per_epoch):
        batch = pack_tensors(rows.step(0, step), loaded.tokenizer.pad_token_id, rows.kl)
        loss(model, batch, masks).backward()
    unload_adapter(model)


def draw(engine: TransformersEngine, rows: TrainingRows, anchors: frozenset[str]) -> None:
    """An own answer for each anchor."""
    packs = [[Draw(prompt.fact_id, prompt.token_ids) for prompt in pack] for pack in rows.prompts(0, anchors)]
    draw_answers(packs, engine, temperature=1.0, max_new_tokens=16)


def beyond(loaded: LoadedModel, rows: TrainingRows, anchors: frozenset[str]) -> float:
    """Mean probability of all first tokens of an answer but those among which it is drawn."""
    shares = []
    for prompt in (prompt for pack in rows.prompts(0, anchors) for prompt in pack):
        with torch.inference_mode():
            logits = loaded.model(torch.tensor([prompt.token_ids])).logits[0, -1].float()
        shares.append(1.0 - float(logits.softmax(dim=-1).topk(KEPT_TOKENS).values.sum()))
    return sum(shares) / len(shares)


if __name__ == "__main__":
    main()
