"""The drawings of reports: functions from numbers to SVG, of levels, of epochs and of amounts.

Pure: the same numbers give the same bytes. Knows levels, rows and bars, and neither runs nor comparisons: what goes
into which drawing is said in `run_page` and `reporting.comparison.figures`. Forest plots are in `forest`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gradual.knowledge.levels import BEST_FIRST, Level
from gradual.reporting.svg import (
    DIGIT,
    LETTER,
    NOTHING,
    SHORT_LABELS_BELOW,
    Axis,
    Svg,
    escape,
    label_width,
    make_axis,
    px,
    row_label,
    svg,
    svg_text,
    tick_digits,
)
from gradual.text import count, percent, share_estimate

Counts = Mapping[Level, int]

_NODE = 14.0
_GAP = 20.0


@dataclass(frozen=True, slots=True)
class FlowColumn:
    """One probe in the flow: its name and the facts at each level."""

    label: str
    counts: Counts


@dataclass(frozen=True, slots=True)
class Segment:
    """Part of a bar: its CSS class, its length in the bar's unit, what is written on it if there is room, its title."""

    kind: str
    value: float
    words: str
    title: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of segments that follow each other, with words after the last."""

    label: str
    segments: tuple[Segment, ...]
    words: str = ""
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Balance:
    """What was gained (to the right of 0) and lost (to the left)."""

    label: str
    gained: float
    lost: float
    gained_words: str
    lost_words: str
    strong: bool = False


@dataclass(frozen=True, slots=True)
class RiskCurve:
    """One curve of risk against coverage: its name with its number, and its points from the surest answers on."""

    label: str
    points: tuple[tuple[float, float], ...]
    """Coverage and risk, both shares in [0, 1]."""


def short_name(level: Level) -> str:
    """A level's name where there is little room: `Highly`, `Maybe`, `Weakly`, `Unknown`."""
    return str(level) if level == Level.UNKNOWN else str(level).removesuffix("Known")


def level_flow(columns: Sequence[FlowColumn], flows: Sequence[Mapping[Level, Counts] | None], *, width: int) -> Svg:
    """The flow of facts between levels over the probes; heights are numbers of facts.

    `flows[k]` are the transitions from column k to k + 1, or None where they are not known (the columns then stand
    without bands). Bands have the colour of the level that the facts come from. Empty text without columns or facts.
    """
    total = max((sum(column.counts.values()) for column in columns), default=0)
    if not total:
        return NOTHING
    narrow = width < SHORT_LABELS_BELOW
    top, height = (34.0, 330.0) if narrow else (38.0, 400.0)
    ends = [_level_label(level, column.counts, narrow) for column in (columns[0], columns[-1]) for level in BEST_FIRST]
    margin = 12 + LETTER * max(map(len, ends))
    scale = (height - top - 3 * _GAP - 12) / total
    room = width - 2 * margin - _NODE
    lefts = [margin + room * position / max(len(columns) - 1, 1) for position in range(len(columns))]
    tops = [_upper_edges(column.counts, top, scale) for column in columns]
    parts = [_bands(flow, tops[k : k + 2], lefts[k : k + 2], scale) for k, flow in enumerate(flows) if flow is not None]
    for position, column in enumerate(columns):
        side = "start" if position == 0 else "end" if position == len(columns) - 1 else "middle"
        head = _short_stage_name(column.label, len(columns)) if narrow else column.label
        parts.append(svg_text(lefts[position] + _NODE / 2, 16, head, "middle", "head"))
        parts.append(_nodes(column, tops[position], lefts[position], scale=scale, side=side, narrow=narrow))
    title = "Flow of training facts between levels: " + "; ".join(
        f"{column.label}: {_counts_text(column.counts)}" for column in columns
    )
    return svg(width, height, title, "".join(parts))


def _upper_edges(counts: Counts, top: float, scale: float) -> dict[Level, float]:
    """The upper edge of each level's node."""
    edges: dict[Level, float] = {}
    for level in BEST_FIRST:
        edges[level] = top
        top += counts.get(level, 0) * scale + _GAP
    return edges


