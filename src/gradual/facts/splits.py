"""How one set of facts becomes train, validation, test and exemplars, with no entity of held-out facts in train.

Everything random is drawn by hashing the seed with ids and names, so that neither the order of the facts nor that of a
file matters. Knows no files, and not what the parts are used for.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gradual.config.run import KeepApart, SplitsConfig
from gradual.errors import DataError
from gradual.facts.fact import Fact, by_relation
from gradual.facts.matching import normalise
from gradual.text import count

_BALANCE_WEIGHT = 0.3
"""What a relation's uneven division costs beside a lost fact. Measured: less leaves some relations without held-out
facts, more loses facts and evens out little."""
_MAX_SWEEPS = 8
_NOTABLE_LOSS = 0.5
_TRAIN, _HELD_OUT = 0, 1


@dataclass(frozen=True, slots=True)
class Splits:
    """The parts of a set of facts, disjoint, each sorted by relation and id."""

    train: tuple[Fact, ...]
    validation: tuple[Fact, ...]
    test: tuple[Fact, ...]
    exemplars: tuple[Fact, ...]
    dropped_for_overlap: int
    """Facts left out because they link an entity of train with one of the held-out facts."""
    warnings: tuple[str, ...]
    """What a reader of the results should know, one sentence each."""


def entities(fact: Fact, keep_apart: KeepApart = "subjects_and_answers") -> frozenset[str]:
    """What of a fact must not stand on both sides of a division, normalised: its subject and all accepted answers.

    The subject alone where only subjects are kept apart; but for a fact without one: else another wording of its
    question could stand on the other side.
    """
    subject = frozenset({normalise(fact.subject)}) - {""}
    return subject if subject and keep_apart == "subjects" else (subject | _answers(fact))


def _answers(fact: Fact) -> frozenset[str]:
    return frozenset(normalise(text) for text in fact.answers) - {""}


def split_facts(facts: Iterable[Fact], settings: SplitsConfig, *, seed: int) -> Splits:
    """The facts divided as `settings` says; the same facts and seed give the same parts, in whatever order they come.

    Parts that the facts' own `split` names are taken as they are; the others are made from the facts whose split is
    train or empty. First `exemplars_per_relation` exemplars of each relation, half of the relation at most. Then each
    entity is given to train or to the held-out side, and a fact follows its entities; a fact with entities on both
    sides is dropped and counted. Sides are chosen so that few facts are dropped and each relation comes near the
    wished shares (greedy, the most linked entities first, then local improvement). The held-out facts of a relation
    are divided at random into validation and test. The `max_*_per_relation` caps come last.

    Entities are subjects and answers, so no subject and no accepted answer of a validation or test fact made here is
    one of a train fact; with `keep_apart: subjects` they are subjects alone, and a warning says how many test facts
    have an answer of a train fact. Exemplars are not counted: an entity may occur in a shot and in a test fact, or no
    relation with few answers could have shots.
    Parts that the facts bring along may share entities; a warning says how many do.

    Raises:
        DataError: all facts carry a split, and none of them is train.
    """
    sequence = sorted(facts, key=_place)
    parts: dict[str, list[Fact]] = defaultdict(list)
    for fact in sequence:
        parts["train" if fact.split in ("", "train") else fact.split].append(fact)
    pool = parts.pop("train", [])
    _check_parts(pool, parts)
    notes: list[str] = []
    if "exemplars" not in parts:
        parts["exemplars"] = _draw_exemplars(pool, settings.exemplars_per_relation, seed, notes)
        exemplar_ids = {fact.id for fact in parts["exemplars"]}
        pool = [fact for fact in pool if fact.id not in exemplar_ids]
    shares = {
        part: share
        for part, share in (("validation", settings.validation), ("test", settings.test))
        if part not in parts and share > 0
    }
    apart = settings.keep_apart
    _note_overlap(pool, parts, apart, notes)
    dropped = 0
    if shares:
        division = _Division(pool, sum(shares.values()), seed, apart)
        trained, held_out = division.train(), division.held_out()
        dropped = len(pool) - len(trained) - len(held_out)
        _note_empty_sides(pool, trained, held_out, notes)
        parts |= _divide_held_out(held_out, shares, seed)
        pool = trained
    train = _finish(pool, "train", settings.max_train_per_relation, seed)
    test = _finish(parts["test"], "test", settings.max_test_per_relation, seed)
    if shares and apart == "subjects":
        _note_shared_answers(train, test, notes)
    return Splits(
        train=train,
        validation=_finish(parts["validation"], "validation", settings.max_validation_per_relation, seed),
        test=test,
        exemplars=_finish(parts["exemplars"], "exemplars", None, seed),
        dropped_for_overlap=dropped,
        warnings=tuple(notes),
    )


def set_aside(facts: Iterable[Fact], settings: SplitsConfig, *, seed: int) -> Splits:
    """Facts that are only scored: exemplars as `split_facts` takes them, at most `max_test_per_relation` of the rest.

    Exemplars that the facts bring along are taken as they are; other splits that they name make no difference.
    """
    notes: list[str] = []
    sequence = sorted(facts, key=_place)
    exemplars = [fact for fact in sequence if fact.split == "exemplars"]
    pool = [fact for fact in sequence if fact.split != "exemplars"]
    if not exemplars:
        exemplars = _draw_exemplars(pool, settings.exemplars_per_relation, seed, notes)
        exemplar_ids = {fact.id for fact in exemplars}
        pool = [fact for fact in pool if fact.id not in exemplar_ids]
    return Splits(
        train=(),
        validation=(),
        test=_finish(pool, "out of distribution", settings.max_test_per_relation, seed),
        exemplars=_finish(exemplars, "exemplars", None, seed),
        dropped_for_overlap=0,
        warnings=tuple(notes),
    )


def _place(fact: Fact) -> tuple[str, str]:
    return fact.relation, fact.id


def _draw(seed: int, purpose: str, *names: str) -> int:
    """A number in [0, 2^64) that only the seed, the purpose and the names decide."""
    text = "\x00".join((str(seed), purpose, *names))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def _shuffle(facts: Iterable[Fact], seed: int, purpose: str) -> list[Fact]:
    return sorted(facts, key=lambda fact: (_draw(seed, purpose, fact.relation, fact.id), fact.id))


def _check_parts(pool: Sequence[Fact], parts: Mapping[str, Sequence[Fact]]) -> None:
    unknown = sorted(set(parts) - {"validation", "test", "exemplars"})
    if unknown:
        expected = "a split of train, validation, test or exemplars"
        raise DataError(f"fact {parts[unknown[0]][0].id}: expected {expected}, found {unknown[0]!r} - correct it")
    if parts and not pool:
        remedy = "name those to train on, or leave the split out to have it made"
        raise DataError(f"the facts: expected some whose split is train, found only {', '.join(parts)} - {remedy}")


def _draw_exemplars(pool: Sequence[Fact], number: int, seed: int, notes: list[str]) -> list[Fact]:
    exemplars: list[Fact] = []
    short: list[str] = []
    for relation, group in by_relation(pool).items():
        count = min(number, len(group) // 2)
        exemplars += _shuffle(group, seed, "exemplars")[:count]
        if count < number:
            short.append(f"{relation} ({count})")
    if short:
        notes.append(f"Fewer than {number} exemplars, half of the relation's facts: {', '.join(short)}.")
    return exemplars


def _note_overlap(
    pool: Iterable[Fact], parts: Mapping[str, Sequence[Fact]], keep_apart: KeepApart, notes: list[str]
) -> None:
    held_out = {
        each for part in ("validation", "test") for fact in parts.get(part, ()) for each in entities(fact, keep_apart)
    }
    num_links = sum(not entities(fact, keep_apart).isdisjoint(held_out) for fact in pool)
    what = "a subject" if keep_apart == "subjects" else "a subject or answer"
    if num_links:
        notes.append(f"{num_links} train facts share {what} with the validation or test facts of the source.")


def _note_shared_answers(train: Iterable[Fact], test: Sequence[Fact], notes: list[str]) -> None:
    taught = {answer for fact in train for answer in _answers(fact)}
    shared = sum(not _answers(fact).isdisjoint(taught) for fact in test)
    notes.append(
        f"Only subjects are kept apart (facts.splits.keep_apart): {count(shared)} of {count(len(test))} test facts "
        "have an answer that a train fact has, so part of what is gained on them may be which answers are frequent."
    )


def _note_empty_sides(pool: Sequence[Fact], train: Sequence[Fact], held_out: Sequence[Fact], notes: list[str]) -> None:
    totals, trains, helds = (Counter(fact.relation for fact in part) for part in (pool, train, held_out))
    for side, counts in (("training", trains), ("held-out", helds)):
        missing = [relation for relation in sorted(totals) if not counts[relation]]
        if missing:
            notes.append(f"No {side} facts, as too few or too closely linked: {', '.join(missing)}.")
    lost = {relation: total - trains[relation] - helds[relation] for relation, total in sorted(totals.items())}
    notable = [f"{name} ({lost[name]} of {totals[name]})" for name in lost if lost[name] > _NOTABLE_LOSS * totals[name]]
    if notable:
        notes.append(f"Most facts dropped, as they link train with held-out facts: {', '.join(notable)}.")


def _divide_held_out(held_out: Sequence[Fact], shares: Mapping[str, float], seed: int) -> dict[str, list[Fact]]:
    """Validation and test facts: each relation's held-out facts in a random order, validation first."""
    of_validation = shares.get("validation", 0.0) / sum(shares.values())
    parts: dict[str, list[Fact]] = {part: [] for part in shares}
    for group in by_relation(held_out).values():
        count = math.floor(of_validation * len(group) + 0.5)
        shuffled = _shuffle(group, seed, "held out")
        for part, chosen in (("validation", shuffled[:count]), ("test", shuffled[count:])):
            if part in parts:
                parts[part] += chosen
    return parts


