"""How fast knowledge is measured: the exact probe, sampling, and the paper's protocol by `generate` and by vLLM.

One run, one machine, the same model, number format, threads and facts; slower methods get fewer facts, spread evenly.

    python benchmarks/probe.py                                    # SmolLM2 and the atlas on this machine's CPU
    python benchmarks/probe.py --vllm-python ../vllm/bin/python   # beside vLLM in an environment of its own
    python benchmarks/probe.py --random-shape 8b --device cuda    # speed alone, on a model of random weights
    python benchmarks/probe.py --growth benchmarks/growth.svg     # cost against the number of facts
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from growth import draw_growth
from random_model import SHAPES, random_model
from torch.utils.flop_counter import FlopCounterMode

from gradual.config.model import ModelConfig
from gradual.config.run import FactsConfig, ProbeConfig
from gradual.engines.transformers_engine import TransformersEngine
from gradual.facts.fact import Fact, spread
from gradual.facts.prepare import prepare_probe
from gradual.models.load import load_model
from gradual.probing.probe import probe_facts
from gradual.probing.prompts import draw_probe_prompts

SEED = 1
GENERATE_BATCHES = {"cpu": (32, 4), "cuda": (512, 64)}
"""Prompts that `generate` is given at once, for greedy answers and for samples."""
GROWTH_SETS = 2
RELATIONS = [
    "capital", "continent", "country_of_airport", "country_of_capital", "country_of_city", "country_of_code",
    "currency", "largest_city", "nationality", "neighbour", "region", "state_of_city",
]  # fmt: skip


class Result(NamedTuple):
    """What one method took."""

    method: str
    num_facts: int
    seconds: float
    tokens_read: int
    tokens_generated: int
    note: str = ""
    seconds_in_model: float = 0.0

    @property
    def facts_per_second(self) -> float:
        """Speed."""
        return self.num_facts / self.seconds

    def log(self) -> Result:
        """Says it on stderr and returns it: the whole table comes at the end only."""
        print(f"{self.method}: {self.num_facts} facts in {self.seconds:.1f} s", file=sys.stderr)
        return self


def main() -> None:
    """Runs the benchmark and prints a Markdown table."""
    args = _arguments()
    if args.random_shape:
        tokenizer = args.tokenizer or load_model(ModelConfig(name_or_path=args.model, device="cpu")).source
        device = args.device if args.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        loaded = random_model(args.random_shape, tokenizer, device)
    else:
        model = ModelConfig(name_or_path=args.model, dtype=args.dtype, device=args.device)
        loaded = load_model(model, threads=args.threads)
    engine = TransformersEngine(loaded)
    run_facts = prepare_probe(FactsConfig(path=args.facts, relations=args.relations or None), num_shots=4)
    facts, exemplars = run_facts.facts, run_facts.exemplars
    if args.growth:
        points = _growth(facts, exemplars, engine, args.growth_sizes)
        draw_growth(Path(args.growth), points, num_sets=GROWTH_SETS)
        return
    peak = _multiply_peak(engine)
    settings = ProbeConfig()
    chosen = spread(facts, args.num_facts)
    few = spread(facts, args.slow_facts)
    prompts = _prompts(engine, few, exemplars, settings)
    vllm = [_vllm(args.vllm_python, loaded.source, prompts, len(few), settings)] if args.vllm_python else []
    _probe(engine, few, exemplars, settings)  # warm up
    results = [_measure("exact", engine, chosen, exemplars, settings)]
    share = _peak_share(engine, results[0], peak)
    executed = share * _executed_per_useful(engine, spread(facts, args.num_facts // 4), exemplars, settings)
    results.append(_measure("exact, levels only", engine, chosen, exemplars, _change(settings, levels_only=True)))
    sampled = _change(settings, method="sampled")
    results.append(
        _measure(
            "sampled, early exit",
            engine,
            spread(facts, args.sampled_facts),
            exemplars,
            _change(sampled, levels_only=True),
        )
    )
    results.append(_measure("sampled, in full", engine, few, exemplars, sampled))
    results.append(_generate(engine, prompts, len(few), settings))
    results += vllm
    _print_table(results, engine, peak, share, executed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument(
        "--random-shape", choices=sorted(SHAPES), help="random weights of this shape instead of --model"
    )
    parser.add_argument("--tokenizer", help="folder of the tokenizer for --random-shape; without it, --model's")
    parser.add_argument("--facts", default="atlas")
    parser.add_argument("--relations", nargs="*", default=RELATIONS)
    parser.add_argument("--num-facts", type=int, default=400, help="facts for the exact probe")
    parser.add_argument("--sampled-facts", type=int, default=48, help="facts for sampling with early exit")
    parser.add_argument("--slow-facts", type=int, default=6, help="facts for the whole protocol")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--vllm-python", help="Python of an environment with vLLM")
    parser.add_argument("--growth", help="only measure cost against the number of facts, and draw it here")
    parser.add_argument("--growth-sizes", type=int, nargs="*", default=[50, 200, 500, 1000, 2000, 5000])
    args = parser.parse_args()
    if args.random_shape and (args.vllm_python or args.dtype != "auto" or args.threads):
        parser.error("--random-shape has no folder for vLLM, is bfloat16, and takes torch's threads")
    return args


def _change(settings: ProbeConfig, **changes: Any) -> ProbeConfig:
    return settings.model_copy(update=changes)


def _probe(
    engine: TransformersEngine, facts: Sequence[Fact], exemplars: Mapping[str, Any], settings: ProbeConfig
) -> None:
    probe_facts(facts, exemplars, engine, settings, seed=SEED)


def _measure(
    name: str, engine: TransformersEngine, facts: Sequence[Fact], exemplars: Mapping[str, Any], settings: ProbeConfig
) -> Result:
    before, started = engine.cost(), time.perf_counter()
    _probe(engine, facts, exemplars, settings)
    seconds, after = time.perf_counter() - started, engine.cost()
    inside, read = after.seconds - before.seconds, after.tokens - before.tokens
    padding = 1 - read / (after.padded_tokens - before.padded_tokens)
    passes = after.forward_passes - before.forward_passes
    note = f"{1 - inside / seconds:.0%} of the time outside the model; {passes:,} passes, {padding:.0%} padding"
    return Result(name, len(facts), seconds, read, 0, note, inside).log()


def _parameters_per_token(engine: TransformersEngine) -> int:
    """Weights that every read token is multiplied with: all of the layers, not the embeddings."""
    layers = engine.model.get_decoder().layers
    return sum(weight.numel() for weight in layers.parameters() if weight.dim() == 2)


def _peak_share(engine: TransformersEngine, exact: Result, peak: float) -> float:
    """Share of the multiply peak in the exact probe's forward passes; attention and output layer are not counted."""
    return 2 * _parameters_per_token(engine) * exact.tokens_read / exact.seconds_in_model / peak


