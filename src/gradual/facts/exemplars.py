"""The solved facts that stand before a question: from a source of their own, and enough of them in every relation."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from gradual.config.run import FactsConfig
from gradual.facts.fact import Fact, by_relation
from gradual.facts.languages.wording import is_wording_of
from gradual.facts.loading import OTHER, as_config, read_rows, with_wordings
from gradual.facts.problems import LeftOut, Problems, data_error, quote, shown_names
from gradual.facts.sources.opening import shown_source


class ExemplifiedFacts(NamedTuple):
    """Facts and the exemplars to ask them with, by relation; every relation of the facts has enough exemplars."""

    facts: dict[str, tuple[Fact, ...]]
    exemplars: dict[str, tuple[Fact, ...]]


class SourceExemplars(NamedTuple):
    """What is in a source of exemplars: those of each relation, and the rows that it was set to leave out."""

    exemplars: dict[str, tuple[Fact, ...]]
    left_out: tuple[LeftOut, ...]


def load_exemplars(source: str | Path | FactsConfig, facts: Iterable[Fact]) -> SourceExemplars:
    """The exemplars in another source by relation, relations in sorted order, facts in the source's order.

    Their split is set to "exemplars". Where `facts` have their relations from wording, exemplars get theirs in the
    same way, and those of a wording that no fact has go to "other".

    Raises:
        DataError: as `load_facts`; or an exemplar has a relation that none of the facts has; or the facts have a
            relation column and the exemplars have none.
    """
    config = as_config(source)
    rows, name = read_rows(config), shown_source(config.path)
    relations = by_relation(facts)
    worded = {relation for relation in relations if _is_worded(relation, relations[relation])}
    known = sorted(worded - {OTHER})
    exemplars = with_wordings(rows, minimum=len(rows.facts) + 1, known=known)
    if rows.is_worded and not worded:
        expected = "a relation column, as the facts have one"
        fault = f"the columns {shown_names(rows.columns)}"
        raise data_error(name, expected=expected, found=fault, remedy="add the relation of each exemplar")
    if rows.is_worded:
        exemplars = [each if each.relation in relations else replace(each, relation=OTHER) for each in exemplars]
    problems = Problems(name)
    for relation, group in by_relation(exemplars).items():
        if relation not in relations and not (rows.is_worded and relation == OTHER):
            where = next(row.where for row in rows.facts if row.fact.id == group[0].id)
            expected = f"a relation of the facts ({shown_names(list(relations))})"
            problems.add(where, expected=expected, found=quote(relation), remedy="correct it or delete the exemplar")
    problems.stop_if_any()
    groups = by_relation(replace(each, split="exemplars") for each in exemplars)
    return SourceExemplars({relation: tuple(group) for relation, group in groups.items()}, tuple(rows.left_out))


def check_exemplars(
    facts: Mapping[str, Sequence[Fact]], exemplars: Mapping[str, Sequence[Fact]], *, num_shots: int
) -> ExemplifiedFacts:
    """The facts and exemplars by relation, once every relation of the facts has num_shots + 1 exemplars or more.

    One more than the shots, so that a question that is among the exemplars never has to stand before itself. With
    num_shots = 0 nothing is needed. Relations told from wording that have too few are put together in the relation
    "other", facts and exemplars alike, with a warning. What has too few then borrows from the relation "other" and from
    all others that are short, or else is left out, each with a warning and its count; all others come back as they are.

    Raises:
        DataError: no relation has enough exemplars; one line for each.
    """
    fewest = num_shots + 1 if num_shots else 0
    pools = {relation: list(exemplars.get(relation, ())) for relation in {*facts, *exemplars}}
    groups = {relation: list(group) for relation, group in facts.items()}
    short = [name for name in sorted(groups) if name != OTHER and len(pools[name]) < fewest]
    pooled = [name for name in short if _is_worded(name, groups[name])]
    for name in pooled:
        groups.setdefault(OTHER, []).extend(replace(fact, relation=OTHER) for fact in groups.pop(name))
        pools.setdefault(OTHER, []).extend(replace(fact, relation=OTHER) for fact in pools.pop(name))
    if pooled:
        text = f"wordings with fewer than {fewest} exemplars, put together in {OTHER!r}: {shown_names(pooled)}"
        warnings.warn(text, stacklevel=2)
    short = [name for name in sorted(groups) if len(pools[name]) < fewest]
    if short:
        _lend(short, groups, pools, fewest, num_shots)
    return ExemplifiedFacts(
        {relation: tuple(groups[relation]) for relation in sorted(groups)},
        {relation: tuple(pools[relation]) for relation in sorted(pools)},
    )


def _lend(
    short: Sequence[str], groups: dict[str, list[Fact]], pools: dict[str, list[Fact]], fewest: int, num_shots: int
) -> None:
    """Gives each short relation the exemplars of all short ones and of "other"; leaves them out if even that is few."""
    common_pool = {fact.id: fact for name in sorted({OTHER, *short}) for fact in pools.get(name, ())}
    count = sum(len(groups[name]) for name in short)
    if len(common_pool) >= fewest:
        for name in short:
            own = {fact.id for fact in pools[name]}
            pools[name] = [*pools[name], *(fact for fact in common_pool.values() if fact.id not in own)]
        borrowed = f"asked with shots borrowed from each other and from {OTHER!r}"
        warnings.warn(
            f"relations with fewer than {fewest} exemplars, {borrowed}: {shown_names(list(short))}; facts: {count}",
            stacklevel=3,
        )
        return
    if len(short) == len(groups):
        problems = Problems("the exemplars")
        for name in short:
            problems.add(
                f"relation {quote(name)}",
                expected=f"at least {fewest} exemplars for {num_shots} shots",
                found=str(len(pools[name])),
                remedy="add exemplars, lower probe.num_shots, or leave the relation out (facts.relations)",
            )
        problems.stop_if_any()
    for name in short:
        del groups[name], pools[name]
    warnings.warn(
        f"relations with fewer than {fewest} exemplars, left out: {shown_names(list(short))}; facts: {count}",
        stacklevel=3,
    )


def _is_worded(relation: str, facts: Sequence[Fact]) -> bool:
    """Whether a relation was told from the wording of its questions."""
    return relation == OTHER or all(is_wording_of(relation, fact.question) for fact in facts)
