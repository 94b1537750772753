"""Facts in other forms than those they are trained in: reworded, or asked the other way round; links and checks.

A link is stated once, by `Fact.reverse_of`; it holds both ways. Knows facts and rows, no model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from gradual.config.run import TransferForm
from gradual.facts.fact import Fact
from gradual.facts.problems import Problems, data_error, quote
from gradual.facts.reading.rows import StatedFact, question_key

_MARK = "~"
"""Between the id of a fact and what tells its form: `capital-fr~1` is its first rewording."""


def without_missing_reverses(facts: Sequence[StatedFact], problems: Problems) -> list[StatedFact]:
    """The facts whose `reverse_of` is empty or names another fact, as no fact before does; the others are noted."""
    ids = {each.fact.id for each in facts}
    first: dict[str, StatedFact] = {}
    rest: list[StatedFact] = []
    for each in facts:
        reverse_id, expected, fault = each.fact.reverse_of, "the id of another fact in reverse_of", ""
        if reverse_id and (reverse_id not in ids or reverse_id == each.fact.id):
            fault = f"{quote(reverse_id)}, {'its own' if reverse_id in ids else 'which no fact has'}"
        elif reverse_id and first.setdefault(reverse_id, each).fact.id != each.fact.id:
            expected, fault = "one reverse of each fact", f"another of {quote(reverse_id)} at {first[reverse_id].where}"
        if not fault:
            rest.append(each)
            continue
        remedy = "correct the id, or leave it out"
        problems.add(each.where, expected=expected, found=fault, remedy=remedy, row=dataclasses.asdict(each.fact))
    return rest


def reverses(facts: Iterable[Fact]) -> dict[str, Fact]:
    """The fact that asks each fact the other way round, by the id of the latter; a link holds in both directions.

    Where a fact is named by one and names another, the one that names it is its reverse.
    """
    by_id = {fact.id: fact for fact in facts}
    links = [(fact, by_id[fact.reverse_of]) for fact in by_id.values() if fact.reverse_of in by_id]
    return {fact.id: other for fact, other in links} | {other.id: fact for fact, other in links}


def for_transfer(facts: Iterable[Fact], forms: Sequence[TransferForm]) -> list[Fact]:
    """The facts with no more rewordings and links than the forms ask for: a run's facts are what it asks."""
    keeps_wordings, keeps_links = "rewordings" in forms, "reverse" in forms
    return [
        fact
        if (keeps_wordings or not fact.rewordings) and (keeps_links or not fact.reverse_of)
        else replace(
            fact,
            rewordings=fact.rewordings if keeps_wordings else (),
            reverse_of=fact.reverse_of if keeps_links else "",
        )
        for fact in facts
    ]


def rewordings_of(fact: Fact) -> list[Fact]:
    """The fact in each of its other wordings, under ids of their own (see `origin_of`)."""
    return [
        replace(fact, id=f"{fact.id}{_MARK}{number}", question=question, rewordings=())
        for number, question in enumerate(fact.rewordings, start=1)
    ]


def reversal_of(fact: Fact, reverse: Fact) -> Fact:
    """The reverse of a fact, under an id that says whose it is (see `origin_of`)."""
    return replace(reverse, id=f"{fact.id}{_MARK}reverse")


def origin_of(form_id: str) -> str:
    """Id of the fact that `reworded` or `turned` was given."""
    return form_id.rpartition(_MARK)[0]


def check_transfer(
    forms: Sequence[TransferForm], train: Sequence[Fact], test: Sequence[Fact], links: Mapping[str, Fact], source: str
) -> None:
    """Refuses forms in which no fact can be asked, and rewordings that are trained on.

    Args:
        forms: `evaluation.transfer`.
        train: training facts.
        test: test facts.
        links: what asks them the other way, by their ids.
        source: where the facts come from, for messages.

    Raises:
        DataError: one line for each kind of mistake.
    """
    facts = [*train, *test]
    if "rewordings" in forms:
        if not any(fact.rewordings for fact in facts):
            raise _no_fact(source, "rewordings", "add a column `rewordings`")
        problems = Problems(source)
        questions = {question_key(fact.question): fact for fact in train}
        for fact in facts:
            for question in fact.rewordings:
                other = questions.get(question_key(question))
                if other is not None:
                    problems.add(
                        f"{source}: fact {quote(fact.id)}",
                        expected="rewordings that nothing is trained on",
                        found=f"{quote(question)}, the question of training fact {quote(other.id)}",
                        remedy="reword it, or delete it",
                    )
        problems.stop_if_any()
    if "reverse" in forms and not links:
        relations = "the relations of both facts (facts.relations, facts.out_of_distribution)"
        remedy = f"add a column `reverse_of`, and keep {relations}"
        raise _no_fact(source, "reverse", remedy)


def _no_fact(source: str, form: str, remedy: str) -> Exception:
    expected = f"training or test facts that can be asked so (evaluation.transfer: {form})"
    return data_error(source, expected=expected, found="none", remedy=f"{remedy}; or leave {form} out")
