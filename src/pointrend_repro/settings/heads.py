"""Settings of a detector's heads besides the box head: masks of several kinds, and keypoints.

Sources, cited per field: "paper" is PointRend unless another one is named.

This module imports neither torch nor Snakemake: a dry run reads it.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pointrend_repro.settings.identity import added
from pointrend_repro.settings.values import Fraction, PositiveInt, RoiEdge, Strict


class GridMaskSettings(Strict):
    """What the mask heads share that predict a fixed grid (Mask R-CNN, sections 3 and 4.2)."""

    mask_loss: Literal["sigmoid", "softmax"] = added(
        "sigmoid", "Mask R-CNN: each class by itself; softmax over the classes is Table 2b's"
    )
    class_agnostic: bool = added(False, "one mask for all classes (Mask R-CNN, section 4.2)")

    @model_validator(mode="after")
    def _softmax_is_over_classes(self) -> "GridMaskSettings":
        if self.mask_loss == "softmax" and self.class_agnostic:
            raise ValueError("mask_loss: softmax is over classes: it needs class_agnostic: false")
        return self


class MaskScoringSettings(Strict):
    """The head that predicts the IoU of a mask with its object (Mask Scoring R-CNN, 1903.00241).

    "code" is mmdetection's, 1.1 to 3.3.
    """

    channels: PositiveInt = Field(256, description="of its four convolutions")
    hidden_channels: PositiveInt = Field(1024, description="of its two fully connected layers")
    loss_weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        0.5, description="code; Mask Scoring R-CNN: 1"
    )


class Conv4HeadSettings(GridMaskSettings):
    """The default mask head of Mask R-CNN: four 3x3 convs, a deconv, class-specific logits."""

    kind: Literal["4conv"]
    channels: PositiveInt = 256
    roi_resolution: RoiEdge = Field(14, description="RoIAlign side; the mask has twice that")
    mask_scoring: MaskScoringSettings | None = added(
        None, "an object's score is its box's times the IoU that its mask is given; none: its box's"
    )

    @model_validator(mode="after")
    def _scores_masks_of_classes(self) -> "Conv4HeadSettings":
        if self.mask_scoring is not None and self.mask_loss == "softmax":
            raise ValueError("mask_scoring reads sigmoid masks: it needs mask_loss: sigmoid")
        return self


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
    levels: Annotated[tuple[Literal["p2", "p3", "p4", "p5", "p6"], ...], Field(min_length=1)] = (
        added(
            ("p2",),
            "pyramid levels that coarse and point head see, side by side; paper: p2; the 3D-FUTURE "
            "report: p2 to p5, or to p6",
        )
    )
    coarse_conv_channels: PositiveInt | None = added(
        None, "of the convolutions before the coarse head's fully connected layers; none: a level's"
    )
    coarse_layers: PositiveInt = added(2, "fully connected, before the coarse prediction")
    point_layers: PositiveInt = added(3, "of the point head, before its prediction")

    @model_validator(mode="after")
    def _levels_go_from_fine_to_coarse(self) -> "PointRendHeadSettings":
        if list(self.levels) != sorted(set(self.levels)):
            raise ValueError(f"levels {', '.join(self.levels)} must go from fine to coarse")
        return self

    @model_validator(mode="after")
    def _a_regular_grid_is_square(self) -> "PointRendHeadSettings":
        if self.train_selection == "regular_grid" and math.isqrt(self.train_points) ** 2 != (
            self.train_points
        ):
            raise ValueError(f"train_points {self.train_points} is not square, as a grid needs")
        return self


class SharpMaskHeadSettings(Strict):
    """SharpMask's top-down refinement (1603.08695) on RoI features.

    The paper's own system is the family `deepmask` (`settings/deepmask.py`).
    """

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


class Res5MaskSettings(GridMaskSettings):
    """The mask branch on the box head's res5 features (Mask R-CNN, Figure 3 left; C4 only)."""

    kind: Literal["res5"]
    channels: PositiveInt = Field(256, description="of the deconvolution; the mask is 14x14")


class MlpMaskSettings(GridMaskSettings):
    """Fully connected layers on RoI features (Mask R-CNN, Table 2e)."""

    kind: Literal["mlp"]
    hidden_layers: PositiveInt = Field(
        2, description="Mask R-CNN, Table 2e: 2 or 3 before the last"
    )
    channels: PositiveInt = 1024
    resolution: PositiveInt = Field(28, description="side of the mask")
    roi_resolution: RoiEdge = Field(14, description="not stated; as the FCN branch")


class NoMaskSettings(Strict):
    """No mask branch: Faster R-CNN (Mask R-CNN, Table 3)."""

    kind: Literal["none"]


class PluginHeadSettings(Strict):
    """A mask head from outside this package (docs/your_head.md)."""

    kind: Literal["plugin"]
    head: Annotated[str, Field(pattern=r"^[\w.-]+(:\w+)?$")] = Field(
        description="module:Class, of an installed package or below the current folder; or the "
        "name of an entry point in the group pointrend_repro.mask_heads"
    )
    settings: dict[str, Any] = Field({}, description="keyword arguments of the class")


MaskHeadSettings = Annotated[
    Conv4HeadSettings
    | PointRendHeadSettings
    | SharpMaskHeadSettings
    | Res5MaskSettings
    | MlpMaskSettings
    | NoMaskSettings
    | PluginHeadSettings,
    Field(discriminator="kind"),
]


class KeypointHeadSettings(Strict):
    """The keypoint branch (Mask R-CNN, section 5)."""

    num_keypoints: PositiveInt = Field(17, description="of the data set's one category with any")
    convs: PositiveInt = 8
    channels: PositiveInt = 512
    roi_resolution: RoiEdge = Field(14, description="the heat map has four times that")
