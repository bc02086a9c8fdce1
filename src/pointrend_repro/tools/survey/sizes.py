"""Sizes of objects as bars: how many have a side of 16 to 32 pixels, 32 to 64, and so on."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

WIDTH_PX, HEIGHT_PX = 420, 180
_BOTTOM_PX, _TOP_PX = 30, 22


@dataclass(frozen=True)
class Bar:
    """One bar: its place in pixels, from the upper left, its number and its range in words."""

    x: float
    y: float
    width: float
    height: float
    count: int
    text: str


@dataclass(frozen=True)
class SizePlot:
    """The objects of a split by the square root of their mask's area; `told` is all in words."""

    name: str
    bars: tuple[Bar, ...]
    told: str


def plot_sizes(name: str, areas_px: Sequence[float]) -> SizePlot:
    """Count objects in ranges of sides that double, of 4 to 1024 pixels and what is beyond."""
    sides = np.sqrt(np.array(areas_px, dtype=np.float64))
    edges = [0, *(2**k for k in range(2, 11)), np.inf]
    counts = [int(((sides >= a) & (sides < b)).sum()) for a, b in pairwise(edges)]
    texts = [f"<{edges[1]}", *(f"{a}–{2 * a}" for a in edges[1:-2]), f"≥{edges[-2]}"]
    width, most = WIDTH_PX / len(counts), max(1, *counts)
    room = HEIGHT_PX - _BOTTOM_PX - _TOP_PX
    bars = tuple(
        Bar(
            round(k * width, 1),
            round(HEIGHT_PX - _BOTTOM_PX - room * count / most, 1),
            round(width - 3, 1),
            round(room * count / most, 1),
            count,
            text,
        )
        for k, (count, text) in enumerate(zip(counts, texts, strict=True))
    )
    told = ", ".join(f"{bar.text} px: {bar.count}" for bar in bars if bar.count) or "no objects"
    return SizePlot(name, bars, told)
