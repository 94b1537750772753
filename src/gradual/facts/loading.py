"""Facts out of files: reads a source, checks everything that can be checked without a model, and names every problem.

Owns what rows say together: identical and contradicting rows, ids, and relations told from the wording of questions.
Files are opened by `sources`, rows understood by `reading`; shots are for `exemplars`, train and test for `splits`.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from gradual.config.run import FactsConfig, ProbeConfig
from gradual.facts.concerns import first_facts
from gradual.facts.fact import Fact, by_relation
from gradual.facts.languages.wording import BLANK, Wording, wordings
from gradual.facts.matching import Targets
from gradual.facts.problems import LeftOut, Problems, Remark, data_error, quote, shown_names
from gradual.facts.reading.columns import USUAL_NAMES, find_roles
from gradual.facts.reading.rows import StatedFact, question_key, read_facts
from gradual.facts.sources.opening import Source, open_source, shown_source
from gradual.facts.transfer import without_missing_reverses

OTHER = "other"
"""The relation of facts whose wording too few others share."""
_DEFAULT_SHOTS = ProbeConfig.model_fields["num_shots"].default
_FREQUENT_SHARE = 0.1
"""A wording is usual in a relation if at least this share of its facts have it."""


class Rows(NamedTuple):
    """The rows of a source, each understood and checked, but for what other sources or wordings have to say."""

    facts: list[StatedFact]
    is_worded: bool
    """The source has no relations; they are to be told from wording."""
    columns: tuple[str, ...]
    left_out: list[LeftOut]
    subject_column: str
    """Where the subjects come from; empty where the wording of questions says them."""


class SourceFacts(NamedTuple):
    """What is in a source: its facts, and the rows that it was set to leave out."""

    facts: list[Fact]
    left_out: tuple[LeftOut, ...]
    subject_column: str


def load_facts(source: str | Path | FactsConfig, *, num_shots: int = _DEFAULT_SHOTS) -> list[Fact]:
    """The facts of a source, checked, in the source's order.

    A source is a file (.jsonl, .ndjson, .json, .csv, .tsv, .parquet; of text also packed as .gz, .bz2, .xz or .zst),
    several files or a pattern of names, a folder of files, a folder saved by `datasets.save_to_disk`, EntityQuestions
    as published (train/P17.train.json ...), `hf:owner/name[:config][@revision]`, or `atlas`, the facts that come with
    gradual. What a file holds is told by its content. Splits stand in the rows, or as words in the names of files and
    folders (dev is validation); a data set of one split only counts as undivided.

    Columns are found by name (`reading.columns.DETECTED`) or by the layout of a published data set (`reading.layouts`)
    unless `FactsConfig.columns` names them. Answers are text, numbers, dates, a list, a list written as text, in CSV
    also `a | b`, or {"text": [...]}; an `aliases` column adds accepted answers. White space around texts is dropped,
    letters are composed (NFC). Without an id, the id is a hash of relation and question. Without a subject column, the
    subject is what varies in the wording, where that is one part of the question.

    Without a relation column, the relation is the wording of the question (`wording.wordings`: "What is the capital of
    France?" is "what is the capital of _"). Wordings of fewer than 2 x (num_shots + 1) facts, the number needed to
    have enough exemplars and as many facts left, are put together in the relation "other", with a warning.

    A column `rewordings` has the question in other words, `reverse_of` the id of the fact that a row asks in reverse.

    Identical rows are dropped with a warning. In data sets that others publish (`hf:`, EntityQuestions, SQuAD ...)
    questions that stand there with different answers, or in several splits, are left out with a warning, or their
    answers merged where the data set means that; in a file of one's own they are errors.

    Warns:
        Remark: how the source was understood, where that is not plain from its columns.

    Raises:
        DataError: the source cannot be read or rows of it cannot be facts (unless `on_bad_row` is skip); one line for
            each problem, or one with a count for many of a kind.
    """
    return read_source(as_config(source), num_shots=num_shots).facts


def read_source(config: FactsConfig, *, num_shots: int) -> SourceFacts:
    """As `load_facts`, with the rows that were left out."""
    rows = read_rows(config)
    facts = with_wordings(rows, minimum=_smallest_group(num_shots), known=())
    if rows.is_worded:
        facts = pool_small_groups(facts, minimum=_smallest_group(num_shots))
        problems = Problems(shown_source(config.path))
        relations = _wanted_relations({fact.relation for fact in facts}, config, problems)
        problems.stop_if_any()
        facts = [fact for fact in facts if fact.relation in relations]
    if config.path != "atlas":
        warnings.warn(first_facts(facts), Remark, stacklevel=2)
    return SourceFacts(facts, tuple(rows.left_out), rows.subject_column)


def pool_small_groups(facts: Iterable[Fact], *, minimum: int) -> list[Fact]:
    """The facts, those in a relation of fewer than `minimum` facts moved to the relation "other", with a warning."""
    all_facts = list(facts)
    counts = Counter(fact.relation for fact in all_facts)
    small = sorted(relation for relation, count in counts.items() if count < minimum and relation != OTHER)
    if not small:
        return all_facts
    num_pooled = sum(counts[relation] for relation in small)
    warnings.warn(
        f"facts put together in the relation {OTHER!r}, as fewer than {minimum} share their wording: {num_pooled} "
        f"({shown_names(small)}); a relation column would say which questions are of one type",
        stacklevel=4,
    )
    return [replace(fact, relation=OTHER) if fact.relation in small else fact for fact in all_facts]


def as_config(source: str | Path | FactsConfig) -> FactsConfig:
    """A source as settings.

    Raises:
        DataError: its path is empty.
    """
    if isinstance(source, FactsConfig):
        return source
    if not str(source):
        raise data_error(
            "facts", expected="the path of a file or folder", found="an empty text", remedy="name the file"
        )
    return FactsConfig(path=str(source))


def _smallest_group(num_shots: int) -> int:
    return 2 * (num_shots + 1)


def read_rows(config: FactsConfig) -> Rows:
    """The rows of a source with all checks done except those that need other sources; raises as `load_facts`."""
    name = shown_source(config.path)
    problems = Problems(name, skips_rows=config.on_bad_row == "skip")
    source = open_source(config, USUAL_NAMES, problems)
    for remark in source.remarks:
        warnings.warn(remark, Remark, stacklevel=4)
    facts: list[StatedFact] = []
    is_worded = False
    columns: tuple[str, ...] = ()
    subject_column = ""
    for part in source.parts:
        if not part.columns and not any(True for _ in part.read(())):
            continue
        roles = find_roles(part, config.columns, problems)
        if roles is not None:
            is_worded, columns = is_worded or not (roles.relation or part.relation), part.columns
            subject_column = roles.subject.text
            facts += read_facts(part, roles, config, problems)
    facts = without_missing_reverses(facts, problems)
    if not is_worded:
        relations = _wanted_relations({each.fact.relation for each in facts}, config, problems)
        facts = [each for each in facts if each.fact.relation in relations]
    facts = _without_repeats(facts, source, problems)
    facts = _with_own_ids(facts, problems)
    problems.stop_if_any()
    _tell_left_out(name, problems.left_out)
    if not facts:
        fault = "no rows" if not problems.left_out else f"none, {len(problems.left_out)} rows being left out"
        raise data_error(source.name, expected="at least one fact", found=fault, remedy="add facts")
    return Rows(facts, is_worded, columns, problems.left_out, subject_column)


def _tell_left_out(name: str, left_out: Sequence[LeftOut]) -> None:
    if not left_out:
        return
    reasons = Counter(each.kind for each in left_out).most_common(3)
    summary = "; ".join(f"{count} {reason}" for reason, count in reasons)
    text = f"{name}: rows left out (facts.on_bad_row: skip): {len(left_out)}, of these {summary}"
    warnings.warn(text, stacklevel=5)


def _wanted_relations(present: Set[str], config: FactsConfig, problems: Problems) -> Set[str]:
    """The relations that the config asks for, all if it names none; one that is not there is noted."""
    if config.relations is None:
        return present
    names = sorted(present)
    for name in config.relations:
        if name not in present and present:
            close = difflib.get_close_matches(name, names, n=1)
            remedy = f"did you mean {quote(close[0])}?" if close else "correct facts.relations"
            fault = f"{quote(name)} in facts.relations"
            expected = f"one of the relations {shown_names(names)}"
            problems.add(shown_source(config.path), expected=expected, found=fault, remedy=remedy)
    return present & set(config.relations)


def _without_repeats(facts: list[StatedFact], source: Source, problems: Problems) -> list[StatedFact]:
    """Each question of a relation once; identical rows are dropped, contradicting ones noted, merged or left out."""
    first: dict[tuple[str, str], StatedFact] = {}
    identical = 0
    ambiguous: set[tuple[str, str]] = set()
    contradicted: set[tuple[str, str]] = set()
    for each in facts:
        key = (each.fact.relation, " ".join(each.fact.question.split()))
        earlier = first.setdefault(key, each)
        if earlier is each:
            continue
        same_answers = Targets(earlier.fact.answers).normalised == Targets(each.fact.answers).normalised
        same_split = earlier.fact.split == each.fact.split
        if same_answers and same_split:
            identical += 1
        elif each.repeats == "merge" and same_split:
            first[key] = earlier._replace(fact=_merge(earlier.fact, each.fact))
        elif source.is_published or each.repeats:
            ambiguous.add(key)
        else:
            _note_contradiction(earlier, each, problems, same_answers=same_answers)
            contradicted.add(key)
    _tell_repeats(source.name, identical, len(ambiguous), first.values())
    if problems.skips_rows:  # of a contradiction neither row is kept
        for key in sorted(contradicted):
            reason = "another row answers the question otherwise, or stands in another split"
            problems.left_out.append(LeftOut(first[key].where, reason, dataclasses.asdict(first[key].fact)))
    return [each for key, each in first.items() if key not in ambiguous | contradicted]


def _merge(one: Fact, other: Fact) -> Fact:
    return replace(one, answers=tuple(dict.fromkeys([*one.answers, *other.answers])))


def _note_contradiction(earlier: StatedFact, each: StatedFact, problems: Problems, *, same_answers: bool) -> None:
    if same_answers:
        expected = f"{quote(each.fact.question)} in one split"
        fault = f"it in {each.fact.split} here and in {earlier.fact.split} at {earlier.where}"
        remedy = "delete one row"
    else:
        expected = f"one set of answers to {quote(each.fact.question)}"
        fault = f"{quote(each.fact.answers[0])} here and {quote(earlier.fact.answers[0])} at {earlier.where}"
        remedy = "delete one row, or write all accepted answers into one"
    problems.add(each.where, expected=expected, found=fault, remedy=remedy, row=dataclasses.asdict(each.fact))


def _tell_repeats(name: str, identical: int, ambiguous: int, facts: Iterable[StatedFact]) -> None:
    if identical:
        warnings.warn(f"{name}: rows that repeat an earlier row, dropped: {identical}", stacklevel=5)
    if ambiguous:
        text = f"{name}: questions with different answers or in several splits, left out: {ambiguous}"
        warnings.warn(text, stacklevel=5)
    spellings = Counter((each.fact.relation, question_key(each.fact.question)) for each in facts)
    alike = [question for (_, question), count in spellings.items() if count > 1]
    if alike:
        text = f"{name}: questions that differ only in their case or end mark: {len(alike)} ({quote(alike[0])})"
        warnings.warn(text, stacklevel=5)


def _with_own_ids(facts: Iterable[StatedFact], problems: Problems) -> list[StatedFact]:
    """The facts whose id no earlier one has; the others are noted."""
    first: dict[str, StatedFact] = {}
    for each in facts:
        earlier = first.setdefault(each.fact.id, each)
        if earlier is not each:
            fault = f"{quote(each.fact.id)}, which stands at {earlier.where} already"
            remedy = "give each fact its own id, or say that the column holds none (facts.columns.id: none)"
            row = dataclasses.asdict(each.fact)
            problems.add(each.where, expected="an id of its own", found=fault, remedy=remedy, row=row)
    return list(first.values())


def with_wordings(rows: Rows, *, minimum: int, known: Sequence[str]) -> list[Fact]:
    """The facts with relations told from wording where the source has none, and subjects where it has none."""
    facts = [each.fact for each in rows.facts]
    wording_of: dict[str, Wording] = {}
    for relation, group in by_relation(facts).items():
        usual = minimum if not relation else max(2, math.ceil(_FREQUENT_SHARE * len(group)))
        types = wordings([fact.question for fact in group], minimum=usual, known=known if not relation else ())
        wording_of |= {fact.id: each for fact, each in zip(group, types, strict=True)}
    without = [fact for fact in facts if not fact.relation and wording_of[fact.id] == Wording(BLANK, "")]
    if without:
        warnings.warn(
            f"questions in which no common wording was found, put together in the relation {OTHER!r}: {len(without)}, "
            f"such as {quote(without[0].question)}; a relation column would say which are of one type",
            stacklevel=4,
        )
        wording_of |= {fact.id: Wording(OTHER, "") for fact in without}
    return [
        replace(
            fact,
            relation=fact.relation or wording_of[fact.id].template,
            subject=fact.subject or wording_of[fact.id].subject,
        )
        for fact in facts
    ]
