"""The calibration chart of the queue models as a small SVG: predicted against true size ahead, one panel a feed."""

from pathlib import Path
from typing import Any, Final

SHOWN: Final = {
    "risk_averse": "#222222",
    "traced 3": "#c2410c",
    "power3 3": "#7c3aed",
    "power 3": "#2563eb",
    "power 1": "#0891b2",
    "power2 2": "#16a34a",
}
"""Models drawn, with their colours."""
_PANEL: Final = 250
_LEFT: Final = 48
_TOP: Final = 34


def write_chart(path: Path, results: list[dict[str, Any]]) -> None:
    """Write the chart of the hypothetical orders."""
    chosen = [one for one in results if one["orders"] == "hypothetical" and one["model"] in SHOWN]
    feeds = list(dict.fromkeys(one["feed"] for one in chosen))
    width = _LEFT + len(feeds) * (_PANEL + 30)
    height = _TOP + _PANEL + 84
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text x="14" y="{_TOP + _PANEL / 2}" transform="rotate(-90 14 {_TOP + _PANEL / 2})" text-anchor="middle">'
        "true size ahead / size on arrival</text>",
    ]
    for number, feed in enumerate(feeds):
        parts += _panel(_LEFT + number * (_PANEL + 30), feed, [one for one in chosen if one["feed"] == feed])
    for number, (name, colour) in enumerate(SHOWN.items()):
        x, y = _LEFT + number * 125, height - 12
        parts.append(f'<rect x="{x}" y="{y - 9}" width="14" height="4" fill="{colour}"/>')
        parts.append(f'<text x="{x + 19}" y="{y - 3}">{name}</text>')
    path.write_text("\n".join([*parts, "</svg>", ""]), encoding="utf-8")


def _panel(left: int, feed: str, results: list[dict[str, Any]]) -> list[str]:
    def at(x: float, y: float) -> str:
        return f"{left + x * _PANEL:.1f},{_TOP + (1 - y) * _PANEL:.1f}"

    middle = left + _PANEL / 2
    parts = [
        f'<text x="{middle}" y="{_TOP - 12}" text-anchor="middle" font-weight="bold">{feed}</text>',
        f'<rect x="{left}" y="{_TOP}" width="{_PANEL}" height="{_PANEL}" fill="none" stroke="#999999"/>',
        f'<polyline points="{at(0, 0)} {at(1, 1)}" stroke="#bbbbbb" stroke-dasharray="4 3" fill="none"/>',
        f'<text x="{middle}" y="{_TOP + _PANEL + 32}" text-anchor="middle">'
        "predicted size ahead / size on arrival</text>",
    ]
    for tick in (0, 0.5, 1):
        parts.append(f'<text x="{left + tick * _PANEL}" y="{_TOP + _PANEL + 15}" text-anchor="middle">{tick:g}</text>')
        parts.append(f'<text x="{left - 5}" y="{_TOP + (1 - tick) * _PANEL + 4}" text-anchor="end">{tick:g}</text>')
    for one in results:
        points = [(point["predicted"], point["true"]) for point in one["notes"]["calibration"] if point["points"] >= 10]
        colour = SHOWN[one["model"]]
        line = " ".join(at(x, y) for x, y in points)
        parts.append(f'<polyline points="{line}" stroke="{colour}" stroke-width="1.6" fill="none"/>')
        parts += [
            f'<circle cx="{at(x, y).split(",")[0]}" cy="{at(x, y).split(",")[1]}" r="2.2" fill="{colour}"/>'
            for x, y in points
        ]
    return parts
