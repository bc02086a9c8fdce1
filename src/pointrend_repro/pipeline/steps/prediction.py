"""From a trained model, or several together, to predictions of the validation images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointrend_repro.base.files import remove_leftovers
from pointrend_repro.base.origins import origin_written_last, require_as_recorded
from pointrend_repro.base.provenance import start_record
from pointrend_repro.data.fingerprint import predicted_data, scored_data, training_data
from pointrend_repro.data.paths import DataPaths
from pointrend_repro.declarations.family import family_of
from pointrend_repro.pipeline.steps.devices import device_name
from pointrend_repro.pipeline.steps.sharing import ONE_CORE, Cores, Sharing, of_one_rank
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
    cores: Cores = ONE_CORE,
) -> None:
    """Predict a split of a data set with a trained model, or with several together.

    Under `torchrun` several processes do so; their number changes no byte.

    Args:
        configured: the variant's settings, which must be those that the model was trained with.
            Without them a model with a plug-in head is refused.
        others: the models of `settings.ensemble.variants` in their order, each with its settings.
        boxes: the predictions whose boxes the model is given, if it is given any.
        split: whose images to predict; those of training are for other trainings to read.
        output: a file in COCO's results format or, for a semantic model, a folder of label images.
        cores: of this machine, for all of those processes on it.

    Raises:
        DamagedError: a model, or what it is given, does not match its record.
        UserError: a model or the data are missing or faulty, or another process has failed.
    """
    from pointrend_repro.predictions.ranks import launched_ranks

    models = _Models(model, configured, others or {}, device)
    with launched_ranks(device) as ranks:
        made = {"inference": inference} | of_split(split)
        _predict(
            models, settings, (data, split), boxes, output, Sharing(cores, ranks, device), made
        )
        ranks.meet()


def _predict(
    models: "_Models",
    settings: AnyInferenceSettings,
    images: tuple[DataPaths, Split],
    boxes: "GivenFile | None",
    output: Path,
    sharing: "Sharing",
    made: dict[str, str],
) -> None:
    """Predict this process's share; the main one also joins all shares and writes the record."""
    from pointrend_repro.engines.choosing import predictor_of, takes_work

    values = settings.model_dump(mode="json")
    finish = start_record(settings=values, seed=None, device=device_name(models.device))
    with sharing.ranks.main_first():
        origin, model_digest = require_as_recorded(models.model, "train")
        engine = _engine_of(origin)
        predict = predictor_of(engine, settings)
        if sharing.ranks.is_main:
            remove_leftovers(output.parent, output.name)
        predicting, together = models.load(settings)
        dataset, read = read_split(settings, *images)
        options, given = ({}, {}) if boxes is None else boxes.read(dataset, images[1], origin)
    tested_with = _tested_with(predicting, settings)
    used = {"tested_with": tested_with, "input_digest": model_digest} | read | together | given
    if takes_work(engine, settings):
        options["work"] = sharing.work(dataset.images, [values, made, engine, used])

    def record(made_digest: str) -> dict[str, Any]:
        step = finish() | used | sharing.told(options.get("work")) | {"output_digest": made_digest}
        return origin | made | {"predict": step}

    if sharing.ranks.is_main:
        with origin_written_last(output, record):
            predict(predicting, dataset, settings, output, **options)
    elif "work" in options:
        with of_one_rank():
            predict(predicting, dataset, settings, output, **options)


@dataclass(frozen=True)
class _Models:
    """The models that predict, on a device; arguments of `run_prediction`."""

    model: Path
    configured: AnyModelSettings | None
    others: Mapping[Path, AnyModelSettings]
    device: str

    def load(
        self, settings: AnyInferenceSettings
    ) -> "tuple[SavedModel | Ensemble, dict[str, Any]]":
        """Return what predicts, and what the record says of models beside the variant's own."""
        from pointrend_repro.pipeline.together import loads_model, put_together

        load = loads_model(
            self.model, self.device, configured=self.configured, family=settings.family
        )
        return put_together(load, settings, self.others, self.device)


def of_split(split: Split) -> dict[str, str]:
    """Return what the record of a prediction says of the split: of the usual one nothing."""
    return {} if split == "val" else {"split": split}


def read_split(
    settings: AnyInferenceSettings, data: DataPaths, split: Split
) -> tuple[Any, dict[str, Any]]:
    """Read a split, and return what the record says of it as well."""
    family = family_of(settings)
    dataset = family.function(family.read)(data, split)
    if split == "train":
        return dataset, {"data": training_data(dataset, data)}
    read = {"data": predicted_data(dataset)}
    if settings.chooses_by_objects:
        read["chosen_by"] = scored_data("val_annotations", data.val_annotations)
    return dataset, read


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
