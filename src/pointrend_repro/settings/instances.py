"""What one training or one prediction is made of: typed settings with the paper's defaults.

Sources, cited per field: "paper" is PointRend (sections 3 and 4, appendix A in the supplement);
"d2" is detectron2's configuration at commit 02b5c4e2, which the paper says it uses. Where the two
differ the paper's value is the default and `docs/paper_and_detectron2.md` lists both.

This module imports neither torch nor Snakemake: a dry run reads it.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from pointrend_repro.settings.ensemble import EnsembleSettings
from pointrend_repro.settings.identity import added
from pointrend_repro.settings.start_from import START_FROM, ResolvedStart

PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
# A file of weights brings such settings along: they must not ask for more memory than there is.
ImageEdge = Annotated[int, Field(gt=0, le=16384)]
RoiEdge = Annotated[int, Field(gt=0, le=256)]
_Deviation = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Strict(BaseModel):
    """Settings that reject unknown keys and cannot be changed after they are read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BackboneSettings(Strict):
    """ResNet trunk, its FPN if the model has one, and the pixels its weights were trained on."""

    name: Literal["resnet18_narrow", "resnet50", "resnet101", "resnet103", "resnext101_32x8d"]
    stride_in_1x1: bool = Field(True, description="MSRA weights: the stride is in the 1x1 conv")
    norm: Literal["frozen_bn", "bn", "sync_bn", "gn"] = Field(
        "frozen_bn",
        description="paper: BN frozen, for DeepLabV3 BN over the batch of all devices (sync_bn); "
        "gn for training from scratch",
    )
    freeze_at: Literal[0, 2] = Field(
        2, description="d2: 2, stem and res2 are not trained; 0 for semantic models"
    )
    output_stride: Literal[8, 16, 32] = Field(
        32, description="image pixels per cell of res5; 16 dilates res5, 8 res4 too"
    )
    multi_grid: tuple[PositiveInt, ...] = Field(
        (), description="factors of the dilations of the res5 blocks; d2's DeepLabV3: 1, 2, 4"
    )
    fpn_channels: PositiveInt = 256
    channel_order: Literal["RGB", "BGR"] = "BGR"
    pixel_mean: tuple[FiniteFloat, FiniteFloat, FiniteFloat] = Field(
        (103.530, 116.280, 123.675), description="in `channel_order`, of 0..255"
    )
    pixel_std: tuple[_Deviation, _Deviation, _Deviation] = (1.0, 1.0, 1.0)
    weights: str | None = Field(None, description="ImageNet weights to start from; none: random")


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
    train_points: PositiveInt = Field(196, description="paper: N = 14 x 14 points a box")
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
            raise ValueError(f"train_points {self.train_points} is no square, as a grid needs")
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


class ModelSettings(Strict):
    """Everything that decides a model's parameters and how it is trained on one image."""

    backbone: BackboneSettings
    detector: DetectorSettings = DetectorSettings()
    mask_head: MaskHeadSettings


class InferenceSettings(Strict):
    """How a trained mask head is asked for its masks. The 4x conv head has nothing to set."""

    output_resolution: PositiveInt = Field(224, description="side M of PointRend's mask")
    points_per_step: PositiveInt = Field(784, description="paper: N = 28 x 28 points a step")
    ensemble: EnsembleSettings | None = added(None, "none: the model predicts alone")


class InputSettings(Strict):
    """Image sizes and augmentation (supplement, section 1)."""

    train_short_edges_px: tuple[PositiveInt, ...] = (640, 672, 704, 736, 768, 800)
    test_short_edge_px: ImageEdge = 800
    max_long_edge_px: ImageEdge = 1333
    flip_probability: Fraction = 0.5


class ScheduleSettings(Strict):
    """How long to train, and how the learning rate falls: tenfold at times, or by a power."""

    total_iters: PositiveInt
    lr_drop_iters: tuple[PositiveInt, ...] = ()
    poly_power: PositiveFloat | None = Field(
        None,
        description="paper: DeepLabV3's rate is base_lr * (1 - iteration / total_iters) ** 0.9; "
        "none: it drops tenfold at lr_drop_iters",
    )

    @model_validator(mode="after")
    def _falls_in_one_way(self) -> "ScheduleSettings":
        if self.poly_power is not None and self.lr_drop_iters:
            raise ValueError(
                f"lr_drop_iters {self.lr_drop_iters} and poly_power exclude each other"
            )
        return self

    @model_validator(mode="after")
    def _drops_are_inside(self) -> "ScheduleSettings":
        if any(i >= self.total_iters for i in self.lr_drop_iters):
            raise ValueError(
                f"lr_drop_iters {self.lr_drop_iters} must lie before total_iters {self.total_iters}"
            )
        if list(self.lr_drop_iters) != sorted(set(self.lr_drop_iters)):
            raise ValueError(f"lr_drop_iters {self.lr_drop_iters} must increase")
        return self


class OptimizerSettings(Strict):
    """SGD with a linear warm-up and steps (supplement, section 1)."""

    images_per_batch: PositiveInt = Field(16, description="on all GPUs together, however many")
    images_per_step: PositiveInt = Field(
        2,
        description="what one forward pass sees: padded to one size, each loss averaged over it; a "
        "batch's loss is the mean of its steps'. The paper does not say; d2: a GPU's share of the "
        "batch, of 8. A batch has work for images_per_batch / images_per_step processes at most",
    )
    precision: Literal["fp32", "bf16"] = Field(
        "fp32",
        description="bf16: convolutions and linear layers in bfloat16; weights, losses, boxes, "
        "and all that PointRend computes at points, in float32",
    )
    base_lr: PositiveFloat = 0.02
    momentum: Fraction = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    warmup_iters: Annotated[int, Field(ge=0)] = 1000
    warmup_start_lr: PositiveFloat = Field(
        0.001, description="paper: 0.001; d2 starts at base_lr / 1000"
    )
    on_non_finite_loss: Literal["stop", "skip"] = Field(
        "stop",
        description="stop: with the losses and the image ids; skip: leave the update out, log it, "
        "and stop only after max_skipped_updates",
    )
    max_skipped_updates: PositiveInt = Field(
        20, description="of one training; a model that has diverged would skip every update"
    )


Engine = Literal["pointrend_repro", "detectron2"]
OWN_ENGINE: Engine = "pointrend_repro"


class RunSettings(Strict):
    """How often a training speaks and saves. Changing these does not change the weights."""

    log_every_iters: PositiveInt = 20
    checkpoint_every_iters: PositiveInt = 5000
    loader_workers: Annotated[int, Field(ge=0)] = 4


class TrainingSettings(Strict):
    """One training, resolved: what `train` needs to know beside the data set and the trial."""

    engine: Engine = Field(OWN_ENGINE, description="trains and predicts; docs/detectron2.md")
    model: ModelSettings
    input: InputSettings = InputSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings
    run: RunSettings = RunSettings()
    start_from: ResolvedStart | None = START_FROM