def _bands(
    flow: Mapping[Level, Counts], tops: Sequence[dict[Level, float]], lefts: Sequence[float], scale: float
) -> str:
    start, end = lefts[0] + _NODE, lefts[1]
    middle = (start + end) / 2
    leaving, arriving = dict(tops[0]), dict(tops[1])
    shapes = []
    for before in BEST_FIRST:
        for now in BEST_FIRST:
            number = flow.get(before, {}).get(now, 0)
            if not number:
                continue
            thick = number * scale
            upper, lower = leaving[before], arriving[now]
            path = (
                f"M{px(start)} {px(upper)}C{px(middle)} {px(upper)} {px(middle)} {px(lower)} {px(end)} {px(lower)}"
                f"v{px(thick)}C{px(middle)} {px(lower + thick)} {px(middle)} {px(upper + thick)} "
                f"{px(start)} {px(upper + thick)}z"
            )
            words = (
                f"{before} → {now}: {count(number)} facts" if before != now else f"stayed {now}: {count(number)} facts"
            )
            shapes.append(f'<path class="band lv-{before}" d="{path}"><title>{escape(words)}</title></path>')
            leaving[before] += thick
            arriving[now] += thick
    return "".join(shapes)


def _nodes(
    column: FlowColumn, tops: Mapping[Level, float], left: float, *, scale: float, side: str, narrow: bool
) -> str:
    shapes = []
    total = sum(column.counts.values())
    for level in BEST_FIRST:
        number = column.counts.get(level, 0)
        thick = max(number * scale, 1.0)
        share = percent(number / total if total else None)
        title = f"{column.label}: {level} {count(number)} ({share})"
        shapes.append(
            f'<rect class="node lv-{level}" x="{px(left)}" y="{px(tops[level])}" width="{px(_NODE)}" '
            f'height="{px(thick)}"><title>{escape(title)}</title></rect>'
        )
        middle = tops[level] + thick / 2 + 4.5
        if side == "middle":
            shapes.append(svg_text(left + _NODE + 5, middle, count(number), "start", "halo num"))
            continue
        x, anchor = (left - 7, "end") if side == "start" else (left + _NODE + 7, "start")
        shapes.append(svg_text(x, middle, _level_label(level, column.counts, narrow), anchor, "num"))
    return "".join(shapes)


def _short_stage_name(name: str, columns: int) -> str:
    """A stage's name for a narrow column: `base`, `stage 1`; `1` among many columns."""
    return name.removeprefix("after stage " if columns > 3 else "after ").removesuffix(" model")


def _level_label(level: Level, counts: Counts, narrow: bool) -> str:
    return f"{short_name(level) if narrow else level} {count(counts.get(level, 0))}"


def level_strip(counts: Mapping[Level, float]) -> Svg:
    """One bar of full width, divided by level, without text; as wide as the place it stands in."""
    total = sum(counts.values())
    if not total:
        return NOTHING
    left = 0.0
    shapes = []
    for level in BEST_FIRST:
        wide = 100 * counts.get(level, 0) / total
        if wide:
            shapes.append(f'<rect class="lv-{level}" x="{px(left)}" width="{px(wide)}" height="10"/>')
        left += wide
    return svg(100, 10, _counts_text(counts), "".join(shapes), stretch=True)


def share_strip(label: str, share: float | None, low: float | None, high: float | None) -> Svg:
    """A share and its interval on a scale from 0 to 100 %, without text; as wide as the place it stands in."""
    if share is None or low is None or high is None:
        return NOTHING
    left, right, value = (100 * min(max(part, 0.0), 1.0) for part in (low, high, share))
    shapes = (
        '<rect class="track" y="4.5" width="100" height="1"/>'
        f'<rect class="span" x="{px(left)}" y="3" width="{px(max(right - left, 0.5))}" height="4"/>'
        f'<rect class="mark" x="{px(min(max(value - 0.9, 0.0), 98.2))}" width="1.8" height="10"/>'
    )
    return svg(100, 10, f"{label}: {share_estimate(share, low, high)}", shapes, stretch=True)