def _executed_per_useful(
    engine: TransformersEngine, facts: Sequence[Fact], exemplars: Mapping[str, Any], settings: ProbeConfig
) -> float:
    """All products that are done (attention, output layer and padding too) to those of the layers' weights alone."""
    before = engine.cost().tokens
    with FlopCounterMode(display=False) as counter:
        _probe(engine, facts, exemplars, settings)
    tokens = engine.cost().tokens - before
    return float(counter.get_total_flops()) / (2 * _parameters_per_token(engine) * tokens)


def _multiply_peak(engine: TransformersEngine) -> float:
    """Operations a second of the model's own widest multiplication, at the number of tokens of a pass."""
    shape = max(
        (w for w in engine.model.get_decoder().layers[0].parameters() if w.dim() == 2), key=lambda w: w.numel()
    ).shape
    device, dtype = engine.model.device, engine.model.dtype
    left = torch.randn(engine.reader.tokens_per_pass, shape[1], device=device, dtype=dtype)
    right = torch.randn(*shape, device=device, dtype=dtype)

    def multiply(count: int) -> float:
        started = time.perf_counter()
        for _ in range(count):
            torch.nn.functional.linear(left, right)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    multiply(10)
    count = max(20, round(20 * 0.3 / max(multiply(20), 1e-6)))
    best = min(multiply(count) for _ in range(5))
    return float(2 * count * left.shape[0] * shape[0] * shape[1] / best)


def _prompts(
    engine: TransformersEngine, facts: Sequence[Fact], exemplars: Mapping[str, Any], settings: ProbeConfig
) -> list[str]:
    probe_prompts = draw_probe_prompts(
        facts, exemplars, engine.prompt_style(settings),
        num_sets=settings.num_exemplar_sets, num_shots=settings.num_shots,
        seed=SEED,
    )  # fmt: skip
    return [probe_prompts.prompt(fact, number) for fact in facts for number in range(settings.num_exemplar_sets)]


