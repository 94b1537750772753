"""Two ways to read many questions behind one exemplar set: packed into one tree, and as rows over a copied cache.

    python benchmarks/packing.py

Both read the shots once and give the next-token logits at the end of every prompt; the fastest of several rounds
counts, the two taking turns. `--compile` also times the packed way with the element-wise parts compiled.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import torch
from transformers.cache_utils import DynamicCache

from gradual.config.model import ModelConfig
from gradual.config.run import FactsConfig, ProbeConfig
from gradual.engines.token_tree import ROOT
from gradual.engines.transformers_engine import TransformersEngine
from gradual.facts.fact import spread
from gradual.facts.prepare import prepare_probe
from gradual.models.load import load_model
from gradual.probing.prompts import draw_probe_prompts

Way = Callable[[TransformersEngine, Sequence[Sequence[list[int]]]], torch.Tensor]

NUM_SETS = 10
ROUNDS = 4


def main() -> None:
    """Runs both ways in turn and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--relation", default="country_of_city")
    parser.add_argument("--num-facts", type=int, default=48)
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    engine = TransformersEngine(load_model(ModelConfig(name_or_path=args.model)))
    run_facts = prepare_probe(FactsConfig(path="atlas", relations=[args.relation]), num_shots=4)
    facts, exemplars = run_facts.facts, run_facts.exemplars
    chosen = spread(facts, args.num_facts)
    probe_prompts = draw_probe_prompts(
        chosen, exemplars, engine.prompt_style(ProbeConfig()), num_sets=NUM_SETS, num_shots=4, seed=1
    )
    prompts = [
        engine.encode([probe_prompts.prompt(fact, number) for fact in chosen], add_special_tokens=True)
        for number in range(NUM_SETS)
    ]
    difference = (packed(engine, prompts) - batched(engine, prompts)).abs().max().item()
    ways = {"packed into one tree": packed, "rows over a copied cache": batched}
    seconds = {name: [_seconds(way, engine, prompts) for _ in range(ROUNDS)] for name, way in ways.items()}
    if args.compile:
        started = time.perf_counter()
        _compile_parts(engine)
        packed(engine, prompts)
        print(f"compiling took {time.perf_counter() - started:.0f} s")
        seconds["packed, compiled parts"] = [_seconds(packed, engine, prompts) for _ in range(ROUNDS)]
    print(f"{args.num_facts} facts, {NUM_SETS} exemplar sets; logits differ by at most {difference:.3f}\n")
    print("| way | seconds | slower by |\n|---|---:|---:|")
    fastest = min(seconds["packed into one tree"])
    for name, rounds in seconds.items():
        print(f"| {name} | {min(rounds):.2f} | {min(rounds) / fastest:.2f} x |")


def _seconds(way: Way, engine: TransformersEngine, prompts: Sequence[Sequence[list[int]]]) -> float:
    started = time.perf_counter()
    way(engine, prompts)
    return time.perf_counter() - started


def packed(engine: TransformersEngine, prompts: Sequence[Sequence[list[int]]]) -> torch.Tensor:
    """(sets x facts,) largest logits, read as the probe reads."""
    forest = engine.new_forest(len(prompts), top_k=40)
    ends = [(row, tree.add(ROOT, ids)[-1]) for row, tree in enumerate(forest.trees) for ids in prompts[row]]
    unique = list(dict.fromkeys(ends))
    found = dict(zip(unique, forest.read(unique).logits[:, 0].tolist(), strict=True))
    return torch.tensor([found[end] for end in ends])


def batched(engine: TransformersEngine, prompts: Sequence[Sequence[list[int]]]) -> torch.Tensor:
    """The same by a row for each question over a copy of the shots' cache, longest rows first."""
    largest = []
    for of_set in prompts:
        shared = _shared_length(of_set)
        order = sorted(range(len(of_set)), key=lambda place: -len(of_set[place]))
        width = len(of_set[order[0]]) - shared
        batch_size = max(1, engine.reader.tokens_per_pass // width)
        found = torch.zeros(len(of_set))
        for start in range(0, len(order), batch_size):
            places = order[start : start + batch_size]
            found[places] = _rows(engine, [of_set[place] for place in places], shared)
        largest.append(found)
    return torch.cat(largest)


def _shared_length(prompts: Sequence[list[int]]) -> int:
    columns = zip(*prompts, strict=False)
    same = next((place for place, column in enumerate(columns) if len(set(column)) > 1), len(prompts[0]))
    return min(same, min(map(len, prompts)) - 1)


@torch.inference_mode()  # type: ignore[untyped-decorator]
def _rows(engine: TransformersEngine, prompts: Sequence[list[int]], shared: int) -> torch.Tensor:
    cache = DynamicCache()
    engine.model.get_decoder()(torch.tensor([prompts[0][:shared]]), past_key_values=cache, use_cache=True)
    cache.batch_repeat_interleave(len(prompts))
    rests = [ids[shared:] for ids in prompts]
    width = max(map(len, rests))
    ids = torch.tensor([rest + [0] * (width - len(rest)) for rest in rests])
    hidden = engine.model.get_decoder()(ids, past_key_values=cache, use_cache=True).last_hidden_state
    ends = hidden[torch.arange(len(rests)), torch.tensor([len(rest) - 1 for rest in rests])]
    logits: torch.Tensor = engine.model.get_output_embeddings()(ends).float()
    return logits.max(dim=1).values


def _compile_parts(engine: TransformersEngine) -> None:
    for layer in engine.model.get_decoder().layers:
        for part in (layer.mlp, layer.input_layernorm, layer.post_attention_layernorm):
            part.compile(dynamic=True)


if __name__ == "__main__":
    main()
