"""Own answers are samples of the model, the same whatever else is drawn beside them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from gradual.engines.engine import Forest
from gradual.errors import OutOfMemoryError, ProbeError
from gradual.probing import own_answers
from gradual.probing.own_answers import Draw, OwnAnswer, draw_answers
from gradual.testing import FakeEngine

ENGINE = FakeEngine()
PROMPT, OTHER = ENGINE.encode(["Q: a\nA:", "Q: b\nA:"], add_special_tokens=True)


def drawn(packs: list[list[Draw]], engine: FakeEngine = ENGINE, length: int = 3, heat: float = 1.0) -> list[OwnAnswer]:
    return draw_answers(packs, engine, temperature=heat, max_new_tokens=length)


@pytest.mark.parametrize("heat", [1.0, 2.0])
def test_answers_are_as_frequent_as_the_model_makes_them(heat: float) -> None:
    number = 4000
    answers = drawn([[Draw(f"{each}", PROMPT) for each in range(number)]], length=1, heat=heat)
    counts = Counter(answer.tokens[0] for answer in answers)
    weights = np.exp(ENGINE.logits(PROMPT).astype(np.float64) / heat)
    chances = weights / weights.sum()
    likely = np.argsort(-chances)[:20]
    for token in likely:
        sigma = (chances[token] * (1 - chances[token]) / number) ** 0.5
        assert abs(counts[token] / number - chances[token]) < 4 * sigma
    assert len(counts) > 40  # no likeliest few alone


def test_an_answer_depends_on_its_key_and_prompt_alone() -> None:
    draws = [Draw(f"{key}", prompt) for key in range(6) for prompt in (PROMPT, OTHER)]
    together = drawn([draws[:5], draws[5:]])
    alone = [drawn([[draw]])[0] for draw in reversed(draws)]
    assert together == alone[::-1]
    assert len(set(together)) > 6


def test_an_answer_ends_with_its_end_its_line_or_at_the_longest_length() -> None:
    answers = drawn([[Draw(f"{key}", PROMPT) for key in range(600)]], length=4)
    newline = ENGINE.encode(["\n"], add_special_tokens=False)[0][0]
    ends = {0, newline}
    for answer in answers:
        assert not ends & set(answer.tokens[:-1])
        assert len(answer.tokens) == 4 or answer.tokens[-1] in ends
        written = b"".join(ENGINE.vocabulary.piece(token) for token in answer.tokens if token not in ends)
        assert answer.text == written.decode(errors="replace").strip()
    empty = [answer for answer in answers if answer.tokens[0] in ends]
    assert empty
    assert all(answer.text == "" and len(answer.tokens) == 1 for answer in empty)


def test_what_does_not_fit_into_memory_together_is_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    packs = [[Draw(f"{pack}/{key}", PROMPT) for key in range(3)] for pack in range(4)]
    expected = drawn(packs)
    new_forest, sizes = FakeEngine.new_forest, []

    def small(engine: FakeEngine, num_rows: int, *, top_k: int) -> Forest:
        sizes.append(num_rows)
        if num_rows > 1:
            raise OutOfMemoryError("no room")
        return new_forest(engine, num_rows, top_k=top_k)

    monkeypatch.setattr(FakeEngine, "new_forest", small)
    assert drawn(packs) == expected
    assert sizes == [4, 2, 1, 1, 2, 1, 1]


def test_a_prompt_too_long_even_alone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(engine: FakeEngine, num_rows: int, *, top_k: int) -> Forest:
        raise OutOfMemoryError("no room")

    monkeypatch.setattr(FakeEngine, "new_forest", none)
    with pytest.raises(ProbeError, match='"k": its prompt does not fit into memory even alone'):
        drawn([[Draw("k", PROMPT)]])


def test_packs_are_written_some_at_a_time_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_answers, "PACKS_PER_FOREST", 2)
    told: list[int] = []
    packs = [[Draw(f"{pack}/{key}", PROMPT) for key in range(pack + 1)] for pack in range(3)]
    answers = draw_answers(packs, ENGINE, temperature=1.0, max_new_tokens=2, progress=told.append)
    assert told == [3, 3]
    assert len(answers) == 6
