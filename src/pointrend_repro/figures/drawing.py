"""The style that all figures share: enlarged windows of images, masks over them, and files.

Masks are pasted at the resolution of print, not of the image: an object may be a few dozen pixels
wide, and then a 28x28 and a 224x224 mask would be the same after pasting.
"""

import contextlib
import logging
import math
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pointrend_repro.base.files import atomic_path
from pointrend_repro.base.palette import COLORS
from pointrend_repro.modeling.paste import paste_mask

WIDTH_IN = 7.0  # the text width of a two-column page
_DPI = 200
_WARNING_CHARACTERS_PER_IN = 15  # of bold letters of 7 points, on average
_OPACITY = 0.45
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.linewidth": 0.5,
    "image.interpolation": "none",
    "pdf.fonttype": 42,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
    "figure.constrained_layout.hspace": 0.0,
    "figure.constrained_layout.wspace": 0.0,
}

# It logs every glyph that it writes into a PDF.
logging.getLogger("fontTools").setLevel(logging.WARNING)

Box = tuple[float, float, float, float]
Window = tuple[int, int, int, int]


@dataclass(frozen=True)
class Score:
    """What a plot shows of one metric file.

    Attributes:
        label: in the plot.
        values: numbers by their keys; None where there was nothing to score.
        curves: what the metric wrote for plots, as JSON (`evaluation.scoring.Scored`).
    """

    label: str
    values: dict[str, float | None]
    curves: dict[str, Any]


@dataclass(frozen=True)
class Picture:
    """A drawn figure with its texts; `record.FigureRecord` explains each."""

    figure: Figure
    title: str
    caption: str
    alternative_text: str
    image_ids: list[int]


@dataclass(frozen=True)
class PageContent:
    """The content of an interactive picture: the texts, and the other fields of its record."""

    title: str
    caption: str
    image_ids: list[int]
    content: dict[str, Any]


@contextlib.contextmanager
def shared_style() -> Iterator[None]:
    """Draw and write inside this block, where the user's own matplotlib settings have no effect."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def new_figure(height_in: float) -> Figure:
    """Return an empty figure as wide as a page, for panels of fixed aspect ratio."""
    return Figure(figsize=(WIDTH_IN, height_in), layout="compressed")


@dataclass(frozen=True)
class View:
    """A window of an image, enlarged.

    Attributes:
        pixels: (H, W, 3) uint8.
        corner: upper left of the window, (x, y) in pixels of the image.
        scale: pixels of the view per pixel of the image.
    """

    pixels: NDArray[np.uint8]
    corner: tuple[int, int]
    scale: float

    def box(self, box: Box) -> Box:
        """Move a box (xyxy) from the image into the view."""
        x, y = self.corner
        x0, y0, x1, y1 = ((v - c) * self.scale for v, c in zip(box, (x, y, x, y), strict=True))
        return x0, y0, x1, y1

    def mask(self, logits: Tensor, box: Box) -> NDArray[np.bool_]:
        """Paste a mask (M, M) over a box of the image, as masks are pasted for scoring."""
        height, width = self.pixels.shape[:2]
        return paste_mask(logits, torch.tensor(self.box(box)), height, width)


def view_window(image: NDArray[np.uint8], window: Window, side_px: int) -> View:
    """Enlarge a window (xyxy) of an image so that its longer side has `side_px` pixels.

    Pixels beyond the image are white.
    """
    x0, y0, x1, y1 = window
    scale = side_px / max(x1 - x0, y1 - y0)
    cut = Image.fromarray(image).crop(window)
    inside = Image.new("L", image.shape[1::-1], 255).crop(window)
    on_white = Image.composite(cut, Image.new("RGB", cut.size, "white"), inside)
    size = (round((x1 - x0) * scale), round((y1 - y0) * scale))
    return View(np.array(on_white.resize(size, Image.Resampling.LANCZOS)), (x0, y0), scale)


def box_window(box: Box, margin: float, image_size: tuple[int, int]) -> Window:
    """Return whole pixels around a box, inside the image.

    Args:
        margin: on each side, as a share of the box's longer side.
        image_size: (height, width).
    """
    x0, y0, x1, y1 = box
    pad = margin * max(x1 - x0, y1 - y0)
    left, top = max(math.floor(x0 - pad), 0), max(math.floor(y0 - pad), 0)
    right, bottom = math.ceil(x1 + pad), math.ceil(y1 + pad)
    return left, top, min(right, image_size[1]), min(bottom, image_size[0])


def square_window(box: Box, margin: float, image_size: tuple[int, int]) -> Window:
    """Return a square of whole pixels around a box, inside the image unless the box is too long.

    The arguments are those of `box_window`; the margin is reduced at the image's edges.
    """
    x0, y0, x1, y1 = box
    longer = math.ceil(max(x1 - x0, y1 - y0))
    side = max(longer, min(math.ceil(longer * (1 + 2 * margin)), *image_size))
    left = _start((x0 + x1) / 2, side, image_size[1])
    top = _start((y0 + y1) / 2, side, image_size[0])
    return left, top, left + side, top + side


def _start(centre: float, side: int, limit: int) -> int:
    if side >= limit:
        return (limit - side) // 2
    return min(max(round(centre - side / 2), 0), limit - side)


def show_view(ax: Axes, view: View) -> None:
    """Draw a view without ticks; one unit of the axes is one pixel of the view."""
    height, width = view.pixels.shape[:2]
    ax.imshow(view.pixels, extent=(0, width, height, 0))
    ax.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))


def show_mask(ax: Axes, mask: NDArray[np.bool_], color: str, line_pt: float = 0.9) -> None:
    """Tint a mask (H, W) and draw its outline, dark on white so that it shows on any background."""
    if not mask.any():
        return
    height, width = mask.shape
    padded = np.pad(mask, 1).astype(np.float32)  # closes the outline at the view's edge
    x, y = np.arange(width + 2) - 0.5, np.arange(height + 2) - 0.5
    ax.contourf(x, y, padded, levels=[0.5, 1.5], colors=[color], alpha=_OPACITY)
    dark = tuple(0.5 * c for c in to_rgb(color))
    lines = ax.contour(x, y, padded, levels=[0.5], colors=[dark], linewidths=line_pt)
    lines.set_path_effects([withStroke(linewidth=2.2 * line_pt, foreground="white")])


def contrasting_color(pixels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> str:
    """Return the colour of `COLORS` farthest from the pixels (H, W, 3) under a mask."""
    under = pixels[mask] if mask.any() else pixels.reshape(-1, 3)
    mean = under.mean(axis=0) / 255
    return max(COLORS, key=lambda color: float(np.linalg.norm(np.array(to_rgb(color)) - mean)))


def add_warning(figure: Figure, warning: str) -> None:
    """Print a preset's warning on the figure itself, which may be used outside its page."""
    lines = textwrap.wrap(warning, width=int(figure.get_figwidth() * _WARNING_CHARACTERS_PER_IN))
    figure.set_figheight(figure.get_figheight() + 0.07 + 0.13 * len(lines))
    figure.supxlabel("\n".join(lines), fontsize=7, fontweight="bold", color="#8B1A00")


def save_figure(figure: Figure, png: Path) -> None:
    """Write a PNG and a PDF beside it; the same figure gives the same bytes."""
    with atomic_path(png) as part:
        figure.savefig(part, format="png", dpi=_DPI, metadata={"Software": None})
    with atomic_path(png.with_suffix(".pdf")) as part:
        figure.savefig(part, format="pdf", dpi=_DPI, metadata={"CreationDate": None})
