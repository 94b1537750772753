"""Facts out of files: reads a source, checks everything that can be checked without a model, and names every problem.

Owns what rows say together: identical and contradicting rows, ids, relations told from the wording of the questions,
and whether each relation has enough exemplars. Formats are read by `sources` and `rows`, single rows by `columns`;
dividing facts into train and test is for `splits`.
"""

from __future__ import annotations

import difflib
import math
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from gradual.config.run import FactsConfig, ProbeConfig
from gradual.facts.columns import StatedFact, find_roles, read_facts
from gradual.facts.fact import Fact, by_relation
from gradual.facts.matching import Targets
from gradual.facts.problems import Problems, data_error, shown, shown_names
from gradual.facts.sources import Source, open_source
from gradual.facts.wording import Wording, is_wording_of, wordings

__all__ = ["OTHER", "ExemplifiedFacts", "check_exemplars", "load_exemplars", "load_facts", "pool_small_groups"]

OTHER = "other"
"""The relation of facts whose wording too few others share."""
_DEFAULT_SHOTS = ProbeConfig.model_fields["num_shots"].default
_FREQUENT_SHARE = 0.1
"""A wording is usual in a relation if at least this share of its facts have it."""


class ExemplifiedFacts(NamedTuple):
    """Facts and the exemplars to ask them with, by relation; every relation of the facts has enough exemplars."""

    facts: dict[str, tuple[Fact, ...]]
    exemplars: dict[str, tuple[Fact, ...]]


class _Loaded(NamedTuple):
    facts: list[StatedFact]
    is_worded: bool
    """The source has no relations; they are to be told from wording."""
    columns: tuple[str, ...]


def load_facts(source: str | Path | FactsConfig, *, num_shots: int = _DEFAULT_SHOTS) -> list[Fact]:
    """The facts of a source, checked, in the source's order.

    A source is a file (.jsonl, .ndjson, .json as a list or in SQuAD's nesting, .csv, .tsv, .parquet), a folder of such
    files, a folder saved by `datasets.save_to_disk`, EntityQuestions as published (train/P17.train.json ...; its dev
    split becomes validation), `hf:owner/name[:config][@revision]`, or `atlas`, the facts that come with gradual. A
    data set of one split only counts as undivided.

    Columns are found by name (`columns.DETECTED`) unless `FactsConfig.columns` names them. Answers are text, a list,
    a JSON list written as text, in CSV also `a | b`, or {"text": [...]}; an `aliases` column adds accepted answers.
    White space around texts is dropped. Without an id, the id is a hash of relation and question. Without a subject
    column, the subject is what varies in the wording, where that is one part of the question.

    Without a relation column, the relation is the wording of the question (`wording.wordings`: "What is the capital of
    France?" is "what is the capital of _"). Wordings of fewer than 2 x (num_shots + 1) facts, the number needed to
    have enough exemplars and as many facts left, are put together in the relation "other", with a warning.

    Identical rows are dropped with a warning. In data sets that others publish (`hf:`, EntityQuestions) questions that
    stand there with different answers, or in several splits, are left out with a warning; in a file of one's own they
    are errors.

    Raises:
        DataError: the source cannot be read or rows of it cannot be facts; one line for each problem, the first 20.
    """
    config = _as_config(source)
    loaded = _load(config)
    facts = _with_wordings(loaded, minimum=_smallest_group(num_shots), known=())
    if not loaded.is_worded:
        return facts
    facts = pool_small_groups(facts, minimum=_smallest_group(num_shots))
    problems = Problems(config.path)
    wanted = _wanted_relations({fact.relation for fact in facts}, config, problems)
    problems.stop_if_any()
    return [fact for fact in facts if fact.relation in wanted]


