"""The report's drawings: functions from numbers to SVG text.

Pure: the same numbers give the same bytes. Every text is escaped here; colours come from CSS classes of the page
(`lv-HighlyKnown`, `line`, `grid` ...), so that light, dark and print share one drawing. Knows no run folder.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gradual.knowledge.levels import BEST_FIRST, Level
from gradual.text import count, interval, percent, visible

Counts = Mapping[Level, int]
NARROW = 480
"""Drawings narrower than this many units use short labels."""

_NODE = 14.0
_GAP = 20.0
_LETTER = 7.9
"""Width to allow for a character of a label, in the widest common system font."""


@dataclass(frozen=True, slots=True)
class Column:
    """One probe in the flow: its name and the facts at each level."""

    label: str
    counts: Counts


@dataclass(frozen=True, slots=True)
class Estimate:
    """An accuracy in [0, 1] with its interval, and what it is of."""

    label: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Axis:
    """The range that an axis shows and the values it marks."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def place(self, value: float, start: float, end: float) -> float:
        """Where on the way from `start` to `end` a value lies; values beyond the range stay on its edge."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return start + share * (end - start)


def short_name(level: Level) -> str:
    """A level's name where there is little room: `Highly`, `Maybe`, `Weakly`, `Unknown`."""
    return str(level) if level == Level.UNKNOWN else str(level).removesuffix("Known")


def make_axis(values: Sequence[float], *, floor: float = -math.inf, ceiling: float = math.inf) -> Axis:
    """An axis with round ticks (1, 2 or 5 times a power of ten) around the values, kept within floor and ceiling."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    span = (high - low) or abs(high) or 1.0
    rough = span / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    start = max(math.floor(low / step + 1e-9) * step, floor)
    end = min(math.ceil(high / step - 1e-9) * step, ceiling)
    if end <= start:
        start, end = max(floor, start - step), min(ceiling, start + step)
    steps = round((end - start) / step)
    ticks = tuple(round(start + position * step, 12) for position in range(steps + 1))
    return Axis(low=start, high=max(end, ticks[-1]), ticks=ticks)


def sankey(columns: Sequence[Column], flows: Sequence[Mapping[Level, Counts] | None], *, width: int) -> str:
    """The flow of facts between levels over the probes; heights are numbers of facts.

    `flows[k]` are the transitions from column k to k + 1, or None where they are not known (the columns then stand
    without bands). Bands have the colour of the level that the facts come from. Empty text without columns or facts.
    """
    total = max((sum(column.counts.values()) for column in columns), default=0)
    if not total:
        return ""
    narrow = width < NARROW
    top, height = (34.0, 330.0) if narrow else (38.0, 400.0)
    ends = [_label(level, column.counts, narrow) for column in (columns[0], columns[-1]) for level in BEST_FIRST]
    margin = 12 + _LETTER * max(map(len, ends))
    scale = (height - top - 3 * _GAP - 12) / total
    room = width - 2 * margin - _NODE
    lefts = [margin + room * position / max(len(columns) - 1, 1) for position in range(len(columns))]
    tops = [_stack(column.counts, top, scale) for column in columns]
    parts = [_bands(flow, tops[k : k + 2], lefts[k : k + 2], scale) for k, flow in enumerate(flows) if flow is not None]
    for position, column in enumerate(columns):
        side = "start" if position == 0 else "end" if position == len(columns) - 1 else "middle"
        head = _brief(column.label, len(columns)) if narrow else column.label
        parts.append(svg_text(lefts[position] + _NODE / 2, 16, head, "middle", "head"))
        parts.append(_nodes(column, tops[position], lefts[position], scale=scale, side=side, narrow=narrow))
    title = "Flow of training facts between levels: " + "; ".join(
        f"{column.label}: {_counted(column.counts)}" for column in columns
    )
    return svg(width, height, title, "".join(parts))


def _stack(counts: Counts, top: float, scale: float) -> dict[Level, float]:
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
    drawn = []
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
            drawn.append(f'<path class="band lv-{before}" d="{path}"><title>{escape(words)}</title></path>')
            leaving[before] += thick
            arriving[now] += thick
    return "".join(drawn)


def _nodes(column: Column, tops: Mapping[Level, float], left: float, *, scale: float, side: str, narrow: bool) -> str:
    drawn = []
    total = sum(column.counts.values())
    for level in BEST_FIRST:
        number = column.counts.get(level, 0)
        thick = max(number * scale, 1.0)
        share = percent(number / total if total else None)
        title = f"{column.label}: {level} {count(number)} ({share})"
        drawn.append(
            f'<rect class="node lv-{level}" x="{px(left)}" y="{px(tops[level])}" width="{px(_NODE)}" '
            f'height="{px(thick)}"><title>{escape(title)}</title></rect>'
        )
        middle = tops[level] + thick / 2 + 4.5
        if side == "middle":
            drawn.append(svg_text(left + _NODE + 5, middle, count(number), "start", "halo num"))
            continue
        x, anchor = (left - 7, "end") if side == "start" else (left + _NODE + 7, "start")
        drawn.append(svg_text(x, middle, _label(level, column.counts, narrow), anchor, "num"))
    return "".join(drawn)


def _brief(name: str, columns: int) -> str:
    """A stage's name for a narrow column: `base`, `stage 1`; `1` among many columns."""
    return name.removeprefix("after stage " if columns > 3 else "after ").removesuffix(" model")


