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
from dataclasses import dataclass, replace

from gradual.config.run import FactsConfig, RunConfig
from gradual.config.stage import StageConfig
from gradual.errors import DataError
from gradual.facts.fact import Fact, by_relation, spread
from gradual.facts.loading import check_exemplars, load_exemplars, load_facts
from gradual.facts.refusals import check_refusals
from gradual.facts.splits import set_aside, split_facts
from gradual.text import did_you_mean, visible

_FEWEST_TO_WARN_OF = 10
"""Test facts of a relation below which one frequent answer may be chance."""


@dataclass(frozen=True)
class Prepared:
    """The facts of a run by purpose. Every relation has enough exemplars."""

    train: tuple[Fact, ...]
    validation: tuple[Fact, ...]
    test: tuple[Fact, ...]
    exemplars: Mapping[str, tuple[Fact, ...]]
    dropped_for_overlap: int
    warnings: tuple[str, ...]
    out_of_distribution: tuple[Fact, ...] = ()
    """Facts of relations that are never trained on; they may be about entities that training facts are about."""

    def all_facts(self) -> list[Fact]:
        """Every fact once, exemplars included; `split` says what each is for."""
        return [
            *self.train,
            *self.validation,
            *self.test,
            *self.out_of_distribution,
            *(fact for group in self.exemplars.values() for fact in group),
        ]

    def limited(self, num_train: int) -> Prepared:
        """At most so many training facts, and the same share of all that are scored, spread over the relations."""
        share = min(1.0, num_train / len(self.train))

        def some(facts: tuple[Fact, ...]) -> tuple[Fact, ...]:
            return tuple(spread(facts, math.ceil(share * len(facts))))

        return replace(
            self,
            train=some(self.train),
            validation=some(self.validation),
            test=some(self.test),
            out_of_distribution=some(self.out_of_distribution),
        )

    def digest(self) -> str:
        """Hash of everything about the facts that can change a result; their order in the file is none of it.

        The subject is in it though the split that it decides is as well: it is written into the run's facts, and what
        two facts share is told from it. So is the number of facts left out, which the summary tells.
        """
        rows = sorted(
            json.dumps([f.id, f.relation, f.subject, f.question, f.answers, f.split]) for f in self.all_facts()
        )
        return hashlib.sha256("\n".join([*rows, str(self.dropped_for_overlap)]).encode()).hexdigest()[:16]


def prepare(config: RunConfig) -> Prepared:
    """The checked facts of a run, divided.

    Raises:
        DataError: the file, a row or a relation cannot be used, or a part that the run needs stays empty.
        ConfigError: what a stage teaches the model to say in place of an answer is one.
    """
    needed = max(config.probe.num_shots, *_shots_of_stages(config))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        others = set(config.facts.out_of_distribution or ())
        loaded = load_facts(_with_relations(config.facts), num_shots=needed)
        _refuse_unknown(others, loaded, config.facts.path)
        facts = [fact for fact in loaded if fact.relation not in others]
        given = _given_exemplars(_exemplar_source(config.facts), loaded)
        splits = split_facts(
            [*facts, *(fact for fact in given if fact.relation not in others)], config.facts.splits, seed=config.seed
        )
        scored = set_aside(
            [fact for fact in [*loaded, *given] if fact.relation in others], config.facts.splits, seed=config.seed
        )
        used = [*splits.train, *splits.validation, *splits.test, *scored.test]
        shots = [*splits.exemplars, *scored.exemplars]
        checked = check_exemplars(_grouped(used), _grouped(shots), num_shots=needed)
    kept = {fact.id: fact for group in checked.facts.values() for fact in group}
    prepared = Prepared(
        train=tuple(kept[fact.id] for fact in splits.train),
        validation=tuple(kept[fact.id] for fact in splits.validation),
        test=tuple(kept[fact.id] for fact in splits.test),
        exemplars=checked.exemplars,
        dropped_for_overlap=splits.dropped_for_overlap,
        warnings=(
            *(str(each.message) for each in caught if issubclass(each.category, UserWarning)),
            *splits.warnings,
            *scored.warnings,
            *_one_sided(splits.test, splits.train),
        ),
        out_of_distribution=tuple(kept[fact.id] for fact in scored.test),
    )
    for name in ("train", "validation", "test"):
        if not getattr(prepared, name):
            raise DataError(
                f"{config.facts.path}: expected facts for {name}, found none after dividing {len(facts)} facts - "
                "use more facts, or give them a split column"
            )
    check_refusals(_named_stages(config), prepared.all_facts())
    return prepared