def load_exemplars(source: str | Path | FactsConfig, facts: Iterable[Fact]) -> dict[str, tuple[Fact, ...]]:
    """The exemplars in another source by relation, relations in sorted order, facts in the source's order.

    Their split is set to "exemplars". Where `facts` have their relations from wording, exemplars get theirs in the
    same way, and those of a wording that no fact has go to "other".

    Raises:
        DataError: as `load_facts`; or an exemplar has a relation that none of the facts has; or the facts have a
            relation column and the exemplars have none.
    """
    config = _as_config(source)
    loaded = _load(config)
    relations = by_relation(facts)
    worded = {relation for relation in relations if _is_worded(relation, relations[relation])}
    known = sorted(worded - {OTHER})
    exemplars = _with_wordings(loaded, minimum=len(loaded.facts) + 1, known=known)
    if loaded.is_worded and not worded:
        expected = "a relation column, as the facts have one"
        found = f"the columns {shown_names(loaded.columns)}"
        raise data_error(config.path, expected=expected, found=found, remedy="add the relation of each exemplar")
    if loaded.is_worded:
        exemplars = [each if each.relation in relations else replace(each, relation=OTHER) for each in exemplars]
    problems = Problems(config.path)
    for relation, group in by_relation(exemplars).items():
        if relation not in relations and not (loaded.is_worded and relation == OTHER):
            where = next(stated.where for stated in loaded.facts if stated.fact.id == group[0].id)
            expected = f"a relation of the facts ({shown_names(list(relations))})"
            problems.add(where, expected=expected, found=shown(relation), remedy="correct it or delete the exemplar")
    problems.stop_if_any()
    grouped = by_relation(replace(each, split="exemplars") for each in exemplars)
    return {relation: tuple(group) for relation, group in grouped.items()}


def check_exemplars(
    facts: Mapping[str, Sequence[Fact]], exemplars: Mapping[str, Sequence[Fact]], *, num_shots: int
) -> ExemplifiedFacts:
    """The facts and exemplars by relation, once every relation of the facts has num_shots + 1 exemplars or more.

    One more than the shots, so that a question that is among the exemplars never has to stand before itself. With
    num_shots = 0 nothing is needed. Relations told from wording that have too few are put together in the relation
    "other", facts and exemplars alike, with a warning; all others come back as they are.

    Raises:
        DataError: a relation has too few exemplars; one line for each.
    """
    needed = num_shots + 1 if num_shots else 0
    pools = {relation: list(exemplars.get(relation, ())) for relation in {*facts, *exemplars}}
    grouped = {relation: list(group) for relation, group in facts.items()}
    short = [name for name in sorted(grouped) if name != OTHER and len(pools[name]) < needed]
    pooled = [name for name in short if _is_worded(name, grouped[name])]
    if pooled:
        for name in pooled:
            grouped.setdefault(OTHER, []).extend(replace(fact, relation=OTHER) for fact in grouped.pop(name))
            pools.setdefault(OTHER, []).extend(replace(fact, relation=OTHER) for fact in pools.pop(name))
        warnings.warn(
            f"wordings with fewer than {needed} exemplars, put together in {OTHER!r}: {shown_names(pooled)}",
            stacklevel=2,
        )
    problems = Problems("the exemplars")
    for relation in sorted(grouped):
        if len(pools[relation]) < needed:
            problems.add(
                f"relation {shown(relation)}",
                expected=f"at least {needed} exemplars for {num_shots} shots",
                found=str(len(pools[relation])),
                remedy="add exemplars, lower probe.num_shots, or leave the relation out (facts.relations)",
            )
    problems.stop_if_any()
    return ExemplifiedFacts(
        {relation: tuple(grouped[relation]) for relation in sorted(grouped)},
        {relation: tuple(pools[relation]) for relation in sorted(pools)},
    )


def pool_small_groups(facts: Iterable[Fact], *, minimum: int) -> list[Fact]:
    """The facts, those in a relation of fewer than `minimum` facts moved to the relation "other", with a warning."""
    kept = list(facts)
    counts = Counter(fact.relation for fact in kept)
    small = sorted(relation for relation, count in counts.items() if count < minimum and relation != OTHER)
    if not small:
        return kept
    moved = sum(counts[relation] for relation in small)
    warnings.warn(
        f"facts put together in the relation {OTHER!r}, as fewer than {minimum} share their wording: {moved} "
        f"({shown_names(small)}); a relation column would say which questions are of one type",
        stacklevel=3,
    )
    return [replace(fact, relation=OTHER) if fact.relation in small else fact for fact in kept]


def _as_config(source: str | Path | FactsConfig) -> FactsConfig:
    if isinstance(source, FactsConfig):
        return source
    if not str(source):
        raise data_error(
            "facts", expected="the path of a file or folder", found="an empty text", remedy="name the file"
        )
    return FactsConfig(path=str(source))


def _smallest_group(num_shots: int) -> int:
    return 2 * (num_shots + 1)


