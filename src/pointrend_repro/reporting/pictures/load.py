"""All pictures of a preset, as the page shows them: read, checked, and laid out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from pointrend_repro.base.damaged import made_anew
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.base.first_problem import first_problem
from pointrend_repro.config.figures import PagePicture
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.figures.record import PICTURE_RECORDS, PictureRecord
from pointrend_repro.reporting.pictures.costs import Costs, lay_out_costs
from pointrend_repro.reporting.pictures.curves import DatasetCurves, lay_out_curves
from pointrend_repro.reporting.pictures.samples import DatasetSamples, load_samples
from pointrend_repro.reporting.pictures.thinning import MAX_POINTS, read_curves
from pointrend_repro.reporting.results import Results
from pointrend_repro.reporting.tables import MeasuredTable

CURVES_FILE = "curves.csv"


@dataclass(frozen=True)
class ShownPicture:
    """A picture that one can move: the template that shows it, and None if it is not drawn yet."""

    template: str
    title: str | None
    record: PictureRecord | None


@dataclass(frozen=True)
class Pictures:
    """What a preset asks for; None, or an empty list, stands for what is not there yet."""

    drawn: dict[str, ShownPicture]
    curves: list[DatasetCurves]
    costs: Costs | None
    samples: list[DatasetSamples]
    max_points: int = MAX_POINTS


def load_pictures(
    grid: Grid,
    tables: Sequence[MeasuredTable],
    results: Results,
    *,
    results_dir: Path,
    folder: Path,
) -> Pictures | None:
    """Read the pictures that a preset asks for; None where it asks for none.

    Args:
        results_dir: the preset's folder, `results/<preset>`.
        folder: `reports/<preset>/pictures`.

    Raises:
        UserError: a file is damaged, or is of another preset.
    """
    asked = set(grid.preset.pictures)
    if not asked:
        return None
    return Pictures(
        drawn={name: _read(folder, grid, name) for name in grid.drawn_pictures},
        curves=lay_out_curves(grid, read_curves(folder / CURVES_FILE)) if "curves" in asked else [],
        samples=load_samples(grid, results_dir) if "curves" in asked else [],
        costs=lay_out_costs(grid, tables, results, results_dir) if "costs" in asked else None,
    )


def _read(folder: Path, grid: Grid, name: str) -> ShownPicture:
    entry, path = grid.drawn.picture(name).entry, folder / f"{name}.json"
    assert isinstance(entry, PagePicture)
    if not path.exists():
        return ShownPicture(entry.template, entry.title, None)
    with made_anew(path):
        record = _checked(path, grid, name, PICTURE_RECORDS[entry.template])
    return ShownPicture(entry.template, record.title, record)


def _checked(path: Path, grid: Grid, name: str, kind: type[PictureRecord]) -> PictureRecord:
    try:
        record = kind.model_validate(read_json(path))
    except ValidationError as error:
        problem = first_problem(error)
        raise UserError(f"{path}: not of a picture ({problem}); draw the picture again") from None
    if (record.preset, record.picture) != (grid.name, name):
        raise UserError(
            f"{path}: is of {record.picture} of preset {record.preset}; draw the picture again"
        )
    return record