def _generate(engine: TransformersEngine, prompts: list[str], num_facts: int, settings: ProbeConfig) -> Result:
    """The paper's protocol by batched `generate`: one greedy answer and the samples for every prompt."""
    tokenizer, model = engine.loaded.tokenizer, engine.model
    tokenizer.padding_side = "left"
    pieces = engine.vocabulary.pieces
    ends = sorted(engine.vocabulary.stops | {token for token, piece in enumerate(pieces) if b"\n" in piece})
    options: dict[str, Any] = {
        "max_new_tokens": settings.max_new_tokens,
        "eos_token_id": ends,
        "pad_token_id": tokenizer.pad_token_id,
    }
    sampling = {
        "do_sample": True,
        "temperature": settings.temperature,
        "top_k": settings.top_k,
        "num_return_sequences": settings.num_samples,
    }
    read = written = 0
    started = time.perf_counter()
    torch.backends.cuda.enable_cudnn_sdp(False)  # which would plan anew for every token, as the batch grows longer
    sizes = GENERATE_BATCHES[model.device.type]
    ways: tuple[dict[str, Any], dict[str, Any]] = ({"do_sample": False}, sampling)
    for batch_size, extra in zip(sizes, ways, strict=True):
        for start in range(0, len(prompts), batch_size):
            batch = tokenizer(prompts[start : start + batch_size], return_tensors="pt", padding=True).to(model.device)
            with torch.inference_mode():
                out = model.generate(**batch, **options, **extra)
            answers = out[:, batch["input_ids"].shape[1] :]
            read += int(batch["attention_mask"].sum())
            written += int((answers != tokenizer.pad_token_id).sum())
    return Result("batched generate, whole protocol", num_facts, time.perf_counter() - started, read, written).log()


def _vllm(python: str, source: str, prompts: list[str], num_facts: int, settings: ProbeConfig) -> Result:
    """The paper's protocol by vLLM with prefix caching, in its own process; loading is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        task, output = Path(folder) / "task.json", Path(folder) / "output.json"
        task.write_text(json.dumps({"model": source, "prompts": prompts, "settings": settings.model_dump()}))
        script = Path(__file__).with_name("vllm_protocol.py")
        subprocess.run([python, str(script), str(task), str(output)], check=True, stdout=sys.stderr)
        found = json.loads(output.read_text())
    return Result(
        "vLLM, whole protocol", num_facts, found["seconds"], found["read"], found["written"], f"vLLM {found['version']}"
    )


def _growth(
    facts: Sequence[Fact], exemplars: Mapping[str, Any], engine: TransformersEngine, sizes: Sequence[int]
) -> dict[str, list[tuple[int, float]]]:
    """Seconds by number of facts, under a few exemplar sets, with 16 and 1,000 samples: more cost nothing."""

    def seconds(count: int, samples: int) -> float:
        started = time.perf_counter()
        settings = _change(ProbeConfig(), num_samples=samples, num_exemplar_sets=GROWTH_SETS)
        _probe(engine, spread(facts, count), exemplars, settings)
        return time.perf_counter() - started

    points: dict[str, list[tuple[int, float]]] = {}
    for count in sizes:
        for samples in (16, 1000) if count <= 500 else (16,):
            point = (min(count, len(facts)), seconds(count, samples))
            points.setdefault(f"{samples} samples", []).append(point)
            print(count, samples, f"{points[f'{samples} samples'][-1][1]:.1f} s", file=sys.stderr)
    return points


def _print_table(
    results: Sequence[Result], engine: TransformersEngine, peak: float, share: float, executed: float
) -> None:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    fingerprint = engine.fingerprint
    fields = ("name", "dtype", "device", "threads", "torch", "transformers")
    print(", ".join(f"{field} {fingerprint[field]}" for field in fields))
    print(f"multiply peak at the model's shapes {peak / 1e9:.0f} GFLOP/s; in the passes of the exact probe", end=" ")
    print(f"{share:.0%} of it by the layers' weights on tokens read, {executed:.0%} by all products done")
    print(f"peak memory of this process: {memory:.2f} GB", end="")
    if engine.model.device.type == "cuda":
        print(f", of the {torch.cuda.get_device_name()}: {torch.cuda.max_memory_allocated() / 1e9:.1f} GB", end="")
    print("\n")
    print("| method | facts | seconds | facts/s | exact is faster by | tokens read | tokens generated | note |")
    print("|---|---:|---:|---:|---:|---:|---:|---|")
    for each in results:
        ratio = results[0].facts_per_second / each.facts_per_second
        speed = f"{each.num_facts} | {each.seconds:.1f} | {each.facts_per_second:.3g} | {ratio:.1f} x"
        print(f"| {each.method} | {speed} | {each.tokens_read:,} | {each.tokens_generated:,} | {each.note} |")


if __name__ == "__main__":
    main()
