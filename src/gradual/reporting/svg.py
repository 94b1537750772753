"""What every drawing is made of: an axis, labels, and the drawing itself as SVG text.

Every text is escaped here, and what this module makes is the only text that a page takes as markup unescaped. Colours
come from CSS classes of the page (`lv-HighlyKnown`, `line`, `grid` ...), so that light, dark and print share a drawing.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gradual.text import clip, visible

WIDE_SCREEN, NARROW_SCREEN = 900, 344
"""Widths at which large drawings are made; the page shows the one that fits the screen."""
SHORT_LABELS_BELOW = 480
"""Drawings narrower than this use short labels and put words above what they are of."""
LETTER = 7.9
"""Width to allow for a character of a label, in the widest common system font."""
DIGIT = 6.9
"""Width to allow for a character of a number."""

_LONGEST_LABEL = 28
"""Characters shown of an arm's name; the row's title has it in full."""


class Svg(str):
    """A finished drawing; empty where there is nothing to draw. Pages put it in as it is (`__html__`)."""

    __slots__ = ()

    def __html__(self) -> str:
        """The drawing as markup, the way in which markupsafe and Jinja ask for it."""
        return str(self)


NOTHING = Svg("")


class Drawing(NamedTuple):
    """One drawing for wide and one for narrow screens; both empty where there is nothing to draw."""

    wide: Svg
    narrow: Svg


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


def tick_digits(axis: Axis, unit: float = 1.0) -> int:
    """Decimals that tell the ticks of an axis apart."""
    step = unit * (axis.ticks[1] - axis.ticks[0]) if len(axis.ticks) > 1 else 1.0
    return max(0, -math.floor(math.log10(step) + 1e-9))


def svg(width: float, height: float, title: str, body: str, *, stretch: bool = False) -> Svg:
    """A drawing of this size around `body`; `title` is its text alternative. `stretch` fits it to where it stands."""
    kind = ' class="strip" preserveAspectRatio="none"' if stretch else f' class="chart" width="{px(width)}"'
    size = f"{px(width)} {px(height)}"
    return Svg(f'<svg viewBox="0 0 {size}" role="img"{kind}><title>{escape(title)}</title>{body}</svg>')


def stack(drawings: Iterable[Svg]) -> Svg:
    """Drawings one below the other."""
    return Svg("".join(drawings))


def svg_text(x: float, y: float, text: str, anchor: str, kind: str) -> str:
    """A label at its baseline; `anchor` is start, middle or end, `kind` its CSS classes."""
    return f'<text x="{px(x)}" y="{px(y)}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'


def escape(text: str) -> str:
    """The text for markup and attributes, with invisible characters written out."""
    return html.escape(visible(text))


def px(number: float) -> str:
    """A coordinate or length with at most one decimal, without a trailing zero."""
    return f"{number:.1f}".rstrip("0").rstrip(".")


def draw_both(draw: Callable[[int], Svg]) -> Drawing:
    """A drawing at both widths; `draw` is given the width."""
    return Drawing(draw(WIDE_SCREEN), draw(NARROW_SCREEN))


def label_width(labels: Sequence[str]) -> float:
    """Room that the longest of some labels of rows takes."""
    return 16 + LETTER * min(max(map(len, labels), default=0), _LONGEST_LABEL)


def row_label(x: float, y: float, label: str, strong: bool, *, kind: str = "") -> str:
    """The label of a row, cut where it is long."""
    return svg_text(x, y, clip(label, longest=_LONGEST_LABEL), "start", f"{kind} strong".strip() if strong else kind)
