"""How a model predicts where nobody says otherwise."""

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.declarations.family import family_of
from pointrend_repro.settings.heads import PointRendHeadSettings
from pointrend_repro.settings.of_family import AnyInferenceSettings

# Of PointRend's masks at inference: 7x7 to 224x224 (section 4.1).
_SUBDIVISIONS = 5


def default_inference(saved: SavedModel) -> AnyInferenceSettings:
    """Return the paper's inference settings for a model, unless it brings its own.

    PointRend's masks are what five subdivisions make of its coarse ones: of 7x7, 224x224.
    """
    if saved.inference is not None:
        return saved.inference
    settings = saved.model.settings
    inference = family_of(settings).default_inference()
    head = getattr(settings, "mask_head", None)
    if isinstance(head, PointRendHeadSettings):
        side = head.coarse_resolution * 2**_SUBDIVISIONS
        return inference.model_copy(update={"output_resolution": side})
    return inference
