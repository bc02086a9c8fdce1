"""One update: a batch's gradients, a micro-batch at a time, and what if they are not finite."""

import contextlib
import logging
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.batches import Batch, MicroBatch, to_device
from pointrend_repro.modeling.parts import Part
from pointrend_repro.modeling.precision import computing_in
from pointrend_repro.settings.schedule import OptimizerSettings
from pointrend_repro.training.processes import Processes
from pointrend_repro.training.sharing import has_batch_norm

_log = logging.getLogger(__name__)


@dataclass
class State:
    """What an iteration changes.

    Attributes:
        model: the model itself.
        shared: the model whose gradients are averaged over all processes.
        optimizer: of its parameters.
        iteration: how many are done.
        skipped: how many updates were skipped because their loss or gradient was not finite.
    """

    model: nn.Module
    shared: nn.Module
    optimizer: torch.optim.Optimizer
    iteration: int = 0
    skipped: int = 0


def update(
    state: State, batch: Batch, processes: Processes, settings: OptimizerSettings
) -> dict[str, float]:
    """Train on one batch, and return its losses, the same in all processes.

    Raises:
        UserError: a loss or its gradient is not finite, and no update, or no further one, may be
            skipped.
    """
    may_skip = settings.on_non_finite_loss == "skip"
    # Only the forward pass changes the running statistics of BN.
    buffers = [buffer.clone() for buffer in state.model.buffers()] if may_skip else []
    state.optimizer.zero_grad()
    numbers = _add_gradients(state, batch.micro_batches, processes, settings)
    what = "loss"
    if math.isfinite(numbers["loss"]):
        # The processes have exchanged their gradients: all have the whole batch's, and its norm.
        norm = _gradient_norm(state.model)
        if math.isfinite(norm):
            if settings.clip_norm is not None:
                parameters = state.model.parameters()
                torch.nn.utils.clip_grads_with_norm_(parameters, settings.clip_norm, norm)
            state.optimizer.step()
            return numbers
        what = "gradient"
    _skip_or_stop(state, batch, what, numbers, processes, settings)
    for buffer, before in zip(state.model.buffers(), buffers, strict=True):
        buffer.copy_(before)
    return numbers | {"skipped_updates": state.skipped}


def _add_gradients(
    state: State, micro_batches: list[MicroBatch], processes: Processes, settings: OptimizerSettings
) -> dict[str, float]:
    """Add up a batch's gradients, and return its losses over all processes."""
    accelerator = processes.accelerator
    whole = has_batch_norm(state.model)
    passes = [micro_batches] if whole else [[one] for one in micro_batches]
    totals: dict[str, Tensor] = {}
    for number, own in enumerate(passes, start=1):
        # Gradients are exchanged between processes once, after the last micro-batch.
        waits = number < len(passes)
        weight = sum(micro_batch.weight for micro_batch in own)
        with accelerator.no_sync(state.shared) if waits else contextlib.nullcontext():
            losses = _losses(state.shared, own, accelerator.device, settings)
            # The processes' gradients are averaged, but their weights are shares of the batch.
            total = torch.stack(list(losses.values())).sum() * (weight * processes.world_size)
            accelerator.backward(total)
        for name, loss in losses.items():
            totals[name] = totals.get(name, 0.0) + loss.detach() * weight
    summed = processes.sum(torch.stack(list(totals.values()))).tolist()
    return {"loss": sum(summed)} | dict(zip(totals, summed, strict=True))


def _gradient_norm(model: nn.Module) -> Tensor:
    """Return the Euclidean norm of all gradients; it is not finite where one of them is not."""
    return torch.nn.utils.get_total_norm(
        [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    )


def _losses(
    model: nn.Module,
    micro_batches: list[MicroBatch],
    device: torch.device,
    settings: OptimizerSettings,
) -> dict[str, Tensor]:
    """Return the mean losses over the images of some micro-batches, in one forward pass."""
    there = [to_device(one, device) for one in micro_batches]
    images = [image for one in there for image in one.images]
    targets = [target for one in there for target in one.targets]
    losses: dict[str, Tensor]
    with computing_in(settings.precision, device):
        if len(micro_batches) > 1:
            parts = [Part(len(one.images), one.seed) for one in micro_batches]
            losses = model(images, targets, parts)
        else:
            torch.manual_seed(micro_batches[0].seed)
            losses = model(images, targets)
    return losses


def _skip_or_stop(
    state: State,
    batch: Batch,
    what: str,
    numbers: dict[str, float],
    processes: Processes,
    settings: OptimizerSettings,
) -> None:
    """Count an update whose loss or gradient, as `what` says, is not finite.

    Raises:
        UserError: none may be skipped, or too many were.
    """
    problem = (
        f"iteration {state.iteration}: the {what} is not finite "
        f"({', '.join(f'{k}={v:.4g}' for k, v in numbers.items())}) on images {batch.image_ids}"
    )
    advice = "lower optimizer.base_lr or lengthen optimizer.warmup_iters"
    if settings.on_non_finite_loss == "stop":
        processes.end_by(
            UserError(f"{problem}; {advice}, or set optimizer.on_non_finite_loss to skip")
        )
    state.skipped += 1
    if state.skipped > settings.max_skipped_updates:
        processes.end_by(
            UserError(
                f"{problem}, after {settings.max_skipped_updates} updates were skipped "
                f"(optimizer.max_skipped_updates); {advice}"
            )
        )
    if processes.is_main:
        _log.warning("%s; update skipped (%d so far)", problem, state.skipped)
