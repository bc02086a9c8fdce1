"""The training loop: SGD on the sum of a model's losses, logged, saved, and resumable."""

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from rich.progress import track
from torch import Tensor

from pointrend_repro.checkpoints.imagenet import load_imagenet_weights
from pointrend_repro.data.batches import Batch, to_device, training_batches
from pointrend_repro.errors import UserError
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.modeling.semantic.model import SemanticModel
from pointrend_repro.modeling.weights import build_model
from pointrend_repro.provenance import digest
from pointrend_repro.semantic_settings import AnyTrainingSettings
from pointrend_repro.settings import OptimizerSettings
from pointrend_repro.tasks import AnyDataset, parameter_groups, task_of
from pointrend_repro.training.checkpoints import load_checkpoint, save_checkpoint
from pointrend_repro.training.log import TrainingLog
from pointrend_repro.training.schedule import learning_rate

_log = logging.getLogger(__name__)

Model = MaskRCNN | SemanticModel


@dataclass
class _State:
    """What an iteration changes."""

    model: Model
    optimizer: torch.optim.Optimizer
    iteration: int
    skipped: int = 0  # updates left out because their loss was not finite


def train(
    settings: AnyTrainingSettings, dataset: AnyDataset, *, seed: int, folder: Path, device: str
) -> Model:
    """Train a model, continuing from the newest checkpoint in `folder` if there is one.

    On the CPU an interrupted and continued training ends with the very weights of one that ran
    through, given the same number of threads.

    Args:
        folder: gets `checkpoints/`, `log.jsonl` and `tensorboard/`.
        device: `cpu`, or `cuda` for the first GPU.

    Raises:
        UserError: nothing to train on, unreadable images, or a loss that is not finite.
    """
    accelerator = Accelerator(cpu=device == "cpu")
    state = _initial_state(settings, dataset, seed, accelerator)
    checkpoints = folder / "checkpoints"
    identity = training_digest(settings, dataset, seed)
    _restore(state, load_checkpoint(checkpoints, training_digest=identity))
    with TrainingLog(folder, state.iteration) as log:
        clock = time.monotonic()
        for batch in _batches(settings, dataset, seed, state.iteration):
            state.model.start_iteration(state.iteration, settings.schedule.total_iters)
            rate = _set_learning_rate(state, settings)
            batch = to_device(batch, accelerator.device)
            losses = _update(state, batch, accelerator, settings.optimizer)
            state.iteration += 1
            if _is_due(state.iteration, settings.run.log_every_iters, settings):
                seconds = time.monotonic() - clock
                log.write(state.iteration - 1, losses | {"lr": rate, "elapsed_s": seconds})
            if _is_due(state.iteration, settings.run.checkpoint_every_iters, settings):
                save_checkpoint(checkpoints, state.iteration, _snapshot(state, identity))
    model: Model = accelerator.unwrap_model(state.model)
    return model


def training_digest(settings: AnyTrainingSettings, dataset: AnyDataset, seed: int) -> str:
    """Return a digest of all that decides the weights: how often a run saves does not."""
    identity = task_of(settings).identity
    images = [identity(image) for image in dataset.images]
    values = settings.model_dump(mode="json", exclude={"run"})
    return digest(values | {"seed": seed, "images": images})


def _initial_state(
    settings: AnyTrainingSettings, dataset: AnyDataset, seed: int, accelerator: Accelerator
) -> _State:
    set_seed(seed)
    model = build_model(settings.model, num_classes=len(dataset.categories))
    if settings.model.backbone.weights is not None:
        load_imagenet_weights(model.backbone.bottom_up, settings.model.backbone)
    model.train()
    optimizer = torch.optim.SGD(
        parameter_groups(model, settings.optimizer),
        lr=settings.optimizer.base_lr,
        momentum=settings.optimizer.momentum,
        weight_decay=settings.optimizer.weight_decay,
    )
    model, optimizer = accelerator.prepare(model, optimizer)
    return _State(model, optimizer, 0)


def _batches(
    settings: AnyTrainingSettings, dataset: AnyDataset, seed: int, start: int
) -> Iterator[Batch]:
    task = task_of(settings)
    iterations = range(start, settings.schedule.total_iters)
    batches = training_batches(
        task.training_records(dataset),
        partial(task.make_example, settings=settings.input),
        batch_size=settings.optimizer.images_per_batch,
        seed=seed,
        iterations=iterations,
        workers=settings.run.loader_workers,
    )
    return iter(track(batches, "training", total=len(iterations)))


def _set_learning_rate(state: _State, settings: AnyTrainingSettings) -> float:
    rate = learning_rate(state.iteration, settings.optimizer, settings.schedule)
    for group in state.optimizer.param_groups:
        group["lr"] = rate * group["lr_factor"]
    return rate


def _update(
    state: _State, batch: Batch, accelerator: Accelerator, settings: OptimizerSettings
) -> dict[str, float]:
    may_skip = settings.on_non_finite_loss == "skip"
    # The forward pass alone moves the running statistics of BN.
    buffers = [buffer.clone() for buffer in state.model.buffers()] if may_skip else []
    losses: dict[str, Tensor] = state.model(batch.images, batch.targets)
    total = torch.stack(list(losses.values())).sum()
    numbers = {"loss": float(total.detach())} | {k: float(v.detach()) for k, v in losses.items()}
    if not math.isfinite(numbers["loss"]):
        _skip_or_stop(state, batch, numbers, settings)
        for buffer, before in zip(state.model.buffers(), buffers, strict=True):
            buffer.copy_(before)
        return numbers | {"skipped_updates": state.skipped}
    state.optimizer.zero_grad()
    accelerator.backward(total)
    state.optimizer.step()
    return numbers


def _skip_or_stop(
    state: _State, batch: Batch, numbers: dict[str, float], settings: OptimizerSettings
) -> None:
    """Count an update whose loss is not finite.

    Raises:
        UserError: none may be left out, or too many were.
    """
    problem = (
        f"iteration {state.iteration}: the loss is not finite "
        f"({', '.join(f'{k}={v:.4g}' for k, v in numbers.items())}) on images {batch.image_ids}"
    )
    advice = "lower optimizer.base_lr or lengthen optimizer.warmup_iters"
    if settings.on_non_finite_loss == "stop":
        raise UserError(f"{problem}; {advice}, or set optimizer.on_non_finite_loss to skip")
    state.skipped += 1
    if state.skipped > settings.max_skipped_updates:
        raise UserError(
            f"{problem}, after {settings.max_skipped_updates} updates were skipped for the same "
            f"reason (optimizer.max_skipped_updates); {advice}"
        )
    _log.warning("%s; update skipped (%d so far)", problem, state.skipped)


def _is_due(done: int, every: int, settings: AnyTrainingSettings) -> bool:
    return done % every == 0 or done == settings.schedule.total_iters


def _snapshot(state: _State, identity: str) -> dict[str, Any]:
    return {
        "training_digest": identity,
        "model": state.model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "skipped": state.skipped,
        "rng": torch.get_rng_state(),
        "rng_cuda": torch.cuda.get_rng_state_all(),
    }


def _restore(state: _State, saved: dict[str, Any] | None) -> None:
    if saved is None:
        return
    state.model.load_state_dict(saved["model"])
    state.optimizer.load_state_dict(saved["optimizer"])
    torch.set_rng_state(saved["rng"])
    # A machine with fewer GPUs may go on: only the first one trains.
    torch.cuda.set_rng_state_all(saved["rng_cuda"][: torch.cuda.device_count()])
    state.iteration, state.skipped = saved["iteration"], saved["skipped"]
