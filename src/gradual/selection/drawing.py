"""The draw: which facts are taken of those that may be, at random or by how firmly the model holds them.

Knows what was measured of a fact; what the facts are drawn for is the business of `selection`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from gradual.errors import DataError

if TYPE_CHECKING:
    from gradual.selection.expressions import FactState

Order = Literal["random", "weakest_margin", "largest_drop"]


def draw(states: Sequence[FactState], count: int, seed: str, order: Order = "random") -> list[FactState]:
    """At most `count` states: the first in the order, and of equal ones those whose hash of seed and id is smallest.

    Args:
        states: what may be drawn; their order does not matter.
        count: how many to draw, where there are so many.
        seed: decides at random; a fact's place depends on the seed and its id only.
        order: random: all are equal; weakest_margin: smallest `margin` first; largest_drop: those whose `p` has fallen
            most since the previous map first.

    Raises:
        DataError: a state lacks what the order goes by.
    """
    place = _PLACES[order]
    return sorted(states, key=lambda state: (place(state), _hash(seed, state)))[:count]


def _hash(seed: str, state: FactState) -> bytes:
    return hashlib.sha256(f"{seed}/{state.id}".encode()).digest()


def _drop(state: FactState) -> float:
    return _measured(state.p, "p", state) - _measured(state.p_before, "p_before", state)


_PLACES: dict[Order, Callable[[FactState], float]] = {
    "random": lambda state: 0.0,
    "weakest_margin": lambda state: _measured(state.margin, "margin", state),
    "largest_drop": _drop,
}


def _measured(value: float | None, name: str, state: FactState) -> float:
    if value is None:
        raise DataError(f'fact "{state.id}": expected its {name} to draw by, found none - draw at random, or probe it')
    return value
