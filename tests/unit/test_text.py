"""Numbers and texts of others are written one way wherever people read them."""

from __future__ import annotations

import pytest

from gradual.text import (
    clip,
    count_change_estimate,
    count_estimate,
    duration,
    interval,
    p_equals,
    p_value,
    percent,
    points_estimate,
    share_estimate,
    signed,
    visible,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain Ünï 漢字 🙂", "plain Ünï 漢字 🙂"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\u200f\u202e\u2066", r"\u200f\u202e\u2066"),
        ("\x1b[31m\x7f", r"\u001b[31m\u007f"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_invisible_characters_become_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_numbers_are_written_for_people() -> None:
    assert percent(0.2664) == "26.6\N{NO-BREAK SPACE}%"
    assert percent(-0.00001) == "0.0\N{NO-BREAK SPACE}%"
    assert percent(None) == percent(float("nan")) == "\N{EN DASH}"
    assert p_value(3e-9) == "<\N{NO-BREAK SPACE}0.0001"
    assert [signed(n) for n in (3, 0, -3)] == ["+3", "0", "\N{MINUS SIGN}3"]
    assert [duration(s).replace("\N{NO-BREAK SPACE}", " ") for s in (8.44, 59.97, 552.4, 7500)] == [
        "8.4 s",
        "1 min 00 s",
        "9 min 12 s",
        "2 h 05 min",
    ]
    assert clip("a" * 500) == "a" * 399 + "…"


def test_numbers_are_written_with_their_intervals() -> None:
    assert str(share_estimate(0.448, 0.41, 0.487)) == "44.8\N{NO-BREAK SPACE}% [41.0, 48.7]"
    assert share_estimate(0.0, -1e-17, 0.306).interval == "[0.0, 30.6]"
    assert str(share_estimate(0.25, None, 0.3)) == "25.0\N{NO-BREAK SPACE}%"
    assert str(points_estimate(0.019, -0.002, 0.0394)) == "+1.9 [\N{MINUS SIGN}0.2, +3.9]"
    assert str(points_estimate(0.226, 0.0, 0.4, unit=" %")) == "+22.6 % [0.0, +40.0]"
    assert str(count_estimate(359.0, 329.6, 385.2)) == "359 [330, 385]"
    assert str(count_change_estimate(2.0, 0.0, 4.0)) == "+2 [0, +4]"
    assert str(count_change_estimate(18.7, -3.3, 40.7)) == "+18.7 [\N{MINUS SIGN}3.3, +40.7]"
    assert interval(0.5, float("inf"), 2) == "[0.50, \N{INFINITY}]"


def test_p_values_stand_in_columns_and_in_sentences() -> None:
    assert [p_value(p) for p in (0.034, 0.9999, None)] == ["0.034", "1", "\N{EN DASH}"]
    assert p_equals(0.034).replace("\N{NO-BREAK SPACE}", " ") == "p = 0.034"
    assert p_equals(3e-9).replace("\N{NO-BREAK SPACE}", " ") == "p < 0.0001"
