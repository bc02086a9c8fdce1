"""Views of images as raster images inside a text, to embed in the page."""

import io
from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from pointrend_repro.base.embedded import data_url
from pointrend_repro.figures.drawing import View, show_view
from pointrend_repro.figures.record import EmbeddedImage

_DPI = 100
# A third of JPEG's size at the same quality of outlines.
_WEBP = {"quality": 80, "method": 6}


def embed_view(view: View, alternative_text: str, draw: Callable[[Axes], object]) -> EmbeddedImage:
    """Draw something over a view, and return it in the view's own pixels.

    Args:
        draw: gets axes filled by the view, where one unit is one pixel of it.
    """
    height, width = view.pixels.shape[:2]
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    ax = figure.add_axes((0, 0, 1, 1))
    show_view(ax, view)
    ax.set_axis_off()
    draw(ax)
    return _embed(figure, alternative_text)


def describe_mask(name: str, of: str, mask: NDArray[np.bool_]) -> str:
    """Describe in words what `drawing.show_mask` draws for a mask (H, W)."""
    if not mask.any():
        return f"{name.capitalize()}; {of} is empty."
    return f"{name.capitalize()}, tinted and outlined by {of}, {mask.mean():.0%} of the picture."


def _embed(figure: Figure, alternative_text: str) -> EmbeddedImage:
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=_DPI)
    with Image.open(png) as image:
        source = data_url(image.convert("RGB"), "WEBP", **_WEBP)
        width, height = image.size
    return EmbeddedImage(
        source=source,
        width=width,
        height=height,
        alternative_text=alternative_text,
    )
