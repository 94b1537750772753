"""The exact probe: how likely a sampled answer is right, computed with certain bounds instead of sampled.

The answers that can still become right form a small tree. Reading one node gives the chance of every next token at
once: what ends rightly there is added to the lower bound, what can still become right stays open, the rest is dead. The
search opens the likeliest nodes until the bounds meet. Greedy decoding is followed in the same tree, so its verdict is
exact too.
Knows engines, targets and probabilities; `probe` decides what is asked and what the numbers mean for a level.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import numpy as np

from gradual.config.run import ProbeConfig
from gradual.engines.engine import Forest, Node
from gradual.engines.vocabulary import Vocabulary, ends_line, finished_text, settled_text, until_line_end
from gradual.facts.matching import matching_of
from gradual.knowledge.levels import Level, possible_levels
from gradual.probing.reads import Choices, NodeReads
from gradual.probing.same_answer import same_answer

T1_TOLERANCE = 10
"""Bounds with temperature 1 may be this many times as wide as the tolerance: more answers are likely there, and as
tight bounds would cost a third more reading (docs/confidence.md)."""
MOST_NODES = 64
"""Nodes that a search opens at most for the sake of confidence. A model that is sure of nothing spreads one answer over
ten thousands of spellings; its bounds hold all the same, and are as wide as they then are."""


class AnswerRule(Protocol):
    """Which finished answers a search adds up, and which unfinished ones can still become one (`matching.Targets`)."""

    def accepts(self, answer: str) -> bool:
        """Whether a finished answer counts."""
        ...

    def is_alive(self, text: str) -> bool:
        """Whether some continuation of `text` counts."""
        ...


class _Fate(Enum):
    """What a next token does to an unfinished answer."""

    DEAD = 0
    RIGHT = 1
    OPEN = 2


@dataclass(slots=True, eq=False)
class _OpenNode:
    """An unfinished answer that can still become right; `node` exists once it has been added to the tree."""

    parent: int
    token: int
    mass: float
    mass_t1: float
    """The same with temperature 1; 0 where that is not asked."""
    answer: bytes
    depth: int
    is_greedy: bool


@dataclass(slots=True, eq=False)
class Search:
    """One fact under one exemplar set: bounds on its probability, and where greedy decoding has come."""

    row: int
    fact: FactTask
    prompt_end: int
    wants_confidence: bool = False
    """Whether it is asked how sure the model is of its greedy answer."""
    p_lower: float = 0.0
    is_of_same_answer: bool = False
    """Whether it adds up confidence alone: it searches for the greedy answer of another search."""
    num_opened: int = 0
    p_t1_lower: float = 0.0
    """The same with temperature 1, where confidence is asked."""
    unseen: float = 0.0
    """Chance of next tokens that the engine did not tell: it can't be opened, and may be right."""
    unseen_t1: float = 0.0
    open_nodes: list[_OpenNode] = field(init=False)
    greedy_correct: bool | None = None
    greedy_answer: bytes = b""
    margin: float = float("inf")
    wrong_end: tuple[int, int] | None = None
    """Where greedy decoding went wrong without ending: (node, next token); the answer is written on from there."""
    same: Search | None = None
    """Where confidence is asked and the greedy answer is wrong: the search for answers that are the same as it."""
    refusal: Search | None = None
    """Where refusals are asked: the search for them in their place; its greedy verdict says whether one was given."""

    def __post_init__(self) -> None:
        """Opens the empty answer, behind the prompt."""
        self.open_nodes = [_OpenNode(self.prompt_end, -1, 1.0, float(self.wants_confidence), b"", 0, is_greedy=True)]

    @property
    def open_mass(self) -> float:
        """Chance of all answers that are neither settled as right nor dead, and can be opened."""
        return sum(node.mass for node in self.open_nodes)

    @property
    def p_upper(self) -> float:
        """The probability is at most this."""
        return min(1.0, self.p_lower + self.open_mass + self.unseen)

    @property
    def open_mass_t1(self) -> float:
        """As `open_mass`, with temperature 1."""
        return sum(node.mass_t1 for node in self.open_nodes)

    @property
    def p_t1_upper(self) -> float:
        """As `p_upper`, with temperature 1."""
        return min(1.0, self.p_t1_lower + self.open_mass_t1 + self.unseen_t1)

    @property
    def confidence(self) -> Search | None:
        """The search whose bounds are those of the greedy answer's confidence; None where it is not known.

        That of a right answer is the probability of all accepted answers: they name one thing. So do all refusals.
        """
        if not self.wants_confidence:
            return None
        return self if self.greedy_correct else self.same


