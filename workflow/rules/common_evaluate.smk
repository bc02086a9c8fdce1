# What the rules of evaluate.smk ask for.
import functools
import itertools
from types import SimpleNamespace

from pointrend_repro.config.variants import is_trained, kind_of
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.declarations.prediction_kind import PREDICTION_KINDS
from pointrend_repro.experiments.nodes import (
    UNTRAINED,
    Evaluation,
    Prediction,
    dataset_path,
    evaluation_rule,
    prediction_rule,
)
from pointrend_repro.pipeline.resources import prediction_launcher
from pointrend_repro.reporting import captions
from pointrend_repro.settings.identity import settings_digest

PREDICTED = {s: Prediction(TRAINED, INFERENCE, split=s) for s in ("val", "train")}
# A prediction that is scored is known by its folder alone.
SCORED = SimpleNamespace(folder="{prediction}")


def prediction_program(wildcards):
    """The command of `program`, started once for each of a prediction's GPUs."""
    threads = ASKED["predict"].threads
    started = prediction_launcher(PREDICTION_MACHINES, threads, SETTINGS.slurm)
    return started + program(wildcards)


def other_models(split):
    """What gives the models that predict together with a prediction's own, and given boxes."""

    def files(wildcards):
        models = [m for t in others_of(wildcards, split) for m in model_files(t)]
        boxes = GRID.boxes_of(training_of(wildcards), split)
        return [*models, *prediction_files(boxes)]

    return files


def prediction_options(split):
    """What gives the options: those files, the split, and the user's own folder of data."""

    def options(wildcards):
        root, others = data_root_option(wildcards), others_of(wildcards, split)
        boxes = GRID.boxes_of(training_of(wildcards), split)
        given = [f"--with-model={RESULTS}/{t.model_path}" for t in others]
        given += [f"--proposals={file}" for file in prediction_files(boxes)[:1]]
        given += [] if split == "val" else [f"--split={split}"]
        return [*given, *filter(None, [root])] if given else root

    return options


def untrained_options(split):
    """What gives the options of a prediction without a model: split, and the user's own folder."""
    given = [] if split == "val" else [f"--split={split}"]
    return lambda wildcards: [*given, *filter(None, [data_root_option(wildcards)])]


def others_of(wildcards, split):
    """The trainings of the models that predict together with a prediction's own."""
    made = Prediction(training_of(wildcards), wildcards.inference, split=split)
    return PREDICTIONS[made.folder].others if made.folder in PREDICTIONS else ()


def inference_digest(wildcards):
    """Changes when a setting does that decides predictions."""
    return digest_of_inference(wildcards.variant, wildcards.inference)


@functools.cache
def digest_of_inference(variant, inference):
    return settings_digest(GRID.inference_settings(variant, inference))


PREDICTIONS = {prediction.folder: prediction for prediction in GRID.predictions}


SPLITS_MADE = ["val"] + sorted({p.split for p in GRID.predictions} - {"val"})


# Predictions of methods that are not trained, by what their rules are made for.
UNTRAINED_MADE = sorted(
    {(GRID.kind_of(p).name, p.split) for p in GRID.predictions if not GRID.models_of(p)}
)


PREDICTION_KINDS_MADE = sorted(
    {kind_of(variant) for variant in GRID.variants.values()}, key=lambda kind: kind.name
)


def predicted(kind, split):
    """The file, or the folder, of predictions of a kind."""
    path = f"{RESULTS}/{PREDICTED[split].path(kind)}"
    return directory(path) if kind.is_folder else path


def kind_scored_by(metrics):
    """The kind of the predictions that metrics score: those of one prediction are of one."""
    return Evaluation(SCORED, metrics[0]).kind


def ground_truth(dataset, metric):
    """The annotations, or Cityscapes' folder, that a metric is scored against."""
    return DATA[dataset].truth(METRICS.find(metric).truth)


def ground_truths_of(metrics):
    """What says, for each job, which metric is scored against what."""

    def arguments(wildcards):
        dataset = PREDICTIONS[wildcards.prediction].training.dataset
        # As text: Snakemake does not notice another Path.
        return [f"{metric}={ground_truth(dataset, metric)}" for metric in metrics]

    return arguments


def dataset_of(wildcards):
    """The data set of a prediction."""
    return PREDICTIONS[wildcards.prediction].training.dataset


def score_labels(metric):
    """What gives the labels of a metric's files."""
    return lambda wildcards: captions.number_labels(
        GRID, Evaluation(PREDICTIONS[wildcards.prediction], metric)
    )


def score_settings(metrics):
    """What gives the settings that numbers of these metrics are made with."""

    def told(wildcards):
        prediction = PREDICTIONS[wildcards.prediction]
        training = prediction.training
        names = training.dataset, training.variant, prediction.inference
        if names not in SETTINGS_TOLD:  # for another trial
            SETTINGS_TOLD[names] = captions.settings_in_force(
                GRID, Evaluation(prediction, metrics[0])
            )
        return SETTINGS_TOLD[names]

    return told


SETTINGS_TOLD = {}
