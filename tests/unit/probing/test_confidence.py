"""How sure a model is of its greedy answer: against full enumeration, and against chances worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.support.tiny_vocabulary import TableEngine, every_answer, greedy_text, small_engine

from gradual.config.run import ProbeConfig
from gradual.facts.fact import Fact
from gradual.facts.matching import Targets, normalise
from gradual.knowledge.map import SetAnswer
from gradual.probing import exact
from gradual.probing.exact import T1_TOLERANCE
from gradual.probing.probe import probe_facts

FACTS = [
    Fact("f", "r", "Q1?", ("Paris", "Rome")),
    Fact("g", "r", "Q2?", ("Paris.",)),
    Fact("h", "r", "Q3?", ("x",)),
    Fact("i", "r", "Q4?", ("Berlin",)),
]
TIGHT = ProbeConfig(
    num_exemplar_sets=2,
    num_shots=1,
    top_k=8,
    max_new_tokens=4,
    tolerance=1e-9,
    greedy_answers="all",
    confidence=True,
)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("top_p", [1.0, 0.9])
def test_confidence_equals_full_enumeration_at_both_temperatures(
    seed: int, top_p: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exact, "MOST_NODES", 100_000)
    engine, settings = small_engine(seed), TIGHT.model_copy(update={"top_p": top_p})
    known = probe_facts(FACTS, {"r": FACTS}, engine, settings, seed=1)
    for fact in FACTS:
        for answer in known[fact.id].sets:
            prompt = engine.encode([known.prompt_text(fact.id, answer.set)], add_special_tokens=True)[0]
            greedy, targets = greedy_text(engine, prompt, settings.max_new_tokens), Targets(fact.answers)

            def confidence(temperature: float, greedy: str = greedy, targets: Targets = targets) -> float:
                sampler = settings.model_copy(update={"temperature": temperature})
                answers = every_answer(engine, prompt, sampler).items()  # noqa: B023
                if targets.accepts(greedy):
                    return sum(chance for text, chance in answers if targets.accepts(text))
                return sum(chance for text, chance in answers if normalise(text) == normalise(greedy))

            assert answer.greedy_answer == greedy.strip()
            assert answer.confidence == pytest.approx(confidence(0.5), abs=1e-6)
            assert answer.confidence_t1 == pytest.approx(confidence(1.0), abs=1e-6)


def test_the_enumerated_answers_are_right_and_wrong_cut_and_empty() -> None:
    verdicts, texts = set(), set()
    for seed in range(5):
        known = probe_facts(FACTS, {"r": FACTS}, small_engine(seed), TIGHT, seed=1)
        verdicts |= {answer.greedy_correct for fact in known for answer in fact.sets}
        texts |= {answer.greedy_answer for fact in known for answer in fact.sets}
    assert verdicts == {True, False}
    assert any(text and len(text.split()) >= 3 for text in texts)
    assert any(text is not None and not normalise(text) for text in texts)


def asked(chances: Mapping[str, Mapping[str, float]], **changes: object) -> SetAnswer:
    """The capital of France (Paris), asked of an engine that goes by a table; bounds are tight."""
    settings = ProbeConfig(num_exemplar_sets=1, num_shots=0, tolerance=1e-9, confidence=True)
    fact = Fact("f", "r", "What is the capital of France?", ("Paris",))
    known = probe_facts([fact], {}, TableEngine(chances), settings.model_copy(update=changes), seed=0)
    [answer] = known["f"].sets
    assert known["f"].confidence == answer.confidence
    assert known["f"].confidence_t1 == answer.confidence_t1
    return answer


def test_a_wrong_answer_counts_with_articles_and_in_every_tokenisation() -> None:
    answer = asked(
        {
            "": {" Rome": 0.5, " the": 0.3, " Ro": 0.2},
            " Rome": {"\n": 1.0},
            " the": {" Rome": 0.5, " Paris": 0.5},
            " the Rome": {"\n": 1.0},
            " the Paris": {"\n": 1.0},
            " Ro": {"me": 0.9, "ad": 0.1},
        }
    )
    # Temperature 1: 0.5 + 0.3 x 0.5 + 0.2 x 0.9. At 0.5 chances are squared: 25, 9, 4 of 38; 81 and 1 of 82.
    assert answer.greedy_answer == "Rome"
    assert not answer.greedy_correct
    assert answer.confidence_t1 == pytest.approx(0.83)
    assert answer.confidence == pytest.approx(25 / 38 + 9 / 38 / 2 + 4 / 38 * 81 / 82)
    assert answer.p == pytest.approx(9 / 38 / 2)


def test_of_a_right_answer_every_accepted_answer_counts() -> None:
    fact = Fact("f", "r", "Which city?", ("Rome", "Roma"))
    chances = {"": {" Rome": 0.5, " Roma": 0.4, " Paris": 0.1}}
    settings = ProbeConfig(num_exemplar_sets=1, num_shots=0, max_new_tokens=1, confidence=True)
    answer = probe_facts([fact], {}, TableEngine(chances), settings, seed=0)["f"].sets[0]
    assert answer.greedy_correct
    assert answer.confidence_t1 == pytest.approx(0.9)
    assert (answer.confidence_lower, answer.confidence_upper) == (answer.p_lower, answer.p_upper)


def test_an_answer_that_is_cut_is_the_same_as_one_that_ends_there() -> None:
    chances = {
        "": {" big": 0.6, " big town": 0.4},
        " big": {" town": 0.7, "\n": 0.3},
        " big town": {"\n": 0.5, "s": 0.5},
    }
    answer = asked(chances, max_new_tokens=2)
    # " big" + " town" is cut; " big town" + newline ends with the same text; "big" and "big towns" are others.
    assert answer.greedy_answer == "big town"
    assert answer.confidence_t1 == pytest.approx(0.6 * 0.7 + 0.4 * 0.5)


def test_answers_that_say_nothing_are_one_answer() -> None:
    chances = {
        "": {"": 0.4, "\n": 0.2, ".": 0.2, " th": 0.15, " Paris": 0.05},
        ".": {"\n": 1.0},
        " th": {"e": 0.6, "is": 0.4},
        " the": {"\n": 0.5, " Paris": 0.5},
        " the Paris": {"\n": 1.0},
    }
    answer = asked(chances)
    assert answer.greedy_answer == ""
    assert answer.confidence_t1 == pytest.approx(0.4 + 0.2 + 0.2 + 0.15 * 0.6 * 0.5)


def test_of_two_answers_that_are_equally_likely_the_first_token_is_the_greedy_one() -> None:
    answer = asked({"": {" Oslo": 0.4, " Rome": 0.4, " Paris": 0.2}}, max_new_tokens=1)
    assert answer.greedy_answer == "Oslo"
    assert answer.confidence_t1 == pytest.approx(0.4)
    assert answer.confidence == pytest.approx(16 / 36)


def test_ties_at_the_kth_token_stay_in_the_sampler() -> None:
    chances = {"": {" Rome": 0.4, " Oslo": 0.3, " Bern": 0.3}}
    assert asked(chances, max_new_tokens=1, top_k=2).confidence_t1 == pytest.approx(0.4)


def test_bounds_are_as_tight_as_asked_and_ten_times_wider_at_temperature_one() -> None:
    settings = TIGHT.model_copy(update={"tolerance": 1e-2, "top_k": 10, "max_new_tokens": 5})
    facts = [Fact(f"f{n}", "r", f"Q{n}?", ("Paris",)) for n in range(8)]
    known = probe_facts(facts, {"r": facts}, small_engine(3), settings, seed=1)
    for answer in (answer for fact in known for answer in fact.sets):
        assert answer.confidence_lower is not None
        assert answer.confidence_upper is not None
        assert answer.confidence_t1_lower is not None
        assert answer.confidence_t1_upper is not None
        assert 0.0 <= answer.confidence_upper - answer.confidence_lower <= 1e-2
        assert 0.0 <= answer.confidence_t1_upper - answer.confidence_t1_lower <= 1e-2 * T1_TOLERANCE


def test_confidence_is_told_of_the_sets_whose_answers_are_written_out() -> None:
    first = TIGHT.model_copy(update={"greedy_answers": "first"})
    for fact in probe_facts(FACTS, {"r": FACTS}, small_engine(1), first, seed=1):
        assert fact.sets[0].confidence is not None
        assert fact.sets[1].confidence is None
        assert fact.confidence == fact.sets[0].confidence


def test_asking_for_confidence_leaves_verdicts_levels_and_probabilities_as_they_are() -> None:
    settings = TIGHT.model_copy(update={"tolerance": 1e-3})
    unasked = settings.model_copy(update={"confidence": False})
    with_it = probe_facts(FACTS, {"r": FACTS}, small_engine(2), settings, seed=1)
    without = probe_facts(FACTS, {"r": FACTS}, small_engine(2), unasked, seed=1)
    assert not without.has_confidence
    for fact in without:
        assert with_it[fact.id].level is fact.level
        for one, other in zip(with_it[fact.id].sets, fact.sets, strict=True):
            assert (one.greedy_correct, one.greedy_answer, one.margin) == (
                other.greedy_correct,
                other.greedy_answer,
                other.margin,
            )
            assert one.p == pytest.approx(other.p, abs=1e-3)


def test_finished_units_of_an_interrupted_probe_keep_their_confidence() -> None:
    kept: dict[str, bytes] = {}

    class Units:
        def get(self, key: str) -> bytes | None:
            return kept.get(key)

        def put(self, key: str, data: bytes) -> None:
            kept[key] = data

    first = probe_facts(FACTS, {"r": FACTS}, small_engine(4), TIGHT, seed=1, units=Units())
    engine = small_engine(4)
    again = probe_facts(FACTS, {"r": FACTS}, engine, TIGHT, seed=1, units=Units())
    assert again.facts == first.facts
    assert again.has_confidence
    assert engine.cost().tokens == 0


def test_a_fact_has_the_same_confidence_alone_and_in_any_company() -> None:
    together = probe_facts(FACTS, {"r": FACTS}, small_engine(4), TIGHT, seed=1)
    alone = probe_facts(FACTS[2:3], {"r": FACTS}, small_engine(4), TIGHT, seed=1)
    assert alone["h"] == together["h"]


def test_a_search_that_opens_no_more_nodes_has_wide_bounds_that_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = small_engine(0)
    full = probe_facts(FACTS, {"r": FACTS}, engine, TIGHT, seed=1)
    monkeypatch.setattr(exact, "MOST_NODES", 3)
    cut = probe_facts(FACTS, {"r": FACTS}, small_engine(0), TIGHT, seed=1)
    pairs = [(a, b) for fact in FACTS for a, b in zip(full[fact.id].sets, cut[fact.id].sets, strict=True)]
    for whole, part in pairs:
        assert part.confidence_t1_lower is not None
        assert whole.confidence_t1 is not None
        assert part.confidence_t1_lower <= whole.confidence_t1 <= (part.confidence_t1_upper or 0.0)
        assert (part.greedy_correct, part.greedy_answer) == (whole.greedy_correct, whole.greedy_answer)
    assert any((b.confidence_t1_upper or 0.0) - (b.confidence_t1_lower or 0.0) > 0.05 for _, b in pairs)
