# What the rules of train.smk ask for.
import functools

from pointrend_repro.declarations.family import family_of
from pointrend_repro.pipeline.resources import (
    ask,
    launcher,
    process_threads,
    training_runtime_min,
)
from pointrend_repro.pipeline.training_machines import training_machines
from pointrend_repro.settings.identity import settings_digest

MODEL_DIR = f"{RESULTS}/{TRAINED.folder}"


def weights_record(wildcards):
    """Record of the download of the ImageNet weights that a training starts from."""
    return list(record_of_weights(wildcards.dataset, wildcards.variant))


# All trials of a variant ask the same: of thousands of jobs, only some dozens have answers to find.
@functools.cache
def record_of_weights(dataset, variant):
    model = GRID.training_settings(dataset, variant).model
    return tuple(DOWNLOADS.record(family_of(model).weights(model)))


def training_options(wildcards):
    """The options that name the user's own folder of data, and the files of `start_files`."""
    root, training = data_root_option(wildcards), training_of(wildcards)
    source, boxes = GRID.source_of(training), GRID.boxes_of(training, "train")
    given = [f"--start-from={RESULTS}/{source.model_path}"] if source else []
    given += [f"--proposals={file}" for file in prediction_files(boxes)[:1]]
    return [*given, *filter(None, [root])] if given else root


def machines_of_training(wildcards):
    """What a training runs on: of the GPUs that it is offered, as many as it can use."""
    settings = GRID.training_settings(wildcards.dataset, wildcards.variant)
    return training_machines(settings, TRAINING_MACHINES)


def asked_of_training(wildcards):
    """What a training's job requests."""
    return ask(JOBS.train, machines_of_training(wildcards), SETTINGS.slurm)


def training_cpus(wildcards):
    """CPUs of a training's job, of one machine."""
    return asked_of_training(wildcards).threads


def training_resource(name):
    """One of the resources of a training's job."""
    return lambda wildcards: asked_of_training(wildcards).resources[name]


def training_runtime(wildcards):
    """Time limit of a training's job in minutes."""
    machines = machines_of_training(wildcards)
    return training_runtime_min(JOBS.train, wildcards.variant, machines, SETTINGS.slurm)


def training_threads(wildcards, threads):
    """Threads of each process of a training, beside those that load its images."""
    settings = GRID.training_settings(wildcards.dataset, wildcards.variant)
    machines = machines_of_training(wildcards)
    return process_threads(threads, machines, settings.run.loader_workers)


def training_launcher(wildcards):
    """The command prefix that starts a training on its machines."""
    machines = machines_of_training(wildcards)
    return launcher(machines, training_cpus(wildcards), SETTINGS.slurm)


def training_digest(wildcards):
    """Changes when a setting does that decides the weights."""
    return digest_of_training(wildcards.dataset, wildcards.variant)


@functools.cache
def digest_of_training(dataset, variant):
    return settings_digest(GRID.training_settings(dataset, variant))
