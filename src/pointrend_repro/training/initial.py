"""What a training has before its first update, and before it reads any checkpoint."""

from accelerate.utils import set_seed
from torch import nn

from pointrend_repro.checkpoints.saved_models import build_model
from pointrend_repro.data.batches import MicroBatches
from pointrend_repro.data.records import AnyDataset
from pointrend_repro.declarations.family import family_of
from pointrend_repro.modeling.precision import check_bfloat16
from pointrend_repro.settings.of_family import AnyTrainingSettings
from pointrend_repro.training.processes import Processes
from pointrend_repro.training.sgd import SGD
from pointrend_repro.training.sharing import check_batch_norm
from pointrend_repro.training.starting import freeze
from pointrend_repro.training.update import State


def initial_model(
    settings: AnyTrainingSettings,
    dataset: AnyDataset,
    seed: int,
    processes: Processes,
    micro_batches: MicroBatches,
) -> tuple[nn.Module, SGD]:
    """Make a model, with random or pretrained weights, and its optimizer, on the CPU.

    Nothing here waits for the other processes: one of them alone may lack the weights' file.

    Raises:
        UserError: these processes cannot share such a training, or there are no such weights.
    """
    if settings.optimizer.precision == "bf16":
        check_bfloat16(processes.accelerator.device)
    set_seed(seed)
    model = build_model(settings.model, num_classes=len(dataset.categories))
    family = family_of(settings)
    if family.pretrained is not None:
        family.function(family.pretrained)(model, settings.model)
    model.train()
    freeze(model, settings.start_from)
    check_batch_norm(model, micro_batches, is_joined=family.is_joined)
    optimizer = SGD(
        family.function(family.parameter_groups)(model, settings.optimizer),
        lr=settings.optimizer.base_lr,
        momentum=settings.optimizer.momentum,
        weight_decay=settings.optimizer.weight_decay,
    )
    return model, optimizer


def initial_state(
    settings: AnyTrainingSettings, model: nn.Module, optimizer: SGD, processes: Processes
) -> State:
    """Share a model and its optimizer, of `initial_model`, with all processes, which meet here."""
    unused = family_of(settings).leaves_unused(settings)
    shared, prepared = processes.prepare(model, optimizer, find_unused_parameters=unused)
    return State(model, shared, prepared)