@dataclass(eq=False)
class FactTask:
    """A fact being probed: its targets, their usual token paths, and its searches, one per exemplar set."""

    targets: AnswerRule
    paths: dict[bytes, tuple[int, ...]]
    """For each beginning of a target's usual text: the tokens that usually go on to the target's end."""
    searches: list[Search] = field(default_factory=list)
    _fates: dict[tuple[bytes, int], tuple[_Fate, bytes]] = field(default_factory=dict)

    def fate(self, answer: bytes, token: int, vocabulary: Vocabulary) -> tuple[_Fate, bytes]:
        """What `token` does to `answer`, and the longer answer."""
        known = self._fates.get((answer, token))
        if known is None:
            known = self._judge(answer, token, vocabulary)
            self._fates[answer, token] = known
        return known

    def _judge(self, answer: bytes, token: int, vocabulary: Vocabulary) -> tuple[_Fate, bytes]:
        if token in vocabulary.stops:
            return (_Fate.RIGHT if self.targets.accepts(finished_text(answer)) else _Fate.DEAD), answer
        piece = vocabulary.piece(token)
        if ends_line(piece):
            whole = answer + until_line_end(piece)
            return (_Fate.RIGHT if self.targets.accepts(finished_text(whole)) else _Fate.DEAD), whole
        longer = answer + piece
        return (_Fate.OPEN if self.targets.is_alive(settled_text(longer)) else _Fate.DEAD), longer


def usual_paths(targets_ids: Iterable[Sequence[int]], vocabulary: Vocabulary) -> dict[bytes, tuple[int, ...]]:
    """For each beginning of a target in its usual tokens: the tokens that are left of it (the first target wins)."""
    paths: dict[bytes, tuple[int, ...]] = {}
    for ids in targets_ids:
        text = b""
        for place, token in enumerate(ids):
            paths.setdefault(text, tuple(ids[place:]))
            text += vocabulary.piece(token)
    return paths


