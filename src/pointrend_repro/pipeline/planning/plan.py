"""The plan of a preset: jobs, GPU-hours, wall time, disk and downloads, done and to do."""

from dataclasses import dataclass, replace
from itertools import groupby

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.fetch.catalogue import load_catalogue
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Training
from pointrend_repro.pipeline.planning import gpu_time
from pointrend_repro.pipeline.planning.disk import DiskItem, estimate_disk, free_bytes
from pointrend_repro.pipeline.planning.downloads import (
    DownloadedFile,
    fetch_records,
    list_downloads,
    wanted_paths,
)
from pointrend_repro.pipeline.planning.gpu_time import Machine, longest
from pointrend_repro.pipeline.planning.jobs import Places, RuleCount, count_jobs
from pointrend_repro.pipeline.planning.progress import Progress, images_of_splits, look_at
from pointrend_repro.pipeline.planning.published import Speeds, load_speeds
from pointrend_repro.pipeline.planning.ranges import NOTHING, Range, total
from pointrend_repro.pipeline.planning.speeds import (
    ModelSpeed,
    gpu_speed,
    model_speed,
    prediction_factor,
)
from pointrend_repro.pipeline.resources import Machines
from pointrend_repro.pipeline.training_machines import refusals
from pointrend_repro.settings.values import Split, Strict

ASSUMPTIONS = (
    "Assumed: time is inversely proportional to the number of GPUs; a prediction uses one GPU.",
    "A training uses no more GPUs than a batch has steps (images_per_batch / images_per_step).",
    "Evaluations, counts, figures and tables run on CPUs and are not included in the hours.",
    "Wall time is of a cluster; without Slurm, one job runs on GPUs at a time.",
    "Done means on disk and made with today's settings; `snakemake -n` is authoritative.",
)


class TrainingLine(Strict):
    """All trials of one variant on one data set.

    Hours are of GPUs; None where no speed is published to reckon from.
    """

    dataset: str
    variant: str
    trials: int
    done: int
    started: int
    other_settings: int
    updates: int
    gpu_hours_each: Range | None
    gpu_hours_to_do: Range | None
    estimated_from: tuple[str, ...]


class Plan(Strict):
    """Everything that `pointrend-repro plan` tells; `--json` is this very object.

    Ranges are [low, high]; hours of GPUs or of wall time, bytes of disk.
    """

    preset: str
    title: str
    gpu: str
    gpu_speed: Range
    gpu_source: str
    measured_on: str
    gpus_per_training: int
    gpus: int
    jobs: tuple[RuleCount, ...]
    trainings: tuple[TrainingLine, ...]
    train_gpu_hours: Range
    predict_gpu_hours: Range
    wall_hours: Range
    longest_training_hours: Range
    not_estimated: tuple[str, ...]
    refused: tuple[str, ...]
    disk: tuple[DiskItem, ...]
    disk_free: int | None
    downloads: tuple[DownloadedFile, ...]
    assumptions: tuple[str, ...]


def make_plan(
    grid: Grid, places: Places, *, gpu: str, gpus_per_training: int, gpus: int | None
) -> Plan:
    """Reckon what a preset will take.

    Args:
        gpu: a name of `config/speeds.yaml`.
        gpus_per_training: how many GPUs train one model.
        gpus: how many work at a time; none: enough for one training.

    Raises:
        UserError: the GPU is unknown, or there are too few for one training.
    """
    speeds = load_speeds(places.config)
    machine = _machine(speeds, gpu, gpus_per_training, gpus or gpus_per_training)
    reckoning = _reckon(grid, places, speeds, machine)
    catalogue = load_catalogue(places.config)
    own = (d.root for d in grid.datasets.values() if d.root and d.layout in places.own_data)
    wanted = wanted_paths(grid, own_roots=own)
    records = fetch_records(catalogue, wanted)
    predicting = reckoning.predict_gpu_hours()
    together = longest([reckoning.hours_with_sources(t) for t in grid.trainings])
    return Plan(
        preset=grid.name,
        title=grid.preset.title,
        gpu=gpu.lower(),
        gpu_speed=machine.speed,
        gpu_source=gpu_speed(speeds, gpu).source,
        measured_on=speeds.measured_on,
        gpus_per_training=gpus_per_training,
        gpus=machine.gpus,
        jobs=tuple(count_jobs(grid, reckoning.progress, places, records)),
        trainings=tuple(reckoning.lines()),
        train_gpu_hours=total([hours * gpus for hours, gpus in reckoning.to_do()]),
        predict_gpu_hours=predicting,
        wall_hours=gpu_time.wall_hours(reckoning.to_do(), predicting, machine, longest=together),
        longest_training_hours=together,
        not_estimated=reckoning.not_estimated(),
        refused=refusals(grid, Machines(gpus_per_training)),
        disk=reckoning.disk(),
        disk_free=free_bytes(places.results),
        downloads=tuple(list_downloads(catalogue, wanted)),
        assumptions=ASSUMPTIONS,
    )


