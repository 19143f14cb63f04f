"""Charts as inline SVG: no script, drawn at a phone's width, coloured by the page's style sheet.

A series has the class `s0`, `s1`, ... of its place; each differs in colour and in its dashes.
"""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final, NamedTuple

from apicache_scenarios.reporting.scales import Axis

WIDTH: Final = 360
HEIGHT: Final = 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 10, 10, 42
_STYLES: Final = 6
"""Colours; further series begin again."""

STYLE: Final = """
svg { display: block; width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: currentColor; color: var(--faint); }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .mark { stroke: var(--accent); stroke-width: 1.5; stroke-dasharray: 2 3; }
.s0 { stroke: var(--s0); fill: var(--s0); } .s1 { stroke: var(--s1); fill: var(--s1); }
.s2 { stroke: var(--s2); fill: var(--s2); } .s3 { stroke: var(--s3); fill: var(--s3); }
.s4 { stroke: var(--s4); fill: var(--s4); } .s5 { stroke: var(--s5); fill: var(--s5); }
svg .s1.line { stroke-dasharray: 7 3; } svg .s2.line { stroke-dasharray: 2 3; }
svg .s3.line { stroke-dasharray: 9 3 2 3; } svg .s4.line { stroke-dasharray: 4 2; }
svg .s5.line { stroke-dasharray: 1 4; }
svg .area { fill-opacity: .12; stroke: none; } svg .dot { stroke: none; }
.key { display: flex; flex-wrap: wrap; gap: .25rem 1rem; padding: 0; margin: .25rem 0 0; list-style: none;
  font-size: .875rem; }
.key svg { display: inline-block; width: 28px; height: 10px; margin-right: .375rem; vertical-align: middle; }
"""


class Line(NamedTuple):
    """One series: its name, its place among all series of the page, and its points (x, y), by x."""

    name: str
    place: int
    points: Sequence[tuple[float, float]]
    dots: bool = False


class Chart(NamedTuple):
    """What is drawn. `steps` draws each y from its x on to the next one, and fills below."""

    title: str
    told: str
    """What it shows, for those who do not see it."""
    x: Axis
    y: Axis
    x_label: str
    lines: Sequence[Line]
    steps: bool = False
    marked_x: float | None = None


def drawn(chart: Chart) -> str:
    """The chart as a figure with its title and its key."""
    return "".join(
        [
            f"<figure><figcaption>{escape(chart.title)}</figcaption>",
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(chart.told)}">',
            *_axes(chart),
            *(_series(chart, line) for line in chart.lines),
            *_marked(chart),
            "</svg>",
            _key(chart.lines),
            "</figure>",
        ]
    )


def _axes(chart: Chart) -> Iterator[str]:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    for value in chart.y.ticks():
        at = chart.y.place(value, bottom, _TOP)
        yield f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{escape(chart.y.name(value))}</text>'
    for value in chart.x.ticks(5):
        at = chart.x.place(value, _LEFT, right)
        anchor = "end" if at > right - 18 else "middle"
        yield f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{bottom}" y2="{bottom + 4}"/>'
        yield f'<text x="{at:.1f}" y="{bottom + 17}" text-anchor="{anchor}">{escape(chart.x.name(value))}</text>'
    middle = (_LEFT + right) / 2
    yield f'<text x="{middle:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{escape(chart.x_label)}</text>'


def _series(chart: Chart, line: Line) -> str:
    placed = [_placed(chart, point) for point in line.points]
    if not placed:
        return ""
    style = f"s{line.place % _STYLES}"
    if not chart.steps:
        path = "M" + " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        dots = _dots(chart, line, placed, style) if line.dots else ""
        return f'<path class="{style} line" d="{path}"/>{dots}'
    corners = [(placed[0][0], float(HEIGHT - _BOTTOM))]
    for (x, y), following in zip(placed, [*placed[1:], placed[-1]], strict=True):
        corners += [(x, y), (following[0], y)]
    path = "M" + " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    return f'<path class="{style} area" d="{path}z"/><path class="{style} line" d="{path}"/>'


def _dots(chart: Chart, line: Line, placed: Sequence[tuple[float, float]], style: str) -> str:
    """A dot for each point, whose title a pointer shows."""
    return "".join(
        f'<circle class="{style} dot" cx="{x:.1f}" cy="{y:.1f}" r="2.5"><title>{escape(line.name)}: '
        f"{escape(chart.y.name(point[1]))} at {escape(chart.x.name(point[0]))}</title></circle>"
        for (x, y), point in zip(placed, line.points, strict=True)
    )


def _placed(chart: Chart, point: tuple[float, float]) -> tuple[float, float]:
    x, y = point
    return chart.x.place(x, _LEFT, WIDTH - _RIGHT), chart.y.place(y, HEIGHT - _BOTTOM, _TOP)


def _marked(chart: Chart) -> Iterable[str]:
    if chart.marked_x is None:
        return []
    at = chart.x.place(chart.marked_x, _LEFT, WIDTH - _RIGHT)
    return [f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>']


def _key(lines: Sequence[Line]) -> str:
    named = [
        f'<li><svg viewBox="0 0 28 10" aria-hidden="true"><path class="s{line.place % _STYLES} line" d="M0,5 28,5"/>'
        f"</svg>{escape(line.name)}</li>"
        for line in lines
    ]
    return f'<ul class="key">{"".join(named)}</ul>'
