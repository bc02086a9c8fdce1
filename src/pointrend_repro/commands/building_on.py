"""What `train` and `predict` are given of other trainings, matched to what a variant asks for."""

from pathlib import Path
from typing import TYPE_CHECKING

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.origins import require_model_of

if TYPE_CHECKING:
    from pointrend_repro.experiments.grid import Grid
    from pointrend_repro.settings.of_family import AnyInferenceSettings, AnyModelSettings
    from pointrend_repro.settings.proposals_from import ResolvedProposals


def require_asked_for(proposals: Path | None, settings: "ResolvedProposals | None") -> None:
    """Refuse boxes for a variant that reads none.

    Raises:
        UserError: it has proposals of its own.
    """
    if proposals is not None and settings is None:
        raise UserError("--proposals: the variant has proposals of its own")


def other_models(
    grid: "Grid", dataset: str, settings: "AnyInferenceSettings", models: list[Path]
) -> "dict[Path, AnyModelSettings]":
    """Match the models that predict together with a variant's own to the settings of theirs.

    Raises:
        UserError: they are others than the variants that the inference setting names.
    """
    ensemble = getattr(settings, "ensemble", None)
    variants = () if ensemble is None else ensemble.variants
    if len(variants) != len(models):
        wanted = f"the models of {', '.join(variants)}" if variants else "no other model"
        raise UserError(f"--with-model: this way to predict takes {wanted}")
    for path, name in zip(models, variants, strict=True):
        require_model_of(path, {"preset": grid.name, "dataset": dataset, "variant": name})
    found = (grid.training_settings(dataset, name).model for name in variants)
    return dict(zip(models, found, strict=True))
