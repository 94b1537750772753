"""Which facts a stage trains on: a small language over a fact's levels, the named strategies, and the seeded draw.

Knows levels only: no models, no files, no settings. `config` checks its expressions here; the pipeline calls
`select_facts` and writes the rows down.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import itertools
import operator
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gradual.errors import ConfigError, DataError
from gradual.levels import Level


@dataclass(frozen=True, slots=True)
class FactState:
    """What selection may look at: the levels of one fact so far, and whether it was trained on."""

    id: str
    relation: str
    first: Level
    """Level in the base map."""
    before: Level
    """Level in the previous map; `first` where there is none."""
    now: Level
    """Level in the current map."""
    trained: bool
    """Trained on in any earlier stage."""

    @property
    def promoted(self) -> bool:
        """Whether the level rose from the previous map to the current one."""
        return self.now.rank > self.before.rank


Predicate = Callable[[FactState], bool]


@dataclass(frozen=True, slots=True)
class Replay:
    """Mastered facts mixed in: which may be drawn, and how many as a share of `of`."""

    pool: str
    """Expression over the same names as a selection."""
    ratio: float
    """Share in [0, 1)."""
    of: Literal["new", "mixture"]
    """new: ratio x the newly selected facts; mixture: the replayed facts are this share of everything trained on."""

    def wanted(self, num_new: int) -> int:
        """How many facts to replay beside `num_new` new ones, rounded to the nearest whole number."""
        if self.of == "new":
            return round(self.ratio * num_new)
        return round(num_new * self.ratio / (1.0 - self.ratio))


@dataclass(frozen=True, slots=True)
class Strategy:
    """What a stage trains on."""

    name: str
    select: str
    """Expression that says which facts are trained on."""
    replay: Replay | None
    doc: str
    """One line for people. [C]: stated by the paper (arXiv 2410.05802); [I]: our reading of it."""


_PAPER_REPLAY = Replay("now == HighlyKnown", 0.2, "new")
_S2 = "now == MaybeKnown and first in (HighlyKnown, MaybeKnown)"

STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        Strategy("maybe_known", "now == MaybeKnown", None, "All that is MaybeKnown now; stage 1 of the paper [C]."),
        Strategy("S1", "trained", None, "The facts of the earlier stages again [I]."),
        Strategy("S2", _S2, None, "MaybeKnown now, and HighlyKnown or MaybeKnown at first [C]."),
        Strategy(
            "S3",
            f"({_S2}) or (first == WeaklyKnown and now == MaybeKnown)",
            None,
            "S2 and the promoted: WeaklyKnown at first, MaybeKnown now [C].",
        ),
        Strategy("S4", "now == MaybeKnown", None, "All that is MaybeKnown now, Unknown at first included [I]."),
        Strategy(
            "S5",
            "now == MaybeKnown",
            _PAPER_REPLAY,
            "All that is MaybeKnown now, and HighlyKnown facts replayed at 0.2 [C; that 0.2 is a share of the new: I].",
        ),
        Strategy("all", "True", None, "Control: every fact, whatever its level."),
        Strategy("weakly_known", "now == WeaklyKnown", None, "Control: WeaklyKnown facts only."),
        Strategy("unknown", "now == Unknown", None, "Control: Unknown facts only."),
        Strategy("highly_known", "now == HighlyKnown", None, "Control: HighlyKnown facts only."),
    )
}
"""The named strategies: the paper's first stage, its five second stages, and controls."""


def resolve_strategy(name: str | None, select: str | None, replay: Replay | None) -> Strategy:
    """The named strategy with what was given instead of its own parts; `custom` where there is no name.

    `replay=None` keeps the strategy's own replay; a ratio of 0 switches it off.

    Raises:
        ConfigError: the name is unknown, or there is neither a name nor a `select`.
    """
    if name is None:
        if select is None:
            raise ConfigError(f"expected `strategy` (one of {', '.join(STRATEGIES)}) or `select`, found neither")
        return Strategy("custom", select, replay, "Given in the config.")
    if name not in STRATEGIES:
        hint = did_you_mean(name, STRATEGIES) or f"; expected one of {', '.join(STRATEGIES)}"
        raise ConfigError(f'unknown strategy "{name}"{hint}')
    named = STRATEGIES[name]
    if select is None and replay is None:
        return named
    return replace(
        named, name=f"{name} (modified)", select=select or named.select, replay=replay if replay else named.replay
    )


# --- the expression language ---------------------------------------------------------------------------------------

