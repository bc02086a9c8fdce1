"""Several models that predict together.

This module imports neither torch nor Snakemake: a dry run reads it.
"""

from typing import Annotated

from pydantic import Field, model_validator

from pointrend_repro.base.names import Name
from pointrend_repro.settings.at_test import Nms
from pointrend_repro.settings.ensemble_weights import Weighting, model_weights
from pointrend_repro.settings.identity import added
from pointrend_repro.settings.values import Strict

_Reached = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class EnsembleSettings(Strict):
    """What else predicts beside a variant's own model, and how all that they find becomes one.

    Trial k predicts with trial k of each.
    """

    variants: tuple[Name, ...] = Field(min_length=1, description="trained on the same data set")
    weights: tuple[Annotated[float, Field(gt=0, le=1)], ...] | None = Field(
        None, description="a factor of the scores of the variant's own model and of each of these"
    )
    nms_iou: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="of two boxes of one class that overlap more, the lower score goes"
    )
    detections_per_image: Annotated[int, Field(gt=0)] = 100
    scores: tuple[_Reached, ...] | None = added(
        None, "of the models in the order of `weights`, such as their AP: the weights follow"
    )
    weighting: Weighting = added("linear_interpolation", "how they do (3D-FUTURE report, 4.3)")
    nms: Nms = added(
        "hard",
        "soft_linear: an overlap above nms_iou lowers the lower score by it; below 0.001 it goes",
    )

    @property
    def model_weights(self) -> tuple[float, ...]:
        """The factor of the scores of each model, the variant's own first."""
        if self.scores is not None:
            return model_weights(self.scores, self.weighting)
        return self.weights or (1.0,) * (1 + len(self.variants))

    @model_validator(mode="after")
    def _has_one_weight_a_model(self) -> "EnsembleSettings":
        if len(set(self.variants)) < len(self.variants):
            raise ValueError(f"variants {list(self.variants)} has one twice")
        if self.weights is not None and self.scores is not None:
            raise ValueError("weights and scores: weights follow from scores, so give one of them")
        if self.scores is None and self.weighting != "linear_interpolation":
            raise ValueError(f"weighting {self.weighting}: says how weights follow from `scores`")
        for key, given in (("weights", self.weights), ("scores", self.scores)):
            if given is not None and len(given) != 1 + len(self.variants):
                raise ValueError(
                    f"{len(given)} {key} for {1 + len(self.variants)} models, of which the "
                    "variant's own is the first"
                )
        return self
