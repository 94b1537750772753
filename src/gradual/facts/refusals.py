"""Texts that a stage teaches a model to say where it does not know: none may be the right answer to anything.

Knows settings and facts, no models: what is wrong with a refusal is found before any is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gradual.config.stage import StageConfig
from gradual.errors import ConfigError
from gradual.facts.fact import Fact
from gradual.facts.matching import Matching, Targets
from gradual.facts.problems import shown


def check_refusals(stages: Mapping[str, StageConfig], facts: Iterable[Fact], matching: Matching) -> None:
    """Refuses stages whose `abstain.answer` counts as a right answer, or could not be told from an empty one.

    Args:
        stages: by the path of their settings, such as `stages[0]`.
        facts: all that are asked or shown in the run.
        matching: the rule that says what is right.

    Raises:
        ConfigError: an answer normalises to nothing, or to an accepted answer of a fact; a line for each stage.
    """
    answers = {f"{path}.abstain.answer": stage.abstain.answer for path, stage in stages.items() if stage.abstain}
    if not answers:
        return
    right = {text: fact for fact in facts for text in Targets(fact.answers, matching).normalised}
    problems: list[str] = []
    for path, answer in answers.items():
        said = f"{path}: expected a text that is no answer"
        if not matching.normalise(answer):
            problems.append(f"{said}, found {shown(answer)}, of which nothing is left when answers are compared")
        elif fact := right.get(matching.normalise(answer)):
            problems.append(
                f"{said}, found {shown(answer)}, an accepted answer of fact {shown(fact.id)} - use another text"
            )
    if problems:
        raise ConfigError("\n".join(problems))
