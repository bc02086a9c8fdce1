"""detectron2's trainer with our data, our log, and our way of stopping."""

import time
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import build_detection_train_loader
from detectron2.data.samplers import TrainingSampler
from detectron2.engine import DefaultTrainer, HookBase, hooks
from detectron2.modeling import build_model
from detectron2.utils import comm
from detectron2.utils.events import get_event_storage
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pointrend_repro.checkpoints.imagenet import load_imagenet_weights
from pointrend_repro.engines.detectron2.batches import ReturningErrors, UsableBatches
from pointrend_repro.engines.detectron2.resuming import (
    RecordInCheckpoints,
    remove_older,
    require_own_checkpoint,
)
from pointrend_repro.settings.backbone import BackboneSettings
from pointrend_repro.training.log import TrainingLog
from pointrend_repro.training.parts import Parts
from pointrend_repro.training.processes import Processes
from pointrend_repro.training.signals import StopSignals

_KEEP = 2  # checkpoints, as in our own engine

# detectron2's name of a loss -> ours, where they differ; the report draws curves by ours.
OUR_LOSSES = {
    "loss_rpn_cls": "loss_rpn_objectness",
    "loss_rpn_loc": "loss_rpn_box",
    "loss_box_reg": "loss_box",
}


class Stopped(BaseException):
    """A signal has arrived. Not an `Exception`, for which detectron2 logs a page."""

    def __init__(self, signal_number: int, iteration: int) -> None:
        super().__init__()
        self.signal_number = signal_number
        self.iteration = iteration


class Trainer(DefaultTrainer):
    """detectron2's loop, model, loader and optimizer, without evaluation, which is another rule."""

    def __init__(
        self,
        cfg: CfgNode,
        records: list[dict[str, Any]],
        mapper: Any,
        backbone: BackboneSettings,
    ) -> None:
        self._records = records
        self._mapper = mapper
        self._backbone = backbone
        super().__init__(cfg)

    @property
    def bare_model(self) -> nn.Module:
        """The model without the wrapper that averages its gradients."""
        model: nn.Module = self._trainer.model
        return model.module if isinstance(model, DistributedDataParallel) else model

    def build_model(self, cfg: CfgNode) -> Any:
        """Make the model, and read its ImageNet weights with our reader.

        It takes the same tensors from the same files as detectron2, but runs no code from them, and
        refuses weights trained with another normalisation than the settings say.
        """
        model = build_model(cfg)
        if self._backbone.weights is not None:
            load_imagenet_weights(model.backbone.bottom_up, self._backbone)
        return model

    def build_train_loader(self, cfg: CfgNode) -> Any:
        """Make detectron2's loader for our records."""
        loader = build_detection_train_loader(
            self._records,
            mapper=ReturningErrors(self._mapper),
            sampler=TrainingSampler(len(self._records), seed=cfg.SEED),
            total_batch_size=cfg.SOLVER.IMS_PER_BATCH,
            aspect_ratio_grouping=cfg.DATALOADER.ASPECT_RATIO_GROUPING,
            num_workers=cfg.DATALOADER.NUM_WORKERS,
        )
        return UsableBatches(loader)

    def build_hooks(self) -> list[HookBase]:
        """Return hooks for schedule and checkpoints; `train_with` adds those for our files."""
        found = [hooks.IterationTimer(), hooks.LRScheduler()]
        if comm.is_main_process():
            period = self.cfg.SOLVER.CHECKPOINT_PERIOD
            found.append(hooks.PeriodicCheckpointer(self.checkpointer, period, max_to_keep=_KEEP))
        return found

    def continue_if_begun(self, parts: Parts | None) -> None:
        """Load the newest checkpoint, if there is one.

        Args:
            parts: makes the record that checkpoints get; in process 0.

        Raises:
            UserError: it is not one of this training's.
        """
        record = None if parts is None else RecordInCheckpoints(parts)
        if record is not None:
            self.checkpointer.add_checkpointable("record", record)
        if self.checkpointer.has_checkpoint():
            named = self.checkpointer.get_checkpoint_file()
            require_own_checkpoint(Path(self.cfg.OUTPUT_DIR), named)
            self.resume_or_load(resume=True)
            if comm.is_main_process():
                remove_older(Path(named), keep=_KEEP)
            if record is not None:
                record.go_on(self.start_iter, self.max_iter)

    def train_with(
        self, log: TrainingLog | None, every: int, processes: Processes, stop: StopSignals | None
    ) -> None:
        """Train to the end.

        Args:
            log: in process 0.
            every: how many iterations lie between two of its lines.

        Raises:
            Stopped: after a signal, once saved.
            NoBatchError: a picture cannot be read, or is not of its recorded size; or there are no
                objects.
            FloatingPointError: a loss is not finite.
        """
        own: list[HookBase] = [_Stop(processes, stop)]
        if log is not None:
            # Without its printer, which fails where a training ends in its first iterations.
            own = [_Log(log, every), *own]
        self.register_hooks(own)
        self.train()


class _Log(HookBase):
    """Writes our training log: iterations from 0, losses under our names."""

    def __init__(self, log: TrainingLog, every: int) -> None:
        self._log = log
        self._every = every
        self._started = time.monotonic()

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        if done % self._every and done != self.trainer.max_iter:
            return
        latest = {name: float(value) for name, (value, _) in get_event_storage().latest().items()}
        losses = {
            OUR_LOSSES.get(name, name): value
            for name, value in latest.items()
            if name.startswith("loss_")
        }
        elapsed_s = time.monotonic() - self._started
        numbers = {"loss": sum(losses.values()), **losses, "lr": latest["lr"]}
        self._log.write(self.trainer.iter, {**numbers, "elapsed_s": elapsed_s})


class _Stop(HookBase):
    """Saves and ends after an iteration during which any process got a signal."""

    def __init__(self, processes: Processes, stop: StopSignals | None) -> None:
        self._processes = processes
        self._stop = stop

    def after_step(self) -> None:
        number = self._processes.largest(self._stop.received if self._stop else 0)
        done = self.trainer.iter + 1
        if not number or done == self.trainer.max_iter:
            return
        self.trainer.checkpointer.save(f"model_{self.trainer.iter:07d}", iteration=done - 1)
        raise Stopped(number, done)