class ExactProbe:
    """Searches all facts of one forest together, each row being one exemplar set."""

    def __init__(
        self, forest: Forest, vocabulary: Vocabulary, settings: ProbeConfig, refusals: FactTask | None = None
    ) -> None:
        """Args: `refusals` is one task for all facts, without searches; None where nothing is told of refusals."""
        self._refusals = refusals
        self._forest = forest
        self._reads = NodeReads(forest, settings)
        self._vocabulary = vocabulary
        self._settings = settings

    def run(self, tasks: Sequence[FactTask]) -> None:
        """Searches until every bound is within the tolerance, or every level settled where only levels are asked.

        Tasks may come again with searches under further exemplar sets; what is finished is not done twice.
        """
        self._search(tasks)
        self._write_wrong_answers(tasks)
        self._search_refusals(tasks)
        wrong = [search for task in tasks for search in task.searches if _lacks_confidence(search)]
        self._search([self._same_answer_task(search) for search in wrong])

    def _search_refusals(self, tasks: Sequence[FactTask]) -> None:
        """Asks how likely refusals are, in the trees that hold the greedy answers already."""
        if self._refusals is None:
            return
        searches = [search for task in tasks for search in task.searches if search.refusal is None]
        for search in searches:
            search.refusal = Search(search.row, self._refusals, search.prompt_end, search.wants_confidence)
        self._refusals.searches = [search.refusal for search in searches if search.refusal is not None]
        self._search([self._refusals])
        for search in searches:
            if search.refusal is not None and search.refusal.greedy_correct and search.greedy_correct is False:
                search.same = search.refusal

    def _search(self, tasks: Sequence[FactTask]) -> None:
        """Opens nodes until none is left to open."""
        while pairs := [pair for task in tasks for pair in self._to_open(task)]:
            self._open(pairs)

    def _to_open(self, task: FactTask) -> list[tuple[Search, _OpenNode]]:
        """The open nodes to read next: greedy ones, and the likeliest until what is left fits the tolerance."""
        pairs = []
        wants_bounds = self._wants_bounds(task)
        for search in task.searches:
            rest = search.open_mass if wants_bounds else 0.0
            # Of a wrong answer the confidence is another search's; temperature 1 is of no use here any more.
            rest_t1 = search.open_mass_t1 if search.greedy_correct is not False else 0.0
            wants_greedy = search.greedy_correct is None
            room = MOST_NODES - search.num_opened
            for node in sorted(search.open_nodes, key=lambda node: -(node.mass + node.mass_t1)):
                is_loose = rest > self._settings.tolerance and (room > 0 or not search.is_of_same_answer)
                is_loose |= rest_t1 / T1_TOLERANCE > self._settings.tolerance and room > 0
                if is_loose or (wants_greedy and node.is_greedy):
                    pairs.append((search, node))
                    rest -= node.mass
                    rest_t1 -= node.mass_t1
                    room -= 1
        return pairs

    def _wants_bounds(self, task: FactTask) -> bool:
        """Whether probabilities are asked, or can still decide a level once all greedy verdicts are known."""
        if not self._settings.levels_only:
            return True
        is_asked = len(task.searches) == self._settings.num_exemplar_sets
        return is_asked and settled_level(task, self._settings) is None

    def _open(self, pairs: Sequence[tuple[Search, _OpenNode]]) -> None:
        """Reads the chosen nodes, with the usual rest of their targets behind them, and settles what they show."""
        place_of: dict[Node, int] = {}
        chains: list[list[int]] = []
        for search, open_node in pairs:
            search.num_opened += 1
            tree = self._forest.trees[search.row]
            start = [open_node.parent] if open_node.token < 0 else tree.add(open_node.parent, [open_node.token])
            rest = search.fact.paths.get(open_node.answer, ())
            rest = rest[: self._settings.max_new_tokens - 1 - open_node.depth]
            chain = start + tree.add(start[0], rest)
            chains.append(chain)
            for node in chain:
                place_of.setdefault((search.row, node), len(place_of))
        choices = self._reads.at(list(place_of))
        for (search, open_node), chain in zip(pairs, chains, strict=True):
            search.open_nodes.remove(open_node)
            self._settle_chain(search, open_node, chain, [choices[place_of[search.row, node]] for node in chain])

    def _settle_chain(
        self, search: Search, open_node: _OpenNode, chain: Sequence[int], choices: Sequence[Choices]
    ) -> None:
        """Goes down a chain of read nodes, from the opened one, settling each."""
        current = open_node
        for index, node in enumerate(chain):
            children = self._settle(search, current, node, choices[index])
            next_token = self._forest.trees[search.row].tokens[chain[index + 1]] if index + 1 < len(chain) else None
            following = next((child for child in children if child.token == next_token), None)
            search.open_nodes += [child for child in children if child is not following]
            if following is None:
                break
            current = following

    def _settle(self, search: Search, open_node: _OpenNode, node: int, choices: Choices) -> list[_OpenNode]:
        """Adds what ends rightly at a node to the lower bound and returns the children that can still become right."""
        children = []
        is_last = open_node.depth + 1 >= self._settings.max_new_tokens
        count = int((choices.tokens >= 0).sum())
        search.unseen += open_node.mass * float(choices.unseen)
        search.unseen_t1 += open_node.mass_t1 * float(choices.unseen_t1)
        rows = (row[:count].tolist() for row in (choices.tokens, choices.chances, choices.chances_t1))
        for place, (token, chance, chance_t1) in enumerate(zip(*rows, strict=True)):
            is_greedy = open_node.is_greedy and place == 0
            if chance == 0.0 and chance_t1 == 0.0 and not is_greedy:
                break  # likeliest first: what top_p cuts off comes last
            fate, answer = search.fact.fate(open_node.answer, token, self._vocabulary)
            if fate is _Fate.OPEN and is_last:
                fate = _Fate.RIGHT if search.fact.targets.accepts(finished_text(answer)) else _Fate.DEAD
            if fate is _Fate.RIGHT:
                search.p_lower += open_node.mass * chance
                search.p_t1_lower += open_node.mass_t1 * chance_t1
            elif fate is _Fate.OPEN:
                masses = open_node.mass * chance, open_node.mass_t1 * chance_t1
                children.append(_OpenNode(node, token, *masses, answer, open_node.depth + 1, is_greedy))
            if is_greedy:
                self._follow_greedy(search, node, token, fate, answer, is_last=is_last, logits=choices.logits)
        return children

    def _follow_greedy(
        self,
        search: Search,
        node: int,
        token: int,
        fate: _Fate,
        answer: bytes,
        *,
        is_last: bool,
        logits: np.ndarray,
    ) -> None:
        """Notes what the likeliest token at a node means for the greedy verdict."""
        if len(logits) > 1 and np.isfinite(logits[1]):
            search.margin = min(search.margin, float(logits[0] - logits[1]))
        search.greedy_answer = answer
        if fate is _Fate.OPEN:
            return
        search.greedy_correct = fate is _Fate.RIGHT
        has_ended = is_last or token in self._vocabulary.stops or ends_line(self._vocabulary.piece(token))
        if fate is _Fate.DEAD and not has_ended:
            search.wrong_end = (node, token)

    def _write_wrong_answers(self, tasks: Sequence[FactTask]) -> None:
        """Decodes wrong greedy answers to their end, token by token, for people to read."""
        written_sets = num_written_sets(self._settings)
        writing = [
            search
            for task in tasks
            for place, search in enumerate(task.searches)
            if search.wrong_end is not None and place < written_sets
        ]
        base_depth = {id(s): self._forest.trees[s.row].depths[s.prompt_end] for s in writing}
        while writing:
            ends: list[Node] = []
            for search in writing:
                assert search.wrong_end is not None
                parent, token = search.wrong_end
                ends.append((search.row, self._forest.trees[search.row].add(parent, [token])[0]))
            unique = list(dict.fromkeys(ends))
            likeliest = {
                end: int(choices.tokens[0]) for end, choices in zip(unique, self._reads.at(unique), strict=True)
            }
            going_on = []
            for search, end in zip(writing, ends, strict=True):
                token = likeliest[end]
                depth = self._forest.trees[search.row].depths[end[1]] - base_depth[id(search)]
                piece = b"" if token in self._vocabulary.stops else self._vocabulary.piece(token)
                search.greedy_answer += until_line_end(piece)
                is_over = (
                    token in self._vocabulary.stops or ends_line(piece) or depth + 1 >= self._settings.max_new_tokens
                )
                search.wrong_end = None if is_over else (end[1], token)
                if not is_over:
                    going_on.append(search)
            writing = going_on

    def _same_answer_task(self, search: Search) -> FactTask:
        """Asks how likely a wrong greedy answer is, in the tree that holds it already."""
        path = self._greedy_path(search)
        same = same_answer(finished_text(search.greedy_answer), matching_of(self._settings))
        task = FactTask(same, usual_paths([path], self._vocabulary))
        search.same = Search(search.row, task, search.prompt_end, wants_confidence=True, is_of_same_answer=True)
        task.searches.append(search.same)
        return task

    def _greedy_path(self, search: Search) -> list[int]:
        """The tokens of a greedy answer that has been written out, without what ends it."""
        path: list[int] = []
        node, tree = search.prompt_end, self._forest.trees[search.row]
        while True:
            [choices] = self._reads.at([(search.row, node)])
            token = int(choices.tokens[0])
            has_ended = token in self._vocabulary.stops or ends_line(self._vocabulary.piece(token))
            if has_ended or len(path) + 1 >= self._settings.max_new_tokens:
                return path
            path.append(token)
            node = tree.add(node, [token])[0]


def _lacks_confidence(search: Search) -> bool:
    """Whether the confidence of a wrong greedy answer is asked and has not been searched for."""
    is_written_wrong = search.greedy_correct is False and search.wrong_end is None
    return search.wants_confidence and is_written_wrong and search.same is None


def num_written_sets(settings: ProbeConfig) -> int:
    """Under how many exemplar sets, from the first, greedy answers are written out; confidence is told of these."""
    return {"none": 0, "first": 1, "all": settings.num_exemplar_sets}[settings.greedy_answers]


def settled_level(task: FactTask, settings: ProbeConfig) -> Level | None:
    """The level of a fact if no further search, under these or further exemplar sets, can change it, else None."""
    verdicts = [search.greedy_correct for search in task.searches]
    if True in verdicts and False in verdicts:
        return Level.MAYBE_KNOWN
    if None in verdicts or len(verdicts) < settings.num_exemplar_sets:
        return None
    if all(verdicts):
        return Level.HIGHLY_KNOWN
    bounds = [s.p_lower for s in task.searches], [s.p_upper for s in task.searches]
    level, *other = possible_levels(0.0, *bounds, settings.num_samples)
    return None if other else level
