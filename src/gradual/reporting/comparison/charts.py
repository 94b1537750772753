"""The drawings of a comparison: functions from numbers to SVG text, made of the primitives of `charts`.

Pure: the same numbers give the same bytes. Knows what a row or a bar is, not what it is of (`comparison_figures`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradual.reporting.charts import NARROW, Axis, escape, make_axis, px, svg, svg_text, tick_digits
from gradual.text import clipped, signed_decimal

_LETTER = 7.4
"""Width to allow for a character of a label."""
_DIGIT = 6.9
"""Width to allow for a character of a number."""
_LONGEST_LABEL = 28
"""Characters shown of an arm's name; the row's title has it in full."""
_MARGIN = 10.0


@dataclass(frozen=True, slots=True)
class Cell:
    """A value with its interval and the values by seed, in the panel's unit; without a value only `words` are shown."""

    value: float | None
    low: float | None
    high: float | None
    points: tuple[float, ...]
    words: str
    """Beside the drawing, and in its text alternative."""


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One thing that is held against others, with a cell per panel."""

    label: str
    cells: tuple[Cell, ...]
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One scale of a forest plot; `landmark` is a value to mark besides 0, with its name."""

    title: str
    unit: str = ""
    landmark: tuple[float, str] | None = None
    with_words: bool = True


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
class _Place:
    """Where a panel's scale begins and ends, and where the words beside it end."""

    left: float
    right: float
    words: float


def panel_axis(panel: Panel, rows: Sequence[ForestRow], place: int) -> Axis:
    """The scale of the panel at `place`: round ticks around 0, the landmark, all intervals and all values by seed."""
    values = [0.0] if panel.landmark is None else [0.0, panel.landmark[0]]
    for row in rows:
        cell = row.cells[place]
        values += [value for value in (cell.value, cell.low, cell.high, *cell.points) if value is not None]
    return make_axis(values) if len(set(values)) > 1 else make_axis([-1.0, 1.0])


def forest(title: str, panels: Sequence[Panel], rows: Sequence[ForestRow], *, width: int, same: bool = False) -> str:
    """Differences with their intervals, a row per arm and a panel per scale; narrow, panels are stacked.

    A filled dot: the interval leaves out 0; a hollow one: it holds 0, or there is none. Small dots are single seeds.
    `same` gives all panels one scale. Empty text without rows.
    """
    if not rows or not panels:
        return ""
    axes = [panel_axis(panel, rows, place) for place, panel in enumerate(panels)]
    if same:
        axes = [make_axis([bound for axis in axes for bound in (axis.low, axis.high)])] * len(axes)
    told = [
        f"{row.label}: " + ", ".join(f"{p.title} {cell.words}" for p, cell in zip(panels, row.cells, strict=True))
        for row in rows
    ]
    about = f"{title}: {'; '.join(told)}"
    if width < NARROW:
        return _narrow_forest(about, panels, axes, rows, width)
    return _wide_forest(about, panels, axes, rows, width)


def _wide_forest(
    about: str, panels: Sequence[Panel], axes: Sequence[Axis], rows: Sequence[ForestRow], width: int
) -> str:
    top, row_height = _head(panels), 30.0
    bottom = top + row_height * len(rows)
    labels = _label_width([row.label for row in rows])
    room = [
        18 + _DIGIT * max(len(row.cells[k].words) for row in rows) if panel.with_words else 16.0
        for k, panel in enumerate(panels)
    ]
    between = 2 * _MARGIN * (len(panels) - 1)
    scale = max((width - labels - sum(room) - between) / len(panels), 60.0)
    drawn = [f'<path class="rowline" d="M0 {px(top + row_height * k)}H{px(width)}"/>' for k in range(len(rows) + 1)]
    left = labels
    for number, (panel, axis) in enumerate(zip(panels, axes, strict=True)):
        place = _Place(left + _MARGIN, left + scale, left + scale + room[number])
        drawn.append(_frame(panel, axis, place, (top, bottom), title_y=top - _head(panels) + 16))
        for k, row in enumerate(rows):
            y = top + row_height * (k + 0.5)
            drawn.append(_cell(row, number, panel, axis, place, y))
            if panel.with_words:
                kind = "num strong" if row.strong else "num"
                drawn.append(svg_text(place.words, y + 4.5, row.cells[number].words, "end", kind))
        left += scale + room[number] + 2 * _MARGIN
    for k, row in enumerate(rows):
        drawn.append(_label(0.0, top + row_height * (k + 0.5) + 4.5, row.label, row.strong))
    return svg(width, bottom + 26, about, "".join(drawn))


