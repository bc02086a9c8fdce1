"""The figures of a preset, as the page shows them: read, checked and made small enough to embed."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from pointrend_repro.base.damaged import made_anew
from pointrend_repro.base.embedded import data_url
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.base.first_problem import first_problem
from pointrend_repro.data.decoding import opened_picture
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.figures.record import FigureRecord

# Photographs as PNG would make the page ten times as large; print uses the files beside it.
_JPEG = {"quality": 88, "optimize": True}


@dataclass(frozen=True)
class ShownFigure:
    """A figure on the page.

    Attributes:
        source: the picture as a `data:` URL.
        width: of the picture in pixels, and `height` likewise.
    """

    record: FigureRecord
    source: str
    width: int
    height: int


def load_figures(grid: Grid, folder: Path) -> dict[str, ShownFigure | None]:
    """Read the figures that a preset asks for, by name; None stands for one not drawn yet.

    Args:
        folder: `reports/<preset>/figures`.

    Raises:
        DamagedError: a file is damaged, or is of another preset or figure.
    """
    found: dict[str, ShownFigure | None] = {}
    for name in grid.preset.figures:
        with made_anew(folder / f"{name}.png", folder / f"{name}.json"):
            found[name] = _load(folder / f"{name}.png", grid.name, name)
    return found


def _load(png: Path, preset: str, name: str) -> ShownFigure | None:
    path = png.with_suffix(".json")
    if not path.exists() or not png.exists():
        return None
    try:
        record = FigureRecord.model_validate(read_json(path))
    except ValidationError as error:
        problem = first_problem(error)
        raise UserError(f"{path}: not of a figure ({problem}); draw the figure again") from None
    if (record.preset, record.figure) != (preset, name):
        raise UserError(
            f"{path}: is of {record.figure} of preset {record.preset}; draw the figure again"
        )
    advice = "draw the figure again"
    with opened_picture(png, otherwise="not a whole picture", advice=advice) as image:
        picture = image.convert("RGB")
    return ShownFigure(record, data_url(picture, "JPEG", **_JPEG), *picture.size)
