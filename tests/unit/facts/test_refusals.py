"""What a stage may teach a model to say where it does not know."""

from __future__ import annotations

import pytest

from gradual.config.stage import AbstainConfig, StageConfig
from gradual.errors import ConfigError
from gradual.facts.fact import Fact
from gradual.facts.refusals import check_refusals

FACTS = (Fact("f1", "r", "Who wrote it?", ("Unknown", "An unknown author")), Fact("f2", "r", "When?", ("1885",)))


def stage(answer: str) -> StageConfig:
    return StageConfig(strategy="all", abstain=AbstainConfig(answer=answer))


def test_a_refusal_that_is_no_answer_passes() -> None:
    check_refusals({"stages[0]": stage("I don't know"), "stages[1]": StageConfig(strategy="all")}, FACTS)


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ("unknown.", 'found "unknown.", an accepted answer of fact "f1" - use another text'),
        ("the Unknown author", 'found "the Unknown author", an accepted answer of fact "f1" - use another text'),
        ("...", 'found "...", of which nothing is left when answers are compared'),
    ],
)
def test_a_refusal_that_counts_as_an_answer_is_one_line(answer: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_refusals({"stages[0]": stage("I don't know"), "stages[1]": stage(answer)}, FACTS)
    assert str(caught.value) == f"stages[1].abstain.answer: expected a text that is no answer, {line}"
