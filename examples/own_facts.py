"""Facts from your own rows: write them to a file, load them, ask a model.

    python examples/own_facts.py                     # a tiny random model, without network; a few seconds
    python examples/own_facts.py Qwen/Qwen2.5-0.5B   # a model that is on this machine

Prints how the facts were read (id, relation, subject), then each fact's level, p (the chance that a sampled answer is
right) and the greedy answer. A random model knows nothing.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from pathlib import Path

import gradual
from gradual.config.run import ProbeConfig
from gradual.testing import make_tiny_model

ROWS = [
    ("capital", "What is the capital of France?", "Paris"),
    ("capital", "What is the capital of Italy?", "Rome"),
    ("capital", "What is the capital of Japan?", "Tokyo | Tokio"),  # two accepted answers; the first is trained on
    ("capital", "What is the capital of Kenya?", "Nairobi"),
    ("currency", "What is the currency of India?", "rupee | Indian rupee"),
    ("currency", "What is the currency of Japan?", "yen"),
    ("currency", "What is the currency of Poland?", "zloty | złoty"),
    ("currency", "What is the currency of Mexico?", "peso | Mexican peso"),
]


def main() -> None:
    """Writes the rows, loads the facts and prints what the model knows of them."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "facts.csv"
        with table.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("relation", "question", "answers"), *ROWS])
        facts = gradual.load_facts(table)
        for fact in facts:
            print(f"{fact.id}  {fact.relation:8}  {fact.subject:6}  {', '.join(fact.answers)}")

        # A relation needs one fact more than it has shots: no fact is among its own exemplars.
        settings = ProbeConfig(num_exemplar_sets=3, num_shots=2, max_new_tokens=8)
        model = sys.argv[1] if len(sys.argv) > 1 else make_tiny_model(Path(folder) / "model")
        known = gradual.probe(model, facts, settings=settings, seed=1)
    print()
    for answered in known:
        print(f"{answered.level:12}  p {answered.p_sampled:.2f}  {answered.question}  {answered.greedy_answer!r}")


if __name__ == "__main__":
    main()
