"""The limit on Unknown facts, worked out by hand."""

from __future__ import annotations

import pytest

from gradual.errors import TrainingError
from gradual.knowledge.levels import Level
from gradual.selection.expressions import FactState
from gradual.selection.strategies import Replay, Selection, Strategy, draw, select_facts
from gradual.selection.unknown_limit import limit_unknown

U, M, H = Level.UNKNOWN, Level.MAYBE_KNOWN, Level.HIGHLY_KNOWN
ALL = Strategy("", "True", None, "")


def facts(relation: str, level: Level, count: int) -> list[FactState]:
    return [FactState(f"{relation}-{level.value[0]}{n}", relation, level, level, level, False) for n in range(count)]


def limited(states: list[FactState], share: float | None, strategy: Strategy = ALL) -> Selection:
    return limit_unknown(select_facts(states, strategy, rng_seed=1), states, share, rng_seed=1)


@pytest.mark.parametrize(
    ("share", "kept"),
    [
        (0.0, 0),
        (0.2, 1),  # 1 of 5
        (0.33, 1),  # 2 of 6 would be a third
        (0.5, 4),
        (0.6, 6),  # 6 of 10, although 0.6 / (1 - 0.6) * 4 is a little less than 6 in binary
        (0.7, 9),  # 9 of 13 are 0.692, 10 of 14 would be 0.714
        (0.99, 20),
    ],
)
def test_no_more_unknown_facts_stay_than_their_share_allows(share: float, kept: int) -> None:
    found = limited(facts("r", M, 4) + facts("r", U, 20), share)
    assert sum(row.now is U for row in found.rows) == kept
    assert (len(found.rows), found.num_new, found.num_left_out) == (4 + kept, 4 + kept, 20 - kept)


def test_each_relation_is_counted_by_itself_and_the_rest_stays() -> None:
    states = facts("a", M, 3) + facts("a", U, 5) + facts("b", U, 2) + facts("c", H, 4) + facts("c", U, 1)
    found = limited(states, 0.5)
    kept = {name: sum(row.id.startswith(f"{name}-U") for row in found.rows) for name in "abc"}
    assert kept == {"a": 3, "b": 0, "c": 1}
    assert found.num_left_out == 4
    assert {row.id for row in found.rows if row.now is not U} == {s.id for s in states if s.now is not U}
    drawn = {state.id for state in draw(facts("a", U, 5), 3, "1/unknown")}
    assert {row.id for row in found.rows if row.id.startswith("a-U")} == drawn


def test_replayed_facts_count() -> None:
    states = facts("r", U, 6) + facts("r", H, 10)
    strategy = Strategy("", "now == Unknown", Replay("now == HighlyKnown", 0.5, "new"), "")
    found = limited(states, 0.4, strategy)  # 3 replayed for 6 new ones: 2 of 5 may be Unknown
    assert (found.num_new, found.num_replay, found.num_left_out) == (2, 3, 4)


def test_without_a_limit_or_a_surplus_nothing_changes() -> None:
    states = facts("r", M, 4) + facts("r", U, 4)
    assert limited(states, None) == limited(states, 0.5) == select_facts(states, ALL, rng_seed=1)


def test_limit_that_leaves_nothing_new_is_an_error() -> None:
    states = facts("r", U, 3) + facts("r", H, 3)
    strategy = Strategy("", "now == Unknown", Replay("now == HighlyKnown", 0.3, "new"), "")
    with pytest.raises(TrainingError, match=r"max_unknown_share 0.4: .* found that all 3 are Unknown .* - raise it"):
        limited(states, 0.4, strategy)  # 1 replayed: 0.67 of a fact may be Unknown
    assert limited(facts("r", H, 3), 0.4, strategy).rows == ()  # nothing selected in the first place
