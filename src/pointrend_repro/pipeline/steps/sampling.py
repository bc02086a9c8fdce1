"""Which images show how a training goes: four of its validation images, always the same."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.paths import DataPaths
from pointrend_repro.data.records import AnyDataset
from pointrend_repro.declarations.family import family_of
from pointrend_repro.settings.of_family import AnyTrainingSettings
from pointrend_repro.settings.schedule import OWN_ENGINE

if TYPE_CHECKING:
    from pointrend_repro.checkpoints.saved_models import SavedModel
    from pointrend_repro.training.samples import Samples

_log = logging.getLogger(__name__)


def samples_of(
    settings: AnyTrainingSettings,
    dataset: AnyDataset,
    data: DataPaths,
    saved: Callable[[Any, AnyTrainingSettings, AnyDataset], "SavedModel"],
) -> "Samples | None":
    """Return how sample predictions of a training are drawn; None: it has none.

    A training that can have none says so, and goes on: no number depends on them.

    Args:
        dataset: what it trains on.
        data: where its validation images are.
        saved: makes of the model in training, by (model, settings, dataset), what predicts.
    """
    from pointrend_repro.training.samples import Samples

    if not settings.run.samples:
        return None
    try:
        return Samples(_images(settings, data), lambda model: saved(model, settings, dataset))
    except UserError as error:
        _log.warning("no sample predictions: %s", error)
        return None


def _images(settings: AnyTrainingSettings, data: DataPaths) -> list[Path]:
    """Return files from all over the validation images, of those with objects if any has one.

    Raises:
        UserError: they cannot be read, or such models do not predict single images.
    """
    from pointrend_repro.training.samples import COUNT

    family = family_of(settings)
    if settings.engine != OWN_ENGINE:
        raise UserError(f"{settings.engine}'s trainer draws none")
    if family.predict_image is None or settings.proposals_from is not None:
        raise UserError("such models predict data sets, not single images")
    dataset = family.function(family.read)(data, "val")
    records = family.training_records(dataset, settings) or dataset.images
    count = min(COUNT, len(records))
    return [records[(2 * k + 1) * len(records) // (2 * count)].path for k in range(count)]