def _named_stages(config: RunConfig) -> dict[str, StageConfig]:
    """The config's own stages and those of its arms, by the path of their settings."""
    stages = {f"stages[{index}]": stage for index, stage in enumerate(config.stages)}
    for number, arm in enumerate(config.compare.own_arms):
        path = f"compare.own_arms[{number}].stages"
        stages |= {f"{path}[{index}]": stage for index, stage in enumerate(arm.stages)}
    return stages


def _one_sided(test: Sequence[Fact], train: Sequence[Fact]) -> Iterator[str]:
    """Relations most of whose test facts have one answer that none of their training facts has.

    Dividing facts without shared answers puts all facts of a frequent answer on one side.
    """
    trained = by_relation(train)
    for relation, facts in by_relation(test).items():
        answer, number = Counter(fact.answers[0] for fact in facts).most_common(1)[0]
        taught = {each for fact in trained.get(relation, ()) for each in fact.answers}
        if len(facts) >= _FEWEST_TO_WARN_OF and 2 * number > len(facts) and answer not in taught:
            yield (
                f'relation "{visible(relation)}": {number} of {len(facts)} test facts have the answer '
                f'"{visible(answer)}", and no training fact has; their accuracy tells how often the model says so, not '
                "what it knows"
            )


def prepare_probe(
    facts: FactsConfig | Sequence[Fact],
    exemplars: FactsConfig | None = None,
    *,
    num_shots: int,
    limit: int | None = None,
) -> tuple[list[Fact], Mapping[str, tuple[Fact, ...]]]:
    """The facts to probe and the exemplars to ask them with, by relation.

    Exemplars come from `exemplars` (or `facts.exemplars`), else from the facts marked so, else from the facts
    themselves: a fact is never among its own shots. With `limit`, that many facts are kept, the same share of every
    relation.

    Raises:
        DataError: as for `prepare`.
    """
    if isinstance(facts, FactsConfig):
        loaded = load_facts(facts, num_shots=num_shots)
        exemplars = exemplars or _exemplar_source(facts)
    else:
        loaded = list(facts)
    marked = [fact for fact in loaded if fact.split == "exemplars"]
    asked = [fact for fact in loaded if fact.split != "exemplars"]
    shots = _grouped(_given_exemplars(exemplars, asked) or marked or asked)
    checked = check_exemplars(_grouped(asked), shots, num_shots=num_shots)
    kept = [fact for group in checked.facts.values() for fact in group]
    return (kept if limit is None else spread(kept, limit)), checked.exemplars


def _shots_of_stages(config: RunConfig) -> list[int]:
    """Shots that training needs, in the config's own stages and in those of its arms."""
    in_arms = [
        stage for arm in config.compare.own_arms for stage in arm.stages if "num_shots" in stage.model_fields_set
    ]
    return [stage.num_shots for stage in [*config.stages, *in_arms]]


def _refuse_unknown(relations: set[str], facts: Iterable[Fact], path: str) -> None:
    found = {fact.relation for fact in facts}
    missing = sorted(relations - found)
    if missing:
        hint = did_you_mean(missing[0], found)
        raise DataError(f"{path}: facts.out_of_distribution: found no facts of relation {missing[0]!r}{hint}")


def _with_relations(settings: FactsConfig) -> FactsConfig:
    """The same source with the relations that are only scored among those that are kept."""
    if settings.relations is None:
        return settings
    return settings.model_copy(update={"relations": [*settings.relations, *(settings.out_of_distribution or ())]})


def _exemplar_source(settings: FactsConfig) -> FactsConfig | None:
    """The file that `settings` names for exemplars, if any; its columns are named as those of the facts."""
    return FactsConfig(path=settings.exemplars, columns=settings.columns) if settings.exemplars else None


def _given_exemplars(source: FactsConfig | None, facts: Sequence[Fact]) -> list[Fact]:
    """The exemplars of a source, under ids that no fact has; none without a source."""
    if source is None:
        return []
    given = [fact for group in load_exemplars(source, facts).values() for fact in group]
    taken = {fact.id for fact in facts}
    return [fact if fact.id not in taken else replace(fact, id=f"exemplar/{fact.id}") for fact in given]


def _grouped(facts: Iterable[Fact]) -> dict[str, tuple[Fact, ...]]:
    return {relation: tuple(group) for relation, group in by_relation(facts).items()}
