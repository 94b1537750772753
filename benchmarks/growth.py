"""Draws seconds against the number of facts, on logarithmic axes, as an SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

WIDTH, HEIGHT, LEFT, BOTTOM = 640, 400, 70, 50
COLOURS = ("#0072b2", "#d55e00", "#009e73")


def draw_growth(path: Path, series: Mapping[str, Sequence[tuple[int, float]]], *, num_sets: int) -> None:
    """Writes the drawing; a grey line through the last point is what a probe with no fixed cost would take."""
    points = [point for line in series.values() for point in line]
    low_x, high_x = math.log10(min(x for x, _ in points)), math.log10(max(x for x, _ in points))
    low_y, high_y = math.log10(min(y for _, y in points) * 0.8), math.log10(max(y for _, y in points) * 1.3)

    def place(x: float, y: float) -> str:
        across = LEFT + (math.log10(x) - low_x) / (high_x - low_x) * (WIDTH - LEFT - 20)
        up = HEIGHT - BOTTOM - (math.log10(y) - low_y) / (high_y - low_y) * (HEIGHT - BOTTOM - 20)
        return f"{across:.1f},{up:.1f}"

    last_x, last_y = next(iter(series.values()))[-1]
    least_x = max(10**low_x, last_x * 10**low_y / last_y)
    lines = [
        f'<polyline points="{place(least_x, last_y * least_x / last_x)} {place(last_x, last_y)}" '
        'stroke="#999" stroke-dasharray="4 4" fill="none"/>'
    ]
    for number, (colour, (name, line)) in enumerate(zip(COLOURS, series.items(), strict=False)):
        lines.append(
            f'<polyline points="{" ".join(place(*p) for p in line)}" stroke="{colour}" fill="none" stroke-width="2"/>'
        )
        lines.append(f'<text x="{LEFT}" y="{30 + 20 * number}" fill="{colour}">{name}</text>')
        for x, y in line:
            across, up = place(x, y).split(",")
            # Lines that nearly meet: numbers of the first stand above it and left, those of the others below and right.
            shift, rise, anchor = (-6, -8, "end") if number == 0 else (6, 18, "start")
            lines.append(f'<circle cx="{across}" cy="{up}" r="4" fill="{colour}"/>')
            lines.append(
                f'<text x="{float(across) + shift}" y="{float(up) + rise}" text-anchor="{anchor}" fill="{colour}">'
                f"{y:.0f} s</text>"
            )
    for x, _ in next(iter(series.values())):
        lines.append(f'<text x="{place(x, 10**low_y).split(",")[0]}" y="{HEIGHT - 28}" text-anchor="middle">{x}</text>')
    below = f"facts, {num_sets} exemplar sets each"
    lines.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">{below}</text>')
    body = "\n".join(lines)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )
