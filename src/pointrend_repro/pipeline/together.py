"""The models that predict together with a variant's own, checked against their records."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pointrend_repro.base.origins import require_as_recorded
from pointrend_repro.checkpoints.saved_models import SavedModel, load_saved_model
from pointrend_repro.predictions.ensembles import Ensemble, LoadsModel, make_ensemble
from pointrend_repro.settings.of_family import AnyInferenceSettings, AnyModelSettings


def put_together(
    load: LoadsModel,
    settings: AnyInferenceSettings,
    others: Mapping[Path, AnyModelSettings],
    device: str,
) -> tuple[SavedModel | Ensemble, dict[str, Any]]:
    """Return what predicts, and what the record of the prediction says of the other models.

    Args:
        load: loads the variant's own model, which predicts alone if `settings` have no ensemble.
        others: the models of `settings.ensemble.variants` in their order, each with its settings.

    Raises:
        DamagedError: a model is not what its record describes.
        UserError: a model is not there, or is for other classes.
    """
    ensemble = getattr(settings, "ensemble", None)
    if ensemble is None:
        return load(), {}
    models, noted = [load], []
    for path, configured in others.items():
        made = require_as_recorded(path, "train")
        noted.append({"file": str(path), "input_digest": made.digest, "origin": made.origin})
        models.append(loads_model(path, device, configured=configured))
    return make_ensemble(models, ensemble), {"others": noted}


def loads_model(
    path: Path,
    device: str,
    *,
    configured: AnyModelSettings | None = None,
    family: str | None = None,
) -> LoadsModel:
    """Return what loads a model onto a device; arguments as for `load_saved_model`."""

    def load() -> SavedModel:
        saved = load_saved_model(path, configured=configured, family=family)
        saved.model.to(device)
        return saved

    return load
