"""How likely a model is to say that it does not know: against full enumeration, and against chances worked by hand."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.support.tiny_vocabulary import TableEngine, every_answer, greedy_text, small_engine

from gradual.config.run import ProbeConfig
from gradual.facts.fact import Fact
from gradual.facts.matching import Targets
from gradual.knowledge.map import FactKnowledge
from gradual.probing.probe import probe_facts

FACTS = [Fact("f", "r", "Q1?", ("Rome",)), Fact("g", "r", "Q2?", ("Par.",)), Fact("h", "r", "Q3?", ("Berlin",))]
REFUSALS = ["Paris", "x"]
"""In a vocabulary without words for it, these stand for "I don't know"."""
TIGHT = ProbeConfig(
    num_exemplar_sets=2,
    num_shots=1,
    top_k=8,
    max_new_tokens=4,
    tolerance=1e-9,
    confidence=True,
    refusals=REFUSALS,
)


@pytest.mark.parametrize("seed", range(4))
def test_refusals_are_as_likely_as_full_enumeration_says(seed: int) -> None:
    engine, refusals = small_engine(seed), Targets(tuple(REFUSALS))
    known = probe_facts(FACTS, {"r": FACTS}, engine, TIGHT, seed=1)
    for fact in known:
        for answer in fact.sets:
            prompt = engine.encode([known.prompt_text(fact.id, answer.set)], add_special_tokens=True)[0]
            answers = every_answer(engine, prompt, TIGHT).items()
            assert answer.p_refuse == pytest.approx(sum(p for text, p in answers if refusals.accepts(text)), abs=1e-6)
            assert answer.greedy_refused is refusals.accepts(greedy_text(engine, prompt, TIGHT.max_new_tokens))
        assert fact.p_refuse == pytest.approx(sum(answer.p_refuse or 0.0 for answer in fact.sets) / 2)
        assert fact.p_greedy_refuse == sum(answer.greedy_refused or False for answer in fact.sets) / 2


def test_some_of_the_enumerated_answers_are_refusals() -> None:
    engines = [small_engine(seed) for seed in range(4)]
    maps = [probe_facts(FACTS, {"r": FACTS}, engine, TIGHT, seed=1) for engine in engines]
    assert {answer.greedy_refused for known in maps for fact in known for answer in fact.sets} == {True, False}


def test_asking_for_refusals_leaves_verdicts_and_probabilities_as_they_are() -> None:
    without = TIGHT.model_copy(update={"refusals": []})
    plain = probe_facts(FACTS, {"r": FACTS}, small_engine(2), without, seed=1)
    asked = probe_facts(FACTS, {"r": FACTS}, small_engine(2), TIGHT, seed=1)
    assert asked.has_refusals
    assert not plain.has_refusals
    for fact in plain:
        pairs = zip(asked[fact.id].sets, fact.sets, strict=True)
        assert all((a.greedy_answer, a.p_lower, a.margin) == (b.greedy_answer, b.p_lower, b.margin) for a, b in pairs)


def asked(chances: Mapping[str, Mapping[str, float]], **changes: object) -> FactKnowledge:
    """The capital of France (Paris), asked of an engine that goes by a table; bounds are tight."""
    settings = ProbeConfig(num_exemplar_sets=1, num_shots=0, tolerance=1e-9, refusals=["I don't know", "No idea"])
    fact = Fact("f", "r", "What is the capital of France?", ("Paris",))
    return probe_facts([fact], {}, TableEngine(chances), settings.model_copy(update=changes), seed=0)["f"]


def test_a_refusal_counts_in_every_spelling_and_is_no_right_answer() -> None:
    known = asked(
        {
            "": {" I": 0.5, " Paris": 0.3, " no": 0.2},
            " I": {" don't": 0.6, " dont": 0.2, " am": 0.2},
            " I don't": {" know": 1.0},
            " I don't know": {".": 0.5, "\n": 0.5},
            " I dont": {" know": 1.0},
            " no": {" idea": 0.5, " man": 0.5},
        },
        temperature=1.0,
    )
    # Greedy: I don't know, with a full stop or none: 0.5 (0.6 + 0.2). No idea: 0.2 x 0.5.
    assert (known.p_greedy, known.p_greedy_refuse) == (0.0, 1.0)
    assert known.p_refuse == pytest.approx(0.5)
    assert known.p_sampled == pytest.approx(0.3)
    [answer] = known.sets
    assert answer.greedy_answer in ("I don't know", "I don't know.")
    assert answer.greedy_refused
    assert answer.p_refuse_upper == pytest.approx(answer.p_refuse_lower)


def test_a_model_is_as_sure_of_a_refusal_as_of_all_refusals_together() -> None:
    chances = {"": {" No idea": 0.5, " I don't know": 0.3, " Paris": 0.2}}
    known = asked(chances, confidence=True)
    # At temperature 0.5 chances are squared: 25, 9 and 4 of 38.
    assert known.p_refuse == pytest.approx(34 / 38)
    assert known.confidence == pytest.approx(34 / 38)
    assert known.confidence_t1 == pytest.approx(0.8)


def test_a_right_or_wrong_answer_keeps_its_own_confidence() -> None:
    right = asked({"": {" Paris": 0.5, " No idea": 0.5}}, confidence=True, temperature=1.0, max_new_tokens=1)
    wrong = asked({"": {" Rome": 0.6, " No idea": 0.4}}, confidence=True, temperature=1.0, max_new_tokens=1)
    assert (right.p_sampled, right.p_refuse) == (pytest.approx(0.5), pytest.approx(0.5))
    assert (wrong.confidence, wrong.p_refuse) == (pytest.approx(0.6), pytest.approx(0.4))
    assert wrong.p_greedy_refuse == 0.0


def test_bounds_are_as_tight_as_asked() -> None:
    settings = TIGHT.model_copy(update={"tolerance": 0.05})
    for fact in probe_facts(FACTS, {"r": FACTS}, small_engine(3), settings, seed=1):
        for answer in fact.sets:
            assert 0.0 <= (answer.p_refuse_upper or 0.0) - (answer.p_refuse_lower or 0.0) <= 0.05


def test_a_refusal_that_is_next_to_impossible_is_not_read_ahead() -> None:
    chances = {"": {" Rome": 0.7, " Paris": 0.2999, " I": 0.0001}, " I": {" don't know": 1.0}}
    tokens = []
    for refusals in ([], ["I don't know"]):
        engine = TableEngine(chances)
        settings = ProbeConfig(num_exemplar_sets=1, num_shots=0, refusals=refusals)
        probe_facts([Fact("f", "r", "Where?", ("Paris",))], {}, engine, settings, seed=0)
        tokens.append(engine.cost().tokens)
    assert tokens[0] == tokens[1]


def test_finished_units_of_an_interrupted_probe_keep_their_refusals() -> None:
    kept: dict[str, bytes] = {}

    class Units:
        def get(self, key: str) -> bytes | None:
            return kept.get(key)

        def put(self, key: str, data: bytes) -> None:
            kept[key] = data

    first = probe_facts(FACTS, {"r": FACTS}, small_engine(3), TIGHT, seed=1, units=Units())
    again = probe_facts(FACTS, {"r": FACTS}, small_engine(3), TIGHT, seed=1, units=Units())
    assert again.facts == first.facts
