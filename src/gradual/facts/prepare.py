"""Everything of a run that can be found out without a model: its facts, splits and exemplars, checked.

Knows files of facts and settings; no models and no run folder.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gradual.config.run import FactsConfig, RunConfig
from gradual.config.stage import StageConfig
from gradual.errors import DataError
from gradual.facts.concerns import confused_answers
from gradual.facts.exemplars import check_exemplars, load_exemplars
from gradual.facts.fact import Fact, by_relation, spread
from gradual.facts.loading import OTHER, SourceFacts, read_source
from gradual.facts.matching import SQUAD, Matching, matching_of
from gradual.facts.problems import LeftOut, Remark, quote, shown_names
from gradual.facts.prompts import check_prompt_settings
from gradual.facts.refusal_checks import accepted_refusals, check_refusals, taught_refusals
from gradual.facts.sources.opening import shown_source
from gradual.facts.sources.reference_text import read_reference_text
from gradual.facts.splits import set_aside, split_facts
from gradual.facts.transfer import check_transfer, for_transfer, reverses
from gradual.text import did_you_mean, visible

_FEW_SUBJECTS = 0.3
"""Subjects for each fact at most, where subjects are likely something else: a topic, a document."""
_FEWEST_TO_WARN_OF = 10
"""Test facts of a relation below which one frequent answer may be chance."""


@dataclass(frozen=True)
class RunFacts:
    """The facts of a run by purpose. Every relation has enough exemplars."""

    train: tuple[Fact, ...]
    validation: tuple[Fact, ...]
    test: tuple[Fact, ...]
    exemplars: Mapping[str, tuple[Fact, ...]]
    dropped_for_overlap: int
    warnings: tuple[str, ...]
    out_of_distribution: tuple[Fact, ...] = ()
    """Facts of relations that are never trained on; they may be about entities that training facts are about."""
    remarks: tuple[str, ...] = ()
    """How the source was understood, a line each: layouts, splits told from names, the first facts as read."""
    left_out: tuple[LeftOut, ...] = ()
    """Rows that `facts.on_bad_row: skip` has left out, those of a source of exemplars at the end."""
    reverses: Mapping[str, Fact] = field(default_factory=dict)
    """The fact that asks a training or test fact the other way, by the latter's id; empty where that is not asked."""
    drift_text: str = ""
    """The text that drift is measured on; empty where it is not."""

    def all_facts(self) -> list[Fact]:
        """Every fact once, exemplars included; `split` says what each is for."""
        exemplars = {fact.id: fact for group in self.exemplars.values() for fact in group}
        facts = [*self.train, *self.validation, *self.test, *self.out_of_distribution, *exemplars.values()]
        ids = {fact.id for fact in facts}
        others = {fact.id: fact for fact in self.reverses.values() if fact.id not in ids}
        return [*facts, *(replace(fact, split="reverse") for fact in others.values())]

    def sample(self, num_train: int) -> RunFacts:
        """At most so many training facts, and the same share of all that are scored, spread over the relations."""
        share = min(1.0, num_train / len(self.train))

        def some(facts: tuple[Fact, ...]) -> tuple[Fact, ...]:
            return tuple(spread(facts, math.ceil(share * len(facts))))

        train, test = some(self.train), some(self.test)
        ids = {fact.id for fact in (*train, *test)}
        return replace(
            self,
            train=train,
            validation=some(self.validation),
            test=test,
            out_of_distribution=some(self.out_of_distribution),
            reverses={fact_id: fact for fact_id, fact in self.reverses.items() if fact_id in ids},
        )

    def digest(self) -> str:
        """Hash of everything about the facts that can change a result; their order in the file is none of it.

        The subject is in it though the split that it decides is as well: it is written into the run's facts, and what
        two facts share is told from it. So is the number of facts left out, which the summary tells, and that of rows.
        """
        rows = sorted(
            json.dumps([f.id, f.relation, f.subject, f.question, f.answers, f.split, *_younger_parts(f)])
            for f in self.all_facts()
        )
        skipped = [f"left out {len(self.left_out)}"] if self.left_out else []
        parts = [*rows, str(self.dropped_for_overlap), *skipped]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _younger_parts(fact: Fact) -> list[Sequence[str]]:
    """What a fact has of the kinds that facts once had not; nothing where it has nothing, as in folders from then."""
    forms = [fact.rewordings, fact.reverse_of] if fact.rewordings or fact.reverse_of else []
    return [*filter(None, [fact.system]), *forms]


