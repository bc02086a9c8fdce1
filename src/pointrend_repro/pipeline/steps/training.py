"""From a data set to a trained model, in one process or several."""

import contextlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pointrend_repro.base.files import remove_leftovers
from pointrend_repro.base.origins import origin_written_last
from pointrend_repro.base.provenance import start_record
from pointrend_repro.data.fingerprint import training_data
from pointrend_repro.data.paths import DataPaths
from pointrend_repro.declarations.family import family_of
from pointrend_repro.pipeline.steps.devices import device_name
from pointrend_repro.pipeline.steps.sampling import samples_of
from pointrend_repro.settings.of_family import AnyTrainingSettings
from pointrend_repro.settings.schedule import InputSettings

if TYPE_CHECKING:
    from pointrend_repro.checkpoints.saved_models import SavedModel
    from pointrend_repro.training.parts import Parts
    from pointrend_repro.training.signals import StopSignals


def run_training(
    experiment: dict[str, Any],
    settings: AnyTrainingSettings,
    data: DataPaths,
    *,
    output: Path,
    device: str,
    start_from: Path | None = None,
    proposals: Path | None = None,
) -> None:
    """Train one model and write it to `output`; under `torchrun`, as one of several processes.

    Args:
        experiment: preset, dataset, variant and trial, which is the seed.
        output: the model; logs and checkpoints go to its folder.
        start_from: the model of the training that `settings.start_from` names, if it names one.
        proposals: the predictions of the training images that `settings.proposals_from` names.

    Raises:
        DamagedError: what it starts from or is given is not what its record describes.
        UserError, StoppedBySignal: in process 0; see `training.loop.train`.
        SystemExit: in the other processes, where process 0 raises.
    """
    from pointrend_repro.training.signals import StopSignals

    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(StopSignals())  # before torch, whose import takes seconds
        given = _Given(start_from, proposals)
        _train(experiment, settings, data, output, device, stop, stack, given)


def _train(
    experiment: dict[str, Any],
    settings: AnyTrainingSettings,
    data: DataPaths,
    output: Path,
    device: str,
    stop: "StopSignals",
    stack: contextlib.ExitStack,
    given: "_Given",
) -> None:
    """Train, holding the folder's lock until `stack` closes."""
    from pointrend_repro.engines.choosing import trainer_of
    from pointrend_repro.training.lock import only_training_in
    from pointrend_repro.training.processes import Processes
    from pointrend_repro.training.trackers import require_trackers

    seed = int(experiment["trial"])
    processes = Processes(device)
    with processes.sharing_errors():
        train = trainer_of(settings.engine)
        require_trackers(settings.run.trackers)
    values, devices = settings.model_dump(mode="json"), processes.gather(device_name(device))
    with processes.sharing_errors():
        if processes.is_main:
            finish = start_record(settings=values, seed=seed, device=_count_equal(devices))
            stack.enter_context(only_training_in(output.parent))
        family = family_of(settings)
        dataset = family.function(family.read)(data, "train")
        family.require(dataset, settings, data.train_annotations)
        options, told = given.read(settings, dataset, experiment)
        if processes.is_main:
            remove_leftovers(output.parent, output.name)
            told |= {"world_size": processes.world_size, "data": training_data(dataset, data)}
            options["parts"] = parts = _parts(finish, told, settings, output.parent)
            options["samples"] = samples_of(settings, dataset, data, _saved)
    model = train(
        settings,
        dataset,
        seed=seed,
        folder=output.parent,
        device=device,
        stop=stop,
        **options,
    )
    saved = _saved(model, settings, dataset)
    with processes.sharing_errors():
        if processes.is_main:
            _save(saved, output, experiment, parts.record())
    processes.end()


def _saved(model: Any, settings: AnyTrainingSettings, dataset: Any) -> "SavedModel":
    """Return a trained model with what is needed to use it."""
    from pointrend_repro.checkpoints.saved_models import SavedModel
    from pointrend_repro.data.training_splits import learned_keypoints

    categories = [(c.id, c.name) for c in dataset.categories]
    keypoints = learned_keypoints(dataset, settings)
    return SavedModel(model, _of_inference(settings.input), categories, keypoints=keypoints)


class _Given(NamedTuple):
    """Files of other trainings that a training builds on."""

    start_from: Path | None
    proposals: Path | None

    def read(
        self, settings: AnyTrainingSettings, dataset: Any, experiment: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return arguments of `train`, and what the record of the training says of them."""
        from pointrend_repro.pipeline.given_boxes import read_given_boxes

        options: dict[str, Any] = {}
        if settings.start_from is not None:
            options["start_from"] = self.start_from
        boxes = read_given_boxes(
            settings.proposals_from, self.proposals, dataset, split="train", experiment=experiment
        )
        if boxes is None:
            return options, {}
        return options | {"proposals": boxes.proposals}, {"proposals_from": boxes.record}


def _parts(
    finish: Callable[[], dict[str, Any]],
    told: dict[str, Any],
    settings: AnyTrainingSettings,
    folder: Path,
) -> "Parts":
    """Return what makes the record of a training: of all its runs, and of what it began with."""
    from pointrend_repro.training.parts import Parts
    from pointrend_repro.training.starting import noted_start

    def this_run() -> dict[str, Any]:
        started = {} if settings.start_from is None else {"started_from": noted_start(folder)}
        return finish() | told | started

    return Parts(this_run, folder)


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
