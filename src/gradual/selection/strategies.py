"""Which facts a stage trains on: the named strategies, and the seeded draw.

Knows levels and `expressions` about them: no models, no files, no settings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gradual.errors import ConfigError, DataError
from gradual.knowledge.levels import Level
from gradual.selection.expressions import FactState, can_match, parse_expression
from gradual.text import did_you_mean

_S2 = "now == MaybeKnown and first in (HighlyKnown, MaybeKnown)"


@dataclass(frozen=True, slots=True)
class Replay:
    """Mastered facts mixed in: which may be drawn, and how many as a share of `of`."""

    pool: str
    """Expression over the same names as a selection."""
    ratio: float
    """Share in [0, 1)."""
    of: Literal["new", "mixture"]
    """new: ratio x the newly selected facts; mixture: the replayed facts are this share of everything trained on."""

    def num_facts(self, num_new: int) -> int:
        """How many facts to replay beside `num_new` new ones, rounded to the nearest whole number."""
        if self.of == "new":
            return round(self.ratio * num_new)
        return round(num_new * self.ratio / (1.0 - self.ratio))


@dataclass(frozen=True, slots=True)
class StandIns:
    """Facts drawn at random in the place of others that are left out, to tell choosing them from training on more."""

    pool: str
    """Expression that says which facts may be drawn."""
    as_many_as: str
    """Expression; as many facts are drawn as match it."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """What a stage trains on."""

    name: str
    select: str
    """Expression that says which facts are trained on."""
    replay: Replay | None
    doc: str
    """One line for people. [C]: stated by the paper (arXiv 2410.05802); [I]: our reading of it; [O]: our own."""
    as_many_as: str | None = None
    """Expression; of the facts that `select` matches, only as many are drawn, at random, as match this one."""
    stand_ins: StandIns | None = None

    @property
    def chooses_only_unknown(self) -> bool:
        """Whether nothing but Unknown facts can be chosen."""
        is_replaying = self.replay is not None and self.replay.ratio > 0
        return not is_replaying and self.stand_ins is None and not can_match(f"({self.select}) and now != Unknown")


_PAPER_REPLAY = Replay("now == HighlyKnown", 0.2, "new")

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
        Strategy(
            "maybe_and_weakly_known",
            "now in (MaybeKnown, WeaklyKnown)",
            _PAPER_REPLAY,
            "What is MaybeKnown or WeaklyKnown now, and replay as in S5 [O].",
        ),
        Strategy("all", "True", None, "Control: every fact, whatever its level."),
        *(
            Strategy(
                name,
                select,
                None,
                f"Control: {which}, as many as are MaybeKnown now.",
                as_many_as="now == MaybeKnown",
            )
            for name, select, which in (
                ("natural_mix", "True", "facts of any level at random"),
                ("weakly_known", "now == WeaklyKnown", "WeaklyKnown facts only"),
                ("unknown", "now == Unknown", "Unknown facts only"),
                ("highly_known", "now == HighlyKnown", "HighlyKnown facts only"),
            )
        ),
        Strategy(
            "random_instead_of_promoted",
            "now == MaybeKnown and not promoted",
            _PAPER_REPLAY,
            "Control: S5 with WeaklyKnown and Unknown facts at random in the place of the promoted ones.",
            stand_ins=StandIns("now in (WeaklyKnown, Unknown)", "now == MaybeKnown and promoted"),
        ),
        Strategy(
            "no_new_look",
            "first == MaybeKnown",
            Replay("first == HighlyKnown", 0.2, "new"),
            "Control: S5 by the levels at the start, as if nobody had looked again.",
        ),
    )
}
"""The named strategies: the paper's first stage, its five second stages, and controls."""


def resolve_strategy(
    name: str | None,
    select: str | None,
    replay: Replay | None,
    *,
    as_many_as: str | None = None,
    stand_ins: StandIns | None = None,
) -> Strategy:
    """The named strategy with what was given instead of its own parts; `custom` where there is no name.

    None keeps the strategy's own part; a replay ratio of 0 switches replay off.

    Raises:
        ConfigError: the name is unknown, or there is neither a name nor a `select`.
    """
    if name is None:
        if select is None:
            raise ConfigError(f"expected `strategy` (one of {', '.join(STRATEGIES)}) or `select`, found neither")
        return Strategy("custom", select, replay, "Given in the config.", as_many_as, stand_ins)
    if name not in STRATEGIES:
        hint = did_you_mean(name, STRATEGIES) or f"; expected one of {', '.join(STRATEGIES)}"
        raise ConfigError(f'unknown strategy "{name}"{hint}')
    base = STRATEGIES[name]
    parts = {"select": select, "replay": replay, "as_many_as": as_many_as, "stand_ins": stand_ins}
    changes = {part: value for part, value in parts.items() if value is not None}
    return replace(base, name=f"{name} (modified)", **changes) if changes else base  # type: ignore[arg-type]


