"""A forest plot places known values where they belong, and escapes its words."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from gradual.reporting.forest import ForestCell, ForestRow, Panel, forest, panel_axis

NOTHING = ForestCell(None, None, None, (), "no finished seed")


def cell(value: float, low: float, high: float, *points: float) -> ForestCell:
    return ForestCell(value, low, high, points, f"{value:+.1f}")


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
    cells = [cell(1, 0.1, 2), cell(-1, -2, -0.1), cell(1, 0, 2), cell(1, -1, 3), ForestCell(1.0, None, None, (), "1")]
    drawing = forest("t", [Panel("p")], [ForestRow(str(k), (each,)) for k, each in enumerate(cells)], width=900)
    filled, hollow = dots(drawing, "dot"), dots(drawing, "open-dot")
    assert (len(filled), len(hollow)) == (2, 3)
    assert max(y for _, y in filled) < min(y for _, y in hollow)


def test_shares_need_no_0_on_their_scale_and_no_sign() -> None:
    panel = Panel("", unit=" %", is_difference=False)
    drawing = forest("t", [panel], [ForestRow("a", (ForestCell(30.0, 27.0, 34.0, (), "30 %"),))], width=900)
    assert ticks_of(drawing).keys() == {"26 %", "28 %", "30 %", "32 %", "34 %"}
    assert len(dots(drawing, "dot")) == 1
    assert 'class="zero"' not in drawing


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


def test_nothing_to_draw_gives_empty_text() -> None:
    assert forest("t", [Panel("p")], [], width=900) == forest("t", [], [], width=344) == ""


@pytest.mark.parametrize("width", [900, 344])
def test_words_are_escaped_and_made_visible(width: int) -> None:
    bad = "</svg><script>\u202e&"
    row = ForestRow(bad, (ForestCell(1.0, 0.5, 2.0, (1.0, 2.0), bad),))
    drawing = forest(bad, [Panel(bad, landmark=(1.0, bad))], [row], width=width)
    assert "script" not in {element.tag for element in ElementTree.fromstring(drawing).iter()}
    assert r"\u202e" in drawing
