"""Writes a figure or a picture of a preset to disk, with its text and its origin in JSON."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from pointrend_repro.base import provenance
from pointrend_repro.base.digests import content_digest, result_digest
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json, require_ours, write_json
from pointrend_repro.base.first_problem import first_problem
from pointrend_repro.base.origins import origin_path, require_as_recorded, require_model_of
from pointrend_repro.base.own_code import package_digest
from pointrend_repro.checkpoints.saved_models import SavedModel, as_tested, load_saved_model
from pointrend_repro.config.figures import PagePicture, PaperFigure
from pointrend_repro.data.coco import CocoDataset, read_coco
from pointrend_repro.data.paths import DataPaths
from pointrend_repro.declarations.family import family_of
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Training, dataset_path
from pointrend_repro.experiments.shown import (
    dataset_shown,
    datasets_shown,
    scores_shown,
    trainings_shown,
)
from pointrend_repro.figures.drawing import (
    PageContent,
    Picture,
    Score,
    add_warning,
    save_figure,
    shared_style,
)
from pointrend_repro.figures.loading import load_draw
from pointrend_repro.figures.record import PICTURE_RECORDS, FigureRecord, ModelUsed, ScoreUsed
from pointrend_repro.predictions.by_default import default_inference
from pointrend_repro.predictions.instances import require_same_categories

T = TypeVar("T", Picture, PageContent)
_OF_A_FIGURE = ("preset", "title", "caption", "figure", "alternative_text")
_OF_A_PICTURE = ("preset", "title", "caption", "picture")


def make_figure(
    grid: Grid, figure: PaperFigure, data: DataPaths, *, results_dir: Path, png: Path
) -> None:
    """Draw a figure from a preset's trained models, on the CPU.

    The PDF and the JSON are written beside `png`. The same models, data and code give the same
    bytes.

    Args:
        results_dir: the preset's folder, `results/<preset>`.

    Raises:
        UserError: the preset does not train what the figure needs, a model is missing or does not
            fit, the data contain nothing to show, or another file is in the way.
    """
    _require_free(png.with_suffix(".pdf"), png.with_suffix(".json"))
    with shared_style():
        picture, about = _draw(grid, figure, data, results_dir, Picture)
        if grid.preset.warning:
            add_warning(picture.figure, grid.preset.warning)
        save_figure(picture.figure, png)
    about |= {"figure": figure.public_name, "alternative_text": picture.alternative_text}
    write_json(png.with_suffix(".json"), FigureRecord(**about).written())


def make_picture(
    grid: Grid, picture: PaperFigure, data: DataPaths, *, results_dir: Path, output: Path
) -> None:
    """Draw a picture for the page from a preset's trained models, on the CPU.

    The same models, data and code give the same bytes.

    Args:
        results_dir: the preset's folder, `results/<preset>`.
        output: the JSON to write.

    Raises:
        UserError: as in `make_figure`.
    """
    assert isinstance(picture.entry, PagePicture)
    require_ours(output, _OF_A_PICTURE, "a picture of the page")
    with shared_style():
        drawn, about = _draw(grid, picture, data, results_dir, PageContent)
    template = picture.entry.template
    try:
        record = PICTURE_RECORDS[template](**about, **drawn.content, picture=picture.public_name)
    except ValidationError as error:
        raise UserError(
            f"{picture.where}: {picture.entry.draw} does not draw what the template {template!r} "
            f"shows ({first_problem(error)})"
        ) from None
    write_json(output, record.written())


def _require_free(pdf: Path, record: Path) -> None:
    """Refuse to replace files that only happen to be called like the picture."""
    require_ours(record, _OF_A_FIGURE, "a figure")
    if pdf.exists() and not record.exists():
        raise UserError(
            f"{pdf}: exists without a figure's {record.name} beside it; choose another output"
        )


def _draw(
    grid: Grid, figure: PaperFigure, data: DataPaths, results_dir: Path, kind: type[T]
) -> tuple[T, dict[str, Any]]:
    """Draw, and return the drawing with the fields that every record has."""
    draw = load_draw(figure, kind)
    used: list[ModelUsed] = []
    if figure.entry.scores:
        scores, scores_used = load_scores(grid, figure, results_dir)
        drawn = draw(scores)
    elif figure.entry.datasets:
        described, scores_used = load_described(grid, figure, results_dir)
        drawn = draw(described)
    else:
        models, used = load_models(grid, trainings_shown(grid, figure), results_dir)
        drawn, scores_used = draw(models, read_shown_data(data, models)), []
    return drawn, {
        "preset": grid.name,
        "title": figure.entry.title or drawn.title,
        "caption": figure.entry.caption or drawn.caption,
        "warning": grid.preset.warning,
        "dataset": dataset_shown(grid, figure),
        "image_ids": drawn.image_ids,
        "models": used,
        "scores": scores_used,
        "command": provenance.command_line(),
        "git_commit": provenance.git_commit(),
        "code_digest": package_digest(),
        "outside_code": provenance.outside_code(),
    }


def load_models(
    grid: Grid, trainings: Mapping[str, Training], results_dir: Path
) -> tuple[dict[str, SavedModel], list[ModelUsed]]:
    """Load the models of trainings by their part in the figure, and return their origins too.

    Raises:
        DamagedError: a model does not match its record.
        UserError: a model or its record is missing, of another training, or it was trained with
            other settings than the preset's.
    """
    used = [_model_used(results_dir, training) for training in trainings.values()]
    models = {
        part: _as_shown(grid, training, results_dir / model.file)
        for (part, training), model in zip(trainings.items(), used, strict=True)
    }
    return models, used


def _as_shown(grid: Grid, training: Training, file: Path) -> SavedModel:
    """Read a model of the grid, which predicts as its preset says."""
    configured = grid.training_settings(training.dataset, training.variant).model
    saved = load_saved_model(file, configured=configured)
    saved = as_tested(saved, grid.overrides_at_test(training.variant))
    return replace(saved, inference=grid.as_shown(training.variant, default_inference(saved)))


def load_scores(
    grid: Grid, figure: PaperFigure, results_dir: Path
) -> tuple[dict[str, Score], list[ScoreUsed]]:
    """Read the numbers that a figure plots, by their part in it, and return their files, too.

    Raises:
        UserError: a file is missing, or was edited.
    """
    scores, used = {}, []
    for part, shown in scores_shown(grid, figure).items():
        content = read_json(results_dir / shown.path)
        try:
            values, made = content["values"], content["origin"]["evaluate"]["output_digest"]
        except (KeyError, TypeError):
            made = None
        if made is None or made != result_digest(content):
            raise UserError(f"{results_dir / shown.path}: was edited since; remove it")
        label = figure.entry.scores[part].label
        scores[part] = Score(label, values, content.get("curves", {}))
        used.append(ScoreUsed(file=shown.path, output_digest=made))
    return scores, used


def load_described(
    grid: Grid, figure: PaperFigure, results_dir: Path
) -> tuple[dict[str, dict[str, Any]], list[ScoreUsed]]:
    """Read what the checks of a figure's data sets have found, by part, and return their files.

    Raises:
        UserError: a data set is not checked, or was before a check found what the figure shows.
    """
    described, used = {}, []
    for part, dataset in datasets_shown(grid, figure).items():
        file = dataset_path(dataset)
        described[part] = read_json(results_dir / file)
        lacking = [key for key in figure.drawing.checked if key not in described[part]]
        if lacking:
            raise UserError(
                f"{results_dir / file}: has no {', '.join(lacking)}, but "
                f"{', '.join(described[part])}; unless the drawing asks for the wrong one, the "
                "file is of an older check: check the data again"
            )
        used.append(ScoreUsed(file=file, output_digest=content_digest(results_dir / file)))
    return described, used


def read_shown_data(data: DataPaths, models: Mapping[str, SavedModel]) -> CocoDataset:
    """Read the validation images on which models are shown.

    Raises:
        UserError: the data are missing, or a detector was trained for other categories.
    """
    dataset = read_coco(data.val_images, data.val_annotations)
    for saved in models.values():
        # Label maps have other classes than objects.
        if family_of(saved.model.settings).predictions == "instances":
            require_same_categories(saved, dataset)
    return dataset


def _model_used(results_dir: Path, training: Training) -> ModelUsed:
    file = training.model_path
    model = results_dir / file
    asked = {key: getattr(training, key) for key in ("dataset", "variant", "trial")}
    require_model_of(model, asked)
    origin, model_digest = require_as_recorded(model, "train")
    file_and_digest = {"file": file, "model_digest": model_digest}
    try:
        return ModelUsed.model_validate({**origin["train"], **file_and_digest})
    except (KeyError, TypeError, ValidationError):
        path = origin_path(model)
        raise UserError(f"{path}: not the origin of a training; train the model again") from None
