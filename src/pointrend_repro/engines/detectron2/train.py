"""Training by detectron2's own trainer: its loader, model, losses, optimizer and schedule.

Ours are the data set, the settings, the log, and the result: one of our models.
"""

import logging
import os
import signal
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.utils import comm
from detectron2.utils.env import seed_all_rng
from torch import nn

from pointrend_repro.base.errors import StoppedBySignal, UserError
from pointrend_repro.base.files import write_text
from pointrend_repro.base.provenance import record_version
from pointrend_repro.checkpoints.saved_models import build_model
from pointrend_repro.data.records import AnyDataset
from pointrend_repro.data.semantic import LabelledImages
from pointrend_repro.declarations.family import family_of
from pointrend_repro.engines.detectron2 import COMMIT
from pointrend_repro.engines.detectron2.batches import NoBatchError
from pointrend_repro.engines.detectron2.config import training_config
from pointrend_repro.engines.detectron2.install import (
    detectron2_version,
    is_tested_commit,
)
from pointrend_repro.engines.detectron2.models import make_config, our_model
from pointrend_repro.engines.detectron2.records import (
    InstanceMapper,
    SemanticMapper,
    instance_records,
    semantic_records,
)
from pointrend_repro.engines.detectron2.trainer import Stopped, Trainer
from pointrend_repro.settings.identity import identity
from pointrend_repro.settings.of_family import AnyTrainingSettings
from pointrend_repro.training.digest import training_digest
from pointrend_repro.training.log import TrainingLog
from pointrend_repro.training.parts import Parts
from pointrend_repro.training.processes import Processes
from pointrend_repro.training.signals import StopSignals
from pointrend_repro.training.trackers import Trackers

_log = logging.getLogger(__name__)


def train(
    settings: AnyTrainingSettings,
    dataset: AnyDataset,
    *,
    seed: int,
    folder: Path,
    device: str,
    stop: StopSignals | None = None,
    samples: None = None,
    parts: Parts | None = None,
) -> nn.Module:
    """Train a model with detectron2, resuming from its newest checkpoint if there is one.

    Arguments and results are those of `training.loop.train`. A resumed training draws other images
    than an uninterrupted one: detectron2 does not save its position in the data.

    Args:
        samples: are not drawn.
        folder: gets `detectron2/<digest>/` with configuration and checkpoints, and `log.jsonl` and
            `tensorboard/`, from process 0. Other settings have another digest, and start afresh.

    Raises:
        UserError: unsupported settings, nothing to train on, ImageNet weights that are missing or
            do not fit, a picture that cannot be read, or a loss that is not finite.
        StoppedBySignal: in process 0; the training is saved.
        SystemExit: in the other processes, where process 0 has one of the errors above.
    """
    processes = Processes(device)
    own = folder / "detectron2" / training_digest(settings, dataset, seed)
    with processes.sharing_errors():
        cfg = _configuration(settings, len(dataset.categories), seed, processes, own)
        records, mapper = _data(settings, dataset, cfg)
        # The result becomes our model; what that refuses would cost the whole training.
        build_model(settings.model, len(dataset.categories))
        if processes.is_main:
            _note_version()
            write_text(own / "config.yaml", cfg.dump())
    if processes.world_size > 1:
        comm.create_local_process_group(int(os.environ["LOCAL_WORLD_SIZE"]))
    seed_all_rng(seed + processes.rank)
    with processes.sharing_errors():
        trainer = Trainer(cfg, records, mapper, settings.model.backbone)
    trainer.continue_if_begun(parts)
    _run(trainer, settings, own, processes, stop)
    return our_model(settings.model, len(dataset.categories), trainer.bare_model)


def _configuration(
    settings: AnyTrainingSettings, num_classes: int, seed: int, processes: Processes, folder: Path
) -> CfgNode:
    images = settings.optimizer.images_per_batch
    if images % processes.world_size:
        raise UserError(
            f"optimizer.images_per_batch {images}: detectron2 cannot share them between "
            f"{processes.world_size} processes; start {images} or a divisor of it"
        )
    keys = training_config(settings, num_classes=num_classes, seed=seed)
    cfg = make_config(keys, device=processes.accelerator.device.type)
    cfg.defrost()
    cfg.OUTPUT_DIR = str(folder)
    cfg.freeze()
    return cfg


def _data(
    settings: AnyTrainingSettings, dataset: AnyDataset, cfg: CfgNode
) -> tuple[list[dict[str, Any]], Any]:
    images: Any = family_of(settings).training_records(dataset, settings)
    if not images:
        raise UserError("no training image has an object that is not a crowd: nothing to train on")
    if isinstance(dataset, LabelledImages):
        return semantic_records(images), SemanticMapper(cfg)
    return instance_records(images), InstanceMapper(cfg)


def _note_version() -> None:
    record_version("detectron2", detectron2_version())
    if not is_tested_commit():
        _log.warning(
            "detectron2 is %s; the engine was tested with %s", detectron2_version(), COMMIT[:12]
        )


def _run(
    trainer: Trainer,
    settings: AnyTrainingSettings,
    own: Path,
    processes: Processes,
    stop: StopSignals | None,
) -> None:
    folder = own.parents[1]
    start = trainer.start_iter
    try:
        if processes.is_main:
            trackers = Trackers(settings.run.trackers, folder, own.name, identity(settings))
            with TrainingLog(folder, start, trackers) as log:
                trainer.train_with(log, settings.run.log_every_iters, processes, stop)
        else:
            trainer.train_with(None, settings.run.log_every_iters, processes, stop)
    except Stopped as stopped:
        name = signal.Signals(stopped.signal_number).name
        processes.stop(StoppedBySignal(name, stopped.iteration))
    except NoBatchError as ended:
        ended.error.is_of_one_rank = True  # others find this process gone
        raise ended.error from None
    except FloatingPointError as error:
        message = " ".join(str(error).split())
        processes.end_by(
            UserError(
                f"detectron2: {message}; lower optimizer.base_lr or lengthen optimizer.warmup_iters"
            )
        )