def curve(points: Sequence[tuple[float, float]], axis: Axis, *, title: str, best: float | None, shares: bool) -> Svg:
    """A quantity by epoch as a line with dots; the epoch that was kept (`best`) is ringed and labelled.

    `shares` writes values as percentages. Points that are not finite are left out; empty text without points.
    """
    dots = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    if not dots:
        return NOTHING
    width, height, left, right, top, bottom = 340.0, 200.0, 46.0, 14.0, 14.0, 170.0
    epochs = Axis(low=0.0, high=max(1.0, math.ceil(max(x for x, _ in dots))), ticks=())
    every = max(1, math.ceil(epochs.high / 10))
    shapes = []
    for tick in axis.ticks:
        y = axis.place(tick, bottom, top)
        words = percent(tick, digits=tick_digits(axis, 100)) if shares else f"{tick:.{tick_digits(axis)}f}"
        shapes.append(f'<path class="grid" d="M{px(left)} {px(y)}H{px(width - right)}"/>')
        shapes.append(svg_text(left - 6, y + 4, words, "end", "tick"))
    for whole in range(0, int(epochs.high) + 1, every):
        shapes.append(svg_text(epochs.place(whole, left, width - right), bottom + 18, str(whole), "middle", "tick"))
    places = [(epochs.place(x, left, width - right), axis.place(y, bottom, top), x, y) for x, y in dots]
    shapes.append(f'<path class="line" d="M{"L".join(f"{px(x)} {px(y)}" for x, y, _, _ in places)}"/>')
    for x, y, epoch, value in places:
        words = percent(value) if shares else f"{value:.3f}"
        is_best = best is not None and epoch == best
        shapes.append(
            f'<circle class="{"kept" if is_best else "dot"}" cx="{px(x)}" cy="{px(y)}" r="{6 if is_best else 3}">'
            f"<title>{escape(f'epoch {epoch:g}: {words}')}</title></circle>"
        )
        if is_best:
            anchor = "end" if x > width - 60 else "middle"
            below = y < top + 24
            shapes.append(svg_text(x, y + (22 if below else -11), words, anchor, "halo num"))
    return svg(width, height, title, "".join(shapes))


def risk_curves(title: str, curves: Sequence[RiskCurve], *, width: int) -> Svg:
    """Share of wrong answers among the surest, by how many are counted, a curve each; empty text without points.

    The lower, the better. Colours go by place (`series-0`, `series-1` ..., from the sixth on again).
    """
    series = [one for one in curves if one.points]
    if not series:
        return NOTHING
    narrow = width < SHORT_LABELS_BELOW
    left, right, line = 46.0, width - 14.0, 19.0
    top = 12 + line * len(series)
    bottom = top + (190.0 if narrow else 240.0)
    risks = make_axis([0.0, *(risk for one in series for _, risk in one.points)], floor=0.0, ceiling=1.0)
    shares = Axis(0.0, 1.0, tuple(tick / 5 for tick in range(6)))
    shapes = []
    for tick in risks.ticks:
        y = risks.place(tick, bottom, top)
        shapes.append(f'<path class="grid" d="M{px(left)} {px(y)}H{px(right)}"/>')
        shapes.append(svg_text(left - 6, y + 4, percent(tick, digits=tick_digits(risks, 100)), "end", "tick"))
    for tick in shares.ticks:
        x = shares.place(tick, left, right)
        side = "end" if tick == 1 else "middle"
        shapes.append(svg_text(x, bottom + 18, percent(tick, digits=0), side, "tick"))
    shapes.append(svg_text((left + right) / 2, bottom + 38, "answers counted, the surest first", "middle", "tick"))
    for place, one in enumerate(series):
        kind, y = f"line series-{place % 6}", 10 + line * place
        path = "L".join(f"{px(shares.place(c, left, right))} {px(risks.place(r, bottom, top))}" for c, r in one.points)
        shapes.append(f'<path class="{kind}" d="M{path}"><title>{escape(one.label)}</title></path>')
        shapes.append(f'<path class="{kind}" d="M{px(left)} {px(y - 4)}h22"/>')
        shapes.append(svg_text(left + 30, y, one.label, "start", "num"))
    return svg(width, bottom + 44, f"{title}: {'; '.join(one.label for one in series)}", "".join(shapes))


