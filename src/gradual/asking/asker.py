"""Puts any question to a model, or to a run's base model and the same after a stage, side by side.

Beside each answer stands how often the run was right about test facts when it was as sure. Engines come from who calls.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple

from gradual.asking.majority import Said, ask_questions
from gradual.asking.shots import Shots
from gradual.config.run import ProbeConfig
from gradual.engines.engine import Engine
from gradual.errors import DataError
from gradual.facts.fact import Fact
from gradual.facts.matching import Targets, matching_of
from gradual.files.storage import Json
from gradual.knowledge.answer_quality import answers_with_confidence
from gradual.knowledge.map import MAP_FILE, read_map
from gradual.progress import Progress, Silent
from gradual.run.folder import RunDir
from gradual.statistics.calibration import CONFIDENT, VERY_CONFIDENT, AnsweredFact
from gradual.text import stage_name

OpenEngine = Callable[[int], AbstractContextManager[Engine]]
"""Gives the model after a stage (0: the base model) to read with, for as long as the context lasts."""


class AccuracyAtConfidence(NamedTuple):
    """How often the model was right about test facts when it was as sure."""

    num_right: int
    total: int


@dataclass(frozen=True, slots=True)
class StageAnswer:
    """What the model after a stage says to a question."""

    stage: int
    said: Said
    is_right: bool | None
    """None where the question is none of the facts, so that nobody knows."""
    as_sure: AccuracyAtConfidence | None
    """Test answers of the run after this stage in the same band of confidence; None where the run has none."""


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """A question with its answers, the base model's first."""

    question: str
    relation: str
    """Whose exemplars stood before it; empty without shots."""
    targets: tuple[str, ...]
    """The accepted answers, where the question is one of the facts."""
    answers: tuple[StageAnswer, ...]

    def as_dict(self) -> dict[str, Json]:
        """The same as JSON values."""
        return dataclasses.asdict(self) | {"answers": [_answer_as_dict(each) for each in self.answers]}


def _answer_as_dict(each: StageAnswer) -> dict[str, Json]:
    fields = dataclasses.asdict(each.said) | {"others": [other._asdict() for other in each.said.others]}
    fields |= {"verdict": each.said.verdict, "level_if_right": str(each.said.level_if_right)}
    as_sure = None if each.as_sure is None else each.as_sure._asdict()
    return {
        "stage": each.stage,
        "model": stage_name(each.stage),
        **fields,
        "is_right": each.is_right,
        "as_sure": as_sure,
    }


@dataclass(frozen=True)
class Asker:
    """Asks questions of one model, or of a run's before and after training."""

    open_engine: OpenEngine
    settings: ProbeConfig
    seed: int
    """Seed of the exemplar sets."""
    stages: Sequence[int] = (0,)
    """The models to ask, by the number of the stage; 0 is the base model."""
    shots: Shots | None = None
    """None: questions are asked without shots."""
    relation: str | None = None
    """Whose shots stand before every question; None: chosen by its wording."""
    tests: Mapping[int, Sequence[AnsweredFact]] = dataclasses.field(default_factory=dict)
    """By stage, how sure the model was of its test answers and which were right."""
    progress: Progress = dataclasses.field(default_factory=Silent)

    def ask(self, questions: Sequence[str]) -> list[AskedQuestion]:
        """The answers to some questions, in their order.

        Raises:
            DataError: a question is empty, or cannot be asked in the prompt's style.
            ProbeError: the model's logits are not numbers.
        """
        question_facts = [self._as_fact(number, text) for number, text in enumerate(questions, start=1)]
        facts = [self._fact_of(fact.question) for fact in question_facts]
        targets = [Targets(fact.answers, matching_of(self.settings)) if fact else None for fact in facts]
        answers: list[list[StageAnswer]] = [[] for _ in question_facts]
        exemplars = self.shots.exemplars if self.shots else {}
        for stage in self.stages if question_facts else ():
            name = stage_name(stage)
            with (
                self.open_engine(stage) as engine,
                self.progress.bar(name, len(question_facts), "questions") as advance,
            ):
                replies = ask_questions(
                    question_facts, exemplars, engine, self.settings, seed=self.seed, progress=advance
                )
            for reply, target, row in zip(replies, targets, answers, strict=True):
                is_right = None if target is None else target.accepts(reply.answer)
                row.append(StageAnswer(stage, reply, is_right, as_sure(reply.confidence, self.tests.get(stage, ()))))
        return [
            AskedQuestion(question.question, question.relation, fact.answers if fact else (), tuple(row))
            for question, fact, row in zip(question_facts, facts, answers, strict=True)
        ]

    def _as_fact(self, number: int, text: str) -> Fact:
        question = text.strip()
        if not question:
            raise DataError(f"question {number}: expected a text, found an empty one - leave it out")
        relation = self.relation or (self.shots.relation_of(question) if self.shots else "")
        return Fact(id=f"question-{number:06d}", relation=relation, question=question, answers=())

    def _fact_of(self, question: str) -> Fact | None:
        return self.shots.fact_of(question) if self.shots else None


def as_sure(confidence: float, tests: Sequence[AnsweredFact]) -> AccuracyAtConfidence | None:
    """How many of the test answers in the same band of confidence are right; None without test answers.

    The bands end at 0.5 and 0.9, where docs/confidence.md calls an answer confident and very confident.
    """
    if not tests:
        return None
    same = [each.is_right for each in tests if _band(each.confidence) == _band(confidence)]
    return AccuracyAtConfidence(sum(same), len(same))


def _band(confidence: float) -> int:
    return (confidence >= CONFIDENT) + (confidence >= VERY_CONFIDENT)


def answers_to_tests(run: RunDir, stages: Iterable[int]) -> dict[int, list[AnsweredFact]]:
    """How sure the run was of its test answers after each of the stages; stages without an evaluation are left out.

    Raises:
        RunDirError: a map is damaged.
    """
    folders = {stage: run.evaluation(stage) for stage in stages}
    return {
        stage: list(answers_with_confidence(read_map(folder, with_answers=False)).values())
        for stage, folder in folders.items()
        if (folder / MAP_FILE).is_file()
    }
