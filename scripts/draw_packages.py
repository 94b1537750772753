"""Draws which package imports from which, from the imports in the code, and writes docs/packages.svg.

    python scripts/draw_packages.py                   # writes the drawing
    python scripts/draw_packages.py --list            # prints every package with all that it imports from

Modules beside the packages are drawn as packages of their own, but for `__init__`, `__main__` and what everybody may
import (`errors`, `text`, `progress`). A row lies above all that it imports from. The same code gives the same bytes.
"""

from __future__ import annotations

import argparse
import ast
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "gradual"
DRAWING = ROOT / "docs" / "packages.svg"

EVERYBODYS = ("errors", "text", "progress")
"""Modules that every package may import from."""
NOT_DRAWN = {*EVERYBODYS, "__init__", "__main__"}

WIDTH, WIDEST_BOX, GAP, ROW_GAP, MARGIN = 980, 700, 20, 32, 20
NAME_HEIGHT, LINE_HEIGHT, PADDING = 20, 16, 9
LETTER_WIDTH = 6.7
"""Pixels that a letter takes on average, in a font that is rather wide."""

Graph = Mapping[str, frozenset[str]]
"""Each package with those that it imports from."""


@dataclass(frozen=True)
class Box:
    """One package in the drawing; `left`, `top` and `width` in pixels."""

    name: str
    owns: tuple[str, ...]
    others: tuple[str, ...]
    left: float
    top: float
    width: float

    @property
    def middle(self) -> float:
        """Where arrows begin and end, from the left."""
        return self.left + self.width / 2

    @property
    def height(self) -> int:
        """Pixels that the name and all lines need."""
        return 2 * PADDING + NAME_HEIGHT + LINE_HEIGHT * (len(self.owns) + len(self.others))


def read_graph(source: Path = SOURCE) -> Graph:
    """Who imports from whom, by the code alone: nothing of it is run. Imports for types count as well."""
    graph: dict[str, set[str]] = {}
    for file in sorted(source.rglob("*.py")):
        here = file.relative_to(source).with_suffix("").parts[0]
        found = graph.setdefault(here, set())
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            for name in _imported(node):
                first, *rest = name.split(".")
                if first == "gradual" and rest:
                    found.add(rest[0] if _is_package(source, rest[0]) else "__init__")
    return {name: frozenset(others - {name}) for name, others in sorted(graph.items())}


def what_it_owns(name: str, source: Path = SOURCE) -> str:
    """The first sentence of a package, or of a module beside the packages."""
    file = source / name / "__init__.py" if (source / name).is_dir() else source / f"{name}.py"
    told = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(told.partition("\n\n")[0].replace("`", "").split()).removesuffix(".")


def rows_of(graph: Graph) -> list[list[str]]:
    """Packages by row, the lowest first: one row above the highest of what they import from.

    What imports from nothing drawn stands directly beneath the lowest of those that import from it.
    """
    ranks: dict[str, int] = {}
    while len(ranks) < len(graph):
        known = [name for name in graph if name not in ranks and graph[name] <= ranks.keys()]
        if not known:
            raise ValueError(f"packages import from each other in a circle: {sorted(set(graph) - set(ranks))}")
        ranks |= {name: 1 + max((ranks[other] for other in graph[name]), default=-1) for name in known}
    for name in graph:
        above = [ranks[other] for other in graph if name in graph[other]]
        if not graph[name] and above:
            ranks[name] = min(above) - 1
    return [[name for name in graph if ranks[name] == rank] for rank in range(1 + max(ranks.values()))]


def without_detours(graph: Graph) -> Graph:
    """The same with only those arrows that no longer way shows already."""
    return {
        name: frozenset(
            other for other in others if not any(other in _reached(graph, middle) for middle in others - {other})
        )
        for name, others in graph.items()
    }


def draw(graph: Graph) -> str:
    """The drawing as SVG: boxes by row, an arrow to each package that one imports from; the rest is told in words."""
    drawn = {name: others - NOT_DRAWN for name, others in graph.items() if name not in NOT_DRAWN}
    arrows = without_detours(drawn)
    rows = rows_of(drawn)[::-1]
    boxes: dict[str, Box] = {}
    top = float(MARGIN)
    for row in rows:
        width = min(WIDEST_BOX, (WIDTH - 2 * MARGIN + GAP) / len(row) - GAP)
        left = (WIDTH - len(row) * (width + GAP) + GAP) / 2
        for place, name in enumerate(row):
            others = sorted(drawn[name] - arrows[name])
            boxes[name] = _box(name, others, left + place * (width + GAP), top, width)
        top += max(boxes[name].height for name in row) + ROW_GAP
    ground = f"every package may import from {', '.join(EVERYBODYS[:-1])} and {EVERYBODYS[-1]}"
    parts = [_arrow(boxes[name], boxes[other]) for name in sorted(arrows) for other in sorted(arrows[name])]
    parts += [_drawn(boxes[name]) for row in rows for name in row]
    parts.append(_bar(ground, top))
    return _page(top + NAME_HEIGHT + 2 * PADDING + MARGIN, parts)


