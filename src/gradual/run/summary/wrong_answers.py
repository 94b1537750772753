"""Which test answers are confidently wrong after training, and whether a stage taught them for another fact.

Maps and what was trained on in, the part `wrong_answers` of `summary.json` out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gradual.facts.fact import Fact
from gradual.facts.matching import Matching, Targets
from gradual.knowledge.answer_quality import answers_with_confidence
from gradual.knowledge.map import FactKnowledge, KnowledgeMap
from gradual.run.summary.quality_file import SureAnswer, WrongAnswer, WrongAnswerGroup, WrongAnswers
from gradual.statistics.calibration import confidently_wrong

SHOWN_OF_EACH = 8
"""Wrong answers of each kind that are shown."""


class TaughtAnswers:
    """The answers of facts that stages trained on with their own targets, found by text under the run's rule."""

    def __init__(self, taught: Iterable[Fact], matching: Matching) -> None:
        """Index the facts by each of their answers."""
        self._matching = matching
        self._facts: dict[str, list[Fact]] = {}
        for fact in sorted(taught, key=lambda each: each.id):
            for text in Targets(fact.answers, matching).normalised:
                self._facts.setdefault(text, []).append(fact)

    def other_fact(self, known: FactKnowledge) -> Fact | None:
        """Another fact to which a stage taught this fact's greedy answer: of the same relation if any, first by id."""
        if known.greedy_answer is None:
            return None
        keys = Targets((known.greedy_answer,), self._matching).normalised
        facts = [fact for key in keys for fact in self._facts.get(key, ()) if fact.id != known.id]
        return min(facts, key=lambda fact: (fact.relation != known.relation, fact.id), default=None)


def wrong_answers_of_run(
    tests: Sequence[KnowledgeMap], taught: Iterable[Fact], *, matching: Matching
) -> WrongAnswers | None:
    """What is confidently wrong after the last stage; None before the first, or where maps have no confidence.

    Args:
        tests: evaluation maps, the base model's first.
        taught: facts that any stage trained on with their own targets.
        matching: the run's rule of what answers are the same.
    """
    if len(tests) < 2 or not (tests[0].has_confidence and tests[-1].has_confidence):
        return None
    before, after = (confidently_wrong(answers_with_confidence(known)) for known in (tests[0], tests[-1]))
    wrong = [fact for fact in tests[-1] if after[fact.id]]
    known_before = {fact.id: fact for fact in tests[0]}
    answers = TaughtAnswers(taught, matching)
    return WrongAnswers(
        became=_group([fact for fact in wrong if not before[fact.id]], known_before, answers),
        remained=_group([fact for fact in wrong if before[fact.id]], known_before, answers),
    )


def _group(
    facts: Sequence[FactKnowledge], known_before: Mapping[str, FactKnowledge], answers: TaughtAnswers
) -> WrongAnswerGroup:
    """The numbers of some wrong answers, and those that the model is surest of, ties by id."""
    clearest = sorted(facts, key=lambda fact: (-(fact.confidence or 0.0), fact.id))[:SHOWN_OF_EACH]
    olds = [known_before[fact.id] for fact in facts]
    return WrongAnswerGroup(
        total=len(facts),
        taught_elsewhere=sum(answers.other_fact(fact) is not None for fact in facts),
        taught_elsewhere_before=sum(fact.p_greedy == 0 and answers.other_fact(fact) is not None for fact in olds),
        shown=[_wrong_answer(known_before[fact.id], fact, answers.other_fact(fact)) for fact in clearest],
    )


def _wrong_answer(old: FactKnowledge, new: FactKnowledge, other: Fact | None) -> WrongAnswer:
    return WrongAnswer(
        id=new.id,
        relation=new.relation,
        question=new.question,
        answers=list(new.answers),
        before=_answer_of(old),
        after=_answer_of(new),
        taught_question=other.question if other else None,
    )


def _answer_of(fact: FactKnowledge) -> SureAnswer:
    return SureAnswer(answer=fact.greedy_answer, confidence=fact.confidence, is_right=fact.p_greedy > 0)
