"""How much two processes on the same cores slow each other: threads of torch that spin while they wait, or sleep.

    python benchmarks/threads.py

Counts the forward passes of one process in a fixed time, alone and beside a second that does the same: with torch's own
default, and as gradual sets it. The four cases take turns, and of each the best round counts: whatever else the machine
does can only take from it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

VARIABLE = "OMP_WAIT_POLICY"
CASES = {"spin, torch's default": None, f"sleep, {VARIABLE}=PASSIVE": "PASSIVE"}
NUM_TOKENS = 64
"""Of each pass: few, so that a slow processor makes some in a round."""


def main() -> None:
    """Measures all cases and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15.0, help="time for each round of a case")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count-passes", action="store_true", help="be one of the processes")
    args = parser.parse_args()
    if args.count_passes:
        count_passes(args.seconds)
        return
    rounds: dict[tuple[str, int], list[float]] = {(name, number): [] for name in CASES for number in (1, 2)}
    for _ in range(args.rounds):
        for (name, number), speeds in rounds.items():
            speeds.append(passes_per_second(CASES[name], number, args.seconds))
    print("| threads that wait | passes/s alone | beside a second process | of alone |\n|---|---:|---:|---:|")
    for name in CASES:
        alone, beside = max(rounds[name, 1]), max(rounds[name, 2])
        print(f"| {name} | {alone:.2f} | {beside:.2f} | {beside / alone:.0%} |")


def passes_per_second(policy: str | None, num_processes: int, seconds: float) -> float:
    """Passes a second of the slowest of several processes that work at the same time."""
    env = {name: value for name, value in os.environ.items() if name != VARIABLE}
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, "--count-passes", "--seconds", str(seconds)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env | ({VARIABLE: policy} if policy else {}),
        )
        for _ in range(num_processes)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            sys.exit("a process ended before it was ready")
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return min(float(process.communicate()[0]) for process in processes)


def count_passes(seconds: float) -> None:
    """Loads the model, says so, waits for a line, and prints how many passes a second it then made."""
    import torch  # before gradual, which would set the variable

    from gradual.config.model import ModelConfig
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
