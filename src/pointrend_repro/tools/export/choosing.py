"""How an exported model predicts: as `load_model` does, but for what is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.config.reading import with_test
from pointrend_repro.modeling.steps import subdivision_steps
from pointrend_repro.predictions.by_default import default_inference
from pointrend_repro.settings.at_test import SizeAtTest, input_at_test
from pointrend_repro.settings.heads import PluginHeadSettings, PointRendHeadSettings
from pointrend_repro.settings.instances import InferenceSettings
from pointrend_repro.settings.of_family import AnyInferenceSettings
from pointrend_repro.tools.export.formats import MAX_SIDE_PX

# How many sides of masks a message names: up to 64 times the coarse one's.
_NAMED_DOUBLINGS = 6


@dataclass(frozen=True)
class Asked:
    """What a graph is to do otherwise than the model by default. None: the same.

    Attributes:
        output_resolution: side M of PointRend's masks.
        points_per_step: PointRend's N.
        test: under the keys of `test` in an inference setting.
    """

    output_resolution: int | None = None
    points_per_step: int | None = None
    test: Mapping[str, Any] | None = None


def inference_of_graph(saved: SavedModel, asked: Asked) -> AnyInferenceSettings:
    """Return how a graph predicts.

    Raises:
        UserError: the model cannot predict in this way, or a graph cannot.
    """
    test = asked.test or {}
    if test.get("precision", "fp32") != "fp32":
        raise UserError(
            "--test: precision: an exported model is written in fp32; what runs it may convert it"
        )
    settings = default_inference(saved)
    masks = {
        key: value
        for key in ("output_resolution", "points_per_step")
        if (value := getattr(asked, key)) is not None
    }
    if masks:
        _require_rendering(saved, next(iter(masks)))
    settings = with_test(settings.model_copy(update=masks), test, where="--test")
    _require_doublings(saved, settings)
    _require_size(saved, settings.test)
    return settings


def _require_rendering(saved: SavedModel, key: str) -> None:
    """Refuse what nothing reads; a plug-in head is given the inference settings, and may."""
    head = getattr(saved.model.settings, "mask_head", None)
    if not isinstance(head, PointRendHeadSettings | PluginHeadSettings):
        kind = getattr(head, "kind", "none")
        has = "no mask head" if kind == "none" else f"mask head {kind}"
        raise UserError(
            f"--{key.replace('_', '-')}: is for PointRend's masks, and this model has {has}; "
            "leave it out"
        )


def _require_doublings(saved: SavedModel, settings: AnyInferenceSettings) -> None:
    head = getattr(saved.model.settings, "mask_head", None)
    if not (isinstance(head, PointRendHeadSettings) and isinstance(settings, InferenceSettings)):
        return
    coarse, side = head.coarse_resolution, settings.output_resolution
    try:
        subdivision_steps(coarse, side, settings.points_per_step)
    except ValueError:
        sides = ", ".join(str(coarse * 2**k) for k in range(_NAMED_DOUBLINGS + 1))
        raise UserError(
            f"--output-resolution {side}: this model's masks begin with {coarse}x{coarse} and "
            f"double from step to step; give one of {sides}"
        ) from None


def _require_size(saved: SavedModel, test: SizeAtTest) -> None:
    size = input_at_test(saved.input, test)
    sides = {"short_edge_px": size.test_short_edge_px, "max_long_edge_px": size.max_long_edge_px}
    for key, side in sides.items():
        if side > MAX_SIDE_PX:
            raise UserError(
                f"--test: {key} is {side}, but a graph takes sides of at most {MAX_SIDE_PX} pixels "
                f"(docs/export.md); give {key}={MAX_SIDE_PX} or less"
            )
