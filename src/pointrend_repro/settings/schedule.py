"""How any model is trained: image sizes, optimizer, schedule, and engine.

Sources are cited as in `instances.py`. This module imports neither torch nor Snakemake.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pointrend_repro.settings.identity import added
from pointrend_repro.settings.values import (
    Fraction,
    ImageEdge,
    PositiveFloat,
    PositiveInt,
    Strict,
)


class InputSettings(Strict):
    """Image sizes and augmentation (supplement, section 1)."""

    train_short_edges_px: tuple[PositiveInt, ...] = (640, 672, 704, 736, 768, 800)
    test_short_edge_px: ImageEdge = 800
    max_long_edge_px: ImageEdge = 1333
    flip_probability: Fraction = 0.5
    train_short_edge_range_px: tuple[ImageEdge, ImageEdge] | None = added(
        None, "drawn evenly from this range, ends included, in place of train_short_edges_px"
    )
    train_max_long_edge_px: ImageEdge | None = added(
        None, "in training; none: max_long_edge_px, which else is of both (crops have no limit)"
    )

    @model_validator(mode="after")
    def _the_range_is_one(self) -> "InputSettings":
        edges = self.train_short_edge_range_px
        if edges is not None and edges[0] > edges[1]:
            raise ValueError(f"train_short_edge_range_px {edges} must go from small to large")
        return self


class ScheduleSettings(Strict):
    """How long to train, and how the learning rate decays: tenfold at steps, or by a power."""

    total_iters: PositiveInt
    lr_drop_iters: tuple[PositiveInt, ...] = ()
    lr_drop_shares: tuple[PositiveFloat, ...] = added(
        (), "of base_lr from each of lr_drop_iters on; none: a tenth of the rate before"
    )
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

    @model_validator(mode="after")
    def _shares_fit(self) -> "ScheduleSettings":
        if self.lr_drop_shares and len(self.lr_drop_shares) != len(self.lr_drop_iters):
            raise ValueError(
                f"lr_drop_shares {self.lr_drop_shares} must have a number for each of "
                f"lr_drop_iters {self.lr_drop_iters}"
            )
        return self


class OptimizerSettings(Strict):
    """SGD with a linear warm-up and a step schedule (supplement, section 1)."""

    images_per_batch: PositiveInt = Field(16, description="over all GPUs, however many")
    images_per_step: PositiveInt = Field(
        2,
        description="what one forward pass sees: padded to one size, each loss averaged over it; a "
        "batch's loss is the mean of its steps'. The paper does not say; d2: a GPU's share of the "
        "batch, of 8. A batch has work for images_per_batch / images_per_step processes at most",
    )
    precision: Literal["fp32", "bf16"] = Field(
        "fp32",
        description="fp32: as torch computes by default, which on GPUs from Ampere on rounds the "
        "factors of convolutions to TF32. bf16: convolutions and linear layers in bfloat16; "
        "weights, losses, boxes, and all that PointRend computes at points, in float32",
    )
    base_lr: PositiveFloat = 0.02
    momentum: Fraction = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    bias_lr_factor: PositiveFloat = added(
        1.0, "biases learn at so many times the rate; Fast R-CNN, section 2.3: 2"
    )
    bias_weight_decay: Annotated[float, Field(ge=0)] | None = added(
        None, "of biases; none: weight_decay, as the papers. Detectron, multipathnet: 0"
    )
    warmup_iters: Annotated[int, Field(ge=0)] = 1000
    warmup_start_lr: PositiveFloat = Field(
        0.001, description="paper: 0.001; d2 starts at base_lr / 1000"
    )
    clip_norm: PositiveFloat | None = added(
        None, "a batch's gradients are scaled down to this Euclidean norm; none: never"
    )
    on_non_finite_loss: Literal["stop", "skip"] = Field(
        "stop",
        description="stop: with the losses and the image ids; skip: omit the update, log it, "
        "and stop only after max_skipped_updates",
    )
    max_skipped_updates: PositiveInt = Field(
        20, description="of one training; a model that has diverged would skip every update"
    )

    @property
    def steps_per_batch(self) -> int:
        """How many micro-batches a batch has: as many processes can share a training."""
        return -(-self.images_per_batch // self.images_per_step)


Engine = Literal["pointrend_repro", "detectron2"]
OWN_ENGINE: Engine = "pointrend_repro"


# What follows a training besides TensorBoard: accelerate's name -> what pip installs.
TRACKERS = {
    "aim": "aim",
    "clearml": "clearml",
    "comet_ml": "comet-ml",
    "dvclive": "dvclive",
    "mlflow": "mlflow",
    "swanlab": "swanlab",
    "trackio": "trackio",
    "wandb": "wandb",
}
Tracker = Literal["aim", "clearml", "comet_ml", "dvclive", "mlflow", "swanlab", "trackio", "wandb"]


class RunSettings(Strict):
    """How a training is followed and saved. Changing these does not change the weights."""

    log_every_iters: PositiveInt = 20
    checkpoint_every_iters: PositiveInt = 5000
    loader_workers: Annotated[int, Field(ge=0)] = 4
    samples: Annotated[int, Field(ge=0)] = Field(
        10,
        description="how many times predictions on four validation images are drawn, evenly "
        "spaced, the last at the end",
    )
    trackers: tuple[Tracker, ...] = Field(
        (), description="besides TensorBoard; of each, its package has to be installed"
    )
