"""What a comparison found, read from its folder in plain Python: no library beyond the standard one is needed.

    gradual compare config.yaml --out comparison
    python examples/read_comparison.py comparison

Prints the test accuracy of every arm, then what the main arm has over each other arm: on the same test facts, with the
95 % interval and Holm's p over all of these, and in HighlyKnown training facts.
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any


def told(measure: dict[str, Any], scale: float) -> str:
    """A measure with its interval; without one, why."""
    if measure["low"] is None:
        return measure["note"] or "no interval"
    value, low, high = (f"{scale * measure[name]:+.1f}" for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def main() -> None:
    """Prints the table and the contrasts of the folder named on the command line."""
    folder = Path(sys.argv[1])
    # Every table is there as CSV, with the raw numbers and the ends of intervals, and as Markdown.
    with (folder / "tables" / "01-arms.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            print(f"{row['arm']:12}  test accuracy {row['test accuracy'] or '-'}")

    # comparison.json has every number; a contrast holds one arm's end against another's.
    comparison = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    print(f"\n{comparison['main']}, seeds {comparison['seeds']}, against")
    for contrast in comparison["contrasts"]:
        if contrast["kind"] == "main":
            p = "-" if contrast["p_holm"] is None else f"{contrast['p_holm']:.2g}"
            print(f"  {contrast['against']}")
            print(f"    test accuracy, points: {told(contrast['test'], 100)}, p {p}")
            print(f"    HighlyKnown training facts: {told(contrast['highly_known'], 1)}")


if __name__ == "__main__":
    main()
