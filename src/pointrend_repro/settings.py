"""What one training or one prediction is made of: typed settings with the paper's defaults.

Sources, cited per field: "paper" is PointRend (sections 3 and 4, appendix A in the supplement);
"d2" is detectron2's configuration at commit 02b5c4e2, which the paper says it uses. Where the two
differ the paper's value is the default and `docs/paper_and_detectron2.md` lists both.

This module imports neither torch nor Snakemake: a dry run reads it.
"""

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


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
    pixel_mean: tuple[float, float, float] = Field(
        (103.530, 116.280, 123.675), description="in `channel_order`, of 0..255"
    )
    pixel_std: tuple[float, float, float] = (1.0, 1.0, 1.0)
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
    roi_resolution: PositiveInt = Field(14, description="RoIAlign side; the mask has twice that")


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


MaskHeadKind = Literal["4conv", "pointrend", "sharpmask"]
MaskHeadSettings = Annotated[
    Conv4HeadSettings | PointRendHeadSettings | SharpMaskHeadSettings, Field(discriminator="kind")
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


class InputSettings(Strict):
    """Image sizes and augmentation (supplement, section 1)."""

    train_short_edges_px: tuple[PositiveInt, ...] = (640, 672, 704, 736, 768, 800)
    test_short_edge_px: PositiveInt = 800
    max_long_edge_px: PositiveInt = 1333
    flip_probability: Fraction = 0.5


class SemanticInputSettings(InputSettings):
    """Crops of Cityscapes images and their augmentation (supplement, section 2)."""

    train_short_edges_px: tuple[PositiveInt, ...] = Field(
        tuple(range(512, 2049, 32)),
        description="paper: 0.5x to 2.0x of the image's 1024 pixels in steps of 32; d2's DeepLabV3 "
        "takes 512, 768, ... 2048",
    )
    test_short_edge_px: PositiveInt = 1024
    max_long_edge_px: PositiveInt = Field(
        2048, description="of inference alone: training images are cropped"
    )
    crop_px: tuple[PositiveInt, PositiveInt] = Field(
        description="height and width; a smaller image is padded, with pixels that do not count"
    )
    color_augmentation: Literal["ssd"] | None = Field(
        None, description="paper: SSD's (1512.02325) for SemanticFPN, none for DeepLabV3"
    )
    crop_bootstrapping: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="a crop is drawn anew, ten times at most, while one class has this share or "
        "more of its labelled pixels. paper: 'crop bootstrapping' for SemanticFPN, without saying "
        "what it does; d2's configuration of that model has this, with 0.75; none: any crop",
    )


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

    images_per_batch: PositiveInt = 16
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
        20, description="of one training; a model whose weights are spoilt skips for ever"
    )


class SemanticOptimizerSettings(OptimizerSettings):
    """SGD whose decoder may learn faster than its trunk (supplement, section 2)."""

    base_lr: PositiveFloat = 0.01
    decoder_lr_factor: PositiveFloat = Field(
        1.0,
        description="paper: 10 for DeepLabV3's ASPP and prediction convolution; d2: 1. The point "
        "head, of which the paper says nothing, learns at the trunk's rate",
    )
    norm_weight_decay: Annotated[float, Field(ge=0)] = Field(
        0.0, description="of the scales and shifts of BN and GN; d2: 0, the paper does not say"
    )


class RunSettings(Strict):
    """How often a training speaks and saves. Changing these does not change the weights."""

    log_every_iters: PositiveInt = 20
    checkpoint_every_iters: PositiveInt = 5000
    loader_workers: Annotated[int, Field(ge=0)] = 4


class TrainingSettings(Strict):
    """One training, resolved: what `train` needs to know beside the data set and the trial."""

    model: ModelSettings
    input: InputSettings = InputSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings
    run: RunSettings = RunSettings()