def as_lines(graph: Graph) -> list[str]:
    """A line for each package: all that it imports from."""
    return [f"{name}: {', '.join(sorted(others)) or '-'}" for name, others in graph.items()]


def _is_package(source: Path, name: str) -> bool:
    return (source / name).is_dir() or (source / f"{name}.py").is_file()


def _imported(node: ast.AST) -> Iterable[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def _reached(graph: Graph, start: str) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph[waiting.pop()] - reached
        reached |= new
        waiting += new
    return reached


def _box(name: str, others: Sequence[str], left: float, top: float, width: float) -> Box:
    letters = int((width - 2 * PADDING) / LETTER_WIDTH)
    owns = textwrap.wrap(what_it_owns(name), letters)
    told = textwrap.wrap(f"imports also {', '.join(others)}", letters) if others else []
    return Box(name, tuple(owns), tuple(told), left, top, width)


def _arrow(start: Box, end: Box) -> str:
    x1, y1 = start.middle, start.top + start.height
    x2, y2 = end.middle, end.top - 4
    bend = y2 - ROW_GAP / 2 + 2
    return f'<path class="arrow" d="M{x1:g} {y1:g}V{bend:g}H{x2:g}V{y2:g}"/>'


def _drawn(box: Box) -> str:
    is_module = not (SOURCE / box.name).is_dir()
    name = f"{box.name}.py" if is_module else box.name
    kind = "module" if is_module else "box"
    x, y = box.left + PADDING + 3, box.top + PADDING + 13
    lines = [
        f'<rect class="{kind}" x="{box.left:g}" y="{box.top:g}" width="{box.width:g}" height="{box.height}" rx="7"/>'
    ]
    lines.append(f'<text class="name" x="{x:g}" y="{y:g}">{escape(name)}</text>')
    y += NAME_HEIGHT - 2
    for style, words in [*(("owns", line) for line in box.owns), *(("others", line) for line in box.others)]:
        lines.append(f'<text class="{style}" x="{x:g}" y="{y:g}">{escape(words)}</text>')
        y += LINE_HEIGHT
    return "\n".join(lines)


def _bar(words: str, top: float) -> str:
    height = NAME_HEIGHT + PADDING
    return (
        f'<rect class="ground" x="{MARGIN}" y="{top:g}" width="{WIDTH - 2 * MARGIN}" height="{height}" rx="7"/>\n'
        f'<text class="owns" text-anchor="middle" x="{WIDTH / 2:g}" y="{top + height / 2 + 4:g}">{escape(words)}</text>'
    )


def _page(height: float, parts: Sequence[str]) -> str:
    style = (
        "text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;font-size:12.5px;fill:#3c4650}"
        ".name{font-size:15px;font-weight:600;fill:#12263a}.others{fill:#7a8793;font-style:italic}"
        ".box,.module{stroke-width:1}.box{fill:#f3f7fb;stroke:#8fa9c2}.module{fill:#fbf8f1;stroke:#c9b98f}.ground{fill:#eef0f2}"
        ".arrow{fill:none;stroke-linejoin:round;stroke:#5f7d9a;stroke-width:1.4;marker-end:url(#tip)}"
    )
    tip = (
        '<marker id="tip" viewBox="0 0 8 8" refX="3" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#5f7d9a"/></marker>'
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" '
            f'height="{height:g}" role="img">',
            "<title>The packages of gradual, and what each imports from</title>",
            f"<style>{style}</style>",
            f"<defs>{tip}</defs>",
            '<rect width="100%" height="100%" fill="#fff"/>',
            *parts,
            "</svg>\n",
        ]
    )


def main() -> None:
    """Writes the drawing, or prints the list."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--list", action="store_true", help="print every package with all that it imports from")
    graph = read_graph()
    if parser.parse_args().list:
        print("\n".join(as_lines(graph)))
    else:
        DRAWING.write_text(draw(graph), encoding="utf-8")
        print(DRAWING)


if __name__ == "__main__":
    main()
