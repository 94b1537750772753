"""Texts that say that a model does not know, accepted or taught: none may be the right answer to anything.

Knows settings and facts, no models: what is wrong with a refusal is found before any is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gradual.config.stage import StageConfig
from gradual.errors import ConfigError
from gradual.facts.fact import Fact
from gradual.facts.matching import Matching, Targets
from gradual.facts.problems import quote


def taught_refusals(stages: Mapping[str, StageConfig]) -> dict[str, str]:
    """What stages teach to say, by the path of the setting; stages come by the path of theirs, such as `stages[0]`."""
    return {f"{path}.abstain.answer": stage.abstain.answer for path, stage in stages.items() if stage.abstain}


def accepted_refusals(section: str, refusals: Sequence[str]) -> dict[str, str]:
    """The refusals of a section of the settings (`evaluation`, `probe`), by the path of each."""
    return {f"{section}.refusals[{index}]": text for index, text in enumerate(refusals)}


def check_refusals(refusals: Mapping[str, str], facts: Iterable[Fact], matching: Matching) -> None:
    """Refuses refusals that count as a right answer, or could not be told from an empty one.

    Args:
        refusals: texts by the path of their setting, such as `stages[0].abstain.answer`.
        facts: all that are asked or shown in the run.
        matching: the rule that says what is right.

    Raises:
        ConfigError: a refusal normalises to nothing, or to an accepted answer of a fact; a line for each.
    """
    if not refusals:
        return
    right = {text: fact for fact in facts for text in Targets(fact.answers, matching).normalised}
    problems: list[str] = []
    for path, answer in refusals.items():
        complaint = f"{path}: expected a text that is no answer"
        if not matching.normalise(answer):
            problems.append(f"{complaint}, found {quote(answer)}, of which nothing is left when answers are compared")
        elif fact := right.get(matching.normalise(answer)):
            problems.append(
                f"{complaint}, found {quote(answer)}, an accepted answer of fact {quote(fact.id)} - use another text"
            )
    if problems:
        raise ConfigError("\n".join(problems))