def prepare(config: RunConfig) -> RunFacts:
    """The checked facts of a run, divided.

    Raises:
        ConfigError: settings of chats are given for plain prompts, or what a stage teaches as a refusal is an answer.
        DataError: the file, a row or a relation cannot be used, or a part that the run needs stays empty; a rewording
            is the question of a training fact; no fact can be asked in a form of `evaluation.transfer`; or the text
            for `evaluation.drift` cannot be read.
    """
    transfer = config.evaluation.transfer
    if "chat" not in transfer:
        check_prompt_settings(config.probe)
    needed = max(config.probe.num_shots, *_shots_of_stages(config))
    others = set(config.facts.out_of_distribution or ())
    with warnings.catch_warnings(record=True) as records:
        warnings.simplefilter("always")
        source = read_source(_with_relations(config.facts), num_shots=needed)
        loaded = for_transfer(source.facts, transfer)
        _refuse_unknown(others, loaded, shown_source(config.facts.path))
        facts = [fact for fact in loaded if fact.relation not in others]
        more_exemplars, no_exemplars = _exemplars_of_source(_exemplar_source(config.facts), loaded)
        facts = _pool_small(facts, more_exemplars, needed + 1 if needed else 0, config)
        to_split = [*facts, *(fact for fact in more_exemplars if fact.relation not in others)]
        splits = split_facts(to_split, config.facts.splits, seed=config.seed)
        of_others = [fact for fact in [*loaded, *more_exemplars] if fact.relation in others]
        scored = set_aside(of_others, config.facts.splits, seed=config.seed)
        parts = [*splits.train, *splits.validation, *splits.test, *scored.test]
        shots = [*splits.exemplars, *scored.exemplars]
        checked = check_exemplars(_by_relation(parts), _by_relation(shots), num_shots=needed)
    by_id = {fact.id: fact for group in checked.facts.values() for fact in group}

    def still(part: Sequence[Fact]) -> tuple[Fact, ...]:
        return tuple(by_id[fact.id] for fact in part if fact.id in by_id)

    run_facts = RunFacts(
        train=still(splits.train),
        validation=still(splits.validation),
        test=still(splits.test),
        exemplars=checked.exemplars,
        dropped_for_overlap=splits.dropped_for_overlap,
        warnings=(
            *_texts_of(records, remarks=False),
            *splits.warnings,
            *scored.warnings,
            *_one_sided_relations(splits.test, splits.train, can_mix=_keeps_answers_apart(facts, config)),
            *confused_answers(loaded, matching_of(config.probe)),
        ),
        out_of_distribution=still(scored.test),
        remarks=_texts_of(records, remarks=True),
        left_out=(*source.left_out, *no_exemplars),
        drift_text=read_reference_text(config.evaluation.drift_text) if config.evaluation.drift else "",
    )
    parts_of_source = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    _refuse_empty_parts(run_facts, parts_of_source, source, len(facts), config)
    run_facts = _with_reverses(run_facts, [*facts, *(fact for fact in loaded if fact.relation in others)], config)
    check_refusals(_refusals(config), run_facts.all_facts(), matching_of(config.probe))
    return run_facts


def _refusals(config: RunConfig) -> dict[str, str]:
    """What counts as a refusal anywhere in the run, by where it is said."""
    refusals = accepted_refusals("evaluation", config.evaluation.refusals)
    return refusals | accepted_refusals("probe", config.probe.refusals) | taught_refusals(_stages_by_path(config))


def _with_reverses(run_facts: RunFacts, facts: Sequence[Fact], config: RunConfig) -> RunFacts:
    """The same with what asks its training and test facts the other way; other forms that are asked are checked.

    No reverse is a shot, and each is of a relation with enough exemplars.
    """
    shots = {fact.id for group in run_facts.exemplars.values() for fact in group}
    by_id = {fact.id: fact for fact in [*run_facts.train, *run_facts.test, *run_facts.out_of_distribution]}
    links = reverses(facts)
    own_links = {fact.id: links[fact.id] for fact in (*run_facts.train, *run_facts.test) if fact.id in links}
    sources = {
        fact_id: by_id.get(other.id, other)
        for fact_id, other in own_links.items()
        if other.id not in shots and len(run_facts.exemplars.get(other.relation, ())) > config.probe.num_shots
    }
    source = shown_source(config.facts.path)
    check_transfer(config.evaluation.transfer, run_facts.train, run_facts.test, sources, source)
    return replace(run_facts, reverses=sources)


