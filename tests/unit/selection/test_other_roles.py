"""Facts with a role of their own in a stage, worked out by hand."""

from __future__ import annotations

import pytest

from gradual.knowledge.levels import Level
from gradual.selection.expressions import FactState
from gradual.selection.other_roles import with_anchors, with_refusals
from gradual.selection.strategies import Replay, Selection, Strategy, draw, select_facts

STATES = [
    FactState(f"{level.value[0]}{number}", "r", level, level, level, trained=False)
    for level in Level
    for number in range(4)
]
UNKNOWN = [state for state in STATES if state.now is Level.UNKNOWN]
MAYBE = Strategy("", "now == MaybeKnown", Replay("now == HighlyKnown", 0.5, "new"), "")


def roles(selection: Selection) -> dict[str, str]:
    return {row.id: row.role for row in selection.rows}


def test_facts_beside_those_trained_on_become_anchors_and_all_else_stays() -> None:
    plain = select_facts(STATES, MAYBE, rng_seed=1)
    found = with_anchors(plain, STATES, "now <= WeaklyKnown", 1.0, rng_seed=1)
    anchors = dict.fromkeys(("U0", "U1", "U2", "U3", "W0", "W1", "W2", "W3"), "anchor")
    assert roles(found) == {**roles(plain), **anchors}
    assert (found.num_new, found.num_replay, found.replay_shortfall, found.num_anchor) == (4, 2, 0, 8)
    assert [row.id for row in found.rows] == sorted(roles(found))
    assert {row.reason for row in found.rows if row.role == "anchor"} == {
        "anchor, 8 of 8 facts, from now <= WeaklyKnown"
    }


def test_no_fact_that_is_trained_on_becomes_an_anchor() -> None:
    found = with_anchors(select_facts(STATES, MAYBE, rng_seed=1), STATES, "True", 1.0, rng_seed=1)
    assert len(found.rows) == len(STATES)
    assert (found.num_new, found.num_replay, found.num_anchor) == (4, 2, 10)


@pytest.mark.parametrize(("share", "count"), [(0.25, 1), (0.5, 2), (0.6, 2), (1.0, 4)])
def test_a_share_of_the_anchors_is_drawn_by_seed_and_id(share: float, count: int) -> None:
    plain = select_facts(STATES, MAYBE, rng_seed=7)
    found, again = (
        with_anchors(plain, states, "now == Unknown", share, rng_seed=7) for states in (STATES, STATES[::-1])
    )
    drawn = {row.id for row in found.rows if row.role == "anchor"}
    assert drawn == {state.id for state in draw(UNKNOWN, count, "7/anchor")}
    assert found == again


def test_refusals_take_the_place_of_targets_and_come_in_beside_what_is_selected() -> None:
    plain = select_facts(STATES, Strategy("", "now in (MaybeKnown, Unknown)", None, ""), rng_seed=1)
    found = with_refusals(plain, STATES, "now <= WeaklyKnown", 1.0, rng_seed=1)
    assert (found.num_new, found.num_abstain, len(found.rows)) == (4, 8, 12)
    assert {row.id[0] for row in found.rows if row.role == "abstain"} == {"U", "W"}


def test_what_is_not_drawn_to_be_refused_keeps_its_target() -> None:
    plain = select_facts(STATES, Strategy("", "now == Unknown", None, ""), rng_seed=1)
    found = with_refusals(plain, STATES, "now == Unknown", 0.5, rng_seed=1)
    assert (found.num_new, found.num_abstain) == (2, 2)
    refused = {state.id for state in draw(UNKNOWN, 2, "1/abstain")}
    assert {row.id for row in found.rows if row.role == "abstain"} == refused


def test_facts_to_refuse_are_not_missing_from_what_was_asked_for() -> None:
    levels = [Level.UNKNOWN] * 4 + [Level.WEAKLY_KNOWN] * 6
    states = [FactState(f"f{n}", "r", Level.UNKNOWN, Level.UNKNOWN, level, False) for n, level in enumerate(levels)]
    plain = select_facts(states, Strategy("", "True", None, ""), rng_seed=1)
    assert (plain.num_new, plain.num_promoted, plain.new_shortfall) == (10, 6, 0)
    unknown = with_refusals(plain, states, "now == Unknown", 1.0, rng_seed=1)
    assert (unknown.num_new, unknown.num_abstain, unknown.new_wanted, unknown.new_shortfall) == (6, 4, 6, 0)
    assert unknown.num_promoted == 6
    promoted = with_refusals(plain, states, "promoted", 0.5, rng_seed=1)
    assert (promoted.num_new, promoted.num_promoted, promoted.new_shortfall) == (7, 3, 0)


def test_replayed_facts_to_refuse_are_not_missing_from_the_replay() -> None:
    plain = select_facts(STATES, MAYBE, rng_seed=1)
    found = with_refusals(plain, STATES, "now == HighlyKnown", 1.0, rng_seed=1)
    assert (plain.replay_wanted, plain.num_replay) == (2, 2)
    assert (found.replay_wanted, found.num_replay, found.replay_shortfall) == (0, 0, 0)


def test_a_shortfall_stays_when_facts_are_refused() -> None:
    twice = Strategy("", "now == Unknown", None, "", as_many_as="now <= WeaklyKnown")
    plain = select_facts(STATES, twice, rng_seed=1)
    found = with_refusals(plain, STATES, "now == Unknown", 0.5, rng_seed=1)
    assert (plain.num_new, plain.new_shortfall) == (4, 4)
    assert (found.num_new, found.new_shortfall) == (2, 4)


def test_refusals_are_no_anchors() -> None:
    refusing = with_refusals(select_facts(STATES, MAYBE, rng_seed=1), STATES, "now == Unknown", 1.0, rng_seed=1)
    found = with_anchors(refusing, STATES, "now <= WeaklyKnown", 1.0, rng_seed=1)
    assert (found.num_abstain, found.num_anchor) == (4, 4)
