import sys
from pathlib import Path
from typing import get_args

from pointrend_repro.schema import SEMANTIC_METRICS, Metric
from pointrend_repro.data.generated.settings import RENDERER_VERSION
from pointrend_repro.data.paths import data_paths
from pointrend_repro.errors import UserError
from pointrend_repro.experiments import load_grid
from pointrend_repro.provenance import digest
from pointrend_repro.workflow import read_workflow_config

try:
    SETTINGS = read_workflow_config(config)
    # The folder beside config.yaml, which every command is given too: the installed package's
    # own may be another copy.
    GRID = load_grid(SETTINGS.preset, Path("config"), SETTINGS.user_data)
    DATA = {
        name: data_paths(
            name,
            dataset,
            (
                SETTINGS.cityscapes_data
                if dataset.layout == "cityscapes"
                else SETTINGS.user_data
            ),
        )
        for name, dataset in GRID.datasets.items()
    }
except UserError as error:
    sys.exit(f"error: {error}")

RESULTS = f"results/{SETTINGS.preset}"
MODEL_DIR = f"{RESULTS}/{{dataset}}/{{variant}}/trial{{trial}}"
PREDICTION_DIR = f"{MODEL_DIR}/{{inference}}"
FIGURE = f"reports/{SETTINGS.preset}/figures/{{figure}}"


wildcard_constraints:
    dataset="|".join(sorted(GRID.datasets)),
    variant="|".join(sorted(GRID.variants)),
    trial=r"\d+",
    inference="[a-z0-9_]+",


def generated_folder(wildcards):
    """The folder that a generated data set is drawn into; other sets have to be there already."""
    dataset = GRID.datasets[wildcards.dataset]
    return [dataset.root] if dataset.generate else []


def data_files(wildcards):
    """What is made of a data set before it can be checked."""
    paths = DATA[wildcards.dataset]
    if GRID.datasets[wildcards.dataset].layout == "cityscapes":
        return [paths.train_annotations, paths.val_annotations]
    return generated_folder(wildcards)


def data_root_option(wildcards):
    """The command-line option that names the user's own folder of a data set."""
    if GRID.datasets[wildcards.dataset].layout == "cityscapes":
        return SETTINGS.cityscapes_root_option
    return SETTINGS.data_root_option


def training_digest(wildcards):
    """Changes when the resolved settings do; how often a run logs and saves does not count."""
    settings = GRID.training_settings(wildcards.dataset, wildcards.variant)
    return digest(settings.model_dump(mode="json", exclude={"run"}))


def predictions(wildcards):
    """What a metric scores: label images, or objects in COCO's results format."""
    if wildcards.metric in SEMANTIC_METRICS:
        return f"{PREDICTION_DIR}/labels"
    return f"{PREDICTION_DIR}/predictions.json"


def predictions_origin(wildcards):
    """Where those predictions come from."""
    return predictions(wildcards).removesuffix(".json") + ".origin.json"


def ground_truth(wildcards):
    """The validation annotations, or Cityscapes' folder, that a metric is scored against."""
    paths = DATA[wildcards.dataset]
    # As text: Snakemake does not notice another Path.
    if wildcards.metric == "lvis_ap_star":
        return str(paths.lvis_annotations)
    if wildcards.metric in {"cityscapes_ap", *SEMANTIC_METRICS}:
        return str(paths.root)
    return str(paths.val_annotations)


def figure_data(wildcards):
    """The record of the data set whose images a figure shows."""
    training = GRID.figure_trainings(wildcards.figure)[0]
    return f"{RESULTS}/{training.dataset}/dataset.json"


def figure_data_root_option(wildcards):
    """The command-line option that names the user's own folder of what a figure shows."""
    return data_root_option(GRID.figure_trainings(wildcards.figure)[0])


def figure_models(wildcards):
    """The trained models that a figure shows, and where they come from."""
    return [
        f"{RESULTS}/{training.folder}/{file}"
        for training in GRID.figure_trainings(wildcards.figure)
        for file in ("model.safetensors", "model.origin.json")
    ]
