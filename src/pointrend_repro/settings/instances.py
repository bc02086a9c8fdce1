"""Settings of a detector's training and prediction, typed, with the paper's defaults.

Sources, cited per field: "paper" is PointRend (sections 3 and 4, appendix A in the supplement);
"d2" is detectron2's configuration at commit 02b5c4e2, which the paper says it uses. Where the two
differ the paper's value is the default and `docs/paper_and_detectron2.md` lists both.

This module imports neither torch nor Snakemake: a dry run reads it.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pointrend_repro.settings.at_test import AS_TRAINED, DetectionAtTest
from pointrend_repro.settings.backbone import BackboneSettings
from pointrend_repro.settings.ensemble import EnsembleSettings
from pointrend_repro.settings.identity import added
from pointrend_repro.settings.of_family import (
    AnyInferenceSettings,
    AnyModelSettings,
    AnyTrainingSettings,
    FamilyOverrides,
    Recipe,
    require_kinds,
)
from pointrend_repro.settings.schedule import InputSettings, OptimizerSettings
from pointrend_repro.settings.values import Fraction, PositiveInt, RoiEdge, Strict, merged


class DetectorSettings(Strict):
    """Region proposals and box head, as in d2's Base-RCNN-FPN."""

    anchor_sizes_px: tuple[int, ...] = (32, 64, 128, 256, 512)
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    rpn_batch_per_image: PositiveInt = 256
    rpn_pre_nms_train: PositiveInt = 2000
    rpn_pre_nms_test: PositiveInt = 1000
    rpn_post_nms: PositiveInt = 1000
    rpn_nms_iou: Fraction = 0.7
    roi_batch_per_image: PositiveInt = 512
    roi_positive_fraction: Fraction = 0.25
    box_head_channels: PositiveInt = 1024
    score_threshold: Fraction = 0.05
    nms_iou: Fraction = 0.5
    detections_per_image: PositiveInt = 100


class Conv4HeadSettings(Strict):
    """The default mask head of Mask R-CNN: four 3x3 convs, a deconv, class-specific logits."""

    kind: Literal["4conv"]
    channels: PositiveInt = 256
    roi_resolution: RoiEdge = Field(14, description="RoIAlign side; the mask has twice that")


class PointRendHeadSettings(Strict):
    """PointRend on a light coarse head (paper, section 4)."""

    kind: Literal["pointrend"]
    coarse_channels: PositiveInt = 1024
    coarse_resolution: PositiveInt = Field(7, description="paper: M0 = 7")
    point_channels: PositiveInt = 256
    train_points: PositiveInt = Field(196, description="paper: N = 14 x 14 points per box")
    train_selection: Literal["random", "regular_grid"] = Field(
        "random", description="paper: random, biased by k and beta; Table 4 has a regular grid too"
    )
    oversample_ratio: Annotated[float, Field(ge=1)] = Field(3.0, description="paper: k")
    importance_ratio: Fraction = Field(0.75, description="paper: beta")
    point_loss: Literal["mean", "sum"] = Field(
        "mean", description="over a box's points; the paper writes sum, d2 trains with mean"
    )
    train_on_refined_boxes: bool = Field(
        True, description="paper: training as a cascade gains about 0.2 AP"
    )

    @model_validator(mode="after")
    def _a_regular_grid_is_square(self) -> "PointRendHeadSettings":
        if self.train_selection == "regular_grid" and math.isqrt(self.train_points) ** 2 != (
            self.train_points
        ):
            raise ValueError(f"train_points {self.train_points} is not square, as a grid needs")
        return self


class SharpMaskHeadSettings(Strict):
    """SharpMask's top-down refinement (1603.08695) on RoI features."""

    kind: Literal["sharpmask"]
    reduced_channels: PositiveInt = Field(128, description="SharpMask, section 5.1: F = 128")
    bottleneck_channels: PositiveInt = Field(512, description="SharpMask, section 4.2: low rank")
    encoding_channels: Annotated[int, Field(gt=0, multiple_of=16)] = Field(
        32, description="SharpMask, section 5.2: k, which four modules halve to k / 16"
    )
    skip_channels: PositiveInt = Field(64, description="SharpMask, section 5.2: between its convs")
    coarse_stage_share: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="none: trained jointly; else SharpMask's two stages, this share of the "
        "iterations for the first (section 3.3; its length is not given)",
    )


class PluginHeadSettings(Strict):
    """A mask head from outside this package (docs/your_head.md)."""

    kind: Literal["plugin"]
    head: Annotated[str, Field(pattern=r"^[\w.-]+(:\w+)?$")] = Field(
        description="module:Class, of an installed package or below the current folder; or the "
        "name of an entry point in the group pointrend_repro.mask_heads"
    )
    settings: dict[str, Any] = Field({}, description="keyword arguments of the class")


MaskHeadSettings = Annotated[
    Conv4HeadSettings | PointRendHeadSettings | SharpMaskHeadSettings | PluginHeadSettings,
    Field(discriminator="kind"),
]


# Not written to files: models were told apart by their keys before there were families.
OwnFamily = Literal["mask_rcnn"]
UNNAMED: Any = Field("mask_rcnn", exclude=True)


class ModelSettings(AnyModelSettings):
    """Everything that decides a model's parameters and how it is trained on one image."""

    family: OwnFamily = UNNAMED
    backbone: BackboneSettings
    detector: DetectorSettings = DetectorSettings()
    mask_head: MaskHeadSettings
    given_proposals: bool = added(
        False, "it has no proposals of its own, and is given boxes in training and at test time"
    )


class InferenceSettings(AnyInferenceSettings):
    """How a trained detector predicts boxes and masks. The 4x conv head has nothing to set."""

    family: OwnFamily = UNNAMED
    output_resolution: PositiveInt = Field(224, description="side M of PointRend's mask")
    points_per_step: PositiveInt = Field(784, description="paper: N = 28 x 28 points per step")
    test: DetectionAtTest = added(AS_TRAINED, "what the model is tested with instead of its own")
    ensemble: EnsembleSettings | None = added(None, "none: the model predicts alone")


class TrainingSettings(AnyTrainingSettings):
    """One training, resolved: what `train` needs to know besides the data set and the trial."""

    family: OwnFamily = UNNAMED
    model: ModelSettings
    input: InputSettings = InputSettings()
    optimizer: OptimizerSettings = OptimizerSettings()


class DatasetRecipe(Recipe):
    """How instance models are trained."""

    input: InputSettings = InputSettings()
    optimizer: OptimizerSettings = OptimizerSettings()


class DetectorOverrides(FamilyOverrides):
    """What a preset changes in detectors."""

    mask_head: dict[str, dict[str, Any]] = Field({}, description="by the kind of head")
    test: DetectionAtTest = Field(AS_TRAINED, description="of all predictions; retrains nothing")

    @model_validator(mode="after")
    def _mask_heads_exist(self) -> "DetectorOverrides":
        require_kinds("mask_head", self.mask_head, MaskHeadSettings)
        return self

    def of_model(self, model: dict[str, Any]) -> dict[str, Any]:
        """Return a model's settings, changed as for all models and for its kind of mask head."""
        changed = super().of_model(model)
        head = changed["mask_head"]
        return changed | {"mask_head": merged(head, self.mask_head.get(head["kind"], {}))}