def _narrow_forest(
    about: str, panels: Sequence[Panel], axes: Sequence[Axis], rows: Sequence[ForestRow], width: int
) -> str:
    head = _head(panels)
    row_height, top = 46.0, head
    drawn: list[str] = []
    for number, (panel, axis) in enumerate(zip(panels, axes, strict=True)):
        bottom = top + row_height * len(rows)
        place = _Place(2 * _MARGIN, width - 2 * _MARGIN, width)
        drawn.append(_frame(panel, axis, place, (top, bottom), title_y=top - _head(panels) + 16))
        for k, row in enumerate(rows):
            y = top + row_height * k
            drawn.append(f'<path class="rowline" d="M0 {px(y)}H{px(width)}"/>')
            drawn.append(_label(0.0, y + 17, row.label, row.strong, kind="halo-plain"))
            kind = "halo-plain num strong" if row.strong else "halo-plain num"
            drawn.append(svg_text(width, y + 17, row.cells[number].words, "end", kind))
            drawn.append(_cell(row, number, panel, axis, place, y + 33))
        top = bottom + 34 + head
    return svg(width, top - head, about, "".join(drawn))


def _head(panels: Sequence[Panel]) -> float:
    """Room above the rows: for the titles, and for names of landmarks."""
    return 46.0 if any(panel.landmark for panel in panels) else 28.0


def _frame(panel: Panel, axis: Axis, place: _Place, rows: tuple[float, float], *, title_y: float) -> str:
    """Title, ticks and marked values of a panel whose rows lie between two heights."""
    top, bottom = rows
    middle = (place.left + place.right) / 2
    drawn = [svg_text(middle, title_y, panel.title, "middle", "head")]
    digits = tick_digits(axis)
    every = 2 if len(axis.ticks) * 38 > place.right - place.left else 1
    zero = min(range(len(axis.ticks)), key=lambda k: abs(axis.ticks[k]))
    for k, tick in enumerate(axis.ticks):
        x = px(axis.place(tick, place.left, place.right))
        kind = "zero" if k == zero and abs(tick) < 1e-9 else "grid"
        drawn.append(f'<path class="{kind}" d="M{x} {px(top)}V{px(bottom)}"/>')
        if (k - zero) % every == 0:
            words = f"{signed_decimal(tick, digits)}{panel.unit}"
            drawn.append(svg_text(float(x), bottom + 17, words, "middle", "tick"))
    if panel.landmark is not None:
        value, name = panel.landmark
        x = px(axis.place(value, place.left, place.right))
        drawn.append(f'<path class="landmark" d="M{x} {px(top - 2)}V{px(bottom)}"/>')
        drawn.append(svg_text(float(x), top - 7, name, "middle", "tick"))
    return "".join(drawn)


def _cell(row: ForestRow, number: int, panel: Panel, axis: Axis, place: _Place, y: float) -> str:
    cell = row.cells[number]
    words = f"{row.label}: {panel.title} {cell.words}"
    drawn = [f"<g><title>{escape(words)}</title>"]

    def x(value: float) -> str:
        return px(axis.place(value, place.left, place.right))

    if cell.low is not None and cell.high is not None:
        drawn.append(
            f'<path class="whisker" d="M{x(cell.low)} {px(y)}H{x(cell.high)}M{x(cell.low)} '
            f'{px(y - 4)}v8M{x(cell.high)} {px(y - 4)}v8"/>'
        )
    shown = cell.points if len(cell.points) > 1 else ()
    drawn += [f'<circle class="seed" cx="{x(point)}" cy="{px(y + 8)}" r="2.2"/>' for point in shown]
    if cell.value is not None:
        is_clear = cell.low is not None and cell.high is not None and (cell.low > 0 or cell.high < 0)
        kind = "dot" if is_clear else "open-dot"
        drawn.append(f'<circle class="{kind}" cx="{x(cell.value)}" cy="{px(y)}" r="4.8"/>')
    return "".join(drawn) + "</g>"


