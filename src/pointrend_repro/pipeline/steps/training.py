"""From a data set to a trained model, in one process or several."""

import contextlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointrend_repro.base.files import remove_leftovers
from pointrend_repro.base.origins import origin_written_last
from pointrend_repro.base.provenance import start_record
from pointrend_repro.data.fingerprint import training_data
from pointrend_repro.data.paths import DataPaths
from pointrend_repro.declarations.family import family_of
from pointrend_repro.pipeline.steps.devices import device_name
from pointrend_repro.settings.of_family import AnyTrainingSettings
from pointrend_repro.settings.schedule import InputSettings

if TYPE_CHECKING:
    from pointrend_repro.checkpoints.saved_models import SavedModel
    from pointrend_repro.training.signals import StopSignals


def run_training(
    experiment: dict[str, Any],
    settings: AnyTrainingSettings,
    data: DataPaths,
    *,
    output: Path,
    device: str,
) -> None:
    """Train one model and write it to `output`; under `torchrun`, as one of several processes.

    Args:
        experiment: preset, dataset, variant and trial, which is the seed.
        output: the model; logs and checkpoints go to its folder.

    Raises:
        UserError, StoppedBySignal: in process 0; see `training.loop.train`.
        SystemExit: in the other processes, where process 0 raises.
    """
    from pointrend_repro.training.signals import StopSignals

    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(StopSignals())  # before torch, whose import takes seconds
        _train(experiment, settings, data, output, device, stop, stack)


def _train(
    experiment: dict[str, Any],
    settings: AnyTrainingSettings,
    data: DataPaths,
    output: Path,
    device: str,
    stop: "StopSignals",
    stack: contextlib.ExitStack,
) -> None:
    """Train, holding the folder's lock until `stack` closes."""
    from pointrend_repro.checkpoints.saved_models import SavedModel
    from pointrend_repro.engines.choosing import trainer_of
    from pointrend_repro.training.lock import only_training_in
    from pointrend_repro.training.processes import Processes

    seed = int(experiment["trial"])
    processes = Processes(device)
    with processes.sharing_errors():
        train = trainer_of(settings.engine)
    finish = start_record(
        settings=settings.model_dump(mode="json"),
        seed=seed,
        device=_count_equal(processes.gather(device_name(device))),
    )
    with processes.sharing_errors():
        if processes.is_main:
            stack.enter_context(only_training_in(output.parent))
        family = family_of(settings)
        dataset = family.function(family.read)(data, "train")
        if processes.is_main:
            remove_leftovers(output.parent, output.name)
            used = training_data(dataset, data)
    model = train(
        settings,
        dataset,
        seed=seed,
        folder=output.parent,
        device=device,
        stop=stop,
    )
    categories = [(c.id, c.name) for c in dataset.categories]
    saved = SavedModel(model, _of_inference(settings.input), categories)
    with processes.sharing_errors():
        if processes.is_main:
            record = finish() | {"world_size": processes.world_size, "data": used}
            _save(saved, output, experiment, record)
    processes.end()


def _save(
    saved: "SavedModel", output: Path, experiment: dict[str, Any], record: dict[str, Any]
) -> None:
    from pointrend_repro.checkpoints.saved_models import save_model

    with origin_written_last(
        output, lambda made: {**experiment, "train": record | {"output_digest": made}}
    ):
        save_model(output, saved)


def _count_equal(names: list[str]) -> str:
    """Return names with their counts, such as `4 x A, 4 x B`; a single name as it is."""
    if len(names) == 1:
        return names[0]
    return ", ".join(f"{count} x {name}" for name, count in Counter(names).items())


def _of_inference(settings: InputSettings) -> InputSettings:
    """What a saved model needs: crops and the like are only for training."""
    values = settings.model_dump()
    return InputSettings(**{key: values[key] for key in InputSettings.model_fields})