def _label(level: Level, counts: Counts, narrow: bool) -> str:
    return f"{short_name(level) if narrow else level} {count(counts.get(level, 0))}"


def level_strip(counts: Counts) -> str:
    """One bar of full width, divided by level, without text; as wide as the place it stands in."""
    total = sum(counts.values())
    if not total:
        return ""
    left = 0.0
    drawn = []
    for level in BEST_FIRST:
        wide = 100 * counts.get(level, 0) / total
        if wide:
            drawn.append(f'<rect class="lv-{level}" x="{px(left)}" width="{px(wide)}" height="10"/>')
        left += wide
    return svg(100, 10, _counted(counts), "".join(drawn), stretch=True)


def estimate_strip(estimate: Estimate) -> str:
    """An interval and its value on a scale from 0 to 100 %, without text; as wide as the place it stands in."""
    low, high, value = (100 * min(max(part, 0.0), 1.0) for part in (estimate.low, estimate.high, estimate.value))
    drawn = (
        '<rect class="track" y="4.5" width="100" height="1"/>'
        f'<rect class="span" x="{px(low)}" y="3" width="{px(max(high - low, 0.5))}" height="4"/>'
        f'<rect class="mark" x="{px(min(max(value - 0.9, 0.0), 98.2))}" width="1.8" height="10"/>'
    )
    return svg(100, 10, _estimated(estimate), drawn, stretch=True)


def accuracy_chart(estimates: Sequence[Estimate], *, width: int) -> str:
    """Accuracy with its interval, a row per estimate, on a shared scale that need not begin at 0."""
    if not estimates:
        return ""
    narrow = width < NARROW
    left, right, row, top = (90.0, 16.0, 46.0, 10.0) if narrow else (126.0, 24.0, 46.0, 10.0)
    axis = make_axis([bound for e in estimates for bound in (e.low, e.high)], floor=0.0, ceiling=1.0)
    bottom = top + row * len(estimates)
    drawn = []
    for tick in axis.ticks:
        x = axis.place(tick, left, width - right)
        drawn.append(f'<path class="grid" d="M{px(x)} {px(top)}V{px(bottom)}"/>')
        drawn.append(svg_text(x, bottom + 18, percent(tick, digits=tick_digits(axis, 100)), "middle", "tick"))
    for position, estimate in enumerate(estimates):
        y = top + row * position + row / 2 + 8
        low, value, high = (axis.place(v, left, width - right) for v in (estimate.low, estimate.value, estimate.high))
        label = estimate.label.removeprefix("after ") if narrow else estimate.label
        anchor = "start" if value < left + 20 else "end" if value > width - right - 20 else "middle"
        drawn.append(
            f'<g><title>{escape(_estimated(estimate))}</title><path class="whisker" d="M{px(low)} {px(y)}H{px(high)}'
            f'M{px(low)} {px(y - 5)}v10M{px(high)} {px(y - 5)}v10"/>'
            f'<circle class="dot" cx="{px(value)}" cy="{px(y)}" r="5.5"/></g>'
        )
        drawn.append(svg_text(value, y - 12, percent(estimate.value), anchor, "halo num"))
        drawn.append(svg_text(left - 12, y + 4.5, label, "end", ""))
    title = "Test accuracy with 95 % intervals: " + "; ".join(_estimated(estimate) for estimate in estimates)
    return svg(width, bottom + 28, title, "".join(drawn))


