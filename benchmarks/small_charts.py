"""Line charts as small SVG files: up to three series a panel, panels side by side, for light and dark pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

COLOURS = ("#1f77b4", "#d62728", "#888888")
DASHES = ("", "6 3", "2 3")
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 340, 210, 46, 34, 30


@dataclass(frozen=True)
class Series:
    """A named line."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """One set of axes."""

    title: str
    series: Sequence[Series]


@dataclass(frozen=True)
class Chart:
    """A chart of some panels with the same axes' names."""

    title: str
    x_name: str
    y_name: str
    panels: Sequence[Panel]
    log_x: bool = False
    log_y: bool = False


def svg(chart: Chart) -> str:
    """Return the chart as an SVG document."""
    width = WIDTH * len(chart.panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" viewBox="0 0 {width} {HEIGHT}"'
        ' font-family="sans-serif" font-size="10" fill="#777">',
        f"<title>{chart.title}</title>",
    ]
    for at, panel in enumerate(chart.panels):
        parts += _panel(chart, panel, at * WIDTH)
    return "\n".join([*parts, "</svg>", ""])


def _panel(chart: Chart, panel: Panel, offset: int) -> list[str]:
    xs = [x for one in panel.series for x, y in one.points if not chart.log_y or y > 0]
    ys = [y for one in panel.series for _, y in one.points if not chart.log_y or y > 0]
    x_ticks = _log_ticks(xs) if chart.log_x else _ticks(xs)
    y_ticks = _log_ticks(ys) if chart.log_y else _ticks([*ys, 0.0])
    left, right = offset + LEFT, offset + WIDTH - 10
    low, high = HEIGHT - BOTTOM, TOP

    def place(value: float, ticks: list[float], begin: float, end: float, log: bool) -> float:
        first, last, at = ticks[0], ticks[-1], value
        if log:
            first, last, at = log10(first), log10(last), log10(value)
        return begin + (at - first) / (last - first or 1.0) * (end - begin)

    out = [f'<text x="{left}" y="14" font-size="11" fill="#555">{panel.title}</text>']
    for tick in y_ticks:
        y = place(tick, y_ticks, low, high, chart.log_y)
        out.append(f'<path d="M{left} {y:.1f}H{right}" stroke="#8884" fill="none"/>')
        out.append(f'<text x="{left - 4}" y="{y + 3:.1f}" text-anchor="end">{_text(tick)}</text>')
    for tick in x_ticks:
        x = place(tick, x_ticks, left, right, chart.log_x)
        out.append(f'<text x="{x:.1f}" y="{low + 13}" text-anchor="middle">{_text(tick)}</text>')
    out.append(f'<text x="{(left + right) / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{chart.x_name}</text>')
    out.append(f'<text x="{right}" y="14" text-anchor="end">{chart.y_name}</text>')
    for at, one in enumerate(panel.series):
        points = [
            f"{place(x, x_ticks, left, right, chart.log_x):.1f} {place(y, y_ticks, low, high, chart.log_y):.1f}"
            for x, y in one.points
            if not chart.log_y or y > 0
        ]
        dash = f' stroke-dasharray="{DASHES[at]}"' if DASHES[at] else ""
        out.append(f'<path d="M{"L".join(points)}" stroke="{COLOURS[at]}" stroke-width="1.6" fill="none"{dash}/>')
        x = left + 6 + at * 92
        out.append(f'<path d="M{x} {TOP - 7}h14" stroke="{COLOURS[at]}" stroke-width="1.6"{dash}/>')
        out.append(f'<text x="{x + 18}" y="{TOP - 4}">{one.name}</text>')
    return out


def _ticks(values: Sequence[float]) -> list[float]:
    """Return four to seven round values that span the others."""
    low, high = min(values), max(values)
    span = (high - low) or abs(high) or 1.0
    step = 10.0 ** floor(log10(span / 4))
    for factor in (1, 2, 2.5, 5, 10):
        if span / (step * factor) <= 6:
            step *= factor
            break
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [n * step for n in range(first, last + 1)]


def _log_ticks(values: Sequence[float]) -> list[float]:
    """Return the powers of ten that span the values."""
    first, last = floor(log10(min(values)) + 1e-9), ceil(log10(max(values)) - 1e-9)
    return [10.0**n for n in range(first, max(last, first + 1) + 1)]


def _text(value: float) -> str:
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    if abs(value) >= 1e4:
        return f"{value / 1e3:g}k"
    return f"{value:.6g}" if value == 0 or abs(value) >= 1e-4 else f"{value:.0e}"