class DeepLabV3Settings(Strict):
    """DeepLabV3's decoder (1706.05587, section 3.3): ASPP and a 1x1 prediction."""

    kind: Literal["deeplabv3"]
    channels: PositiveInt = Field(256, description="DeepLabV3, d2: 256")
    aspp_dilations: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(
        (6, 12, 18), description="DeepLabV3, d2: at output stride 16; at 8 they double"
    )
    image_pooling_px: tuple[PositiveInt, PositiveInt] | None = Field(
        (768, 768),
        description="height and width of the window that the image pooling branch averages, in "
        "training and inference alike; d2: the training crop, which the paper has at 768x768 and "
        "d2 at 512x1024; none: the whole image, as DeepLabV3 writes",
    )
    dropout: Fraction = Field(0.1, description="d2: 0.1, after ASPP; the paper does not say")
    norm: Literal["bn", "sync_bn", "gn"] = Field(
        "sync_bn", description="paper: BN over the 16 images of a mini-batch"
    )
    hard_pixel_fraction: Annotated[float, Field(gt=0, le=1)] | None = Field(
        0.2,
        description="d2: mean loss of the worst 20 % of all pixels, ignored ones counted with "
        "loss 0; none: mean over the pixels that count. The paper does not say",
    )


class SemanticFPNSettings(Strict):
    """SemanticFPN's decoder (1901.02446, section 3.1) on the levels down to `finest_level`."""

    kind: Literal["semantic_fpn"]
    finest_level: Literal["p2", "p3"] = Field(
        "p2", description="paper: P2-P5 predicts at stride 4, P3-P5 at stride 8 (Table 7)"
    )
    channels: Annotated[int, Field(gt=0, multiple_of=32)] = Field(
        128, description="d2: 128, normalised in 32 groups (GN)"
    )


DecoderSettings = Annotated[DeepLabV3Settings | SemanticFPNSettings, Field(discriminator="kind")]


class SemanticPointRendSettings(Strict):
    """PointRend on the logits of a semantic model (paper, section 5)."""

    train_points: PositiveInt = Field(
        description="an image. paper: as many as a stride 16 map of the training crop has cells, "
        "2304 for DeepLabV3 (768x768), 2048 for SemanticFPN (512x1024)"
    )
    channels: PositiveInt = Field(256, description="paper: 3 hidden layers of 256 channels")
    coarse_in_each_layer: bool = Field(
        True,
        description="paper: the coarse prediction enters every layer of the MLP (section 4, whose "
        "architecture section 5 uses); d2's semantic model: only the first",
    )
    oversample_ratio: Annotated[float, Field(ge=1)] = Field(3.0, description="paper: k")
    importance_ratio: Fraction = Field(0.75, description="paper: beta")
    uncertainty: Literal["probabilities", "logits"] = Field(
        "probabilities",
        description="paper: second largest minus largest class probability, in training and "
        "inference; d2 takes the logits",
    )


class SemanticModelSettings(Strict):
    """Everything that decides a semantic model's parameters and how it is trained."""

    backbone: BackboneSettings
    decoder: DecoderSettings
    pointrend: SemanticPointRendSettings | None = None

    @model_validator(mode="after")
    def _strides_fit(self) -> "SemanticModelSettings":
        allowed = (32,) if isinstance(self.decoder, SemanticFPNSettings) else (16, 8)
        if self.backbone.output_stride not in allowed:
            raise ValueError(
                f"backbone.output_stride {self.backbone.output_stride} must be "
                f"{' or '.join(map(str, allowed))} for decoder {self.decoder.kind}"
            )
        return self


class SemanticInferenceSettings(Strict):
    """How a trained semantic model is asked for its label maps."""

    output_stride: Literal[8, 16] | None = Field(
        None, description="paper: 8 dilates res4 of a DeepLabV3 trained at 16; none: as trained"
    )
    points_per_step: PositiveInt = Field(
        8096, description="paper: N = 8096 points an image and subdivision step; d2: 8192"
    )


class SemanticTrainingSettings(Strict):
    """One training of a semantic model, resolved."""

    model: SemanticModelSettings
    input: SemanticInputSettings
    optimizer: SemanticOptimizerSettings = SemanticOptimizerSettings()
    schedule: ScheduleSettings
    run: RunSettings = RunSettings()


AnyTrainingSettings = TrainingSettings | SemanticTrainingSettings
AnyInferenceSettings = InferenceSettings | SemanticInferenceSettings
