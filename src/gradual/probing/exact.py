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

import numpy as np
import numpy.typing as npt

from gradual.config.run import ProbeConfig
from gradual.engines.engine import Forest, NextTokens, Node
from gradual.engines.vocabulary import Vocabulary, ends_line, finished_text, settled_text, until_line_end
from gradual.facts.matching import Targets
from gradual.knowledge.levels import Level, chance_of_right_sample, classify


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
    answer: bytes
    depth: int
    is_greedy: bool


@dataclass(slots=True, eq=False)
class Search:
    """One fact under one exemplar set: bounds on its probability, and where greedy decoding has come."""

    row: int
    fact: FactTask
    prompt_end: int
    p_lower: float = 0.0
    open_nodes: list[_OpenNode] = field(init=False)
    greedy_correct: bool | None = None
    greedy_answer: bytes = b""
    margin: float = float("inf")
    wrong_end: tuple[int, int] | None = None
    """Where greedy decoding went wrong without ending: (node, next token); the answer is written on from there."""

    def __post_init__(self) -> None:
        """Opens the empty answer, behind the prompt."""
        self.open_nodes = [_OpenNode(self.prompt_end, -1, 1.0, b"", 0, is_greedy=True)]

    @property
    def open_mass(self) -> float:
        """Chance of all answers that are neither settled as right nor dead."""
        return sum(node.mass for node in self.open_nodes)

    @property
    def p_upper(self) -> float:
        """The probability is at most this."""
        return min(1.0, self.p_lower + self.open_mass)


