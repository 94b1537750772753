"""Drawings show the right amounts, escape their words and give nothing for nothing."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from gradual.knowledge.levels import Level
from gradual.reporting.charts import (
    Balance,
    Bar,
    FlowColumn,
    RiskCurve,
    Segment,
    balance_bars,
    curve,
    level_flow,
    level_strip,
    risk_curves,
    share_strip,
    stacked_bars,
)
from gradual.reporting.svg import make_axis

HIGHLY, UNKNOWN = Level.HIGHLY_KNOWN, Level.UNKNOWN
COLUMNS = [FlowColumn("base model", {HIGHLY: 10, UNKNOWN: 30}), FlowColumn("after stage 1", {HIGHLY: 20, UNKNOWN: 20})]
FLOW = {HIGHLY: {HIGHLY: 10}, UNKNOWN: {HIGHLY: 10, UNKNOWN: 20}}


def test_bands_are_as_thick_as_their_facts() -> None:
    drawing = level_flow(COLUMNS, [FLOW], width=800)
    thickness = [float(t) for t in re.findall(r'class="band[^"]*" d="M[^"v]*v([\d.]+)C', drawing)]
    assert len(thickness) == 3
    assert thickness[0] == thickness[1]
    assert abs(thickness[2] / thickness[0] - 2) < 0.01


def test_columns_stand_without_bands_where_transitions_are_unknown() -> None:
    drawing = level_flow(COLUMNS, [None], width=800)
    assert 'class="band' not in drawing
    assert drawing.count('class="node') == 8


def test_nothing_to_draw_gives_empty_text() -> None:
    assert level_flow([], [], width=800) == level_flow([FlowColumn("base", {})], [], width=800) == ""
    assert level_strip({HIGHLY: 0}) == share_strip("t", 0.5, None, 0.6) == ""
    assert stacked_bars("t", [], width=900) == stacked_bars("t", [Bar("a", ())], width=900) == ""
    assert balance_bars("t", [], width=900) == balance_bars("t", [Balance("a", 0, 0, "0", "0")], width=900) == ""
    assert risk_curves("t", [], width=900) == risk_curves("t", [RiskCurve("a", ())], width=900) == ""
    assert curve([(0.0, float("nan"))], make_axis([0, 1]), title="t", best=None, shares=False) == ""


def test_a_risk_curve_goes_through_its_points_on_the_scale_of_shares() -> None:
    half = RiskCurve("base <model>", ((0.5, 0.4), (1.0, 0.2)))
    drawing = risk_curves("Risk", [half, RiskCurve("after stage 1", ((1.0, 0.0),))], width=900)
    # From 46 to 886 in width: half of it is 466. One legend line each: 12 + 2 x 19 is the top (40 %), 240 below is 0 %.
    assert 'series-0" d="M466 50L886 170"><title>base &lt;model&gt;</title>' in drawing
    assert 'series-1" d="M886 290"' in drawing
    assert re.findall(r">(\d+)\xa0%<", drawing) == [
        *("0", "10", "20", "30", "40"),
        *("0", "20", "40", "60", "80", "100"),
    ]


def test_strip_is_divided_by_share() -> None:
    assert re.findall(r' width="([\d.]+)"', level_strip({HIGHLY: 1, UNKNOWN: 3})) == ["25", "75"]


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
    zero = float(re.findall(r'<path class="zero" d="M([\d.]+) ', drawing)[0])
    bars = re.findall(r'<rect class="(lost|gained)" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', drawing)
    lost, gained, less, none = [(kind, float(x), float(wide)) for kind, x, wide in bars]
    assert lost[1] + lost[2] == pytest.approx(zero, abs=0.2)
    assert gained[1] == zero
    assert gained[2] == pytest.approx(2 * lost[2], abs=0.2)
    assert less[2] == pytest.approx(lost[2] / 2, abs=0.2)
    assert none[2] == 0


def test_labels_are_escaped_and_made_visible() -> None:
    label = "</svg><script>\u202e&"
    for drawing in (
        share_strip(label, 0.5, 0.4, 0.6),
        level_flow([FlowColumn(label, {HIGHLY: 1})], [], width=300),
        curve([(1.0, 0.5)], make_axis([0, 1]), title=label, best=1.0, shares=True),
        stacked_bars(label, [Bar(label, (Segment("lv-Unknown", 1.0, label, label),), label)], width=900),
        balance_bars(label, [Balance(label, 1.0, 1.0, label, label)], width=344),
    ):
        assert "script" not in {element.tag for element in ElementTree.fromstring(drawing).iter()}
        assert r"\u202e" in drawing


def test_axis_ticks_are_round_and_hold_the_values() -> None:
    assert make_axis([0.27, 0.43]).ticks == (0.25, 0.3, 0.35, 0.4, 0.45)
    assert make_axis([0.0, 2.1]).ticks == (0.0, 1.0, 2.0, 3.0)
    assert make_axis([0.5]).low < 0.5 < make_axis([0.5]).high
    assert make_axis([0.999, 1.0], ceiling=1.0).high == 1.0
    assert make_axis([]).ticks[0] == 0.0
