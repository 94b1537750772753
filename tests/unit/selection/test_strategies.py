"""The language of selections, the named strategies, and the draw."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradual.config.stage import ReplayConfig
from gradual.errors import ConfigError, DataError
from gradual.knowledge.levels import Level
from gradual.selection.expressions import FactState, can_match, parse_expression
from gradual.selection.strategies import STRATEGIES, Replay, Strategy, resolve_strategy, select_facts
from gradual.text import did_you_mean

U, W, M, H = Level.UNKNOWN, Level.WEAKLY_KNOWN, Level.MAYBE_KNOWN, Level.HIGHLY_KNOWN


def state(first: Level, before: Level, now: Level, trained: bool = False, fact_id: str = "x") -> FactState:
    return FactState(fact_id, "capital", first, before, now, trained)


def facts(prefix: str, count: int, first: Level, now: Level, trained: bool = False) -> list[FactState]:
    return [state(first, first, now, trained, f"{prefix}{index:03}") for index in range(count)]


@pytest.mark.parametrize(
    ("expression", "matching", "others"),
    [
        ("now == MaybeKnown", [state(U, W, M)], [state(M, M, W)]),
        ("now != MaybeKnown", [state(U, U, W)], [state(U, U, M)]),
        ("now < MaybeKnown", [state(U, U, U), state(U, U, W)], [state(U, U, M), state(U, U, H)]),
        ("now <= MaybeKnown", [state(U, U, M)], [state(U, U, H)]),
        ("MaybeKnown <= now", [state(U, U, M), state(U, U, H)], [state(U, U, W)]),
        ("now > before", [state(H, U, W)], [state(U, W, W), state(U, M, W)]),
        ("now >= first", [state(W, H, W)], [state(M, U, W)]),
        ("Unknown < now < HighlyKnown", [state(U, U, W), state(U, U, M)], [state(U, U, U), state(U, U, H)]),
        ("first in (HighlyKnown, MaybeKnown)", [state(H, U, U), state(M, U, U)], [state(W, H, H)]),
        ("first in [Unknown]", [state(U, H, H)], [state(W, U, U)]),
        ("first in Unknown", [state(U, H, H)], [state(W, U, U)]),
        ("now not in (first, before)", [state(U, W, M)], [state(U, M, M), state(M, U, M)]),
        ("trained", [state(U, U, U, True)], [state(U, U, U)]),
        ("not trained", [state(U, U, U)], [state(U, U, U, True)]),
        ("promoted", [state(H, U, W)], [state(U, W, W), state(U, M, W)]),
        ("promoted or trained and now == HighlyKnown", [state(U, U, W), state(U, H, H, True)], [state(U, W, W, True)]),
        ("(promoted or trained) and now == HighlyKnown", [state(U, M, H)], [state(U, U, W)]),
        ("True", [state(U, U, U)], []),
        ("not False", [state(U, U, U)], []),
        ("  now ==\n    MaybeKnown\n", [state(U, U, M)], [state(U, U, U)]),
    ],
)
def test_expression_means_what_it_says(expression: str, matching: list[FactState], others: list[FactState]) -> None:
    predicate = parse_expression(expression)
    assert all(predicate(fact) for fact in matching)
    assert not any(predicate(fact) for fact in others)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "empty expression"),
        ("now == MaybeKnwon", "`MaybeKnwon` at column 8 is not a level; did you mean 'MaybeKnown'?"),
        ("trained or now == maybe_known", "`maybe_known` at column 19 is not a level; did you mean 'MaybeKnown'?"),
        ("now == 'MaybeKnown'", "has quotes; write MaybeKnown without them"),
        ("now == 3", "`3` at column 8 is not a level; expected one of first, before, now, Unknown"),
        ("after == Unknown", "`after` at column 1 is not a level"),
        ("now", "`now` at column 1 is a level, not a condition"),
        ("MaybeKnown", "is a level, not a condition"),
        ("traned", "`traned` at column 1 is not a name known here; did you mean 'trained'?"),
        ("true", "did you mean 'True'?"),
        ("trained == True", "write `trained` or `not trained`"),
        ("now == True", "`True` at column 8 is not a level"),
        ("now = MaybeKnown", "write == to compare"),
        ("now == MaybeKnown && trained", "write `and`, `or`, `not`"),
        ("now == MaybeKnown & trained", "`MaybeKnown & trained` at column 8 joins with an operator"),
        ("now is MaybeKnown", "uses `is`"),
        ("now == MaybeKnown if trained else trained", "is not a condition"),
        ("now + 1", "is not a condition"),
        ("1", "is not a condition"),
        ("None", "is not a condition"),
        ("now == MaybeKnown; trained", "is not an expression"),
        ("import os", "is not an expression"),
        ("now in ()) or (True", "is not an expression"),
        ("\x00", "is not an expression"),
        ("'\\d' == now", "is not a level"),
        ("(" * 400 + "trained" + ")" * 400, "is not an expression"),
        ("trained or " * 200 + "trained", "expected at most 1000"),
    ],
)
def test_wrong_expression_is_explained(expression: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_expression(expression)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true')",
        "now.__class__ == Unknown",
        "(lambda: True)()",
        "[True for now in (1,)]",
        "(trained := True)",
        "f'{now}'",
        "now[0] == Unknown",
        "exec('1')",
        "trained and print(now)",
        "*now",
        "await now",
        "first in {**now}",
    ],
)
def test_nothing_but_the_language_is_accepted(expression: str) -> None:
    with pytest.raises(ConfigError):
        parse_expression(expression)


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("firstnowM =<>()!,\\'\"andé\t#:[]{}*%@"), max_size=40))
def test_any_text_is_an_expression_or_a_config_error(text: str) -> None:
    try:
        predicate = parse_expression(text)
    except ConfigError:
        return
    assert predicate(state(U, U, M)) in (True, False)


def test_column_counts_characters_not_bytes() -> None:
    full_width_n = "\N{FULLWIDTH LATIN SMALL LETTER N}"  # three bytes, and the same name to Python
    with pytest.raises(ConfigError, match="`x` at column 8 "):
        parse_expression(f"{full_width_n}ow == x")


@pytest.mark.parametrize(
    ("expression", "first_stage", "possible"),
    [
        ("now == MaybeKnown", True, True),
        ("trained", True, False),
        ("trained", False, True),
        ("promoted", True, False),
        ("first < now", True, False),
        ("now == MaybeKnown and now == Unknown", False, False),
        ("now < Unknown", False, False),
    ],
)
def test_impossible_selection_is_recognised(expression: str, first_stage: bool, possible: bool) -> None:
    assert can_match(expression, first_stage=first_stage) is possible


EVERY_STATE = [state(*combination) for combination in itertools.product(Level, Level, Level, (False, True))]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("maybe_known", lambda f: f.now is M),
        ("S1", lambda f: f.trained),
        ("S2", lambda f: f.now is M and f.first in (H, M)),
        ("S3", lambda f: f.now is M and f.first in (H, M, W)),
        ("S4", lambda f: f.now is M),
        ("S5", lambda f: f.now is M),
        ("maybe_and_weakly_known", lambda f: f.now in (M, W)),
        ("all", lambda f: True),
        ("weakly_known", lambda f: f.now is W),
        ("unknown", lambda f: f.now is U),
        ("highly_known", lambda f: f.now is H),
        ("natural_mix", lambda f: True),
        ("random_instead_of_promoted", lambda f: f.now is M and not f.now.rank > f.before.rank),
        ("no_new_look", lambda f: f.first is M),
    ],
)
def test_strategy_selects_by_its_rule(name, rule) -> None:  # type: ignore[no-untyped-def]
    predicate = parse_expression(STRATEGIES[name].select)
    assert [predicate(fact) for fact in EVERY_STATE] == [rule(fact) for fact in EVERY_STATE]


def test_every_strategy_is_tested_and_documented() -> None:
    assert set(STRATEGIES) == {
        "maybe_known", "S1", "S2", "S3", "S4", "S5", "maybe_and_weakly_known", "all", "weakly_known", "unknown",
        "highly_known", "natural_mix", "random_instead_of_promoted", "no_new_look",
    }  # fmt: skip
    assert all(strategy.doc.endswith(".") for strategy in STRATEGIES.values())
    said = [strategy.doc for strategy in STRATEGIES.values() if not strategy.doc.startswith("Control")]
    assert all(any(source in doc for source in ("[C", "[I", "[O")) for doc in said)


def test_s5_and_its_controls_replay_and_as_the_settings_say() -> None:
    replaying = [name for name, strategy in STRATEGIES.items() if strategy.replay]
    assert replaying == ["S5", "maybe_and_weakly_known", "random_instead_of_promoted", "no_new_look"]
    default = ReplayConfig()
    assert STRATEGIES["S5"].replay == Replay(default.pool, default.ratio, default.of)


def test_strategy_may_be_changed_in_parts() -> None:
    assert resolve_strategy("S5", None, None) is STRATEGIES["S5"]
    changed = resolve_strategy("S5", "promoted", None)
    assert (changed.name, changed.select, changed.replay) == ("S5 (modified)", "promoted", STRATEGIES["S5"].replay)
    more = Replay("now == HighlyKnown", 0.5, "mixture")
    assert resolve_strategy("S2", None, more).replay == more
    assert resolve_strategy(None, "trained", None).name == "custom"


def test_unknown_strategy_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="did you mean 'maybe_known'"):
        resolve_strategy("MaybeKnown", None, None)
    with pytest.raises(ConfigError, match="found neither"):
        resolve_strategy(None, None, None)


@pytest.mark.parametrize(
    ("of", "ratio", "new", "wanted"),
    [
        ("new", 0.2, 100, 20),
        ("new", 0.2, 3, 1),
        ("new", 0.2, 2, 0),
        ("new", 0.0, 100, 0),
        ("new", 0.2, 0, 0),
        ("mixture", 0.2, 100, 25),
        ("mixture", 0.5, 7, 7),
        ("mixture", 0.75, 10, 30),
        ("mixture", 0.0, 10, 0),
    ],
)
def test_replay_arithmetic(of, ratio: float, new: int, wanted: int) -> None:  # type: ignore[no-untyped-def]
    assert Replay("True", ratio, of).num_facts(new) == wanted


def test_selection_is_new_facts_and_a_replay() -> None:
    states = facts("m", 10, U, M) + facts("h", 30, H, H) + facts("u", 5, U, U)
    selection = select_facts(states, STRATEGIES["S5"], rng_seed=42)
    assert (selection.num_new, selection.num_replay, selection.replay_wanted, selection.replay_shortfall) == (
        10,
        2,
        2,
        0,
    )
    assert selection.num_promoted == 10
    assert [row.id for row in selection.rows] == sorted(row.id for row in selection.rows)
    assert {row.id for row in selection.rows if row.role == "new"} == {f"m{index:03}" for index in range(10)}
    replayed = [row for row in selection.rows if row.role == "replay"]
    assert all((row.first, row.before, row.now) == (H, H, H) for row in replayed)
    assert replayed[0].reason == "replayed, 2 of 30 facts, from now == HighlyKnown"
    assert selection.rows[-1].reason == "matches now == MaybeKnown"


def test_short_pool_is_told_and_never_repeated() -> None:
    selection = select_facts(facts("m", 100, M, M) + facts("h", 3, H, H), STRATEGIES["S5"], rng_seed=1)
    assert (selection.replay_wanted, selection.num_replay, selection.replay_shortfall) == (20, 3, 17)
    assert len({row.id for row in selection.rows}) == len(selection.rows) == 103


def test_what_is_new_is_not_replayed() -> None:
    strategy = Strategy("custom", "now >= MaybeKnown", Replay("now == HighlyKnown", 0.5, "new"), "")
    selection = select_facts(facts("m", 10, M, M) + facts("h", 10, H, H), strategy, rng_seed=1)
    assert (selection.num_new, selection.replay_wanted, selection.replay_shortfall) == (20, 10, 10)


def test_draw_ignores_the_order_of_the_facts() -> None:
    states = facts("m", 50, M, M) + facts("h", 50, H, H)
    shuffled = random.Random(0).sample(states, len(states))
    assert select_facts(states, STRATEGIES["S5"], rng_seed=1) == select_facts(shuffled, STRATEGIES["S5"], rng_seed=1)


def test_seed_changes_the_draw() -> None:
    states = facts("m", 50, M, M) + facts("h", 50, H, H)
    first, second = (select_facts(states, STRATEGIES["S5"], rng_seed=seed) for seed in (1, 2))
    assert first.rows != second.rows
    assert first.num_replay == second.num_replay == 10


def as_many(select: str, as_many_as: str) -> Strategy:
    return resolve_strategy(None, select, None, as_many_as=as_many_as)


def test_as_many_are_drawn_as_match_another_expression() -> None:
    states = facts("m", 30, M, M) + facts("u", 70, U, U)
    selection = select_facts(states, STRATEGIES["natural_mix"], rng_seed=5)
    assert (selection.new_wanted, selection.num_new) == (30, 30)
    assert selection.rows[0].reason == "drawn, 30 of 100 facts, from True"
    assert {row.now for row in selection.rows} == {M, U}
    too_few = select_facts(states, as_many("now == MaybeKnown", "now == Unknown"), rng_seed=5)
    assert (too_few.num_new, too_few.new_shortfall) == (30, 40)


def test_stand_ins_take_the_place_of_the_promoted() -> None:
    states = facts("kept", 30, M, M) + facts("risen", 12, U, M) + facts("w", 20, W, W) + facts("u", 25, U, U)
    states += facts("h", 40, H, H)
    control = select_facts(states, STRATEGIES["random_instead_of_promoted"], rng_seed=5)
    main = select_facts(states, STRATEGIES["S5"], rng_seed=5)
    assert (control.num_new, control.num_replay) == (main.num_new, main.num_replay) == (42, 8)
    drawn = [row for row in control.rows if row.role == "new" and row.now is not M]
    assert len(drawn) == 12
    assert {row.now for row in drawn} == {W, U}
    assert drawn[0].reason == "drawn, 12 of 45 facts, from now in (WeaklyKnown, Unknown)"
    assert not [row for row in control.rows if row.id.startswith("risen")]


def test_draw_is_even() -> None:
    states = facts("m", 5, M, M) + facts("u", 15, U, U)
    five = as_many("True", "now == MaybeKnown")
    chosen = [row.id for seed in range(400) for row in select_facts(states, five, rng_seed=seed).rows]
    counts = [chosen.count(fact.id) for fact in states]
    assert min(counts) > 65  # 100 expected, standard deviation 8.7
    assert max(counts) < 135


def test_nothing_to_select_is_an_empty_selection() -> None:
    selection = select_facts(facts("u", 5, U, U), STRATEGIES["S5"], rng_seed=1)
    assert (selection.rows, selection.replay_wanted) == ((), 0)


def test_repeated_id_is_refused() -> None:
    with pytest.raises(DataError, match='"u000" occurs twice'):
        select_facts([*facts("u", 2, U, U), *facts("u", 1, M, M)], STRATEGIES["all"], rng_seed=1)


def test_suggestion_only_where_one_is_near() -> None:
    assert did_you_mean("Learning_Rate", ["learning_rate", "seed"]) == "; did you mean 'learning_rate'?"
    assert did_you_mean("xyz", ["learning_rate", "seed"]) == ""
