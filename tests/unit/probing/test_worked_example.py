"""The worked example of docs/exact-probe.md, step by step."""

from __future__ import annotations

import pytest
from tests.support.tiny_vocabulary import TableEngine

from gradual.config.run import ProbeConfig
from gradual.facts.fact import Fact
from gradual.probing.probe import probe_facts

CHANCES = {
    "": {" Paris": 0.6, " Rome": 0.3, " the": 0.1},
    " Paris": {"\n": 0.7, ",": 0.2, " is": 0.1},
    " the": {" city": 0.8, " Paris": 0.2},
    " Paris,": {" France": 0.9, "\n": 0.1},
    " the Paris": {"\n": 0.5, " of": 0.5},
}


@pytest.mark.parametrize(
    ("tolerance", "p_lower", "p_upper"),
    [(0.3, 0.42, 0.64), (0.12, 0.432, 0.532), (0.05, 0.432, 0.452), (0.001, 0.442, 0.442)],
)
def test_the_bounds_are_those_of_the_docs(tolerance: float, p_lower: float, p_upper: float) -> None:
    engine = TableEngine(CHANCES)
    settings = ProbeConfig(num_exemplar_sets=1, num_shots=0, temperature=1.0, tolerance=tolerance)
    fact = Fact("f", "r", "What is the capital of France?", ("Paris",))
    answer = probe_facts([fact], {}, engine, settings, seed=0)["f"].sets[0]
    assert answer.greedy_correct
    assert answer.greedy_answer == "Paris"
    assert (answer.p_lower, answer.p_upper) == (pytest.approx(p_lower), pytest.approx(p_upper))