def stacked_bars(title: str, bars: Sequence[Bar], *, width: int) -> str:
    """Bars of segments on one scale that begins at 0, a row per bar, words after each; empty text without anything."""
    longest = max((sum(segment.value for segment in bar.segments) for bar in bars), default=0.0)
    if longest <= 0:
        return ""
    narrow = width < NARROW
    row_height = 42.0 if narrow else 30.0
    left = 0.0 if narrow else _label_width([bar.label for bar in bars])
    end = 0.0 if narrow else max(len(bar.words) for bar in bars) * _DIGIT + 8
    scale = (width - left - end) / longest
    drawn = []
    for k, bar in enumerate(bars):
        y = row_height * k + (21 if narrow else 4)
        x = left
        label_y = row_height * k + (15.5 if narrow else 19.5)
        drawn.append(_label(0.0, label_y, bar.label, bar.strong))
        for segment in bar.segments:
            wide = segment.value * scale
            drawn.append(
                f'<g><title>{escape(f"{bar.label}: {segment.title}")}</title><rect class="{segment.kind}" '
                f'x="{px(x)}" y="{px(y)}" width="{px(wide)}" height="20"/>'
            )
            if wide >= len(segment.words) * _DIGIT + 8 and segment.words:
                drawn.append(svg_text(x + wide / 2, y + 14.5, segment.words, "middle", f"on {segment.kind}-words"))
            drawn.append("</g>")
            x += wide
        if bar.words:
            at = (float(width), label_y, "end") if narrow else (x + 8, label_y, "start")
            drawn.append(svg_text(at[0], at[1], bar.words, at[2], "num"))
    told = [f"{bar.label}: {', '.join(s.title for s in bar.segments)}" for bar in bars]
    return svg(width, row_height * len(bars), f"{title}: {'; '.join(told)}", "".join(drawn))


def balance_bars(title: str, bars: Sequence[Balance], *, width: int) -> str:
    """What was gained to the right of 0 and what was lost to the left, a row per bar; empty text without anything."""
    most_gained, most_lost = (max((getattr(bar, side) for bar in bars), default=0.0) for side in ("gained", "lost"))
    if most_gained + most_lost <= 0:
        return ""
    narrow = width < NARROW
    row_height = 42.0 if narrow else 28.0
    left = 0.0 if narrow else _label_width([bar.label for bar in bars])
    before = max(len(bar.lost_words) for bar in bars) * _DIGIT + 14
    after = max(len(bar.gained_words) for bar in bars) * _DIGIT + 14
    scale = (width - left - before - after) / (most_gained + most_lost)
    zero = left + before + most_lost * scale
    height = row_height * len(bars)
    drawn = []
    for k, bar in enumerate(bars):
        y = row_height * k + (21 if narrow else 4)
        drawn.append(_label(0.0, row_height * k + (15.5 if narrow else 19), bar.label, bar.strong))
        for kind, start, amount, words in (
            ("lost", zero - bar.lost * scale, bar.lost, f"lost {bar.lost_words}"),
            ("gained", zero, bar.gained, f"gained {bar.gained_words}"),
        ):
            drawn.append(
                f'<rect class="{kind}" x="{px(start)}" y="{px(y)}" width="{px(amount * scale)}" '
                f'height="18"><title>{escape(f"{bar.label}: {words}")}</title></rect>'
            )
        drawn.append(svg_text(zero - bar.lost * scale - 6, y + 13.5, bar.lost_words, "end", "num"))
        drawn.append(svg_text(zero + bar.gained * scale + 6, y + 13.5, bar.gained_words, "start", "num"))
        drawn.append(f'<path class="zero" d="M{px(zero)} {px(y - 4)}v26"/>')
    told = [f"{bar.label}: gained {bar.gained_words}, lost {bar.lost_words}" for bar in bars]
    return svg(width, height, f"{title}: {'; '.join(told)}", "".join(drawn))


def _label_width(labels: Sequence[str]) -> float:
    return 16 + _LETTER * min(max(map(len, labels), default=0), _LONGEST_LABEL)


def _label(x: float, y: float, label: str, strong: bool, *, kind: str = "") -> str:
    return svg_text(x, y, clipped(label, longest=_LONGEST_LABEL), "start", f"{kind} strong".strip() if strong else kind)
