"""From a trained model, or several together, to predictions of the validation images."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointrend_repro.base.files import remove_leftovers
from pointrend_repro.base.origins import origin_written_last, require_as_recorded
from pointrend_repro.base.provenance import start_record
from pointrend_repro.data.fingerprint import predicted_data, training_data
from pointrend_repro.data.paths import DataPaths
from pointrend_repro.declarations.family import family_of
from pointrend_repro.pipeline.steps.devices import device_name
from pointrend_repro.settings.at_test import in_force
from pointrend_repro.settings.of_family import AnyInferenceSettings, AnyModelSettings
from pointrend_repro.settings.schedule import OWN_ENGINE, Engine
from pointrend_repro.settings.values import Split

if TYPE_CHECKING:
    from pointrend_repro.checkpoints.saved_models import SavedModel
    from pointrend_repro.pipeline.given_boxes import GivenFile
    from pointrend_repro.predictions.ensembles import Ensemble


def run_prediction(
    inference: str,
    settings: AnyInferenceSettings,
    data: DataPaths,
    *,
    model: Path,
    output: Path,
    device: str,
    configured: AnyModelSettings | None = None,
    others: Mapping[Path, AnyModelSettings] | None = None,
    boxes: "GivenFile | None" = None,
    split: Split = "val",
) -> None:
    """Predict a split of a data set with a trained model, or with several together.

    Args:
        configured: the variant's settings, which must be those that the model was trained with.
            Without them a model with a plug-in head is refused.
        others: the models of `settings.ensemble.variants` in their order, each with its settings.
        boxes: the predictions whose boxes the model is given, if it is given any.
        split: whose images to predict; those of training are for other trainings to read.
        output: a file in COCO's results format or, for a semantic model, a folder of label images.

    Raises:
        DamagedError: a model, or what it is given, does not match its record.
        UserError: a model or the data are missing or faulty.
    """
    origin, model_digest = require_as_recorded(model, "train")
    from pointrend_repro.engines.choosing import predictor_of
    from pointrend_repro.pipeline.together import loads_model, put_together

    predict = predictor_of(_engine_of(origin), settings)
    remove_leftovers(output.parent, output.name)
    values = settings.model_dump(mode="json")
    finish = start_record(settings=values, seed=None, device=device_name(device))
    load = loads_model(model, device, configured=configured, family=settings.family)
    predicting, together = put_together(load, settings, others or {}, device)
    dataset, read = read_split(settings, data, split)
    tested_with = _tested_with(predicting, settings)
    used = {"tested_with": tested_with, "input_digest": model_digest} | read
    options, given = ({}, {}) if boxes is None else boxes.read(dataset, split, origin)

    def record(made: str) -> dict[str, Any]:
        step = finish() | used | together | given | {"output_digest": made}
        return origin | {"inference": inference} | of_split(split) | {"predict": step}

    with origin_written_last(output, record):
        predict(predicting, dataset, settings, output, **options)


def of_split(split: Split) -> dict[str, str]:
    """Return what the record of a prediction says of the split: of the usual one nothing."""
    return {} if split == "val" else {"split": split}


def read_split(
    settings: AnyInferenceSettings, data: DataPaths, split: Split
) -> tuple[Any, dict[str, Any]]:
    """Read a split, and return what the record says of it as well."""
    family = family_of(settings)
    dataset = family.function(family.read)(data, split)
    used = predicted_data(dataset) if split == "val" else training_data(dataset, data)
    return dataset, {"data": used}


def _engine_of(origin: dict[str, Any]) -> Engine:
    """Return who has trained a model, and therefore predicts with it."""
    settings = origin.get("train", {}).get("settings", {})
    engine: Engine = settings.get("engine", OWN_ENGINE)
    return engine


def _tested_with(
    predicting: "SavedModel | Ensemble", settings: AnyInferenceSettings
) -> dict[str, Any]:
    """Return what the model is tested with, of an ensemble the variant's own."""
    if settings.keeps_size:
        asked: dict[str, Any] = settings.test.model_dump(mode="json")
        return asked
    return in_force(predicting.input, predicting.detector, settings.test)
