"""Asks questions whose answers nobody has written down: what a model says behind each exemplar set, and how sure it is.

A question is a fact without targets: nothing is right, so the exact probe writes its greedy answers and their
confidence alone. Knows engines and exemplars; where the exemplars come from is known above.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from gradual.config.run import ProbeConfig
from gradual.engines.engine import Engine
from gradual.facts.fact import Fact
from gradual.facts.matching import Matching, matching_of
from gradual.knowledge.levels import Level
from gradual.knowledge.map import FactKnowledge, SetAnswer
from gradual.probing.probe import probe_facts
from gradual.progress import Advance
from gradual.statistics.calibration import CONFIDENT, VERY_CONFIDENT

Verdict = Literal["sure", "likely", "unsure"]


class OtherAnswer(NamedTuple):
    """A greedy answer that is not the commonest."""

    answer: str
    num_sets: int
    """Exemplar sets behind which it is given."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a model says to a question: the answer that most exemplar sets give."""

    answer: str
    num_same: int
    """Exemplar sets behind which the greedy answer is this one, after the matcher's normalisation."""
    num_sets: int
    confidence: float
    """Probability in [0, 1] that a sampled answer is the same; mean over the sets that give this answer."""
    others: tuple[OtherAnswer, ...] = ()
    """All other greedy answers, commonest first."""

    @property
    def verdict(self) -> Verdict:
        """How firmly it is said; not whether it is right.

        sure: behind every exemplar set, with a confidence of at least 0.9. likely: behind more than half of them, with
        one of at least 0.5.
        """
        if self.num_same == self.num_sets and self.confidence >= VERY_CONFIDENT:
            return "sure"
        if 2 * self.num_same > self.num_sets and self.confidence >= CONFIDENT:
            return "likely"
        return "unsure"

    @property
    def level_if_right(self) -> Level:
        """The level that the question would have as a fact if this answer were its target (`knowledge.levels`).

        Some set gives it greedily, so that only HighlyKnown and MaybeKnown are left.
        """
        return Level.HIGHLY_KNOWN if self.num_same == self.num_sets else Level.MAYBE_KNOWN


def question_settings(settings: ProbeConfig) -> ProbeConfig:
    """How questions are asked: exactly, every greedy answer written out, with confidence; without shots only once."""
    changes: dict[str, object] = {"method": "exact", "levels_only": False, "greedy_answers": "all", "confidence": True}
    if settings.num_shots == 0:
        changes["num_exemplar_sets"] = 1  # without shots all sets are the same prompt
    return settings.model_copy(update=changes)


def ask_questions(
    questions: Sequence[Fact],
    exemplars: Mapping[str, Sequence[Fact]],
    engine: Engine,
    settings: ProbeConfig,
    *,
    seed: int,
    progress: Advance = lambda _: None,
) -> list[Said]:
    """What the engine's model says to each question, in their order.

    Args:
        questions: facts without answers, each with its own id, in the relation whose exemplars stand before it.
        exemplars: solved facts by relation.
        engine: the model.
        settings: how facts are probed; asked for by `question_settings`.
        seed: seed of the exemplar sets: that of a run gives the sets of its probes.
        progress: called with the number of questions that have just been answered.

    Raises:
        DataError: a relation has too few exemplars.
        ProbeError: the model's logits are not numbers.
    """
    probe_settings = question_settings(settings)
    known = probe_facts(questions, exemplars, engine, probe_settings, seed=seed, progress=progress)
    return [said_of(known[question.id], matching_of(probe_settings)) for question in questions]


def said_of(fact: FactKnowledge, matching: Matching) -> Said:
    """The answer that most exemplar sets give; of equally common ones that of the higher confidence, then the first."""
    groups: dict[str, list[SetAnswer]] = {}
    for each in fact.sets:
        groups.setdefault(matching.normalise(each.greedy_answer or ""), []).append(each)
    ranking = sorted(groups.values(), key=lambda group: (-len(group), -_confidence(group)))
    first, *others = ranking
    return Said(
        answer=first[0].greedy_answer or "",
        num_same=len(first),
        num_sets=len(fact.sets),
        confidence=_confidence(first),
        others=tuple(OtherAnswer(group[0].greedy_answer or "", len(group)) for group in others),
    )


def _confidence(answers: Sequence[SetAnswer]) -> float:
    return sum(each.confidence or 0.0 for each in answers) / len(answers)
