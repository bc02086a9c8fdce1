"""Several models that predict together.

This module imports neither torch nor Snakemake: a dry run reads it.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pointrend_repro.base.names import Name


class EnsembleSettings(BaseModel):
    """What else predicts beside a variant's own model, and how all that they find becomes one.

    Trial k predicts with trial k of each.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    variants: tuple[Name, ...] = Field(min_length=1, description="trained on the same data set")
    weights: tuple[Annotated[float, Field(gt=0, le=1)], ...] | None = Field(
        None, description="a factor of the scores of the variant's own model and of each of these"
    )
    nms_iou: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="of two boxes of one class that overlap more, the lower score goes"
    )
    detections_per_image: Annotated[int, Field(gt=0)] = 100

    @model_validator(mode="after")
    def _has_one_weight_a_model(self) -> "EnsembleSettings":
        if len(set(self.variants)) < len(self.variants):
            raise ValueError(f"variants {list(self.variants)} has one twice")
        if self.weights is not None and len(self.weights) != 1 + len(self.variants):
            raise ValueError(
                f"{len(self.weights)} weights for {1 + len(self.variants)} models, of which the "
                "variant's own is the first"
            )
        return self
