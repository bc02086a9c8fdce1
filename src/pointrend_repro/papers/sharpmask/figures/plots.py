"""What the plots of numbers share: lines, one for each row of a table."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.palette import COLORS
from pointrend_repro.figures.drawing import Score

_STYLES = ("-", "--", ":")


def prepare(ax: Axes) -> None:
    """Give a panel a light grid."""
    ax.grid(color="#DDDDDD", linewidth=0.5)
    ax.set_axisbelow(True)
    ax.tick_params(labelsize=7)


def line(ax: Axes, number: int, x: Sequence[float], y: Sequence[float | None], label: str) -> None:
    """Draw a line, the numbered one, whose colour and dashes tell it from the others."""
    values = np.array([np.nan if value is None else value for value in y], dtype=float)
    style = _STYLES[number // len(COLORS) % len(_STYLES)]
    ax.plot(x, values, style, color=COLORS[number % len(COLORS)], label=label, linewidth=1.4)


def curve(score: Score, *path: str) -> list[float | None]:
    """Return a list of a score's curves by its keys.

    Raises:
        UserError: its file was made before there were such curves.
    """
    found: object = score.curves
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    if not isinstance(found, list):
        raise UserError(f"the scores of {score.label} have no {' '.join(path)}; score them again")
    return found


def lines_in_words(scores: Mapping[str, Score], key: str) -> str:
    """Return what each line ends in, for who cannot see it."""
    ends = [
        f"{each.label} {each.values[key]:.1f}"
        for each in scores.values()
        if each.values.get(key) is not None
    ]
    return ", ".join(ends) or "nothing to score"