def _machine(speeds: Speeds, gpu: str, gpus_per_training: int, gpus: int) -> Machine:
    machine = Machine(Range(*gpu_speed(speeds, gpu).speed), gpus_per_training, gpus)
    if gpus < gpus_per_training:
        raise UserError(
            f"--gpus {gpus}: one training takes {gpus_per_training} "
            "(--gpus-per-training); give at least as many"
        )
    return machine


def _reckon(grid: Grid, places: Places, speeds: Speeds, machine: Machine) -> "_Reckoning":
    models = {
        (dataset, variant): model_speed(
            speeds, grid.training_settings(dataset, variant), grid.datasets[dataset].layout
        )
        for dataset, variant in {(t.dataset, t.variant) for t in grid.trainings}
    }
    progress = look_at(grid, places.results)
    images = images_of_splits(grid, places.results, speeds)
    return _Reckoning(grid, speeds, machine, progress, models, images)


@dataclass(frozen=True)
class _Reckoning:
    """What the hours of one training or prediction depend on."""

    grid: Grid
    speeds: Speeds
    machine: Machine
    progress: Progress
    models: dict[tuple[str, str], ModelSpeed | None]
    images: dict[tuple[str, Split], int]

    def hours_left(self, training: Training) -> Range | None:
        """Wall time until a training is done, None where no speed is known."""
        done = self.progress.trainings[training]
        left = self._updates(training) - done.updates_done
        return NOTHING if done.state == "done" else self._hours(training, max(left, 0))

    def to_do(self) -> list[tuple[Range, int]]:
        """Wall time and GPUs of each training until it is done, of those that are known."""
        left = [(self.hours_left(t), self._gpus(t)) for t in self.grid.trainings]
        return [(hours, gpus) for hours, gpus in left if hours]

    def hours_with_sources(self, training: Training) -> Range:
        """Wall time until a training is done, with those that it starts from, as far as known."""
        if self.progress.is_trained(training):
            return NOTHING
        waits_for = [*self.grid.sources_of(training), training]
        return total([h for h in map(self.hours_left, waits_for) if h])

    def predict_gpu_hours(self) -> Range:
        """GPU-hours of all predictions that are to do and can be estimated."""
        hours = []
        for prediction, done in self.progress.predictions.items():
            images = self.images.get((prediction.training.dataset, prediction.split))
            way = prediction.training.variant, prediction.inference
            inference = self.grid.inference_settings(*way)
            views = inference.test.views
            for training in self.grid.models_of(prediction):
                model = self.models[training.dataset, training.variant]
                if not done and model and images:
                    each = gpu_time.prediction_hours(model, images, self.machine, views)
                    settings = self.grid.training_settings(training.dataset, training.variant)
                    hours.append(each * prediction_factor(inference, settings))
        return total(hours)

    def not_estimated(self) -> tuple[str, ...]:
        """The trainings for which no speed is known."""
        return tuple(f"{d}/{v}" for (d, v), model in sorted(self.models.items()) if not model)

    def disk(self) -> tuple[DiskItem, ...]:
        """What results will take of the disk."""
        models = {t: self.models[t.dataset, t.variant] for t in self.grid.trainings}
        return tuple(estimate_disk(self.grid, models, self.speeds.datasets))

    def lines(self) -> list[TrainingLine]:
        """All trainings, a line for each variant on each data set."""
        groups = groupby(self.grid.trainings, key=lambda t: (t.dataset, t.variant))
        return [self._line(list(trainings)) for _, trainings in groups]

    def _line(self, trainings: list[Training]) -> TrainingLine:
        first = trainings[0]
        states = [self.progress.trainings[t].state for t in trainings]
        model = self.models[first.dataset, first.variant]
        each = self._hours(first, self._updates(first))
        left = [h for h in map(self.hours_left, trainings) if h]
        gpus = self._gpus(first)
        return TrainingLine(
            dataset=first.dataset,
            variant=first.variant,
            trials=len(trainings),
            done=states.count("done"),
            started=states.count("started"),
            other_settings=states.count("other settings"),
            updates=self._updates(first),
            gpu_hours_each=each * gpus if each else None,
            gpu_hours_to_do=total(left) * gpus if model else None,
            estimated_from=model.sources if model else (),
        )

    def _hours(self, training: Training, updates: int) -> Range | None:
        model = self.models[training.dataset, training.variant]
        if model is None:
            return None
        machine = replace(self.machine, gpus_per_training=self._gpus(training))
        return gpu_time.training_hours(model, updates, machine, self.speeds.measured_gpus)

    def _gpus(self, training: Training) -> int:
        """How many GPUs a training can use, of those that it is offered."""
        settings = self.grid.training_settings(training.dataset, training.variant)
        return min(self.machine.gpus_per_training, settings.optimizer.steps_per_batch)

    def _updates(self, training: Training) -> int:
        settings = self.grid.training_settings(training.dataset, training.variant)
        return settings.schedule.total_iters
