"""Settings of a semantic model's training and prediction (section 5; supplement, section 2).

Sources are cited as in `instances.py`. This module imports neither torch nor Snakemake.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pointrend_repro.settings.applying import require_unset
from pointrend_repro.settings.at_test import SizeAtTest
from pointrend_repro.settings.backbone import BackboneSettings
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
from pointrend_repro.settings.values import (
    Fraction,
    ImageEdge,
    PositiveFloat,
    PositiveInt,
    Strict,
    merged,
)

# Not written to files: models were told apart by their keys before there were families.
OwnFamily = Literal["semantic"]
UNNAMED: Any = Field("semantic", exclude=True)


class SemanticInputSettings(InputSettings):
    """Crops of Cityscapes images and their augmentation (supplement, section 2)."""

    train_short_edges_px: tuple[PositiveInt, ...] = Field(
        tuple(range(512, 2049, 32)),
        description="paper: 0.5x to 2.0x of the image's 1024 pixels in steps of 32; d2 takes "
        "512, 768, ... 2048",
    )
    test_short_edge_px: ImageEdge = 1024
    max_long_edge_px: ImageEdge = Field(
        2048, description="at inference only: training images are cropped"
    )
    crop_px: tuple[PositiveInt, PositiveInt] = Field(
        description="height and width; a smaller image is padded, with pixels that do not count"
    )
    color_augmentation: Literal["ssd"] | None = Field(
        None, description="paper: SSD's (1512.02325) for SemanticFPN, none for DeepLabV3"
    )
    crop_bootstrapping: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="redraw a crop, ten times at most, while one class has this share or "
        "more of its labelled pixels. paper: 'crop bootstrapping' for SemanticFPN, without saying "
        "what it does; d2's configuration of that model has this, with 0.75; none: any crop",
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


class DeepLabV3Settings(Strict):
    """DeepLabV3's decoder (1706.05587, section 3.3): ASPP and a 1x1 prediction."""

    kind: Literal["deeplabv3"]
    channels: PositiveInt = Field(256, description="DeepLabV3, d2: 256")
    aspp_dilations: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(
        (6, 12, 18), description="DeepLabV3, d2: at output stride 16; at 8 they double"
    )
    image_pooling_px: tuple[PositiveInt, PositiveInt] | None = Field(
        None,
        description="none: the image pooling branch averages the whole map, as DeepLabV3 writes, "
        "whom the paper follows; d2: a window of the training crop's height and width, 512x1024, "
        "in training and inference alike",
    )
    dropout: Fraction = Field(0.1, description="d2: 0.1, after ASPP; the paper does not say")
    norm: Literal["bn", "sync_bn", "gn"] = Field(
        "sync_bn", description="paper: BN over the 16 images of a mini-batch"
    )
    hard_pixel_fraction: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description="none: mean cross-entropy over the pixels that count, as in DeepLabV3, whom "
        "the paper follows; d2: 0.2, the mean loss of the worst 20 % of all pixels (1902.05093), "
        "ignored ones counted with loss 0",
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
        description="per image. paper: as many as a stride 16 map of the crop has cells, "
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


class SemanticModelSettings(AnyModelSettings):
    """Everything that decides a semantic model's parameters and how it is trained."""

    family: OwnFamily = UNNAMED
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

    @model_validator(mode="after")
    def _decoder_sees_a_pyramid_or_not(self) -> "SemanticModelSettings":
        if isinstance(self.decoder, DeepLabV3Settings):
            require_unset(self.backbone, ("balancing_blocks",), "backbone", "decoder deeplabv3")
        return self


class SemanticInferenceSettings(AnyInferenceSettings):
    """How a trained semantic model predicts its label maps."""

    family: OwnFamily = UNNAMED
    output_stride: Literal[8, 16] | None = Field(
        None, description="paper: 8 dilates res4 of a DeepLabV3 trained at 16; none: as trained"
    )
    points_per_step: PositiveInt = Field(
        8096, description="paper: N = 8096 points per image and subdivision step; d2: 8192"
    )
    test: SizeAtTest = added(SizeAtTest(), "what the model is tested with instead of its own")


class SemanticTrainingSettings(AnyTrainingSettings):
    """One training of a semantic model, resolved."""

    family: OwnFamily = UNNAMED
    model: SemanticModelSettings
    input: SemanticInputSettings
    optimizer: SemanticOptimizerSettings = SemanticOptimizerSettings()


class SemanticRecipe(Recipe):
    """How a semantic model is trained: PointRend's two, on other crops and schedules."""

    input: SemanticInputSettings
    optimizer: SemanticOptimizerSettings = SemanticOptimizerSettings()


class SemanticInferenceOverrides(Strict):
    """What a preset changes in how semantic models predict, beside `test`."""

    points_per_step: PositiveInt | None = Field(
        None,
        description="of the models with PointRend. paper: 8096, 'the number of points in the "
        "stride 16 map' of a 1024x2048 image (64x128 are 8192); none: as their inference settings "
        "say",
    )


class SemanticOverrides(FamilyOverrides):
    """What a preset changes in semantic models; only `run` affects them besides."""

    decoder: dict[str, dict[str, Any]] = Field({}, description="by the kind of decoder")
    pointrend: dict[str, Any] = Field({}, description="of the models that have it")
    inference: SemanticInferenceOverrides = Field(
        SemanticInferenceOverrides(), description="of all predictions; retrains nothing"
    )

    @model_validator(mode="after")
    def _decoders_exist(self) -> "SemanticOverrides":
        require_kinds("decoder", self.decoder, DecoderSettings)
        return self

    def of_model(self, model: dict[str, Any]) -> dict[str, Any]:
        """Return a model's settings, changed as for all, for its decoder, and for PointRend."""
        changed = super().of_model(model)
        decoder = changed["decoder"]
        changed["decoder"] = merged(decoder, self.decoder.get(decoder["kind"], {}))
        if model["pointrend"] is not None:
            changed["pointrend"] = merged(changed["pointrend"], self.pointrend)
        return changed

    def beside_test(self, model: AnyModelSettings) -> dict[str, Any]:
        """Return PointRend's points for a model that has it: no other has a use for them."""
        if getattr(model, "pointrend", None) is None:
            return {}
        return self.inference.model_dump(exclude_none=True)
