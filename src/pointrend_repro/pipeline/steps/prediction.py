"""From a trained model to its predictions for the validation images."""

from pathlib import Path

from pointrend_repro.base.files import remove_leftovers
from pointrend_repro.base.origins import origin_written_last, require_as_recorded
from pointrend_repro.base.provenance import start_record
from pointrend_repro.data.fingerprint import predicted_data
from pointrend_repro.data.paths import DataPaths
from pointrend_repro.declarations.family import family_of
from pointrend_repro.pipeline.steps.devices import device_name
from pointrend_repro.settings.at_test import in_force
from pointrend_repro.settings.of_family import AnyInferenceSettings, AnyModelSettings
from pointrend_repro.settings.schedule import OWN_ENGINE


def run_prediction(
    inference: str,
    settings: AnyInferenceSettings,
    data: DataPaths,
    *,
    model: Path,
    output: Path,
    device: str,
    configured: AnyModelSettings | None = None,
) -> None:
    """Predict the validation images with a trained model.

    Args:
        configured: the variant's settings, which must be those that the model was trained with.
            Without them a model with a plug-in head is refused.
        output: a file in COCO's results format or, for a semantic model, a folder of label images.

    Raises:
        DamagedError: the model does not match its record.
        UserError: the model or the data are missing or faulty.
    """
    origin, model_digest = require_as_recorded(model, "train")
    from pointrend_repro.checkpoints.saved_models import load_saved_model
    from pointrend_repro.engines.choosing import predictor_of

    # A model is run by the engine that trained it.
    trained_with = origin.get("train", {}).get("settings", {})
    predict = predictor_of(trained_with.get("engine", OWN_ENGINE), settings)
    remove_leftovers(output.parent, output.name)
    finish = start_record(
        settings=settings.model_dump(mode="json"), seed=None, device=device_name(device)
    )
    saved = load_saved_model(model, configured=configured, family=settings.family)
    saved.model.to(device)
    family = family_of(settings)
    dataset = family.function(family.read)(data, "val")
    used = {
        "tested_with": in_force(
            saved.input, getattr(saved.model.settings, "detector", None), settings.test
        ),
        "data": predicted_data(dataset),
        "input_digest": model_digest,
    }
    with origin_written_last(
        output,
        lambda made: (
            origin | {"inference": inference, "predict": finish() | used | {"output_digest": made}}
        ),
    ):
        predict(saved, dataset, settings, output)
