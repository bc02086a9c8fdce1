"""Scales, ticks and paths of the small SVG plots that the page draws.

Coordinates are whole units of the plot's `viewBox`, two for a pixel at the size of the page.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where, and what it says."""

    at: int
    text: str


@dataclass(frozen=True)
class Scale:
    """Maps numbers from `low` to `high` to units from `start` to `end`."""

    low: float
    high: float
    start: int
    end: int
    logarithmic: bool = False

    def __call__(self, value: float) -> int:
        """Return the unit of a number; one beyond the ends is drawn at the end."""
        low, high, value = (self._flat(v) for v in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return round(self.start + min(max(share, 0.0), 1.0) * (self.end - self.start))

    def _flat(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value


def linear_ticks(scale: Scale, wanted: int) -> list[Tick]:
    """Return about so many round numbers on a linear scale."""
    if not wanted:
        return []
    rough = (scale.high - scale.low) / wanted or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((m * power for m in (1, 2, 5, 10)), key=lambda s: abs(math.log(s / rough)))
    first = math.ceil(scale.low / step - 1e-9)
    last = math.floor(scale.high / step + 1e-9)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [Tick(scale(k * step), f"{k * step:,.{decimals}f}") for k in range(first, last + 1)]


def log_ticks(scale: Scale) -> list[Tick]:
    """Return the powers of ten on a logarithmic scale; 2 and 5 times them, too, on a short one."""
    powers = range(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)) + 1)
    factors = (1, 2, 5) if scale.high < 100 * scale.low else (1,)
    values = [m * 10.0**p for p in powers for m in factors]
    return [Tick(scale(v), f"{v:g}") for v in values if scale.low <= v <= scale.high]


def path(points: Iterable[tuple[int, int] | None]) -> str:
    """Return an SVG path through points, in the fewest characters; None breaks the line."""
    parts: list[str] = []
    last: tuple[int, int] | None = None
    for point in points:
        if point is not None and last is None:
            parts.append(f"M{point[0]} {point[1]}l")
        elif point is not None and last is not None:
            parts.append(_pair(point[0] - last[0], point[1] - last[1], parts[-1]))
        last = point
    # A point between two gaps is a line of no length, which round ends make a dot.
    return "".join(f"{part}0 0" if _ends(parts, i) else part for i, part in enumerate(parts))


def _pair(dx: int, dy: int, before: str) -> str:
    gap = "" if before.endswith("l") or dx < 0 else " "
    return f"{gap}{dx}{'' if dy < 0 else ' '}{dy}"


def _ends(parts: Sequence[str], i: int) -> bool:
    return parts[i].endswith("l") and (i + 1 == len(parts) or parts[i + 1].startswith("M"))


@dataclass(frozen=True)
class Label:
    """Where the text of a label stands: its anchor is SVG's `text-anchor`."""

    x: int
    y: int
    anchor: str


# Beside a point, above or below it, and then farther off, in the order of preference.
_GAP, _LINE, _CHARACTER = 16, 28, 12.5
_PLACES = [
    *(("start", _GAP, 0), ("end", -_GAP, 0), ("middle", 0, -_LINE), ("middle", 0, _LINE)),
    *((a, dx, dy) for dy in (-_LINE, _LINE) for a, dx in (("start", _GAP), ("end", -_GAP))),
]

_Area = tuple[float, float, float, float]


def place_labels(
    points: Sequence[tuple[int, int]], texts: Sequence[str], frame: _Area
) -> list[Label]:
    """Put a label beside each point where it covers least: other labels, points, the frame.

    Args:
        points: (x, y).
        frame: xyxy, which labels should not leave.
    """
    taken = [(x - 8.0, y - 8.0, x + 8.0, y + 8.0) for x, y in points]
    labels = []
    for (x, y), text in zip(points, texts, strict=True):
        found = [
            (Label(x + dx, y + dy, anchor), _area(x + dx, y + dy, anchor, text))
            for anchor, dx, dy in _PLACES
        ]
        label, area = min(found, key=lambda place: _clash(place[1], taken, frame))
        labels.append(label)
        taken.append(area)
    return labels


def _area(x: float, y: float, anchor: str, text: str) -> _Area:
    width = _CHARACTER * len(text)
    left = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * width
    return left, y - _LINE / 2, left + width, y + _LINE / 2


def _clash(area: _Area, taken: Sequence[_Area], frame: _Area) -> float:
    """How much of an area is taken, or outside of the frame."""
    x0, y0, x1, y1 = area
    inside = _common(area, frame)
    return (x1 - x0) * (y1 - y0) - inside + sum(_common(area, other) for other in taken)


def _common(a: _Area, b: _Area) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0.0) * max(height, 0.0)
