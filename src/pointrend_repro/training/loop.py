"""The training loop: SGD on the sum of a detector's losses, logged, saved, and resumable."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from rich.progress import track
from torch import Tensor

from pointrend_repro.data.batches import Batch, to_device, training_batches
from pointrend_repro.data.coco import CocoDataset, ImageRecord
from pointrend_repro.errors import UserError
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.provenance import digest
from pointrend_repro.settings import TrainingSettings
from pointrend_repro.training.checkpoints import load_checkpoint, save_checkpoint
from pointrend_repro.training.log import TrainingLog
from pointrend_repro.training.schedule import learning_rate


@dataclass
class _State:
    """What an iteration changes."""

    model: MaskRCNN
    optimizer: torch.optim.Optimizer
    iteration: int


def train(
    settings: TrainingSettings, dataset: CocoDataset, *, seed: int, folder: Path, device: str
) -> MaskRCNN:
    """Train a model, continuing from the newest checkpoint in `folder` if there is one.

    On the CPU an interrupted and continued training ends with the very weights of one that ran
    through, given the same number of threads.

    Args:
        folder: gets `checkpoints/`, `log.jsonl` and `tensorboard/`.
        device: `cpu`, or `cuda` for the first GPU.

    Raises:
        UserError: nothing to train on, unreadable images, a loss that is not finite, or a
            checkpoint of another training.
    """
    accelerator = Accelerator(cpu=device == "cpu")
    state = _initial_state(settings, dataset, seed, accelerator)
    checkpoints = folder / "checkpoints"
    _restore(state, load_checkpoint(checkpoints, settings_digest=settings_digest(settings, seed)))
    with TrainingLog(folder, state.iteration) as log:
        clock = time.monotonic()
        for batch in _batches(settings, dataset, seed, state.iteration):
            rate = _set_learning_rate(state, settings)
            losses = _update(state, to_device(batch, accelerator.device), accelerator)
            state.iteration += 1
            if _is_due(state.iteration, settings.run.log_every_iters, settings):
                seconds = time.monotonic() - clock
                log.write(state.iteration - 1, losses | {"lr": rate, "elapsed_s": seconds})
            if _is_due(state.iteration, settings.run.checkpoint_every_iters, settings):
                save_checkpoint(checkpoints, state.iteration, _snapshot(state, settings, seed))
    model: MaskRCNN = accelerator.unwrap_model(state.model)
    return model


def settings_digest(settings: TrainingSettings, seed: int) -> str:
    """Return a digest of all that decides the weights: how often a run saves does not."""
    return digest(settings.model_dump(mode="json", exclude={"run"}) | {"seed": seed})


def _initial_state(
    settings: TrainingSettings, dataset: CocoDataset, seed: int, accelerator: Accelerator
) -> _State:
    set_seed(seed)
    model = MaskRCNN(settings.model, num_classes=len(dataset.categories))
    model.train()
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad],
        lr=settings.optimizer.base_lr,
        momentum=settings.optimizer.momentum,
        weight_decay=settings.optimizer.weight_decay,
    )
    model, optimizer = accelerator.prepare(model, optimizer)
    return _State(model, optimizer, 0)


def _batches(
    settings: TrainingSettings, dataset: CocoDataset, seed: int, start: int
) -> Iterator[Batch]:
    iterations = range(start, settings.schedule.total_iters)
    batches = training_batches(
        [image for image in dataset.images if _has_object(image)],
        settings.input,
        batch_size=settings.optimizer.images_per_batch,
        seed=seed,
        iterations=iterations,
        workers=settings.run.loader_workers,
    )
    return iter(track(batches, "training", total=len(iterations)))


def _has_object(image: ImageRecord) -> bool:
    """Images without any object are left out of training, as in detectron2."""
    return any(not annotation.is_crowd for annotation in image.annotations)


def _set_learning_rate(state: _State, settings: TrainingSettings) -> float:
    rate = learning_rate(state.iteration, settings.optimizer, settings.schedule)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    return rate


def _update(state: _State, batch: Batch, accelerator: Accelerator) -> dict[str, float]:
    losses: dict[str, Tensor] = state.model(batch.images, batch.targets)
    total = torch.stack(list(losses.values())).sum()
    numbers = {"loss": float(total.detach())} | {k: float(v.detach()) for k, v in losses.items()}
    if not math.isfinite(numbers["loss"]):
        raise UserError(
            f"iteration {state.iteration}: the loss is not finite "
            f"({', '.join(f'{k}={v:.4g}' for k, v in numbers.items())}) on images "
            f"{batch.image_ids}; lower optimizer.base_lr or lengthen optimizer.warmup_iters"
        )
    state.optimizer.zero_grad()
    accelerator.backward(total)
    state.optimizer.step()
    return numbers


def _is_due(done: int, every: int, settings: TrainingSettings) -> bool:
    return done % every == 0 or done == settings.schedule.total_iters


def _snapshot(state: _State, settings: TrainingSettings, seed: int) -> dict[str, Any]:
    return {
        "settings_digest": settings_digest(settings, seed),
        "model": state.model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "rng": torch.get_rng_state(),
        "rng_cuda": torch.cuda.get_rng_state_all(),
    }


def _restore(state: _State, saved: dict[str, Any] | None) -> None:
    if saved is None:
        return
    state.model.load_state_dict(saved["model"])
    state.optimizer.load_state_dict(saved["optimizer"])
    torch.set_rng_state(saved["rng"])
    torch.cuda.set_rng_state_all(saved["rng_cuda"])
    state.iteration = saved["iteration"]
