"""Input, optimizer and schedule of all models as keys of detectron2's configuration."""

from collections.abc import Sequence

from pointrend_repro.engines.detectron2.keys import Key
from pointrend_repro.settings.of_family import AnyTrainingSettings
from pointrend_repro.settings.schedule import InputSettings

_FLIPS = {0.0: "none", 0.5: "horizontal"}


def solver_keys(settings: AnyTrainingSettings, norm_decay: tuple[float, str]) -> list[Key]:
    """Translate optimizer and schedule.

    Args:
        norm_decay: the weight decay of normalisation, and the setting that it comes from.
    """
    optimizer, schedule = settings.optimizer, settings.schedule
    factor = min(optimizer.warmup_start_lr / optimizer.base_lr, 1.0)
    decay, source = norm_decay
    return [
        Key("SOLVER.IMS_PER_BATCH", optimizer.images_per_batch, "optimizer.images_per_batch"),
        Key("SOLVER.BASE_LR", optimizer.base_lr, "optimizer.base_lr"),
        Key("SOLVER.MOMENTUM", optimizer.momentum, "optimizer.momentum"),
        Key("SOLVER.WEIGHT_DECAY", optimizer.weight_decay, "optimizer.weight_decay"),
        Key("SOLVER.WEIGHT_DECAY_NORM", decay, source),
        Key("SOLVER.BIAS_LR_FACTOR", optimizer.bias_lr_factor, "optimizer.bias_lr_factor"),
        # None means the weights' there, too.
        Key("SOLVER.WEIGHT_DECAY_BIAS", optimizer.bias_weight_decay, "optimizer.bias_weight_decay"),
        Key("SOLVER.WARMUP_ITERS", optimizer.warmup_iters, "optimizer.warmup_iters"),
        Key("SOLVER.WARMUP_FACTOR", factor, "optimizer.warmup_start_lr / base_lr"),
        Key("SOLVER.MAX_ITER", schedule.total_iters, "schedule.total_iters"),
        Key("SOLVER.STEPS", list(schedule.lr_drop_iters), "schedule.lr_drop_iters"),
        Key(
            "SOLVER.CHECKPOINT_PERIOD",
            settings.run.checkpoint_every_iters,
            "run.checkpoint_every_iters",
        ),
        Key("DATALOADER.NUM_WORKERS", settings.run.loader_workers, "run.loader_workers"),
    ]


def training_input_keys(settings: InputSettings, max_long_edge_px: int) -> list[Key]:
    """Translate what all models do with their training images.

    Args:
        settings: of instance or semantic models.
        max_long_edge_px: of training images, where `settings` say nothing of them alone.
    """
    edges, sampling, source = settings.train_short_edges_px, "choice", "train_short_edges_px"
    if settings.train_short_edge_range_px is not None:
        edges, sampling = settings.train_short_edge_range_px, "range"
        source = "train_short_edge_range_px"
    longest = settings.train_max_long_edge_px or max_long_edge_px
    return [
        Key("INPUT.MIN_SIZE_TRAIN", list(edges), f"input.{source}"),
        Key("INPUT.MIN_SIZE_TRAIN_SAMPLING", sampling, f"input.{source}"),
        Key("INPUT.MAX_SIZE_TRAIN", longest, "input.max_long_edge_px"),
        Key("INPUT.RANDOM_FLIP", _FLIPS[settings.flip_probability], "input.flip_probability"),
    ]


def inference_input_keys(settings: InputSettings) -> list[Key]:
    """Translate the size at which the network sees an image in inference."""
    return [
        Key("INPUT.MIN_SIZE_TEST", settings.test_short_edge_px, "input.test_short_edge_px"),
        Key("INPUT.MAX_SIZE_TEST", settings.max_long_edge_px, "input.max_long_edge_px"),
    ]


def training_problems(settings: AnyTrainingSettings, of_optimizer: Sequence[str]) -> list[str]:
    """Return settings of input, optimizer and schedule that detectron2 does not support.

    Args:
        of_optimizer: the unsupported optimizer settings of this family.
    """
    optimizer, schedule = settings.optimizer, settings.schedule
    problems = []
    if settings.input.flip_probability not in _FLIPS:
        problems.append(f"input.flip_probability {settings.input.flip_probability} (0 or 0.5)")
    if optimizer.precision != "fp32":
        problems.append(f"optimizer.precision {optimizer.precision}")
    if optimizer.clip_norm is not None:  # it clips each parameter by itself
        problems.append(f"optimizer.clip_norm {optimizer.clip_norm:g}")
    if optimizer.on_non_finite_loss != "stop":
        problems.append(f"optimizer.on_non_finite_loss {optimizer.on_non_finite_loss}")
    problems += of_optimizer
    if schedule.poly_power is not None:
        problems.append("schedule.poly_power, which is of its DeepLab project")
    if schedule.lr_drop_shares:
        problems.append("schedule.lr_drop_shares")
    if optimizer.warmup_iters > schedule.total_iters:  # it would shorten the warm-up
        problems.append("optimizer.warmup_iters past schedule.total_iters")
    # Its warm-up ends at the rate of its last iteration; ours multiplies a decaying rate.
    if any(drop <= optimizer.warmup_iters for drop in schedule.lr_drop_iters):
        problems.append("schedule.lr_drop_iters during optimizer.warmup_iters")
    return problems
