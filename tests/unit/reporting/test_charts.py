"""Drawings show the right amounts, escape their words and give nothing for nothing."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from gradual.knowledge.levels import Level
from gradual.reporting.charts import (
    Column,
    Estimate,
    accuracy_chart,
    curve,
    estimate_strip,
    level_strip,
    make_axis,
    sankey,
)

HIGHLY, UNKNOWN = Level.HIGHLY_KNOWN, Level.UNKNOWN
COLUMNS = [Column("base model", {HIGHLY: 10, UNKNOWN: 30}), Column("after stage 1", {HIGHLY: 20, UNKNOWN: 20})]
FLOW = {HIGHLY: {HIGHLY: 10}, UNKNOWN: {HIGHLY: 10, UNKNOWN: 20}}


def test_bands_are_as_thick_as_their_facts() -> None:
    drawing = sankey(COLUMNS, [FLOW], width=800)
    thickness = [float(t) for t in re.findall(r'class="band[^"]*" d="M[^"v]*v([\d.]+)C', drawing)]
    assert len(thickness) == 3
    assert thickness[0] == thickness[1]
    assert abs(thickness[2] / thickness[0] - 2) < 0.01


def test_columns_stand_without_bands_where_transitions_are_unknown() -> None:
    drawing = sankey(COLUMNS, [None], width=800)
    assert 'class="band' not in drawing
    assert drawing.count('class="node') == 8


def test_nothing_to_draw_gives_empty_text() -> None:
    assert sankey([], [], width=800) == sankey([Column("base", {})], [], width=800) == ""
    assert level_strip({HIGHLY: 0}) == accuracy_chart([], width=800) == ""
    assert curve([(0.0, float("nan"))], make_axis([0, 1]), title="t", best=None, shares=False) == ""


def test_strip_is_divided_by_share() -> None:
    assert re.findall(r' width="([\d.]+)"', level_strip({HIGHLY: 1, UNKNOWN: 3})) == ["25", "75"]


def test_labels_are_escaped_and_made_visible() -> None:
    label = "</svg><script>\u202e&"
    for drawing in (
        accuracy_chart([Estimate(label, 0.5, 0.4, 0.6)], width=800),
        estimate_strip(Estimate(label, 0.5, 0.4, 0.6)),
        sankey([Column(label, {HIGHLY: 1})], [], width=300),
        curve([(1.0, 0.5)], make_axis([0, 1]), title=label, best=1.0, shares=True),
    ):
        assert "script" not in {element.tag for element in ElementTree.fromstring(drawing).iter()}
        assert r"\u202e" in drawing


def test_axis_ticks_are_round_and_hold_the_values() -> None:
    assert make_axis([0.27, 0.43]).ticks == (0.25, 0.3, 0.35, 0.4, 0.45)
    assert make_axis([0.0, 2.1]).ticks == (0.0, 1.0, 2.0, 3.0)
    assert make_axis([0.5]).low < 0.5 < make_axis([0.5]).high
    assert make_axis([0.999, 1.0], ceiling=1.0).high == 1.0
    assert make_axis([]).ticks[0] == 0.0
