"""The forest plot: numbers with their intervals, a row each, on one or several scales beside each other.

Pure: the same numbers give the same bytes. Knows what a row is, not what it is of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradual.reporting.svg import (
    DIGIT,
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
from gradual.text import decimal, signed_decimal

_MARGIN = 10.0


@dataclass(frozen=True, slots=True)
class ForestCell:
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
    cells: tuple[ForestCell, ...]
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One scale of a forest plot; `landmark` is a value to mark besides 0, with its name.

    Of differences the scale holds 0, which is marked; of percentages (`is_difference` False) it lies within 0 and 100.
    """

    title: str
    unit: str = ""
    landmark: tuple[float, str] | None = None
    with_words: bool = True
    is_difference: bool = True


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a panel's scale begins and ends, and where the words beside it end."""

    left: float
    right: float
    words: float


def panel_axis(panel: Panel, rows: Sequence[ForestRow], place: int) -> Axis:
    """The scale of the panel at `place`: round ticks around the landmark, all intervals and all values by seed."""
    values = [0.0] if panel.is_difference else []
    values += [] if panel.landmark is None else [panel.landmark[0]]
    for row in rows:
        cell = row.cells[place]
        values += [value for value in (cell.value, cell.low, cell.high, *cell.points) if value is not None]
    if not panel.is_difference:
        return make_axis(values, floor=0.0, ceiling=100.0)
    return make_axis(values) if len(set(values)) > 1 else make_axis([-1.0, 1.0])


def forest(title: str, panels: Sequence[Panel], rows: Sequence[ForestRow], *, width: int, same: bool = False) -> Svg:
    """Numbers with their intervals, a row each and a panel per scale; narrow, panels are stacked.

    A filled dot: the interval leaves out 0, or the panel shows no difference; a hollow one: it holds 0, or there is
    none. Small dots are single seeds.
    `same` gives all panels one scale. Empty text without rows.
    """
    if not rows or not panels:
        return NOTHING
    axes = [panel_axis(panel, rows, place) for place, panel in enumerate(panels)]
    if same:
        axes = [make_axis([bound for axis in axes for bound in (axis.low, axis.high)])] * len(axes)
    parts = [
        f"{row.label}: "
        + ", ".join(f"{p.title} {cell.words}".strip() for p, cell in zip(panels, row.cells, strict=True))
        for row in rows
    ]
    about = f"{title}: {'; '.join(parts)}"
    if width < SHORT_LABELS_BELOW:
        return _narrow_forest(about, panels, axes, rows, width)
    return _wide_forest(about, panels, axes, rows, width)


def _wide_forest(
    about: str, panels: Sequence[Panel], axes: Sequence[Axis], rows: Sequence[ForestRow], width: int
) -> Svg:
    top, row_height = _head(panels), 30.0
    bottom = top + row_height * len(rows)
    labels = label_width([row.label for row in rows])
    room = [
        18 + DIGIT * max(len(row.cells[k].words) for row in rows) if panel.with_words else 16.0
        for k, panel in enumerate(panels)
    ]
    between = 2 * _MARGIN * (len(panels) - 1)
    scale = max((width - labels - sum(room) - between) / len(panels), 60.0)
    shapes = [f'<path class="rowline" d="M0 {px(top + row_height * k)}H{px(width)}"/>' for k in range(len(rows) + 1)]
    left = labels
    for number, (panel, axis) in enumerate(zip(panels, axes, strict=True)):
        place = _Place(left + _MARGIN, left + scale, left + scale + room[number])
        shapes.append(_panel_frame(panel, axis, place, (top, bottom), title_y=top - _head(panels) + 16))
        for k, row in enumerate(rows):
            y = top + row_height * (k + 0.5)
            shapes.append(_forest_cell(row, number, panel, axis, place, y))
            if panel.with_words:
                kind = "num strong" if row.strong else "num"
                shapes.append(svg_text(place.words, y + 4.5, row.cells[number].words, "end", kind))
        left += scale + room[number] + 2 * _MARGIN
    for k, row in enumerate(rows):
        shapes.append(row_label(0.0, top + row_height * (k + 0.5) + 4.5, row.label, row.strong))
    return svg(width, bottom + 26, about, "".join(shapes))


