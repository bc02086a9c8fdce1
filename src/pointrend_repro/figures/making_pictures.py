"""One picture of the page on disk: a JSON with its images, its words and its origin."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pointrend_repro.base import provenance
from pointrend_repro.base.files import write_json
from pointrend_repro.base.own_code import package_digest
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.config.figure_plan import DrawnPicture
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.paths import DataPaths
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.figures import comparison, subdivision
from pointrend_repro.figures.drawing import shared_style
from pointrend_repro.figures.making import load_models, read_shown_data
from pointrend_repro.figures.picture_record import (
    ComparisonRecord,
    PictureRecord,
    SubdivisionRecord,
)

_Draw = Callable[[Mapping[str, SavedModel], CocoDataset], dict[str, Any]]

_PICTURES: dict[DrawnPicture, tuple[_Draw, type[PictureRecord]]] = {
    "comparison": (comparison.draw, ComparisonRecord),
    "subdivision": (subdivision.draw, SubdivisionRecord),
}


def make_picture(
    grid: Grid, picture: DrawnPicture, data: DataPaths, *, results_dir: Path, output: Path
) -> None:
    """Draw a picture of the page from a preset's trained models, on the CPU.

    The same models, data and code give the same bytes.

    Args:
        results_dir: the preset's folder, `results/<preset>`.
        output: the JSON to write.

    Raises:
        UserError: the preset does not train what the picture needs, a model is missing or does
            not fit, or the data have nothing to show.
    """
    trainings = grid.picture_trainings(picture)
    models, used = load_models(grid, trainings, results_dir)
    dataset = read_shown_data(data, models)
    draw, record_type = _PICTURES[picture]
    with shared_style():
        drawn = draw(models, dataset)
    record = record_type(
        **drawn,
        preset=grid.name,
        picture=picture,
        warning=grid.preset.warning,
        dataset=trainings[0].dataset,
        models=used,
        command=provenance.command_line(),
        git_commit=provenance.git_commit(),
        code_digest=package_digest(),
    )
    write_json(output, record.model_dump(mode="json"))
