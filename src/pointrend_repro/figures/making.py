"""One figure of a preset on disk: PNG, PDF, and a JSON with its text and its origin."""

from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import ValidationError

from pointrend_repro.base import provenance
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import write_json
from pointrend_repro.base.origins import origin_path, require_as_recorded, require_model_of
from pointrend_repro.base.own_code import package_digest
from pointrend_repro.checkpoints.saved_models import SavedModel, as_tested, load_saved_model
from pointrend_repro.config.figure_plan import FigureName
from pointrend_repro.data.coco import CocoDataset, read_coco
from pointrend_repro.data.paths import DataPaths
from pointrend_repro.declarations.family import family_of
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Training
from pointrend_repro.figures import (
    figure2,
    figure4,
    figure5,
    figure6,
    figure7,
    figure8,
    figure9,
)
from pointrend_repro.figures.drawing import Picture, add_warning, save_figure, shared_style
from pointrend_repro.figures.record import FigureRecord, ModelUsed
from pointrend_repro.predictions.instances import require_same_categories

_DRAW: dict[FigureName, Callable[[Mapping[str, SavedModel], CocoDataset], Picture]] = {
    "figure2": figure2.draw,
    "figure4": figure4.draw,
    "figure5": figure5.draw,
    "figure6": figure6.draw,
    "figure7": figure7.draw,
    "figure8": figure8.draw,
    "figure9": figure9.draw,
}


def make_figure(
    grid: Grid, figure: FigureName, data: DataPaths, *, results_dir: Path, png: Path
) -> None:
    """Draw a figure from a preset's trained models, on the CPU.

    The PDF and the JSON are written beside `png`. The same models, data and code give the same
    bytes.

    Args:
        results_dir: the preset's folder, `results/<preset>`.

    Raises:
        UserError: the preset does not train what the figure needs, a model is missing or does not
            fit, or the data have nothing to show.
    """
    trainings = grid.figure_trainings(figure)
    models, used = load_models(grid, trainings, results_dir)
    dataset = read_shown_data(data, models)
    with shared_style():
        picture = _DRAW[figure](models, dataset)
        if grid.preset.warning:
            add_warning(picture.figure, grid.preset.warning)
        save_figure(picture.figure, png)
    record = FigureRecord(
        preset=grid.name,
        figure=figure,
        title=picture.title,
        caption=picture.caption,
        alternative_text=picture.alternative_text,
        warning=grid.preset.warning,
        dataset=trainings[0].dataset,
        image_ids=picture.image_ids,
        models=used,
        command=provenance.command_line(),
        git_commit=provenance.git_commit(),
        code_digest=package_digest(),
    )
    write_json(png.with_suffix(".json"), record.model_dump(mode="json"))


def load_models(
    grid: Grid, trainings: list[Training], results_dir: Path
) -> tuple[dict[str, SavedModel], list[ModelUsed]]:
    """Load the models of trainings by variant, and tell where they come from.

    Raises:
        DamagedError: a model is not what its record describes.
        UserError: a model or its record is missing, of another training, or it was trained with
            other settings than the preset's.
    """
    used = [_model_used(results_dir, training) for training in trainings]
    models = {
        training.variant: as_tested(
            load_saved_model(
                results_dir / model.file,
                configured=grid.training_settings(training.dataset, training.variant).model,
            ),
            grid.overrides_at_test(training.variant),
        )
        for training, model in zip(trainings, used, strict=True)
    }
    return models, used


def read_shown_data(data: DataPaths, models: Mapping[str, SavedModel]) -> CocoDataset:
    """Read the validation images that models are shown on.

    Raises:
        UserError: the data are not there, or a detector was trained for other categories.
    """
    dataset = read_coco(data.val_images, data.val_annotations)
    for saved in models.values():
        # Label maps are of other classes than objects.
        if family_of(saved.model.settings).predictions == "instances":
            require_same_categories(saved, dataset)
    return dataset


def _model_used(results_dir: Path, training: Training) -> ModelUsed:
    file = training.model_path
    model = results_dir / file
    asked = {key: getattr(training, key) for key in ("dataset", "variant", "trial")}
    require_model_of(model, asked)
    origin, model_digest = require_as_recorded(model, "train")
    told = {"file": file, "model_digest": model_digest}
    try:
        return ModelUsed.model_validate({**origin["train"], **told})
    except (KeyError, TypeError, ValidationError):
        path = origin_path(model)
        raise UserError(f"{path}: not the origin of a training; train the model again") from None