_LEVELS = {level.value: level for level in Level}
_LEVEL_NAMES = ("first", "before", "now")
_CONDITIONS = ("trained", "promoted")
_NAMES = (*_LEVEL_NAMES, *_CONDITIONS, *_LEVELS)
_COMPARISONS: dict[type[ast.cmpop], Callable[[int, int], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_MAX_LENGTH = 1000

_Rank = Callable[[FactState], int]


def parse_expression(text: str) -> Predicate:
    """The condition that `text` states about a fact.

    Names: `first`, `before`, `now` (levels in the base, the previous and the current map), `trained`, `promoted`, and
    the four levels, ordered Unknown < WeaklyKnown < MaybeKnown < HighlyKnown. Operators: == != < <= > >=,
    `in (A, B)`, `not in (A, B)`, `and`, `or`, `not`, parentheses, True, False. Nothing of the text is ever executed.

    Raises:
        ConfigError: the text is not such a condition; the message names the column (from 1) and the offending part.
    """
    source = " ".join(text.splitlines())
    if not source.strip():
        raise ConfigError("empty expression; expected a condition such as `now == MaybeKnown`")
    if len(source) > _MAX_LENGTH:
        raise ConfigError(f"expression of {len(source)} characters; expected at most {_MAX_LENGTH}")
    stripped = source.lstrip()
    indent = len(source) - len(stripped)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ast warns of odd escapes, which are refused below anyway
            tree = ast.parse(stripped.rstrip(), mode="eval")
    except SyntaxError as error:
        hint = "; write `and`, `or`, `not`" if "&&" in source or "||" in source else ""
        hint = hint or ("; write == to compare" if re.search(r"[^=!<>]=[^=]", source) else "")
        column = indent + max(error.offset or 1, 1)
        raise ConfigError(f"`{source}` is not an expression: {error.msg} at column {column}{hint}") from None
    except (ValueError, RecursionError, MemoryError):  # null bytes; nesting beyond the parser's stack
        raise ConfigError(f"{source!r} is not an expression that can be read; expected a short condition") from None
    return _Compiler(stripped, indent).condition(tree.body)


def can_match(text: str, *, first_stage: bool = False) -> bool:
    """Whether any fact could satisfy the expression; in a first stage nothing is trained and no level has changed."""
    predicate = parse_expression(text)
    for first, before, now, trained in itertools.product(Level, Level, Level, (False, True)):
        if first_stage and (trained or not first == before == now):
            continue
        if predicate(FactState("", "", first, before, now, trained)):
            return True
    return False


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest candidate, whatever the case and underscores; empty if none is near."""
    by_key = {candidate.lower().replace("_", ""): candidate for candidate in candidates}
    near = difflib.get_close_matches(word.lower().replace("_", ""), by_key, n=1)
    return f"; did you mean '{by_key[near[0]]}'?" if near else ""


class _Compiler:
    """Turns a syntax tree into closures, refusing every node that the language does not have."""

    def __init__(self, source: str, indent: int) -> None:
        self._source = source
        self._indent = indent

    def condition(self, node: ast.expr) -> Predicate:
        match node:
            case ast.BoolOp(op=op, values=values):
                parts = [self.condition(value) for value in values]
                combine = all if isinstance(op, ast.And) else any
                return lambda state: combine(part(state) for part in parts)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self.condition(operand)
                return lambda state: not inner(state)
            case ast.Constant(value=bool(value)):
                return lambda state: value
            case ast.Name(id="trained"):
                return lambda state: state.trained
            case ast.Name(id="promoted"):
                return lambda state: state.promoted
            case ast.Compare():
                return self._comparison(node)
            case ast.Name(id=name) if name in _NAMES:
                raise self._error(node, "is a level, not a condition: compare it, as in `now == MaybeKnown`")
            case ast.Name(id=name):
                raise self._error(node, f"is not a name known here{did_you_mean(name, (*_NAMES, 'True', 'False'))}")
        raise self._error(node, "is not a condition; expected comparisons of levels joined by `and`, `or`, `not`")

    def _comparison(self, node: ast.Compare) -> Predicate:
        links: list[Predicate] = []
        left = node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            links.append(self._link(node, left, op, right))
            left = right
        return lambda state: all(link(state) for link in links)

    def _link(self, node: ast.Compare, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Predicate:
        value = self._level(left)
        if isinstance(op, ast.In | ast.NotIn):
            elements = right.elts if isinstance(right, ast.Tuple | ast.List | ast.Set) else [right]
            choices = [self._level(element) for element in elements]
            expected = isinstance(op, ast.In)
            return lambda state: (value(state) in [choice(state) for choice in choices]) is expected
        compare = _COMPARISONS.get(type(op))
        if compare is None:
            raise self._error(node, "uses `is`; write == or !=")
        other = self._level(right)
        return lambda state: compare(value(state), other(state))

    def _level(self, node: ast.expr) -> _Rank:
        match node:
            case ast.Name(id="first"):
                return lambda state: state.first.rank
            case ast.Name(id="before"):
                return lambda state: state.before.rank
            case ast.Name(id="now"):
                return lambda state: state.now.rank
            case ast.Name(id=name) if name in _LEVELS:
                rank = _LEVELS[name].rank
                return lambda state: rank
            case ast.Name(id=name) if name in _CONDITIONS:
                raise self._error(
                    node, f"is already true or false: write `{name}` or `not {name}` without comparing it"
                )
            case ast.Name(id=name):
                raise self._error(node, f"is not a level{did_you_mean(name, (*_LEVEL_NAMES, *_LEVELS))}")
            case ast.Constant(value=str(name)) if name in _LEVELS:
                raise self._error(node, f"has quotes; write {name} without them")
            case ast.BinOp():
                raise self._error(node, "joins with an operator that does not exist here; write `and`, `or`, `not`")
        raise self._error(node, f"is not a level; expected one of {', '.join((*_LEVEL_NAMES, *_LEVELS))}")

    def _error(self, node: ast.expr, problem: str) -> ConfigError:
        part = ast.get_source_segment(self._source, node) or self._source
        before = self._source.encode()[: node.col_offset].decode()  # col_offset counts bytes
        return ConfigError(f"`{part}` at column {self._indent + len(before) + 1} {problem}")


# --- the draw ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SelectedFact:
    """One row of what a stage trains on."""

    id: str
    role: Literal["new", "replay"]
    first: Level
    before: Level
    now: Level
    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """What a stage trains on, sorted by id, and how it came about."""

    rows: tuple[SelectedFact, ...]
    strategy: Strategy
    num_matching: int
    """Facts that match `select`; more than are new where a size was asked for."""
    new_wanted: int
    replay_wanted: int
    num_promoted: int
    """New facts whose level rose since the previous map."""

    @property
    def num_new(self) -> int:
        """Facts that `select` chose."""
        return sum(row.role == "new" for row in self.rows)

    @property
    def num_replay(self) -> int:
        """Facts drawn from the replay pool."""
        return len(self.rows) - self.num_new

    @property
    def new_shortfall(self) -> int:
        """How many new facts are missing for the size asked for; none is ever repeated."""
        return self.new_wanted - self.num_new

    @property
    def replay_shortfall(self) -> int:
        """How many replayed facts are missing because the pool was too small; none is ever repeated."""
        return self.replay_wanted - self.num_replay


def select_facts(
    states: Sequence[FactState], strategy: Strategy, *, rng_seed: int, size: int | None = None
) -> Selection:
    """The facts that a stage trains on under `strategy`, the same whatever the order of `states`.

    Args:
        states: every training fact once.
        strategy: what to choose and what to replay; see `resolve_strategy`.
        rng_seed: seed of the draws; a fact's place in them depends on the seed and its id only.
        size: draw this many at random from the facts that match (for baselines of equal size); None takes all.

    Raises:
        ConfigError: an expression of the strategy cannot be parsed.
        DataError: an id occurs twice.
    """
    _refuse_duplicates(states)
    matches = parse_expression(strategy.select)
    matching = [state for state in states if matches(state)]
    new = matching if size is None else _draw(matching, size, f"{rng_seed}/select")
    reason = f"matches {strategy.select}"
    if len(new) < len(matching):
        reason = f"drawn, {len(new)} of {len(matching)} facts, from {strategy.select}"
    rows = [_row(state, "new", reason) for state in new]

    replay_wanted = 0
    if strategy.replay is not None:
        chosen = {state.id for state in new}
        in_pool = parse_expression(strategy.replay.pool)
        pool = [state for state in states if state.id not in chosen and in_pool(state)]
        replay_wanted = strategy.replay.wanted(len(new))
        drawn = _draw(pool, replay_wanted, f"{rng_seed}/replay")
        reason = f"replayed, {len(drawn)} of {len(pool)} facts, from {strategy.replay.pool}"
        rows += [_row(state, "replay", reason) for state in drawn]
    return Selection(
        rows=tuple(sorted(rows, key=lambda row: row.id)),
        strategy=strategy,
        num_matching=len(matching),
        new_wanted=len(matching) if size is None else size,
        replay_wanted=replay_wanted,
        num_promoted=sum(state.promoted for state in new),
    )


def _refuse_duplicates(states: Sequence[FactState]) -> None:
    seen: set[str] = set()
    for state in states:
        if state.id in seen:
            raise DataError(f'fact id "{state.id}" occurs twice; expected every training fact once')
        seen.add(state.id)


def _draw(states: Sequence[FactState], count: int, seed: str) -> list[FactState]:
    """At most `count` states, uniformly at random: those whose hash of seed and id is smallest."""
    return sorted(states, key=lambda state: hashlib.sha256(f"{seed}/{state.id}".encode()).digest())[:count]


def _row(state: FactState, role: Literal["new", "replay"], reason: str) -> SelectedFact:
    return SelectedFact(state.id, role, state.first, state.before, state.now, reason)
