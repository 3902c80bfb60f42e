"""Plots as inline SVG: lines with interval bands over rounds, and curves over steps. Pure text out, no scripts, no files.

Colours come from the page (CSS variables), so one picture reads in light and in dark.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 300, 140
LEFT, RIGHT, TOP, BOTTOM = 36, 10, 10, 28
# So that the first and the last point do not lie on the edge of the picture.
INSET = 10


@dataclass(frozen=True, slots=True)
class Point:
    """`x` is a round or a step, `low` and `high` bound `y`; a point without bounds has none drawn."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """`tone` names one of the page's colours: "attack", "defence", "help", "muted"."""

    name: str
    points: Sequence[Point]
    tone: str = "attack"


@dataclass(frozen=True, slots=True)
class Scale:
    """Data to pixels, both ways up as a reader expects: larger is higher."""

    x_min: float
    x_max: float
    y_min: float
    y_max: float

    def x(self, value: float) -> float:
        span = self.x_max - self.x_min
        begin, end = LEFT + INSET, WIDTH - RIGHT - INSET
        return begin + (end - begin) * ((value - self.x_min) / span if span else 0.5)

    def y(self, value: float) -> float:
        span = self.y_max - self.y_min
        share = (value - self.y_min) / span if span else 0.5
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(1.0, max(0.0, share)))


def rates(series: Sequence[Series], *, label: str, x_name: str = "round") -> str:
    """Shares from 0 to 100% over rounds."""
    xs = sorted({p.x for s in series for p in s.points})
    scale = Scale(min(xs, default=0), max(xs, default=1), 0.0, 1.0)
    y_ticks = [(0.0, "0"), (0.5, "50"), (1.0, "100%")]
    return _figure(series, scale, y_ticks, [(x, f"{x:g}") for x in _thinned(xs)], label, x_name)


def curves(series: Sequence[Series], *, label: str, x_name: str = "step") -> str:
    """Any quantity over steps; the vertical axis spans what is shown, zero included."""
    xs = sorted({p.x for s in series for p in s.points})
    ys = [p.y for s in series for p in s.points] + [0.0]
    low, high = min(ys), max(ys)
    high = high if high > low else low + 1.0
    scale = Scale(min(xs, default=0), max(xs, default=1), low, high)
    y_ticks = [(value, f"{value:.3g}") for value in (low, (low + high) / 2, high)]
    return _figure(series, scale, y_ticks, [(x, f"{x:g}") for x in _thinned(xs)], label, x_name)


def stacked(bars: Sequence[tuple[str, Sequence[tuple[str, float]]]], *, label: str) -> str:
    """One bar a round, from the bottom: (tone, share) of each part. `bars` have the label under them."""
    width = (WIDTH - LEFT - RIGHT) / max(1, len(bars))
    scale = Scale(0, 1, 0.0, 1.0)
    parts = [f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">']
    for share, text in ((0.0, "0"), (0.5, "50"), (1.0, "100%")):
        parts.append(f'<text class="tick" x="{LEFT - 5}" y="{scale.y(share) + 3.5:.1f}" text-anchor="end">{text}</text>')
    for number, (name, shares) in enumerate(bars):
        left, base = LEFT + number * width, 0.0
        for tone, share in shares:
            top, bottom = scale.y(base + share), scale.y(base)
            if share:
                parts.append(
                    f'<rect class="bar {tone}" x="{left + 0.15 * width:.1f}" width="{0.7 * width:.1f}" y="{top:.1f}" '
                    f'height="{bottom - top:.1f}"><title>{escape(tone)} {100 * share:.0f}%</title></rect>'
                )
            base += share
        parts.append(
            f'<text class="tick" x="{left + width / 2:.1f}" y="{HEIGHT - 9}" text-anchor="middle">{escape(name)}</text>'
        )
    parts.append("</svg>")
    return "".join(parts)


def _thinned(xs: Sequence[float], at_most: int = 8) -> list[float]:
    """So many of them that their labels do not run into each other."""
    stride = -(-len(xs) // at_most) or 1
    return list(xs[::stride])


def _figure(
    series: Sequence[Series],
    scale: Scale,
    y_ticks: Sequence[tuple[float, str]],
    x_ticks: Sequence[tuple[float, str]],
    label: str,
    x_name: str,
) -> str:
    parts = [f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">']
    for value, text in y_ticks:
        y = scale.y(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 5}" y="{y + 3.5:.1f}" text-anchor="end">{escape(text)}</text>')
    for value, text in x_ticks:
        parts.append(f'<text class="tick" x="{scale.x(value):.1f}" y="{HEIGHT - 9}" text-anchor="middle">{escape(text)}</text>')
    parts.append(f'<text class="tick" x="{LEFT - 5}" y="{HEIGHT - 9}" text-anchor="end">{escape(x_name)}</text>')
    for one in series:
        parts.append(_band(one, scale))
    for one in series:
        parts.append(_line(one, scale))
    parts.append("</svg>")
    return "".join(parts)


def _band(series: Series, scale: Scale) -> str:
    bounded = [(p.x, p.low, p.high) for p in series.points if p.low is not None and p.high is not None]
    if len(bounded) < 2:
        return ""
    upper = [f"{scale.x(x):.1f},{scale.y(high):.1f}" for x, _, high in bounded]
    lower = [f"{scale.x(x):.1f},{scale.y(low):.1f}" for x, low, _ in reversed(bounded)]
    return f'<polygon class="band {series.tone}" points="{" ".join(upper + lower)}"/>'


def _line(series: Series, scale: Scale) -> str:
    path = " ".join(f"{scale.x(p.x):.1f},{scale.y(p.y):.1f}" for p in series.points)
    parts = [f'<polyline class="line {series.tone}" points="{path}"/>']
    # Dots only where a reader could point at one of them.
    if len(series.points) <= 12:
        for p in series.points:
            x, y = scale.x(p.x), scale.y(p.y)
            if p.low is not None and p.high is not None:
                top, bottom = scale.y(p.high), scale.y(p.low)
                parts.append(
                    f'<line class="whisker {series.tone}" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>'
                )
            hint = f"<title>{escape(p.hint)}</title>" if p.hint else ""
            parts.append(f'<circle class="dot {series.tone}" cx="{x:.1f}" cy="{y:.1f}" r="3">{hint}</circle>')
    return "".join(parts)