Role = Literal["new", "replay", "anchor", "abstain"]
"""Why a stage trains on a fact. new, replay: with its own target; anchor: held to what the model said before;
abstain: with a text that says that it is not known."""
TAUGHT: frozenset[Role] = frozenset({"new", "replay"})
"""Roles of the facts that a stage trains on with their own targets."""


@dataclass(frozen=True, slots=True)
class SelectedFact:
    """One row of what a stage trains on."""

    id: str
    role: Role
    first: Level
    before: Level
    now: Level
    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """What a stage trains on, sorted by id, and how it came about."""

    rows: tuple[SelectedFact, ...]
    strategy: Strategy
    new_wanted: int
    replay_wanted: int
    num_left_out: int = 0
    """Facts that were selected and left out again, because too many of their relation are Unknown (`unknown_limit`)."""

    @property
    def num_new(self) -> int:
        """Facts that `select` chose."""
        return sum(row.role == "new" for row in self.rows)

    @property
    def num_replay(self) -> int:
        """Facts drawn from the replay pool."""
        return sum(row.role == "replay" for row in self.rows)

    @property
    def num_promoted(self) -> int:
        """New facts whose level rose since the previous map."""
        return sum(row.role == "new" and row.now.rank > row.before.rank for row in self.rows)

    @property
    def num_anchor(self) -> int:
        """Facts that hold the stage to what the model said before."""
        return sum(row.role == "anchor" for row in self.rows)

    @property
    def num_abstain(self) -> int:
        """Facts that are trained on with a text that says that they are not known."""
        return sum(row.role == "abstain" for row in self.rows)

    @property
    def new_shortfall(self) -> int:
        """How many new facts were missing for the size asked for; none is ever repeated."""
        return max(0, self.new_wanted - self.num_new - self.num_left_out)

    @property
    def replay_shortfall(self) -> int:
        """How many replayed facts are missing because the pool was too small; none is ever repeated."""
        return self.replay_wanted - self.num_replay


def select_facts(states: Sequence[FactState], strategy: Strategy, *, rng_seed: int | str) -> Selection:
    """The facts that a stage trains on under `strategy`, the same whatever the order of `states`.

    Args:
        states: every training fact once.
        strategy: what to choose and what to replay; see `resolve_strategy`.
        rng_seed: seed of the draws; a fact's place in them depends on the seed and its id only.

    Raises:
        ConfigError: an expression of the strategy cannot be parsed.
        DataError: an id occurs twice.
    """
    _refuse_duplicates(states)
    matching = _matching_facts(states, strategy.select)
    num_new = len(matching) if strategy.as_many_as is None else len(_matching_facts(states, strategy.as_many_as))
    new = matching if strategy.as_many_as is None else draw(matching, num_new, f"{rng_seed}/select")
    reason = f"matches {strategy.select}"
    if len(new) < len(matching):
        reason = f"drawn, {len(new)} of {len(matching)} facts, from {strategy.select}"
    rows = [_selected_fact(state, "new", reason) for state in new]
    if strategy.stand_ins is not None:
        number = len(_matching_facts(states, strategy.stand_ins.as_many_as))
        pool = _leave_out(_matching_facts(states, strategy.stand_ins.pool), new)
        sample = draw(pool, number, f"{rng_seed}/stand-ins")
        reason = f"drawn, {len(sample)} of {len(pool)} facts, from {strategy.stand_ins.pool}"
        rows += [_selected_fact(state, "new", reason) for state in sample]
        num_new += number
        new = [*new, *sample]

    num_replay = 0
    if strategy.replay is not None:
        pool = _leave_out(_matching_facts(states, strategy.replay.pool), new)
        num_replay = strategy.replay.num_facts(len(new))
        sample = draw(pool, num_replay, f"{rng_seed}/replay")
        reason = f"replayed, {len(sample)} of {len(pool)} facts, from {strategy.replay.pool}"
        rows += [_selected_fact(state, "replay", reason) for state in sample]
    return Selection(
        rows=tuple(sorted(rows, key=lambda row: row.id)),
        strategy=strategy,
        new_wanted=num_new,
        replay_wanted=num_replay,
    )


def _refuse_duplicates(states: Sequence[FactState]) -> None:
    ids: set[str] = set()
    for state in states:
        if state.id in ids:
            raise DataError(f'fact id "{state.id}" occurs twice; expected every training fact once')
        ids.add(state.id)


def _matching_facts(states: Sequence[FactState], expression: str) -> list[FactState]:
    matches = parse_expression(expression)
    return [state for state in states if matches(state)]


def _leave_out(states: Sequence[FactState], others: Sequence[FactState]) -> list[FactState]:
    ids = {state.id for state in others}
    return [state for state in states if state.id not in ids]


def _selected_fact(state: FactState, role: Role, reason: str) -> SelectedFact:
    return SelectedFact(state.id, role, state.first, state.before, state.now, reason)


def draw(states: Sequence[FactState], count: int, seed: str) -> list[FactState]:
    """At most `count` states at random: those whose hash of seed and id is smallest, whatever the order of `states`."""
    return sorted(states, key=lambda state: hashlib.sha256(f"{seed}/{state.id}".encode()).digest())[:count]
