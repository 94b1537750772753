"""What a source of facts was found to be, for people: which column plays which role, how many facts a relation has.

Reads the source as `loading` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gradual.config.run import FactsConfig
from gradual.facts.fact import by_relation
from gradual.facts.loading import read_source
from gradual.facts.problems import Problems
from gradual.facts.reading.columns import USUAL_NAMES, find_roles
from gradual.facts.sources.opening import open_source, shown_source

_ROLES = ("question", "answers", "aliases", "relation", "subject", "split", "id")


@dataclass(frozen=True)
class SourceDescription:
    """What is in a source."""

    columns: Mapping[str, str]
    """By role the column, path or template that plays it; roles without one are left out."""
    relations: Mapping[str, int]
    """Facts of each relation, the largest first."""
    has_splits: bool
    """Whether the facts say what they are for."""


def describe_source(config: FactsConfig) -> SourceDescription:
    """What is in a source, checked as for a run.

    Raises:
        DataError: the source or a row cannot be used.
    """
    facts = read_source(config, num_shots=4).facts
    counts = {relation: len(group) for relation, group in by_relation(facts).items()}
    by_size = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    return SourceDescription(_columns(config), by_size, any(fact.split for fact in facts))


def _columns(config: FactsConfig) -> dict[str, str]:
    """The roles in the first part of the source that has any."""
    problems = Problems(shown_source(config.path), skips_rows=True)
    for part in open_source(config, USUAL_NAMES, problems).parts:
        roles = find_roles(part, config.columns, problems)
        if roles is None:
            continue
        selectors = {role: getattr(roles, role) for role in _ROLES}
        selectors["answers"] = roles.answers[0]
        return {role: selector.text for role, selector in selectors.items() if selector}
    return {}
