"""The sampled probe: SliCK's protocol word for word, one greedy answer and n sampled ones per fact and exemplar set.

All answers of a fact grow in one tree, so samples that begin alike are read once. Each sample's random numbers come
from the seed, the fact, the exemplar set and the sample's number: no neighbour changes them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gradual.config.run import ProbeConfig
from gradual.engines.engine import Forest, Node
from gradual.engines.vocabulary import Vocabulary, ends_line, finished_text, settled_text, until_line_end
from gradual.errors import ProbeError
from gradual.facts.matching import Targets
from gradual.knowledge.map import SetAnswer
from gradual.probing.reads import sampling_chances


@dataclass(eq=False)
class SampledTask:
    """A fact being probed: its targets and the last node of its prompt under each exemplar set."""

    fact_id: str
    targets: Targets
    prompt_ends: Sequence[Node]


@dataclass(eq=False)
class _Answer:
    """An answer being written; `draws` are its uniform random numbers, none for the greedy answer."""

    group: _Group
    row: int
    node: int
    draws: npt.NDArray[np.float64] | None
    text: bytes = b""
    length: int = 0
    margin: float = float("inf")
    is_finished: bool = False
    is_cut: bool = False
    """Ended because nothing could make it right any more."""
    is_right: bool = False

    @property
    def place(self) -> Node:
        """Where in the forest it has come to."""
        return self.row, self.node


@dataclass(eq=False)
class _Set:
    """The answers of one fact under one exemplar set."""

    greedy: _Answer
    samples: list[_Answer]


@dataclass(eq=False)
class _Group:
    """The answers of one fact."""

    targets: Targets
    sets: list[_Set] = field(default_factory=list)

    def has_right_answer(self) -> bool:
        """Whether any finished answer is right: more samples cannot change the level then."""
        return any(answer.is_right for one in self.sets for answer in (one.greedy, *one.samples))


class SampledProbe:
    """Writes all answers of one forest's facts together, each row being one exemplar set."""

    def __init__(self, forest: Forest, vocabulary: Vocabulary, settings: ProbeConfig, *, seed: int) -> None:
        self._forest = forest
        self._vocabulary = vocabulary
        self._settings = settings
        self._seed = seed
        self._choices: dict[Node, _Choice] = {}

    def run(self, tasks: Sequence[SampledTask]) -> list[list[SetAnswer]]:
        """The answers of every task under every exemplar set.

        With `levels_only` nothing is written that cannot change a level: an answer ends where it can no longer become
        right, and a fact is sampled only while it has no right answer. Levels and greedy verdicts are the same.
        """
        groups = [self._start(task) for task in tasks]
        self._write([one.greedy for group in groups for one in group.sets])
        if not self._settings.levels_only:
            self._write([sample for group in groups for one in group.sets for sample in one.samples])
        for number in range(self._settings.num_samples if self._settings.levels_only else 0):
            undecided = [group for group in groups if not group.has_right_answer()]
            self._write([one.samples[number] for group in undecided for one in group.sets])
        return [[_as_set_answer(number, one) for number, one in enumerate(group.sets)] for group in groups]

    def _start(self, task: SampledTask) -> _Group:
        group = _Group(task.targets)
        for exemplar_set, (row, node) in enumerate(task.prompt_ends):
            samples = [
                _Answer(group, row, node, self._draws(task.fact_id, exemplar_set, number))
                for number in range(self._settings.num_samples)
            ]
            group.sets.append(_Set(_Answer(group, row, node, None), samples))
        return group

    def _draws(self, fact_id: str, exemplar_set: int, number: int) -> npt.NDArray[np.float64]:
        key = hashlib.blake2b(f"{self._seed}/{fact_id}/{exemplar_set}/{number}".encode(), digest_size=8).digest()
        return np.random.default_rng(int.from_bytes(key)).random(self._settings.max_new_tokens)

    def _write(self, answers: Sequence[_Answer]) -> None:
        """Writes the answers to their ends, all by one token at a time."""
        writing = list(answers)
        while writing:
            self._read(writing)
            for answer in writing:
                self._step(answer)
            writing = [answer for answer in writing if not answer.is_finished]

    def _read(self, writing: Sequence[_Answer]) -> None:
        """Reads the nodes at which the answers stand, where that has not been done for another answer."""
        nodes = [node for node in dict.fromkeys(answer.place for answer in writing) if node not in self._choices]
        next_tokens = self._forest.read(nodes)
        chances, unseen = sampling_chances(next_tokens, self._settings)
        if unseen.any():
            raise ProbeError(
                f"expected the {self._settings.top_k} likeliest tokens and those that tie with them, found fewer - "
                "samples cannot be drawn from a part; use probe.method: exact, or a server that gives more"
            )
        for place, node in enumerate(nodes):
            count = int((next_tokens.tokens[place] >= 0).sum())
            gap = float(next_tokens.logits[place, 0] - next_tokens.logits[place, 1]) if count > 1 else float("inf")
            self._choices[node] = _Choice(next_tokens.tokens[place, :count], np.cumsum(chances[place, :count]), gap)

    def _step(self, answer: _Answer) -> None:
        """Adds one token to an answer and judges it where it ends."""
        token = self._choices[answer.place].pick(answer)
        answer.length += 1
        piece = self._vocabulary.piece(token)
        if token in self._vocabulary.stops:
            answer.is_finished = True
        elif ends_line(piece):
            answer.text += until_line_end(piece)
            answer.is_finished = True
        else:
            answer.text += piece
            answer.is_finished = answer.length >= self._settings.max_new_tokens
            answer.node = self._forest.trees[answer.row].add(answer.node, [token])[0]
        targets = answer.group.targets
        if answer.is_finished:
            answer.is_right = targets.accepts(finished_text(answer.text))
        elif self._settings.levels_only and not targets.is_alive(settled_text(answer.text)):
            answer.is_finished = answer.is_cut = True


@dataclass(frozen=True)
class _Choice:
    """What can follow at a node: tokens, their cumulative chances, and the gap between the two largest logits."""

    tokens: npt.NDArray[np.int64]
    cumulative: npt.NDArray[np.float64]
    gap: float

    def pick(self, answer: _Answer) -> int:
        """The greedy token, or the one that the answer's next random number falls on."""
        if answer.draws is None:
            answer.margin = min(answer.margin, self.gap)
            return int(self.tokens[0])
        place = int(np.searchsorted(self.cumulative, answer.draws[answer.length], side="right"))
        return int(self.tokens[min(place, len(self.tokens) - 1)])


def _as_set_answer(number: int, one: _Set) -> SetAnswer:
    """Counts of the answers that were written; with none sampled, the probability is left open between 0 and 1."""
    samples = [sample for sample in one.samples if sample.is_finished]
    n_right = sum(sample.is_right for sample in samples)
    share = n_right / len(samples) if samples else None
    return SetAnswer(
        number,
        greedy_correct=one.greedy.is_right,
        greedy_answer=None if one.greedy.is_cut else finished_text(one.greedy.text).strip(),
        p_lower=share if share is not None else 0.0,
        p_upper=share if share is not None else 1.0,
        margin=one.greedy.margin,
        n_right=n_right,
        n_samples=len(samples),
    )
