"""How many of the machines that a training is offered it can use, and whether they are enough."""

from dataclasses import replace

from pointrend_repro.base.errors import UserError
from pointrend_repro.declarations.family import family_of
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.pipeline.resources import Machines
from pointrend_repro.settings.of_family import AnyTrainingSettings

_NORMS_OF_BATCHES = ("bn", "sync_bn")


def training_machines(settings: AnyTrainingSettings, offered: Machines) -> Machines:
    """Return the machines that a training runs on: no GPU has less than one of a batch's steps.

    On several nodes it is offered what the user has counted out: see `require_machines`.
    """
    if offered.nodes > 1:
        return offered
    return replace(offered, gpus=min(offered.gpus, settings.optimizer.steps_per_batch))


def require_machines(variant: str, settings: AnyTrainingSettings, machines: Machines) -> None:
    """Refuse, before it waits in a queue, a training that these machines cannot run.

    Args:
        machines: as `training_machines` returns them.

    Raises:
        UserError: there are more processes than steps in a batch; or fewer, although a detector
            normalises by the statistics of whole batches.
    """
    steps = settings.optimizer.steps_per_batch
    if machines.total > steps:
        raise UserError(
            f"variant {variant}: gpus={machines.gpus} nodes={machines.nodes} are {machines.total} "
            f"processes, but a batch of {settings.optimizer.images_per_batch} images has work for "
            f"{steps} (optimizer.images_per_step)"
        )
    norm = getattr(getattr(settings.model, "backbone", None), "norm", None)
    if settings.start_from is not None and settings.start_from.frozen:
        return  # what learns from batches is known only once the model is there
    if norm in _NORMS_OF_BATCHES and machines.total < steps and not family_of(settings).is_joined:
        raise UserError(
            f"variant {variant}: backbone.norm {norm} needs a batch's {steps} steps at once, on as "
            f"many GPUs: run it with gpus={steps}, not {machines.total}"
        )


def refusals(grid: Grid, offered: Machines) -> tuple[str, ...]:
    """Return in words which trainings of a preset these machines cannot run, and why."""
    found = []
    for dataset, variant in sorted({(t.dataset, t.variant) for t in grid.trainings}):
        settings = grid.training_settings(dataset, variant)
        try:
            require_machines(variant, settings, training_machines(settings, offered))
        except UserError as error:
            found.append(str(error))
    return tuple(found)
