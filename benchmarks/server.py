"""The exact probe against the paper's protocol on one and the same inference server: 170 answers a fact, sampled.

    python benchmarks/server.py --url http://127.0.0.1:8000

The server must be up (docs/larger.md says how vLLM is started). The exact probe comes first, so that the protocol finds
the shots of its prompts in the server's cache.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from gradual.config.model import ModelConfig, ServerConfig
from gradual.config.run import FactsConfig, ProbeConfig
from gradual.engines.server.engine import ServerEngine
from gradual.engines.server.opening import open_server
from gradual.facts.fact import Fact, spread
from gradual.facts.matching import Targets
from gradual.facts.prepare import prepare_probe
from gradual.probing.probe import probe_facts
from gradual.probing.prompts import draw_probe_prompts

SEED = 1


class Result(NamedTuple):
    """What one method took."""

    method: str
    num_facts: int
    seconds: float
    requests: int
    tokens_sent: int
    tokens_generated: int
    mean_p: float

    def row(self, exact: Result) -> str:
        """A row of the table."""
        speed = self.num_facts / self.seconds
        times = exact.num_facts / exact.seconds / speed
        return (
            f"| {self.method} | {self.num_facts} | {self.seconds:.1f} | {speed:.3g} | {times:.1f} x | "
            f"{self.requests} | {self.tokens_sent:,} | {self.tokens_generated:,} | {self.mean_p:.4f} |"
        )


def main() -> None:
    """Runs both and prints a Markdown table."""
    args = _arguments()
    settings = ProbeConfig(num_exemplar_sets=args.sets)
    server = ServerConfig(url=args.url, model=args.server_model, compare_weights="never")
    model = ModelConfig(name_or_path=args.model, server=server)
    engine = open_server(model, top_k=settings.top_k, record=None, say=lambda text: print(text, file=sys.stderr))
    run_facts = prepare_probe(FactsConfig(path=args.facts), num_shots=settings.num_shots)
    chosen = spread(run_facts.facts, args.num_facts)
    few = spread(chosen, args.slow_facts)
    exact = _exact(engine, chosen, few, run_facts.exemplars, settings)
    protocol = _protocol(engine, few, run_facts.exemplars, settings, server)
    print("| method | facts | seconds | facts/s | exact is faster by | requests | tokens sent | generated | mean p |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    print(exact.row(exact))
    print(protocol.row(exact))
    print(f"\nmean p: of the {len(few)} facts that both were asked")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--server-model")
    parser.add_argument("--model", default="smollm2", help="where the tokenizer is")
    parser.add_argument("--facts", default="atlas")
    parser.add_argument("--num-facts", type=int, default=24)
    parser.add_argument("--slow-facts", type=int, default=3, help="facts for the protocol")
    parser.add_argument("--sets", type=int, default=10)
    return parser.parse_args()


def _exact(
    engine: ServerEngine, facts: Sequence[Fact], few: Sequence[Fact], exemplars: Any, settings: ProbeConfig
) -> Result:
    before, started = engine.cost(), time.perf_counter()
    known = probe_facts(facts, exemplars, engine, settings, seed=SEED)
    seconds, after = time.perf_counter() - started, engine.cost()
    p = sum(known[fact.id].p_sampled for fact in few) / len(few)
    requests = after.forward_passes - before.forward_passes
    return Result("exact", len(facts), seconds, requests, after.tokens - before.tokens, 0, p)


def _protocol(
    engine: ServerEngine, facts: Sequence[Fact], exemplars: Any, settings: ProbeConfig, server: ServerConfig
) -> Result:
    """One greedy and `num_samples` sampled answers under each exemplar set, as full requests as the exact probe's."""
    sets = range(settings.num_exemplar_sets)
    drawing = {"num_sets": settings.num_exemplar_sets, "num_shots": settings.num_shots, "seed": SEED}
    probe_prompts = draw_probe_prompts(facts, exemplars, engine.prompt_style(settings), **drawing)
    texts = [probe_prompts.prompt(fact, number) for fact in facts for number in sets]
    prompts = engine.encode(texts, add_special_tokens=True)
    common = {"model": engine.server_model.name, "max_tokens": settings.max_new_tokens, "stop": ["\n"]}
    sampled = {"n": settings.num_samples, "temperature": settings.temperature, "top_k": settings.top_k}
    size = server.prompts_per_request
    parts = [prompts[start : start + size] for start in range(0, len(prompts), size)]
    bodies = [common | how | {"prompt": part} for how in ({"temperature": 0.0}, sampled) for part in parts]
    started = time.perf_counter()
    replies = engine.client.each(lambda body: engine.client.post("/v1/completions", body), bodies)
    seconds = time.perf_counter() - started
    answers = [
        choice["text"]
        for reply in replies[len(parts) :]
        for choice in sorted(reply["choices"], key=lambda choice: choice["index"])
    ]
    per_fact = len(answers) // len(facts)
    right = [
        Targets(fact.answers).accepts(answer)
        for place, fact in enumerate(facts)
        for answer in answers[place * per_fact : (place + 1) * per_fact]
    ]
    generated = sum(reply["usage"]["completion_tokens"] for reply in replies)
    sent = 2 * sum(map(len, prompts))
    p = sum(right) / len(right)
    return Result("sampled protocol, 170 answers", len(facts), seconds, len(bodies), sent, generated, p)


if __name__ == "__main__":
    main()
