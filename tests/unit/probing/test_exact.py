"""The exact probe against full enumeration, on vocabularies small enough to write every answer."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from tests.support.tiny_vocabulary import every_answer, greedy_text, small_engine

from gradual.config.run import ProbeConfig
from gradual.engines.engine import NextTokens
from gradual.facts.fact import Fact
from gradual.facts.matching import Targets
from gradual.knowledge.levels import Level
from gradual.probing import probe as probing
from gradual.probing.probe import probe_facts
from gradual.probing.reads import sampling_chances
from gradual.testing import FakeEngine, toy_facts

LENGTH = 4


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("top_p", [1.0, 0.9])
def test_p_equals_full_enumeration(seed: int, top_p: float) -> None:
    engine = small_engine(seed)
    settings = ProbeConfig(
        num_exemplar_sets=2, num_shots=1, top_k=8, top_p=top_p, temperature=1.0, max_new_tokens=LENGTH, tolerance=1e-9
    )
    facts = [
        Fact("f", "r", "Q1?", ("Paris", "Rome")),
        Fact("g", "r", "Q2?", ("Paris.",)),
        Fact("h", "r", "Q3?", ("x",)),
    ]
    known = probe_facts(facts, {"r": facts}, engine, settings, seed=1)
    for fact, found in itertools.product(facts, range(2)):
        answer = known[fact.id].sets[found]
        prompt = engine.encode([known.prompt_text(fact.id, found)], add_special_tokens=True)[0]
        targets = Targets(fact.answers)
        p = sum(chance for text, chance in every_answer(engine, prompt, settings).items() if targets.accepts(text))
        is_right = targets.accepts(greedy_text(engine, prompt, LENGTH))
        assert answer.p_lower - 1e-9 <= p <= answer.p_upper + 1e-9
        assert answer.p == pytest.approx(p, abs=1e-6)
        assert answer.greedy_correct is is_right


def test_the_bounds_are_as_tight_as_asked() -> None:
    settings = ProbeConfig(num_exemplar_sets=3, num_shots=1, top_k=10, max_new_tokens=5, tolerance=1e-2)
    facts = [Fact(f"f{n}", "r", f"Q{n}?", ("Paris",)) for n in range(6)]
    known = probe_facts(facts, {"r": facts}, small_engine(3), settings, seed=1)
    assert all(answer.p_upper - answer.p_lower <= 1e-2 for fact in known for answer in fact.sets)


def test_a_fact_is_the_same_alone_in_any_batch_and_in_any_order() -> None:
    facts = toy_facts(1, 20)
    settings = ProbeConfig(num_exemplar_sets=2, num_shots=2, max_new_tokens=4)
    engine = FakeEngine((" red", " blue", " green", "\n"))
    exemplars = {"toy-0": facts}
    together = probe_facts(facts, exemplars, engine, settings, seed=1)
    backwards = probe_facts(facts[::-1], exemplars, engine, settings, seed=1)
    assert together.facts == backwards.facts
    alone = probe_facts(facts[7:8], exemplars, engine, settings, seed=1)
    assert alone[facts[7].id] == together[facts[7].id]


def test_levels_only_gives_the_same_levels_with_less_reading() -> None:
    facts = [Fact(f"f{n}", "r", f"Q{n}?", ("Paris",)) for n in range(30)]
    full = ProbeConfig(num_exemplar_sets=4, num_shots=1, top_k=10, max_new_tokens=5, temperature=1.0)
    engine, other = small_engine(5), small_engine(5)
    complete = probe_facts(facts, {"r": facts}, engine, full, seed=1)
    quick = probe_facts(facts, {"r": facts}, other, full.model_copy(update={"levels_only": True}), seed=1)
    assert [fact.level for fact in quick] == [fact.level for fact in complete]
    assert len({fact.level for fact in complete}) >= 3
    assert other.cost().tokens < engine.cost().tokens


def test_wrong_greedy_answers_are_written_out_for_the_first_set_or_for_all() -> None:
    facts = [Fact(f"f{n}", "r", f"Q{n}?", ("Paris",)) for n in range(8)]
    settings = ProbeConfig(num_exemplar_sets=2, num_shots=1, top_k=8, max_new_tokens=4)
    first = probe_facts(facts, {"r": facts}, small_engine(1), settings, seed=1)
    every = probe_facts(
        facts, {"r": facts}, small_engine(1), settings.model_copy(update={"greedy_answers": "all"}), seed=1
    )
    wrong = [(fact.id, 1) for fact in every if not fact.sets[1].greedy_correct]
    assert wrong
    assert any(first[fact_id].sets[1].greedy_answer is None for fact_id, _ in wrong)
    assert all(answer.greedy_answer is not None for fact in every for answer in fact.sets)
    for fact in first:
        prompt = small_engine(1).encode([first.prompt_text(fact.id, 0)], add_special_tokens=True)[0]
        assert fact.greedy_answer == greedy_text(small_engine(1), prompt, 4).strip()


def test_sampled_frequencies_lie_around_the_exact_probability() -> None:
    facts = [Fact(f"f{n}", "r", f"Q{n}?", ("Paris",)) for n in range(12)]
    exact = ProbeConfig(num_exemplar_sets=2, num_shots=1, top_k=10, max_new_tokens=5, temperature=1.0)
    sampled = exact.model_copy(update={"method": "sampled", "num_samples": 400})
    p = probe_facts(facts, {"r": facts}, small_engine(5), exact, seed=1)
    drawn = probe_facts(facts, {"r": facts}, small_engine(5), sampled, seed=1)
    scores = [
        (drawn[fact.id].sets[j].p - a.p) / np.sqrt(max(a.p * (1 - a.p), 1e-3) / 400)
        for fact in p
        for j, a in enumerate(fact.sets)
    ]
    assert max(map(abs, scores)) < 4.0
    assert all(
        drawn[fact.id].sets[j].greedy_correct == answer.greedy_correct
        for fact in p
        for j, answer in enumerate(fact.sets)
    )


def test_sampled_levels_only_changes_no_level() -> None:
    facts = [Fact(f"f{n}", "r", f"Q{n}?", ("Paris",)) for n in range(30)]
    full = ProbeConfig(method="sampled", num_exemplar_sets=4, num_shots=1, top_k=10, max_new_tokens=5, temperature=1.0)
    quick = full.model_copy(update={"levels_only": True})
    one = probe_facts(facts, {"r": facts}, small_engine(5), full, seed=1)
    two = probe_facts(facts, {"r": facts}, small_engine(5), quick, seed=1)
    assert [fact.level for fact in one] == [fact.level for fact in two]
    assert {Level.WEAKLY_KNOWN, Level.MAYBE_KNOWN} <= {fact.level for fact in one}


def test_ties_at_the_kth_logit_are_all_kept() -> None:
    found = NextTokens(np.array([[4, 1, 2]]), np.array([[1.0, 0.0, 0.0]], dtype=np.float32))
    chances, unseen = sampling_chances(found, ProbeConfig(top_k=2, temperature=0.5))
    expected = np.exp([2.0, 0.0, 0.0]) / np.exp([2.0, 0.0, 0.0]).sum()
    np.testing.assert_allclose(chances[0], expected)
    assert unseen.tolist() == [0.0]


def test_an_interrupted_probe_goes_on_with_its_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "PROMPTS_PER_UNIT", 1)
    facts = toy_facts(3, 6)
    settings = ProbeConfig(num_exemplar_sets=10, num_shots=1, max_new_tokens=3)
    kept: dict[str, bytes] = {}

    class Units:
        def get(self, key: str) -> bytes | None:
            return kept.get(key)

        def put(self, key: str, data: bytes) -> None:
            if len(kept) == 2:
                raise KeyboardInterrupt
            kept[key] = data

    exemplars = {f"toy-{n}": facts for n in range(3)}
    unbroken = probe_facts(facts, exemplars, FakeEngine(), settings, seed=1)
    with pytest.raises(KeyboardInterrupt):
        probe_facts(facts, exemplars, FakeEngine(), settings, seed=1, units=Units())

    class More(Units):
        def put(self, key: str, data: bytes) -> None:
            kept[key] = data

    resumed = probe_facts(facts, exemplars, FakeEngine(), settings, seed=1, units=More())
    assert resumed.facts == unbroken.facts
    assert dataclasses.replace(resumed.info, cost=unbroken.info.cost) == unbroken.info