def _load(config: FactsConfig) -> _Loaded:
    """The facts of a source with all checks done except those that need other sources."""
    problems = Problems(config.path)
    source = open_source(config.path, problems)
    stated: list[StatedFact] = []
    is_worded = False
    columns: tuple[str, ...] = ()
    for part in source.parts:
        if not part.columns and not any(True for _ in part.read(())):
            continue
        roles = find_roles(part, config.columns, problems)
        if roles is not None:
            is_worded, columns = is_worded or not (roles.relation or part.relation), part.columns
            stated += read_facts(part, roles, problems)
    if not is_worded:
        wanted = _wanted_relations({each.fact.relation for each in stated}, config, problems)
        stated = [each for each in stated if each.fact.relation in wanted]
    stated = _without_repeats(stated, source, problems)
    _check_ids(stated, problems)
    problems.stop_if_any()
    if not stated:
        raise data_error(source.name, expected="at least one fact", found="no rows", remedy="add facts")
    return _Loaded(stated, is_worded, columns)


def _wanted_relations(present: Set[str], config: FactsConfig, problems: Problems) -> Set[str]:
    """The relations that the config asks for, all if it names none; one that is not there is noted."""
    if config.relations is None:
        return present
    names = sorted(present)
    for name in config.relations:
        if name not in present and present:
            close = difflib.get_close_matches(name, names, n=1)
            remedy = f"did you mean {shown(close[0])}?" if close else "correct facts.relations"
            found = f"{shown(name)} in facts.relations"
            problems.add(config.path, expected=f"one of the relations {shown_names(names)}", found=found, remedy=remedy)
    return present & set(config.relations)


def _without_repeats(stated: list[StatedFact], source: Source, problems: Problems) -> list[StatedFact]:
    """Each question of a relation once; identical rows are dropped, contradicting ones noted (dropped if published)."""
    first: dict[tuple[str, str], StatedFact] = {}
    identical = 0
    ambiguous: set[tuple[str, str]] = set()
    for each in stated:
        key = (each.fact.relation, " ".join(each.fact.question.split()))
        earlier = first.setdefault(key, each)
        if earlier is each:
            continue
        same_answers = Targets(earlier.fact.answers).normalised == Targets(each.fact.answers).normalised
        if same_answers and earlier.fact.split == each.fact.split:
            identical += 1
        elif source.is_published:
            ambiguous.add(key)
        elif not same_answers:
            problems.add(
                each.where,
                expected=f"one set of answers to {shown(each.fact.question)}",
                found=f"{shown(each.fact.answers[0])} here and {shown(earlier.fact.answers[0])} at {earlier.where}",
                remedy="delete one row, or write all accepted answers into one",
            )
        else:
            problems.add(
                each.where,
                expected=f"{shown(each.fact.question)} in one split",
                found=f"it in {each.fact.split} here and in {earlier.fact.split} at {earlier.where}",
                remedy="delete one row",
            )
    if identical:
        warnings.warn(f"{source.name}: rows that repeat an earlier row, dropped: {identical}", stacklevel=4)
    if ambiguous:
        text = f"{source.name}: questions with different answers or in several splits, left out: {len(ambiguous)}"
        warnings.warn(text, stacklevel=4)
    return [each for key, each in first.items() if key not in ambiguous]


def _check_ids(stated: Iterable[StatedFact], problems: Problems) -> None:
    first: dict[str, StatedFact] = {}
    for each in stated:
        earlier = first.setdefault(each.fact.id, each)
        if earlier is not each:
            found = f"{shown(each.fact.id)}, which stands at {earlier.where} already"
            problems.add(each.where, expected="an id of its own", found=found, remedy="give each fact its own id")


def _with_wordings(loaded: _Loaded, *, minimum: int, known: Sequence[str]) -> list[Fact]:
    """The facts with relations told from wording where the source has none, and subjects where it has none."""
    facts = [stated.fact for stated in loaded.facts]
    found: dict[str, Wording] = {}
    for relation, group in by_relation(facts).items():
        usual = minimum if not relation else max(2, math.ceil(_FREQUENT_SHARE * len(group)))
        types = wordings([fact.question for fact in group], minimum=usual, known=known if not relation else ())
        found |= {fact.id: each for fact, each in zip(group, types, strict=True)}
    return [
        replace(fact, relation=fact.relation or found[fact.id].template, subject=fact.subject or found[fact.id].subject)
        for fact in facts
    ]


def _is_worded(relation: str, facts: Sequence[Fact]) -> bool:
    """Whether a relation was told from the wording of its questions."""
    return relation == OTHER or all(is_wording_of(relation, fact.question) for fact in facts)