def _narrow_forest(
    about: str, panels: Sequence[Panel], axes: Sequence[Axis], rows: Sequence[ForestRow], width: int
) -> Svg:
    head = _head(panels)
    row_height, top = 46.0, head
    shapes: list[str] = []
    for number, (panel, axis) in enumerate(zip(panels, axes, strict=True)):
        bottom = top + row_height * len(rows)
        place = _Place(2 * _MARGIN, width - 2 * _MARGIN, width)
        shapes.append(_panel_frame(panel, axis, place, (top, bottom), title_y=top - _head(panels) + 16))
        for k, row in enumerate(rows):
            y = top + row_height * k
            shapes.append(f'<path class="rowline" d="M0 {px(y)}H{px(width)}"/>')
            shapes.append(row_label(0.0, y + 17, row.label, row.strong, kind="halo-plain"))
            kind = "halo-plain num strong" if row.strong else "halo-plain num"
            shapes.append(svg_text(width, y + 17, row.cells[number].words, "end", kind))
            shapes.append(_forest_cell(row, number, panel, axis, place, y + 33))
        top = bottom + 34 + head
    return svg(width, top - head, about, "".join(shapes))


def _head(panels: Sequence[Panel]) -> float:
    """Room above the rows: for the titles, and for names of landmarks."""
    if any(panel.landmark for panel in panels):
        return 46.0
    return 28.0 if any(panel.title for panel in panels) else 4.0


def _panel_frame(panel: Panel, axis: Axis, place: _Place, rows: tuple[float, float], *, title_y: float) -> str:
    """Title, ticks and marked values of a panel whose rows lie between two heights."""
    top, bottom = rows
    middle = (place.left + place.right) / 2
    shapes = [svg_text(middle, title_y, panel.title, "middle", "head")] if panel.title else []
    digits = tick_digits(axis)
    every = 2 if len(axis.ticks) * 38 > place.right - place.left else 1
    zero = min(range(len(axis.ticks)), key=lambda k: abs(axis.ticks[k]))
    for k, tick in enumerate(axis.ticks):
        x = px(axis.place(tick, place.left, place.right))
        kind = "zero" if panel.is_difference and k == zero and abs(tick) < 1e-9 else "grid"
        shapes.append(f'<path class="{kind}" d="M{x} {px(top)}V{px(bottom)}"/>')
        if (k - zero) % every == 0:
            words = f"{signed_decimal(tick, digits) if panel.is_difference else decimal(tick, digits)}{panel.unit}"
            shapes.append(svg_text(float(x), bottom + 17, words, "middle", "tick"))
    if panel.landmark is not None:
        value, name = panel.landmark
        x = px(axis.place(value, place.left, place.right))
        shapes.append(f'<path class="landmark" d="M{x} {px(top - 2)}V{px(bottom)}"/>')
        shapes.append(svg_text(float(x), top - 7, name, "middle", "tick"))
    return "".join(shapes)


def _forest_cell(row: ForestRow, number: int, panel: Panel, axis: Axis, place: _Place, y: float) -> str:
    cell = row.cells[number]
    words = f"{row.label}: {f'{panel.title} {cell.words}'.strip()}"
    shapes = [f"<g><title>{escape(words)}</title>"]

    def x(value: float) -> str:
        return px(axis.place(value, place.left, place.right))

    if cell.low is not None and cell.high is not None:
        shapes.append(
            f'<path class="whisker" d="M{x(cell.low)} {px(y)}H{x(cell.high)}M{x(cell.low)} '
            f'{px(y - 4)}v8M{x(cell.high)} {px(y - 4)}v8"/>'
        )
    points = cell.points if len(cell.points) > 1 else ()
    shapes += [f'<circle class="seed" cx="{x(point)}" cy="{px(y + 8)}" r="2.2"/>' for point in points]
    if cell.value is not None:
        leaves_out_0 = cell.low is not None and cell.high is not None and (cell.low > 0 or cell.high < 0)
        kind = "dot" if leaves_out_0 or not panel.is_difference else "open-dot"
        shapes.append(f'<circle class="{kind}" cx="{x(cell.value)}" cy="{px(y)}" r="4.8"/>')
    return "".join(shapes) + "</g>"