def curve(points: Sequence[tuple[float, float]], axis: Axis, *, title: str, best: float | None, shares: bool) -> str:
    """A quantity by epoch as a line with dots; the epoch that was kept (`best`) is ringed and labelled.

    `shares` writes values as percentages. Points that are not finite are left out; empty text without points.
    """
    shown = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    if not shown:
        return ""
    width, height, left, right, top, bottom = 340.0, 200.0, 46.0, 14.0, 14.0, 170.0
    epochs = Axis(low=0.0, high=max(1.0, math.ceil(max(x for x, _ in shown))), ticks=())
    every = max(1, math.ceil(epochs.high / 10))
    drawn = []
    for tick in axis.ticks:
        y = axis.place(tick, bottom, top)
        words = percent(tick, digits=tick_digits(axis, 100)) if shares else f"{tick:.{tick_digits(axis)}f}"
        drawn.append(f'<path class="grid" d="M{px(left)} {px(y)}H{px(width - right)}"/>')
        drawn.append(svg_text(left - 6, y + 4, words, "end", "tick"))
    for whole in range(0, int(epochs.high) + 1, every):
        drawn.append(svg_text(epochs.place(whole, left, width - right), bottom + 18, str(whole), "middle", "tick"))
    placed = [(epochs.place(x, left, width - right), axis.place(y, bottom, top), x, y) for x, y in shown]
    drawn.append(f'<path class="line" d="M{"L".join(f"{px(x)} {px(y)}" for x, y, _, _ in placed)}"/>')
    for x, y, epoch, value in placed:
        words = percent(value) if shares else f"{value:.3f}"
        kept = best is not None and epoch == best
        drawn.append(
            f'<circle class="{"kept" if kept else "dot"}" cx="{px(x)}" cy="{px(y)}" r="{6 if kept else 3}">'
            f"<title>{escape(f'epoch {epoch:g}: {words}')}</title></circle>"
        )
        if kept:
            anchor = "end" if x > width - 60 else "middle"
            below = y < top + 24
            drawn.append(svg_text(x, y + (22 if below else -11), words, anchor, "halo num"))
    return svg(width, height, title, "".join(drawn))


def tick_digits(axis: Axis, unit: float = 1.0) -> int:
    """Decimals that tell the ticks of an axis apart."""
    step = unit * (axis.ticks[1] - axis.ticks[0]) if len(axis.ticks) > 1 else 1.0
    return max(0, -math.floor(math.log10(step) + 1e-9))


def _counted(counts: Counts) -> str:
    return ", ".join(f"{level} {count(counts.get(level, 0))}" for level in BEST_FIRST)


def _estimated(estimate: Estimate) -> str:
    return f"{estimate.label}: {percent(estimate.value)} {interval(estimate.low, estimate.high)}"


def svg(width: float, height: float, title: str, body: str, *, stretch: bool = False) -> str:
    """A drawing of this size around `body`; `title` is its text alternative. `stretch` fits it to where it stands."""
    kind = ' class="strip" preserveAspectRatio="none"' if stretch else f' class="chart" width="{px(width)}"'
    return f'<svg viewBox="0 0 {px(width)} {px(height)}" role="img"{kind}><title>{escape(title)}</title>{body}</svg>'


def svg_text(x: float, y: float, text: str, anchor: str, kind: str) -> str:
    """A label at its baseline; `anchor` is start, middle or end, `kind` its CSS classes."""
    return f'<text x="{px(x)}" y="{px(y)}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'


def escape(text: str) -> str:
    """The text for markup and attributes, with invisible characters written out."""
    return html.escape(visible(text))


def px(number: float) -> str:
    """A coordinate or length with at most one decimal, without a trailing zero."""
    return f"{number:.1f}".rstrip("0").rstrip(".")