def _counts_text(counts: Mapping[Level, float]) -> str:
    return ", ".join(f"{level} {count(counts.get(level, 0))}" for level in BEST_FIRST)


def stacked_bars(title: str, bars: Sequence[Bar], *, width: int) -> Svg:
    """Bars of segments on one scale that begins at 0, a row per bar, words after each; empty text without anything."""
    longest = max((sum(segment.value for segment in bar.segments) for bar in bars), default=0.0)
    if longest <= 0:
        return NOTHING
    narrow = width < SHORT_LABELS_BELOW
    row_height = 42.0 if narrow else 30.0
    left = 0.0 if narrow else label_width([bar.label for bar in bars])
    end = 0.0 if narrow else max(len(bar.words) for bar in bars) * DIGIT + 8
    scale = (width - left - end) / longest
    shapes = []
    for k, bar in enumerate(bars):
        y = row_height * k + (21 if narrow else 4)
        x = left
        label_y = row_height * k + (15.5 if narrow else 19.5)
        shapes.append(row_label(0.0, label_y, bar.label, bar.strong))
        for segment in bar.segments:
            wide = segment.value * scale
            shapes.append(
                f'<g><title>{escape(f"{bar.label}: {segment.title}")}</title><rect class="{segment.kind}" '
                f'x="{px(x)}" y="{px(y)}" width="{px(wide)}" height="20"/>'
            )
            if wide >= len(segment.words) * DIGIT + 8 and segment.words:
                shapes.append(svg_text(x + wide / 2, y + 14.5, segment.words, "middle", f"on {segment.kind}-words"))
            shapes.append("</g>")
            x += wide
        if bar.words:
            at = (float(width), label_y, "end") if narrow else (x + 8, label_y, "start")
            shapes.append(svg_text(at[0], at[1], bar.words, at[2], "num"))
    parts = [f"{bar.label}: {', '.join(s.title for s in bar.segments)}" for bar in bars]
    return svg(width, row_height * len(bars), f"{title}: {'; '.join(parts)}", "".join(shapes))


def balance_bars(title: str, bars: Sequence[Balance], *, width: int) -> Svg:
    """What was gained to the right of 0 and what was lost to the left, a row per bar; empty text without anything."""
    most_gained, most_lost = (max((getattr(bar, side) for bar in bars), default=0.0) for side in ("gained", "lost"))
    if most_gained + most_lost <= 0:
        return NOTHING
    narrow = width < SHORT_LABELS_BELOW
    row_height = 42.0 if narrow else 28.0
    left = 0.0 if narrow else label_width([bar.label for bar in bars])
    before = max(len(bar.lost_words) for bar in bars) * DIGIT + 14
    after = max(len(bar.gained_words) for bar in bars) * DIGIT + 14
    scale = (width - left - before - after) / (most_gained + most_lost)
    zero = left + before + most_lost * scale
    height = row_height * len(bars)
    shapes = []
    for k, bar in enumerate(bars):
        y = row_height * k + (21 if narrow else 4)
        shapes.append(row_label(0.0, row_height * k + (15.5 if narrow else 19), bar.label, bar.strong))
        for kind, start, amount, words in (
            ("lost", zero - bar.lost * scale, bar.lost, f"lost {bar.lost_words}"),
            ("gained", zero, bar.gained, f"gained {bar.gained_words}"),
        ):
            shapes.append(
                f'<rect class="{kind}" x="{px(start)}" y="{px(y)}" width="{px(amount * scale)}" '
                f'height="18"><title>{escape(f"{bar.label}: {words}")}</title></rect>'
            )
        shapes.append(svg_text(zero - bar.lost * scale - 6, y + 13.5, bar.lost_words, "end", "num"))
        shapes.append(svg_text(zero + bar.gained * scale + 6, y + 13.5, bar.gained_words, "start", "num"))
        shapes.append(f'<path class="zero" d="M{px(zero)} {px(y - 4)}v26"/>')
    parts = [f"{bar.label}: gained {bar.gained_words}, lost {bar.lost_words}" for bar in bars]
    return svg(width, height, f"{title}: {'; '.join(parts)}", "".join(shapes))
