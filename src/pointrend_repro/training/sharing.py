"""Whether and how processes can share one training."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.batches import MicroBatches
from pointrend_repro.settings.schedule import OptimizerSettings
from pointrend_repro.training.processes import Processes


def divide(settings: OptimizerSettings, processes: Processes) -> MicroBatches:
    """Cut batches into micro-batches, and deal these out to the ranks.

    Raises:
        UserError: a batch has fewer micro-batches than there are ranks.
    """
    micro_batches = MicroBatches(
        settings.images_per_batch, settings.images_per_step, processes.rank, processes.world_size
    )
    count = len(micro_batches.places)
    if count < processes.world_size:
        raise UserError(
            f"optimizer.images_per_step {settings.images_per_step}: a batch of "
            f"{settings.images_per_batch} images has {count} steps, which cannot keep "
            f"{processes.world_size} processes busy; start {count} at most"
        )
    return micro_batches


def has_batch_norm(model: nn.Module) -> bool:
    """Return whether a model in training normalises by statistics of its input images."""
    return bool(_norms(model))


def check_batch_norm(model: nn.Module, micro_batches: MicroBatches, *, is_joined: bool) -> None:
    """Refuse batch normalisation whose result would depend on how a batch is divided.

    Args:
        model: in training mode, but for what is frozen.
        is_joined: whether the model takes several micro-batches in one pass.

    Raises:
        UserError: its statistics would cover only part of the batch.
    """
    norms = _norms(model)
    if micro_batches.world_size > 1 and not all(isinstance(n, nn.SyncBatchNorm) for n in norms):
        raise UserError(
            f"norm bn: each of {micro_batches.world_size} processes would normalise by its own "
            "images; set backbone.norm and decoder.norm to sync_bn, or start one process"
        )
    # A detector pads each micro-batch to its own size, so several cannot be one pass.
    takes_several = len(micro_batches.places) > micro_batches.world_size
    if norms and not is_joined and takes_several:
        joined = -(-micro_batches.images_per_batch // micro_batches.world_size)
        raise UserError(
            f"backbone.norm: batch normalisation needs all {micro_batches.images_per_batch} images "
            f"of a batch at once; set optimizer.images_per_step to {joined}"
        )


def _norms(model: nn.Module) -> list[nn.Module]:
    """Those that learn from a batch: where they are frozen, their statistics are constants."""
    return [m for m in model.modules() if isinstance(m, _BatchNorm) and m.training]