@dataclass(eq=False)
class FactTask:
    """A fact being probed: its targets, their usual token paths, and its searches, one per exemplar set."""

    targets: Targets
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
            ended = answer + until_line_end(piece)
            return (_Fate.RIGHT if self.targets.accepts(finished_text(ended)) else _Fate.DEAD), ended
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

    def __init__(self, forest: Forest, vocabulary: Vocabulary, settings: ProbeConfig) -> None:
        self._forest = forest
        self._vocabulary = vocabulary
        self._settings = settings

    def run(self, tasks: Sequence[FactTask]) -> None:
        """Searches until every bound is within the tolerance, or every level settled where only levels are asked.

        Tasks may come again with searches under further exemplar sets; what is finished is not done twice.
        """
        while True:
            chosen = [pair for task in tasks for pair in self._to_open(task)]
            if not chosen:
                break
            self._open(chosen)
        self._write_wrong_answers(tasks)

    def _to_open(self, task: FactTask) -> list[tuple[Search, _OpenNode]]:
        """The open nodes to read next: greedy ones, and the likeliest until what is left fits the tolerance."""
        chosen = []
        wants_bounds = self._wants_bounds(task)
        for search in task.searches:
            left = search.open_mass if wants_bounds else 0.0
            greedy_wanted = search.greedy_correct is None
            for node in sorted(search.open_nodes, key=lambda node: -node.mass):
                if left > self._settings.tolerance or (greedy_wanted and node.is_greedy):
                    chosen.append((search, node))
                    left -= node.mass
        return chosen

    def _wants_bounds(self, task: FactTask) -> bool:
        """Whether probabilities are asked, or can still decide a level once all greedy verdicts are known."""
        if not self._settings.levels_only:
            return True
        is_asked = len(task.searches) == self._settings.num_exemplar_sets
        return is_asked and settled_level(task, self._settings) is None

    def _open(self, chosen: Sequence[tuple[Search, _OpenNode]]) -> None:
        """Reads the chosen nodes, with the usual rest of their targets behind them, and settles what they show."""
        wanted: dict[Node, int] = {}
        chains: list[list[int]] = []
        for search, opened in chosen:
            tree = self._forest.trees[search.row]
            start = [opened.parent] if opened.token < 0 else tree.add(opened.parent, [opened.token])
            rest = search.fact.paths.get(opened.answer, ())
            rest = rest[: self._settings.max_new_tokens - 1 - opened.depth]
            chain = start + tree.add(start[0], rest)
            chains.append(chain)
            for node in chain:
                wanted.setdefault((search.row, node), len(wanted))
        found = self._forest.read(list(wanted))
        chances = sampling_chances(found, self._settings)
        for (search, opened), chain in zip(chosen, chains, strict=True):
            search.open_nodes.remove(opened)
            self._settle_chain(search, opened, chain, [wanted[search.row, node] for node in chain], found, chances)

    def _settle_chain(
        self,
        search: Search,
        opened: _OpenNode,
        chain: Sequence[int],
        places: Sequence[int],
        found: NextTokens,
        chances: npt.NDArray[np.float64],
    ) -> None:
        """Goes down a chain of read nodes, from the opened one, settling each."""
        current = opened
        for index, (node, place) in enumerate(zip(chain, places, strict=True)):
            children = self._settle(search, current, node, found.tokens[place], found.logits[place], chances[place])
            next_token = self._forest.trees[search.row].tokens[chain[index + 1]] if index + 1 < len(chain) else None
            following = next((child for child in children if child.token == next_token), None)
            search.open_nodes += [child for child in children if child is not following]
            if following is None:
                break
            current = following

    def _settle(
        self,
        search: Search,
        opened: _OpenNode,
        node: int,
        tokens: npt.NDArray[np.int64],
        logits: npt.NDArray[np.float32],
        chances: npt.NDArray[np.float64],
    ) -> list[_OpenNode]:
        """Adds what ends rightly at a node to the lower bound and returns the children that can still become right."""
        children = []
        is_last = opened.depth + 1 >= self._settings.max_new_tokens
        kept = int((tokens >= 0).sum())
        for place, (chance, token) in enumerate(zip(chances[:kept].tolist(), tokens[:kept].tolist(), strict=True)):
            is_greedy = opened.is_greedy and place == 0
            if chance == 0.0 and not is_greedy:
                break  # likeliest first: what top_p cuts off comes last
            fate, answer = search.fact.fate(opened.answer, token, self._vocabulary)
            if fate is _Fate.OPEN and is_last:
                fate = _Fate.RIGHT if search.fact.targets.accepts(finished_text(answer)) else _Fate.DEAD
            if fate is _Fate.RIGHT:
                search.p_lower += opened.mass * chance
            elif fate is _Fate.OPEN:
                children.append(_OpenNode(node, token, opened.mass * chance, answer, opened.depth + 1, is_greedy))
            if is_greedy:
                self._follow_greedy(search, node, token, fate, answer, is_last=is_last, logits=logits)
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
        logits: npt.NDArray[np.float32],
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
        written_sets = {"none": 0, "first": 1, "all": self._settings.num_exemplar_sets}[self._settings.greedy_answers]
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
            likeliest = dict(zip(unique, self._forest.read(unique).tokens[:, 0].tolist(), strict=True))
            going_on = []
            for search, end in zip(writing, ends, strict=True):
                token = likeliest[end]
                depth = self._forest.trees[search.row].depths[end[1]] - base_depth[id(search)]
                piece = b"" if token in self._vocabulary.stops else self._vocabulary.piece(token)
                search.greedy_answer += until_line_end(piece)
                ended = (
                    token in self._vocabulary.stops or ends_line(piece) or depth + 1 >= self._settings.max_new_tokens
                )
                search.wrong_end = None if ended else (end[1], token)
                if not ended:
                    going_on.append(search)
            writing = going_on


def sampling_chances(found: NextTokens, settings: ProbeConfig) -> npt.NDArray[np.float64]:
    """(N, K) probabilities with which a sampler draws each token: temperature, then top-k, then top-p, renormalised.

    The order and the ties (all logits >= the k-th are kept) are those of the `transformers` sampler.
    """
    scaled = found.logits.astype(np.float64) / settings.temperature
    weights = np.exp(scaled - scaled[:, :1])
    chances: npt.NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    if settings.top_p < 1.0:
        before = np.cumsum(chances, axis=1) - chances
        chances = np.where(before < settings.top_p, chances, 0.0)
        chances /= chances.sum(axis=1, keepdims=True)
    return chances


def settled_level(task: FactTask, settings: ProbeConfig) -> Level | None:
    """The level of a fact if no further search, under these or further exemplar sets, can change it, else None."""
    verdicts = [search.greedy_correct for search in task.searches]
    if True in verdicts and False in verdicts:
        return Level.MAYBE_KNOWN
    if None in verdicts or len(verdicts) < settings.num_exemplar_sets:
        return None
    if all(verdicts):
        return Level.HIGHLY_KNOWN
    low = classify(0.0, chance_of_right_sample([s.p_lower for s in task.searches], settings.num_samples))
    high = classify(0.0, chance_of_right_sample([s.p_upper for s in task.searches], settings.num_samples))
    return low if low is high else None
