"""Drawings of a comparison place known values where they belong, and escape their words."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from gradual.reporting.comparison.charts import (
    Balance,
    Bar,
    Cell,
    ForestRow,
    Panel,
    Segment,
    balance_bars,
    forest,
    panel_axis,
    stacked_bars,
)

NOTHING = Cell(None, None, None, (), "no finished seed")


def cell(value: float, low: float, high: float, *points: float) -> Cell:
    return Cell(value, low, high, points, f"{value:+.1f}")


def dots(drawing: str, kind: str) -> list[tuple[float, float]]:
    return [
        (float(x), float(y)) for x, y in re.findall(rf'<circle class="{kind}" cx="([\d.]+)" cy="([\d.]+)"', drawing)
    ]


def zero_of(drawing: str) -> float:
    return float(re.findall(r'<path class="zero" d="M([\d.]+) ', drawing)[0])


def ticks_of(drawing: str) -> dict[str, float]:
    return {words: float(x) for x, words in re.findall(r'<text x="([\d.]+)"[^>]*class="tick">([^<]*)</text>', drawing)}


@pytest.mark.parametrize("width", [900, 344])
def test_forest_places_a_value_on_the_scale_of_its_ticks(width: int) -> None:
    rows = [ForestRow("a", (cell(5.0, 2.5, 7.5, 2.5, 7.5),)), ForestRow("b", (cell(-2.0, -4.0, 1.0),))]
    drawing = forest("t", [Panel("p")], rows, width=width)
    ticks = ticks_of(drawing)
    assert ticks.keys() >= {"\N{MINUS SIGN}5", "0", "+5", "+10"}
    assert ticks["0"] == zero_of(drawing)
    one = (ticks["+10"] - ticks["0"]) / 10
    assert [x for x, _ in dots(drawing, "dot")] == [pytest.approx(ticks["0"] + 5 * one, abs=0.1)]
    assert [x for x, _ in dots(drawing, "open-dot")] == [pytest.approx(ticks["0"] - 2 * one, abs=0.1)]
    assert [x for x, _ in dots(drawing, "seed")] == pytest.approx(
        [ticks["0"] + 2.5 * one, ticks["0"] + 7.5 * one], abs=0.1
    )
    whiskers = re.findall(r'class="whisker" d="M([\d.]+) [\d.]+H([\d.]+)M', drawing)
    assert [float(x) for x in whiskers[0]] == pytest.approx([ticks["0"] + 2.5 * one, ticks["0"] + 7.5 * one], abs=0.1)


def test_dot_is_filled_only_where_the_interval_leaves_out_0() -> None:
    cells = [cell(1, 0.1, 2), cell(-1, -2, -0.1), cell(1, 0, 2), cell(1, -1, 3), Cell(1.0, None, None, (), "1")]
    drawing = forest("t", [Panel("p")], [ForestRow(str(k), (each,)) for k, each in enumerate(cells)], width=900)
    filled, hollow = dots(drawing, "dot"), dots(drawing, "open-dot")
    assert (len(filled), len(hollow)) == (2, 3)
    assert max(y for _, y in filled) < min(y for _, y in hollow)


def test_rows_without_a_value_keep_their_place_and_say_why() -> None:
    rows = [ForestRow("a", (NOTHING,)), ForestRow("b", (cell(1, 0.5, 2),))]
    drawing = forest("t", [Panel("p")], rows, width=900)
    assert len(dots(drawing, "dot")) == 1
    assert "no finished seed" in drawing


def test_panels_of_one_scale_compare() -> None:
    rows = [ForestRow("a", (cell(10, 5, 15), cell(1, 0.5, 1.5)))]
    own = forest("t", [Panel("p"), Panel("q")], rows, width=900)
    same = forest("t", [Panel("p"), Panel("q")], rows, width=900, same=True)
    assert panel_axis(Panel("q"), rows, 1).high < 3
    spans = [
        float(high) - float(low) for low, high in re.findall(r'class="whisker" d="M([\d.]+) [\d.]+H([\d.]+)M', same)
    ]
    assert spans[0] / spans[1] == pytest.approx(10, rel=0.05)
    assert own != same


def test_panels_stand_beside_each_other_without_touching() -> None:
    rows = [ForestRow("a" * 60, (cell(9, -5, 20), cell(9, -5, 20)), strong=True)]
    drawing = forest("t", [Panel("p"), Panel("q", landmark=(24.0, "paper"))], rows, width=900)
    words = [(float(x), len(text)) for x, text in re.findall(r'<text x="([\d.]+)"[^>]*"num strong">([^<]*)<', drawing)]
    lefts = [float(x) for x in re.findall(r'class="whisker" d="M([\d.]+)', drawing)]
    rights = [float(x) for x in re.findall(r'class="whisker" d="M[\d.]+ [\d.]+H([\d.]+)', drawing)]
    assert rights[0] < words[0][0] - 7 * words[0][1]
    assert words[0][0] < lefts[1]
    assert rights[1] < words[1][0] - 7 * words[1][1] < 900


def test_bars_are_as_long_as_their_amounts() -> None:
    one = Bar("a", (Segment("x", 30, "30", "thirty"), Segment("y", 10, "10", "ten")), "end")
    two = Bar("b", (Segment("x", 20, "20", "twenty"),))
    widths = [
        float(w)
        for w in re.findall(r'<rect class="[xy]"[^>]*width="([\d.]+)"', stacked_bars("t", [one, two], width=900))
    ]
    assert widths[0] == pytest.approx(3 * widths[1], abs=0.2)
    assert widths[2] == pytest.approx(2 * widths[1], abs=0.2)


def test_losses_go_to_the_left_of_0_and_gains_to_the_right() -> None:
    drawing = balance_bars("t", [Balance("a", 20, 10, "+20", "-10"), Balance("b", 0, 5, "0", "-5")], width=900)
    zero = zero_of(drawing)
    bars = re.findall(r'<rect class="(lost|gained)" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', drawing)
    lost, gained, less, none = [(kind, float(x), float(wide)) for kind, x, wide in bars]
    assert lost[1] + lost[2] == pytest.approx(zero, abs=0.2)
    assert gained[1] == zero
    assert gained[2] == pytest.approx(2 * lost[2], abs=0.2)
    assert less[2] == pytest.approx(lost[2] / 2, abs=0.2)
    assert none[2] == 0


def test_nothing_to_draw_gives_empty_text() -> None:
    assert forest("t", [Panel("p")], [], width=900) == forest("t", [], [], width=344) == ""
    assert stacked_bars("t", [], width=900) == stacked_bars("t", [Bar("a", ())], width=900) == ""
    assert balance_bars("t", [], width=900) == balance_bars("t", [Balance("a", 0, 0, "0", "0")], width=900) == ""


@pytest.mark.parametrize("width", [900, 344])
def test_words_are_escaped_and_made_visible(width: int) -> None:
    bad = "</svg><script>\u202e&"
    row = ForestRow(bad, (Cell(1.0, 0.5, 2.0, (1.0, 2.0), bad),))
    for drawing in (
        forest(bad, [Panel(bad, landmark=(1.0, bad))], [row], width=width),
        stacked_bars(bad, [Bar(bad, (Segment("lv-Unknown", 1.0, bad, bad),), bad)], width=width),
        balance_bars(bad, [Balance(bad, 1.0, 1.0, bad, bad)], width=width),
    ):
        assert "script" not in {element.tag for element in ElementTree.fromstring(drawing).iter()}
        assert r"\u202e" in drawing