def _stages_by_path(config: RunConfig) -> dict[str, StageConfig]:
    """The config's own stages and those of its arms, by the path of their settings."""
    stages = {f"stages[{index}]": stage for index, stage in enumerate(config.stages)}
    for number, arm in enumerate(config.compare.own_arms):
        path = f"compare.own_arms[{number}].stages"
        stages |= {f"{path}[{index}]": stage for index, stage in enumerate(arm.stages)}
    return stages


def _pool_small(facts: list[Fact], exemplars: Sequence[Fact], needed: int, config: RunConfig) -> list[Fact]:
    """The facts, those of relations too small for enough exemplars put together in the relation "other".

    One such relation alone stays: it is asked with borrowed shots or left out (`check_exemplars`).
    """
    counts = Counter(fact.relation for fact in facts if fact.split in ("", "train"))
    has_own = {fact.relation for fact in [*facts, *exemplars] if fact.split == "exemplars"}
    enough = min(needed, config.facts.splits.exemplars_per_relation)
    short = sorted(name for name, count in counts.items() if count // 2 < enough and name not in has_own)
    if len(short) < 2:
        return facts
    number = sum(fact.relation in short for fact in facts)
    text = f"facts put together in the relation {OTHER!r}, as their relations have too few for {needed} exemplars"
    warnings.warn(f"{text}: {number} ({shown_names(short)})", stacklevel=3)
    return [replace(fact, relation=OTHER) if fact.relation in short else fact for fact in facts]


def _texts_of(records: Sequence[warnings.WarningMessage], *, remarks: bool) -> tuple[str, ...]:
    """What was warned of, or what was only remarked on."""
    about = [each for each in records if issubclass(each.category, UserWarning)]
    return tuple(str(each.message) for each in about if issubclass(each.category, Remark) is remarks)


def _refuse_empty_parts(
    run_facts: RunFacts,
    parts_of_source: Mapping[str, Sequence[Fact]],
    source: SourceFacts,
    num_facts: int,
    config: RunConfig,
) -> None:
    """Finds out whether there is something to train on and to score.

    Raises:
        DataError: a part is empty; where its relations lack exemplars or most facts have one subject, that is named as
            the cause.
    """
    source_name = shown_source(config.facts.path)
    for name in ("train", "validation", "test"):
        if getattr(run_facts, name):
            continue
        if parts_of_source[name]:
            relations = shown_names(sorted({fact.relation for fact in parts_of_source[name]}))
            raise DataError(
                f"{source_name}: expected facts for {name}, found {len(parts_of_source[name])} of relations with too "
                f"few exemplars ({relations}) - give these exemplars, from their training facts or facts.exemplars, or "
                "lower probe.num_shots"
            )
        remedy = "use more facts, or give them a split column"
        subjects = Counter(fact.subject for fact in source.facts)
        subject, number = subjects.most_common(1)[0]
        if subject and len(subjects) <= _FEW_SUBJECTS * len(source.facts):
            column = f"column {quote(source.subject_column)}" if source.subject_column else "told from the wording"
            remedy = (
                f"there are {len(subjects)} subjects for all facts, {quote(subject)} for {number} of them ({column}); "
                "if that is not what each question asks about, set facts.columns.subject to another column, or to none"
            )
        raise DataError(
            f"{source_name}: expected facts for {name}, found none after dividing {num_facts} facts - {remedy}"
        )


def _one_sided_relations(test: Sequence[Fact], train: Sequence[Fact], *, can_mix: bool) -> Iterator[str]:
    """Relations most of whose test facts have one answer that none of their training facts has.

    Dividing facts without shared answers puts all facts of a frequent answer on one side; `can_mix` says that this was
    done here, and not by the source or for other reasons.
    """
    remedy = "; facts.splits.keep_apart: subjects lets it stand on both sides" if can_mix else ""
    trained = by_relation(train)
    for relation, facts in by_relation(test).items():
        answer, number = Counter(fact.answers[0] for fact in facts).most_common(1)[0]
        taught = {each for fact in trained.get(relation, ()) for each in fact.answers}
        if len(facts) >= _FEWEST_TO_WARN_OF and 2 * number > len(facts) and answer not in taught:
            yield (
                f'relation "{visible(relation)}": {number} of {len(facts)} test facts have the answer '
                f'"{visible(answer)}", and no training fact has; their accuracy tells how often the model says so, not '
                f"what it knows{remedy}"
            )


def _keeps_answers_apart(facts: Iterable[Fact], config: RunConfig) -> bool:
    """Whether answers were kept apart here: by the setting, in a division that the source has not made itself."""
    is_made = all(fact.split != "test" for fact in facts)
    return is_made and config.facts.splits.keep_apart == "subjects_and_answers"


@dataclass(frozen=True)
class ProbeFacts:
    """The facts of a probe outside of a run. Every relation has enough exemplars."""

    facts: tuple[Fact, ...]
    exemplars: Mapping[str, tuple[Fact, ...]]
    left_out: tuple[LeftOut, ...] = ()
    """Rows that `facts.on_bad_row: skip` has left out, those of a source of exemplars at the end."""


def prepare_probe(
    facts: FactsConfig | Sequence[Fact],
    exemplars: FactsConfig | None = None,
    *,
    num_shots: int,
    limit: int | None = None,
    matching: Matching = SQUAD,
    refusals: Sequence[str] = (),
) -> ProbeFacts:
    """The facts to probe, the exemplars to ask them with, by relation, and the rows that are no facts.

    Exemplars come from `exemplars` (or `facts.exemplars`), else from the facts marked so, else from the facts
    themselves: a fact is never among its own shots. With `limit`, that many facts are kept, the same share of every
    relation.

    Raises:
        DataError: as for `prepare`.
        ConfigError: one of the `refusals` is an accepted answer of a fact.
    """
    left_out: tuple[LeftOut, ...] = ()
    if isinstance(facts, FactsConfig):
        source = read_source(facts, num_shots=num_shots)
        loaded, left_out = source.facts, source.left_out
        exemplars = exemplars or _exemplar_source(facts)
    else:
        loaded = list(facts)
    marked = [fact for fact in loaded if fact.split == "exemplars"]
    questions = [fact for fact in loaded if fact.split != "exemplars"]
    more_exemplars, no_exemplars = _exemplars_of_source(exemplars, questions)
    shots = _by_relation(more_exemplars or marked or questions)
    checked = check_exemplars(_by_relation(questions), shots, num_shots=num_shots)
    usable = [fact for group in checked.facts.values() for fact in group]
    for text in confused_answers(usable, matching):
        warnings.warn(text, stacklevel=2)
    check_refusals(accepted_refusals("probe", refusals), usable, matching)
    chosen = usable if limit is None else spread(usable, limit)
    return ProbeFacts(tuple(chosen), checked.exemplars, (*left_out, *no_exemplars))


def _shots_of_stages(config: RunConfig) -> list[int]:
    """Shots that training needs, in the config's own stages and in those of its arms."""
    in_arms = [
        stage for arm in config.compare.own_arms for stage in arm.stages if "num_shots" in stage.model_fields_set
    ]
    return [stage.num_shots for stage in [*config.stages, *in_arms]]


def _refuse_unknown(relations: set[str], facts: Iterable[Fact], path: str) -> None:
    names = {fact.relation for fact in facts}
    missing = sorted(relations - names)
    if missing:
        hint = did_you_mean(missing[0], names)
        raise DataError(f"{path}: facts.out_of_distribution: found no facts of relation {missing[0]!r}{hint}")


def _with_relations(settings: FactsConfig) -> FactsConfig:
    """The same source with the relations that are only scored among those that are kept."""
    if settings.relations is None:
        return settings
    return settings.model_copy(update={"relations": [*settings.relations, *(settings.out_of_distribution or ())]})


def _exemplar_source(settings: FactsConfig) -> FactsConfig | None:
    """The file that `settings` names for exemplars, if any; it is read as the facts are."""
    if not settings.exemplars:
        return None
    return settings.model_copy(
        update={"path": settings.exemplars, "exemplars": None, "relations": None, "out_of_distribution": None}
    )


def _exemplars_of_source(source: FactsConfig | None, facts: Sequence[Fact]) -> tuple[list[Fact], tuple[LeftOut, ...]]:
    """The exemplars of a source, under ids that no fact has, and the rows left out there; none without a source."""
    if source is None:
        return [], ()
    source_exemplars = load_exemplars(source, facts)
    ids = {fact.id for fact in facts}
    exemplars = for_transfer((fact for group in source_exemplars.exemplars.values() for fact in group), ())
    return [
        each if each.id not in ids else replace(each, id=f"exemplar/{each.id}") for each in exemplars
    ], source_exemplars.left_out


def _by_relation(facts: Iterable[Fact]) -> dict[str, tuple[Fact, ...]]:
    return {relation: tuple(group) for relation, group in by_relation(facts).items()}
