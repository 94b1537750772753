"""The small language in which a config says which facts it means: conditions on a fact's levels.

Knows levels only. `strategies` choose by it, `config` checks expressions with it.
"""

from __future__ import annotations

import ast
import itertools
import operator
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from gradual.errors import ConfigError
from gradual.knowledge.levels import Level
from gradual.text import did_you_mean

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
