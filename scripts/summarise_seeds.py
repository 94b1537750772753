"""Prints what several runs of the same config with other seeds came to, as Markdown.

for seed in 42 1 2; do gradual demo --seed $seed --out runs/$seed; done
python scripts/summarise_seeds.py runs/42 runs/1 runs/2
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Reads the summaries of the folders named and prints the tables."""
    runs: list[dict[str, Any]] = [json.loads((Path(folder) / "summary.json").read_text()) for folder in sys.argv[1:]]
    stages = range(len(runs[0]["levels"]))
    print("| seed | " + " | ".join(f"test, stage {k}" for k in stages) + " | p (1 to 2) | lost of HighlyKnown ", end="")
    print("| " + " | ".join(f"HighlyKnown {k}" for k in stages) + " | reading (a) | reading (b) |")
    print("|---|" + "---:|" * (2 * len(stages) + 4))
    for run in runs:
        tests = [f"{100 * row['accuracy']:.1f} %" for row in run["test_accuracy"]]
        known = run["highly_known"]
        start = next(move for move in run["transitions"] if (move["from"], move["to"]) == (0, len(stages) - 1))
        lost = sum(count for level, count in start["counts"]["HighlyKnown"].items() if level != "HighlyKnown")
        paired = next(test for test in run["mcnemar"] if (test["from"], test["to"]) == (1, 2))
        cells = [str(run["seed"]), *tests, f"{paired['p_value']:.3f}", str(lost), *(str(n) for n in known["counts"])]
        print("| " + " | ".join([*cells, f"{known['reading_a']:+.1%}", f"{known['reading_b']:+.1%}"]) + " |")
    readings = [run["highly_known"]["reading_b"] for run in runs]
    counts = [sum(column) for column in zip(*(run["highly_known"]["counts"] for run in runs), strict=True)]
    pooled = (counts[2] - counts[0]) / (counts[1] - counts[0]) - 1
    print(
        f"\nReading (b): mean {statistics.mean(readings):+.1%}, from {min(readings):+.1%} to {max(readings):+.1%}; ",
        end="",
    )
    print(f"of all seeds' facts together {pooled:+.1%}.")
    for stage in stages[1:]:
        gains = [run["test_accuracy"][stage]["accuracy"] - run["test_accuracy"][0]["accuracy"] for run in runs]
        print(f"Test accuracy after stage {stage} minus base: mean {statistics.mean(gains):+.1%}, ", end="")
        print(f"from {min(gains):+.1%} to {max(gains):+.1%}.")


if __name__ == "__main__":
    main()
