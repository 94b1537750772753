"""What a user should look at before a model is asked: facts as they were read, and answers that matching confuses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from gradual.facts.fact import Fact, by_relation
from gradual.facts.languages.unicode_rule import UnicodeRule
from gradual.facts.matching import Matching, Targets, normalise
from gradual.facts.problems import quote

_NUM_SHOWN = 3
_UNICODE = Matching(rule="unicode")


def first_facts(facts: Sequence[Fact]) -> str:
    """The first three facts as they were read, in one line: whoever reads it sees what became question and answers."""
    return "the first facts as read: " + "; ".join(_as_read(fact) for fact in facts[:_NUM_SHOWN])


def _as_read(fact: Fact) -> str:
    answers = " or ".join(quote(answer) for answer in fact.answers[:_NUM_SHOWN])
    more = f" (and {len(fact.answers) - _NUM_SHOWN} more)" if len(fact.answers) > _NUM_SHOWN else ""
    about = f", subject {quote(fact.subject)}" if fact.subject else ""
    return f"{quote(fact.question)} -> {answers}{more} [relation {quote(fact.relation)}{about}]"


def confused_answers(facts: Iterable[Fact], matching: Matching) -> list[str]:
    """A warning for each relation in which SQuAD's rule takes answers of different facts for one; often none.

    Those are answers whose articles, signs or points tell them apart: Vitamin A and Vitamin K are not among them,
    Vitamin A and Vitamin are, as are C and C++, 15 and 1.5.
    """
    if matching.rule != "squad":
        return []
    rule = UnicodeRule()
    texts: list[str] = []
    for relation, group in by_relation(facts).items():
        spellings: dict[str, dict[str, str]] = defaultdict(dict)
        owners: dict[str, set[str]] = defaultdict(set)
        for fact in group:
            for answer in fact.answers:
                by_squad = normalise(answer)
                if by_squad:
                    spellings[by_squad].setdefault(rule.normalise(answer), answer)
                    owners[by_squad].add(fact.id)
        confused = [each for name, each in sorted(spellings.items()) if len(each) > 1 and len(owners[name]) > 1]
        if confused:
            pair = " and ".join(quote(answer) for answer in list(confused[0].values())[:2])
            texts.append(
                f"relation {quote(relation)}: answers of different facts that the rule squad takes for the same: "
                f"{len(confused)}, such as {pair}; probe.matching: unicode tells them apart"
            )
    return texts


def missed_spellings(answered: Iterable[tuple[Sequence[str], Iterable[str]]], matching: Matching) -> str:
    """How many wrong answers would be right under the rule `unicode`, with the first of them; empty if none would.

    Args:
        answered: for each fact its accepted answers and the answers that a model gave, right ones among them.
        matching: the rule that they were judged by.
    """
    if matching.rule != "squad":
        return ""
    pairs: list[tuple[str, str]] = []
    for accepted, answers in answered:
        by_squad, by_unicode = Targets(tuple(accepted)), Targets(tuple(accepted), _UNICODE)
        spellings = [each for each in answers if by_unicode.accepts(each) and not by_squad.accepts(each)]
        pairs += [(spellings[0], accepted[0])] if spellings else []
    if not pairs:
        return ""
    answer, target = pairs[0]
    count = f"facts with a wrong answer that probe.matching: unicode takes for right: {len(pairs)}"
    return f"{count}, such as {quote(answer)} for {quote(target)}"