def _finish(facts: Iterable[Fact], split: str, cap: int | None, seed: int) -> tuple[Fact, ...]:
    facts_within_cap = [fact for group in by_relation(facts).values() for fact in _shuffle(group, seed, "cap")[:cap]]
    return tuple(sorted((replace(fact, split=split) for fact in facts_within_cap), key=_place))


class _Division:
    """Gives each entity that links facts a side, so that few facts have entities on both.

    Cost = facts with entities on both sides + weight x sum over relations of d^2 / (n h (1 - h)), where h is the wished
    held-out share, n the relation's facts, and d how many held-out facts it is away from h of those kept. d^2 over the
    variance of a fair draw lets large relations deviate by more than small ones and none be one-sided for nothing.
    """

    def __init__(self, facts: Sequence[Fact], held_out_share: float, seed: int, keep_apart: KeepApart) -> None:
        self._facts, self._share, self._seed = facts, held_out_share, seed
        at: dict[str, list[int]] = defaultdict(list)
        for index, fact in enumerate(facts):
            for entity in entities(fact, keep_apart):
                at[entity].append(index)
        # An entity of one fact only links nothing: it goes where the fact goes.
        self._at = {entity: indices for entity, indices in at.items() if len(indices) > 1}
        self._sides: dict[str, int] = {}
        self._votes = [[0, 0] for _ in facts]
        self._totals = Counter(fact.relation for fact in facts)
        linked = {index for indices in self._at.values() for index in indices}
        self._free = [fact for index, fact in enumerate(facts) if index not in linked]
        self._num_free = Counter(fact.relation for fact in self._free)
        self._counts = {relation: [0, 0] for relation in self._totals}
        self._choose_sides()
        self._free_held_out = self._draw_free()

    def train(self) -> list[Fact]:
        """The facts of the train side."""
        return [*self._of_side(_TRAIN), *(fact for fact in self._free if fact.id not in self._free_held_out)]

    def held_out(self) -> list[Fact]:
        """The facts of the held-out side."""
        return [*self._of_side(_HELD_OUT), *(fact for fact in self._free if fact.id in self._free_held_out)]

    def _of_side(self, side: int) -> list[Fact]:
        pairs = zip(self._facts, self._votes, strict=True)
        return [fact for fact, votes in pairs if votes[side] and not votes[1 - side]]

    def _choose_sides(self) -> None:
        """Most linked entities first, each to its cheaper side; then sweeps of single changes while they help."""
        entities_in_order = sorted(self._at, key=lambda entity: (_draw(self._seed, "order", entity), entity))
        for entity in sorted(entities_in_order, key=lambda each: -len(self._at[each])):
            first = _HELD_OUT if _draw(self._seed, "side", entity) < self._share * 2**64 else _TRAIN
            other_is_cheaper = self._change(entity, 1 - first)[0] < self._change(entity, first)[0]
            self._put(entity, 1 - first if other_is_cheaper else first)
        for _ in range(_MAX_SWEEPS):
            better = 0
            for entity in entities_in_order:
                if self._change(entity, 1 - self._sides[entity])[0] < -1e-9:
                    self._put(entity, 1 - self._sides[entity])
                    better += 1
            if not better:
                return

    def _change(self, entity: str, side: int) -> tuple[float, dict[str, list[int]]]:
        """What putting an entity on a side would add to the cost, and to the facts kept per relation and side."""
        old = self._sides.get(entity)
        lost = 0
        counts_by_relation: dict[str, list[int]] = {}
        for index in self._at[entity]:
            votes = self._votes[index]
            before = _side_of(votes[0], votes[1])
            counts = [votes[0], votes[1]]
            if old is not None:
                counts[old] -= 1
            counts[side] += 1
            after = _side_of(counts[0], counts[1])
            if before == after:
                continue
            lost += (after == "both") - (before == "both")
            change = counts_by_relation.setdefault(self._facts[index].relation, [0, 0])
            for where, amount in ((before, -1), (after, 1)):
                if isinstance(where, int):
                    change[where] += amount
        uneven = sum(
            self._uneven(name, *by) - self._uneven(name, 0, 0) for name, by in sorted(counts_by_relation.items())
        )
        return lost + uneven, counts_by_relation

    def _put(self, entity: str, side: int) -> None:
        for relation, by in self._change(entity, side)[1].items():
            self._counts[relation][0] += by[0]
            self._counts[relation][1] += by[1]
        old = self._sides.get(entity)
        for index in self._at[entity]:
            if old is not None:
                self._votes[index][old] -= 1
            self._votes[index][side] += 1
        self._sides[entity] = side

    def _uneven(self, relation: str, more_train: int, more_held_out: int) -> float:
        """The cost of a relation's uneven division, its free facts used to even it out."""
        train, held_out = self._counts[relation]
        train, held_out, free = train + more_train, held_out + more_held_out, self._num_free[relation]
        wished = self._share * (train + held_out + free)
        away = max(0.0, held_out - wished, wished - free - held_out)
        return _BALANCE_WEIGHT * away**2 / (self._totals[relation] * self._share * (1 - self._share))

    def _draw_free(self) -> set[str]:
        """Ids of the facts without linking entities that are held out: as many as bring a relation to its share."""
        chosen: set[str] = set()
        for relation, group in by_relation(self._free).items():
            train, held_out = self._counts[relation]
            wished = self._share * (train + held_out + len(group))
            count = min(len(group), max(0, math.floor(wished - held_out + 0.5)))
            chosen |= {fact.id for fact in _shuffle(group, self._seed, "free")[:count]}
        return chosen


def _side_of(train_votes: int, held_out_votes: int) -> int | str:
    """The side of a fact whose entities voted so; "both" if they disagree, "none" without votes."""
    if train_votes and held_out_votes:
        return "both"
    if not train_votes and not held_out_votes:
        return "none"
    return _HELD_OUT if held_out_votes else _TRAIN
