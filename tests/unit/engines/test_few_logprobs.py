"""Bounds from the few log-probabilities that a server gives hold whatever the tokens are that it does not tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.stub_server import StubServer
from tests.support.tiny_vocabulary import every_answer, greedy_text, small_engine

from gradual.config.model import ServerConfig
from gradual.config.run import ProbeConfig
from gradual.engines.engine import NextTokens, UnseenTokens
from gradual.engines.server.engine import ServerEngine, ServerModel
from gradual.errors import ProbeError
from gradual.facts.fact import Fact
from gradual.facts.matching import Targets
from gradual.knowledge.levels import Level
from gradual.probing.probe import probe_facts
from gradual.probing.reads import sampling_chances
from gradual.testing import FakeEngine

LENGTH = 3
FACTS = [Fact("f", "r", "Q1?", ("Paris", "Rome")), Fact("g", "r", "Q2?", ("x",))]


class Direct:
    """A client without a socket."""

    def __init__(self, stub: StubServer) -> None:
        self.url, self.num_drops, self._stub = "here", 0, stub

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._stub.reply(path, body)[1]

    def each(self, work: Callable[[Any], Any], parts: Sequence[Any]) -> list[Any]:
        return [work(part) for part in parts]


def cut(engine: FakeEngine, number: int, vocab_size: int | None = None) -> ServerEngine:
    """A server over the engine that tells so many log-probabilities."""
    size = vocab_size or len(engine.vocabulary.pieces)
    server = ServerConfig(url="http://here", logprobs=number)
    return ServerEngine(Direct(StubServer(engine)), server, ServerModel("fake", size, engine, engine.vocabulary))  # type: ignore[arg-type]


@given(
    logits=st.lists(st.integers(-12, 4), min_size=6, max_size=20),
    top_k=st.integers(2, 12),
    number=st.integers(2, 12),
    temperature=st.sampled_from([0.3, 0.5, 1.0, 1.7]),
    top_p=st.sampled_from([1.0, 0.9, 0.5]),
)
def test_every_token_has_at_least_what_is_told_of_it(
    logits: list[int], top_k: int, number: int, temperature: float, top_p: float
) -> None:
    """Many logits are equal: ties with the k-th are kept, told or not. All chances and the rest make 1."""
    engine = FakeEngine()
    engine.logits = lambda _: np.array(logits, np.float32) / 2  # type: ignore[method-assign, assignment]
    asked = ProbeConfig(top_k=top_k, temperature=temperature, top_p=top_p)
    order = np.lexsort((np.arange(len(logits)), -np.array(logits)))
    values = np.array(logits, np.float32)[order] / 2
    kept = values >= values[min(top_k, len(values)) - 1]
    whole, none = sampling_chances(NextTokens(order[kept][None], values[kept][None]), asked)
    true = dict(zip(order[kept].tolist(), whole[0].tolist(), strict=True))
    found = cut(engine, number, len(logits)).next_tokens([[1]], top_k)
    chances, unseen = sampling_chances(found, asked)
    for token, chance in zip(found.tokens[0].tolist(), chances[0].tolist(), strict=True):
        assert token == -1 or chance <= true[token] + 1e-6
    assert chances[0].sum() + unseen[0] == pytest.approx(1.0)
    assert none.tolist() == [0.0]
    assert int(found.tokens[0, 0]) == int(order[0])


@given(
    seed=st.integers(0, 10_000),
    number=st.integers(2, 8),
    temperature=st.sampled_from([0.5, 1.0, 1.5]),
    top_p=st.sampled_from([1.0, 0.9]),
)
@settings(max_examples=25)
def test_bounds_hold_what_full_enumeration_says(seed: int, number: int, temperature: float, top_p: float) -> None:
    asked = ProbeConfig(
        num_exemplar_sets=1,
        num_shots=1,
        top_k=8,
        top_p=top_p,
        temperature=temperature,
        max_new_tokens=LENGTH,
        tolerance=1e-9,
    )
    engine = small_engine(seed)
    known = probe_facts(FACTS, {"r": FACTS}, cut(engine, number), asked, seed=1)
    for fact in FACTS:
        [answer] = known[fact.id].sets
        prompt = engine.encode([known.prompt_text(fact.id, 0)], add_special_tokens=True)[0]
        targets = Targets(fact.answers)
        p = sum(chance for text, chance in every_answer(engine, prompt, asked).items() if targets.accepts(text))
        assert answer.p_lower - 1e-6 <= p <= answer.p_upper + 1e-6
        assert answer.greedy_correct is targets.accepts(greedy_text(engine, prompt, LENGTH))
        if number == 8 and top_p == 1.0:
            assert answer.p_upper - answer.p_lower < 0.5


def test_two_of_three_tokens_by_hand() -> None:
    """p is 0.5, 0.3 and 0.2. Squared they are 25, 9 and 4; of the third it is known that it has at most 0.2.

    With temperature 0.5 it weighs at most 0.2 x 0.3 = 0.06, so that the first has at least 0.25 / 0.40.
    """
    found = NextTokens(
        np.array([[7, 8]]), np.log(np.array([[0.5, 0.3]], np.float32)), UnseenTokens(np.array([0.2]), num_tokens=5)
    )
    chances, unseen = sampling_chances(found, ProbeConfig(top_k=3, temperature=0.5))
    np.testing.assert_allclose(chances[0], [0.25 / 0.40, 0.09 / 0.40], rtol=1e-6)
    np.testing.assert_allclose(unseen, [0.06 / 0.40], rtol=1e-6)
    # Hotter, many small ones weigh more than few: 5 tokens of 0.04 each, whose square roots are 0.2.
    chances, unseen = sampling_chances(found, ProbeConfig(top_k=3, temperature=2.0))
    roots = [0.5**0.5, 0.3**0.5]
    np.testing.assert_allclose(chances[0], np.array(roots) / (sum(roots) + 5 * 0.2), rtol=1e-6)
    # The first has 0.25 of at least 0.34 and at most 0.40: less than 0.7 only in the latter case, where the second is
    # kept. The third never is: the two before it have at least 0.85.
    chances, unseen = sampling_chances(found, ProbeConfig(top_k=3, temperature=0.5, top_p=0.7))
    np.testing.assert_allclose(chances[0], [0.25 / 0.34, 0.0], rtol=1e-6)
    np.testing.assert_allclose(unseen, [0.09 / 0.34], rtol=1e-6)
    # It has at least 0.625 in either case, so that with top_p 0.6 the second is never kept.
    chances, unseen = sampling_chances(found, ProbeConfig(top_k=3, temperature=0.5, top_p=0.6))
    assert (chances[0].tolist(), unseen.tolist()) == ([1.0, 0.0], [0.0])


def test_a_level_that_bounds_leave_open_is_open() -> None:
    """By hand: 0.5, 0.3 and 0.2 as above, and one right token that is not told, so that p is between 0 and 0.15."""

    class Three(FakeEngine):
        def logits(self, path: Sequence[int]) -> np.ndarray:
            values = np.full(len(self.vocabulary.pieces), -60.0, np.float32)
            has_begun = path[-1] in self.encode([" no", " nil", " yes"][:1], add_special_tokens=False)[0]
            tokens = [self.encode([word], add_special_tokens=False)[0][0] for word in (" no", " nil", " yes")]
            values[tokens] = np.log([0.5, 0.3, 0.2])
            if has_begun or bytes(self.vocabulary.pieces[path[-1]]) in (b" nil", b" yes"):
                values[:] = -60.0
                values[0] = 0.0
            return values

    facts = [Fact(name, "r", f"{name}?", ("yes",)) for name in ("a", "b", "c")]
    asked = ProbeConfig(num_exemplar_sets=2, num_shots=1, top_k=3, num_samples=4, max_new_tokens=2)
    words = (" no", " nil", " yes")
    whole = probe_facts(facts, {"r": facts}, Three(words), asked, seed=1)
    known = probe_facts(facts, {"r": facts}, cut(Three(words), 2), asked, seed=1)
    [first, _] = known["a"].sets
    assert first.p_lower == 0.0
    assert first.p_upper == pytest.approx(0.06 / 0.40, abs=1e-3)
    assert known.open_levels("a") == (Level.UNKNOWN, Level.WEAKLY_KNOWN)
    assert known.level_of("a") is Level.UNKNOWN
    # 0.04 / 0.38 is 0.105; at least one of 8 samples is right with chance 1 - 0.895^8 = 0.59.
    assert whole["a"].sets[0].p == pytest.approx(0.04 / 0.38, abs=1e-3)
    assert whole.open_levels("a") is None
    assert whole.level_of("a") is Level.WEAKLY_KNOWN


def test_samples_are_not_drawn_from_a_part() -> None:
    asked = ProbeConfig(method="sampled", num_exemplar_sets=1, num_shots=1, num_samples=1, max_new_tokens=2)
    with pytest.raises(ProbeError, match="samples cannot be drawn from a part"):
        probe_facts(FACTS, {"r": FACTS}, cut(FakeEngine(), 5), asked, seed=1)
