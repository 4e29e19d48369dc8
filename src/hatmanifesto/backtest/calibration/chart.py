"""The fitted intensity and what was measured, as one SVG file that needs nothing else."""

import html
import math
from collections.abc import Sequence
from typing import Final

from hatmanifesto.backtest.calibration.estimate import Calibration, Estimate

WIDTH: Final = 760
PANEL: Final = 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 24, 62, 46
_INK, _PALE, _LINE, _MARK = "#1b1f24", "#8a929c", "#d5dae0", "#b3261e"


def chart(title: str, found: Sequence[Calibration]) -> str:
    """Return the SVG: a panel an instrument, rate by depth on a logarithmic scale, with bars of 95 % a point."""
    height = 34 + PANEL * len(found)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="22" font-size="14" fill="{_INK}">{html.escape(title)}</text>',
    ]
    for at, one in enumerate(found):
        parts.append(f'<g transform="translate(0 {34 + PANEL * at})">{_panel(one)}</g>')
    return "\n".join([*parts, "</svg>", ""])


def _panel(one: Calibration) -> str:
    points = one.points
    deepest = max([point.depth for point in points] + [one.upper]) * 1.03
    rates = [point.rate for point in points] + [point.fitted for point in points if point.in_fit]
    low = 10.0 ** math.floor(math.log10(min(rates)))
    high = 10.0 ** math.ceil(math.log10(max(rates)))
    width, height = WIDTH - _LEFT - _RIGHT, PANEL - _TOP - _BOTTOM

    def x(depth: float) -> float:
        return _LEFT + width * depth / deepest

    def y(rate: float) -> float:
        share = (math.log10(min(max(rate, low), high)) - math.log10(low)) / math.log10(high / low)
        return _TOP + height * (1 - share)

    goodness = one.goodness
    r_squared = "-" if goodness.r_squared is None else f"{goodness.r_squared:.3f}"
    head = (
        f"{one.instrument}: A = {_text(one.a)} 1/s, k = {_text(one.k)} 1/bps, σ = {_text(one.volatility.sigma)} bps/√s"
    )
    under = (
        f"{one.hits} of {2 * one.windows} window sides beyond {one.lower:.2f} bps; fitted to {one.upper:.1f} bps; "
        f"R² of ln λ {r_squared}"
    )
    parts = [
        f'<text x="{_LEFT}" y="22" fill="{_INK}">{html.escape(head)}</text>',
        f'<text x="{_LEFT}" y="40" fill="{_PALE}">{html.escape(under)}</text>',
    ]
    for exponent in range(round(math.log10(low)), round(math.log10(high)) + 1):
        at = y(10.0**exponent)
        parts.append(f'<path d="M{_LEFT} {at:.1f}H{WIDTH - _RIGHT}" stroke="{_LINE}"/>')
        parts.append(
            f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end" fill="{_PALE}">{10.0**exponent:g}</text>'
        )
    for depth in _ticks(deepest):
        parts.append(
            f'<text x="{x(depth):.1f}" y="{_TOP + height + 18}" text-anchor="middle" fill="{_PALE}">{depth:g}</text>'
        )
    parts.append(
        f'<text x="{_LEFT + width / 2:.0f}" y="{PANEL - 10}" text-anchor="middle" fill="{_PALE}">'
        "depth from the mid, bps</text>"
        f'<text transform="translate(18 {_TOP + height / 2:.0f}) rotate(-90)" text-anchor="middle" fill="{_PALE}">'
        "rate reached, 1/s</text>"
    )
    parts.append(
        f'<path d="M{x(one.half_spread):.1f} {_TOP}V{_TOP + height}" stroke="{_PALE}" stroke-dasharray="2 3"/>'
        f'<text x="{x(one.half_spread) + 4:.1f}" y="{_TOP + 11}" fill="{_PALE}">usual half-spread</text>'
    )
    for begin, end, dash in ((one.lower, one.upper, ""), (one.upper, deepest, ' stroke-dasharray="5 4"')):
        ends = [(depth, one.a.value * math.exp(-one.k.value * depth)) for depth in (begin, end)]
        if ends[1][1] < low:  # a straight line on this scale: cut where it leaves the picture
            ends[1] = (math.log(one.a.value / low) / one.k.value, low)
        if ends[1][0] > begin and ends[0][1] > low:
            parts.append(
                f'<path d="M{x(ends[0][0]):.1f} {y(ends[0][1]):.1f}L{x(ends[1][0]):.1f} {y(ends[1][1]):.1f}" '
                f'stroke="{_MARK}" stroke-width="2" fill="none"{dash}/>'
            )
    for point in points:
        wide = math.exp(1.96 / math.sqrt(point.windows))
        fill = _INK if point.in_fit else "#ffffff"
        parts.append(
            f'<path d="M{x(point.depth):.1f} {y(point.rate / wide):.1f}V{y(point.rate * wide):.1f}" stroke="{_PALE}"/>'
            f'<circle cx="{x(point.depth):.1f}" cy="{y(point.rate):.1f}" r="3" fill="{fill}" stroke="{_INK}"/>'
        )
    return "".join(parts)


def _text(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.3g}"
    return f"{estimate.value:.3g} ({estimate.low:.3g} to {estimate.high:.3g})"


def _ticks(deepest: float) -> list[float]:
    step = 10.0 ** math.floor(math.log10(deepest))
    for part in (0.1, 0.2, 0.5, 1.0):
        if deepest / (step * part) <= 12:
            step *= part
            break
    return [round(step * at, 10) for at in range(int(deepest / step) + 1)]
