"""How much two processes on the same cores slow each other: threads of torch that sleep while they wait, or spin.

    python benchmarks/threads.py

Counts the forward passes of one process in a fixed time, alone and beside a second that does the same, under both
settings. Each case is measured several times, the cases taking turns, and its best round counts: what else the machine
does can only take from it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

VARIABLE = "OMP_WAIT_POLICY"
POLICIES = {"ACTIVE": "spin", "PASSIVE": "sleep"}
NUM_TOKENS = 512
"""Of each pass: as many as the probe reads at once on a CPU."""


def main() -> None:
    """Measures all cases and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="time for each round of a case")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count-passes", action="store_true", help="be one of the processes")
    args = parser.parse_args()
    if args.count_passes:
        count_passes(args.seconds)
        return
    cases = [(policy, number) for policy in POLICIES for number in (1, 2)]
    best = dict.fromkeys(cases, 0.0)
    for _ in range(args.rounds):
        for policy, number in cases:
            best[policy, number] = max(best[policy, number], passes_per_second(policy, number, args.seconds))
    print(f"{os.process_cpu_count() if hasattr(os, 'process_cpu_count') else os.cpu_count()} cores, ", end="")
    print(f"passes of {NUM_TOKENS} tokens; beside a second process: of the slower of the two\n")
    print("| while they wait, threads | passes/s alone | beside a second process | of alone |\n|---|---:|---:|---:|")
    for policy, doing in POLICIES.items():
        alone, beside = best[policy, 1], best[policy, 2]
        print(f"| {doing} ({VARIABLE}={policy}) | {alone:.2f} | {beside:.2f} | {beside / alone:.0%} |")


def passes_per_second(policy: str, num_processes: int, seconds: float) -> float:
    """Passes a second of the slowest of several processes that work at the same time."""
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, "--count-passes", "--seconds", str(seconds)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, VARIABLE: policy},
        )
        for _ in range(num_processes)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()  # is ready
    return min(float(process.communicate("go\n")[0]) for process in processes)


def count_passes(seconds: float) -> None:
    """Loads the model, says so, waits for a line, and prints how many passes a second it then made."""
    import torch

    from gradual.config.run import ModelConfig
    from gradual.models.load import load_model

    model = load_model(ModelConfig(name_or_path="smollm2")).model
    ids = torch.arange(NUM_TOKENS)[None]
    with torch.inference_mode():
        model(ids)
        print("ready", flush=True)
        sys.stdin.readline()
        started, count = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            model(ids)
            count += 1
        print(count / (time.perf_counter() - started))


if __name__ == "__main__":
    main()
