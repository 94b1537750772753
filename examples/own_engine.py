"""An engine of your own: whatever tells the chances of a next token can be probed. Here, a table of answers.

    python examples/own_engine.py

Prints each fact's level, p (the chance that a sampled answer is right) and the greedy answer. "Bern" has 0.6 and
"Bern." 0.15: p is 0.75, since a full stop does not count. Trees of tokens come from `FakeEngine`; an engine that has a
model to run writes the methods of `Engine` and `Forest` in gradual/engines/engine.py itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import gradual
from gradual.config.run import ProbeConfig
from gradual.probing.probe import probe_facts
from gradual.testing import FakeEngine

CHANCES = {
    "Where is the Bundeshaus?": {"Bern": 0.6, "Bern.": 0.15, "Zurich": 0.25},
    "Where is the Louvre?": {"Paris": 1.0},
    "Where is the Prado?": {"Seville": 0.9, "Madrid": 0.1},
    "Where is the Hermitage?": {"Moscow": 1.0},
}
ACCEPTED = ("Bern", "Paris", "Madrid", "Saint Petersburg")


class TableEngine(FakeEngine):
    """An `Engine` that answers by the table; its tokens are single bytes, and token 0 ends a sequence."""

    def logits(self, path: Sequence[int]) -> np.ndarray:
        """(V,) logits of the next token after a path of tokens: log chances."""
        text = b"".join(self.vocabulary.piece(token) for token in path)
        question, _, typed = text.rpartition(b"Q: ")[2].partition(b"\nA:")
        chances = np.zeros(len(self.vocabulary.pieces))
        for answer, chance in CHANCES[question.decode()].items():
            whole = f" {answer}\n".encode()
            if whole.startswith(typed) and whole != typed:
                chances[self.vocabulary.pieces.index(whole[len(typed) :][:1])] += chance
        chances[0] = not chances.any()
        with np.errstate(divide="ignore"):
            return np.log(chances).astype(np.float32)


def main() -> None:
    """Asks the table and prints what it knows."""
    facts = [
        gradual.Fact(id=question, relation="place", question=question, answers=(answer,))
        for question, answer in zip(CHANCES, ACCEPTED, strict=True)
    ]
    settings = ProbeConfig(num_exemplar_sets=2, num_shots=2, temperature=1.0)
    for fact in probe_facts(facts, {"place": facts}, TableEngine(), settings, seed=1):
        print(f"{fact.level:12}  p {fact.p_sampled:.2f}  {fact.question}  {fact.greedy_answer}")


if __name__ == "__main__":
    main()
