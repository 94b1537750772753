"""A strategy of your own, written as data: try on two knowledge maps what a stage would train on.

    python examples/own_strategy.py                                  # six made-up facts
    python examples/own_strategy.py run/probes/0 run/probes/1        # the maps of a run: base model, after stage 1

Prints a line for each fact that would be trained on: its role, how its level went, and why. The same stage in a config,
under `stages:`, is what `gradual fit` runs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import gradual
from gradual.config.stage import ReplayConfig, StageConfig
from gradual.selection.expressions import FactState
from gradual.selection.strategies import select_facts

STAGE = StageConfig(
    select="now == MaybeKnown and first <= WeaklyKnown",  # what has come within reach since the start
    replay=ReplayConfig(pool="now == HighlyKnown", ratio=0.25, of="mixture"),  # of all that is trained on, a quarter
    learning_rate=1e-4,
)
MADE_UP = {
    "came within reach": ("Unknown", "MaybeKnown"),
    "came within reach, too": ("WeaklyKnown", "MaybeKnown"),
    "and one more": ("WeaklyKnown", "MaybeKnown"),
    "was half known before": ("MaybeKnown", "MaybeKnown"),
    "is mastered": ("MaybeKnown", "HighlyKnown"),
    "is still unknown": ("Unknown", "Unknown"),
}


def states_of(levels: Iterable[tuple[str, str, gradual.Level, gradual.Level]]) -> list[FactState]:
    """What a second stage may look at: id, relation, level at first and now; none was trained on before."""
    return [FactState(fact, relation, first, first, now, trained=False) for fact, relation, first, now in levels]


def main() -> None:
    """Prints what the stage selects."""
    if len(sys.argv) > 2:
        first, now = (gradual.read_map(Path(folder)) for folder in sys.argv[1:3])
        states = states_of((fact.id, fact.relation, first.level_of(fact.id), fact.level) for fact in now)
    else:
        levels = {name: [gradual.Level(level) for level in pair] for name, pair in MADE_UP.items()}
        states = states_of((name, "made up", first, now) for name, (first, now) in levels.items())
    selection = select_facts(states, STAGE.resolve(), rng_seed=42)
    for row in selection.rows:
        print(f"{row.role:6}  {row.first:>11} -> {row.now:11}  {row.id}  ({row.reason})")
    print(f"{selection.num_new} new, {selection.num_replay} replayed of {len(states)} facts")


if __name__ == "__main__":
    main()
