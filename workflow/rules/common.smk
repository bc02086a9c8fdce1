import sys

from pointrend_repro.config import CONFIG_DIR
from pointrend_repro.data.paths import data_paths
from pointrend_repro.errors import UserError
from pointrend_repro.experiments import load_grid
from pointrend_repro.provenance import digest
from pointrend_repro.workflow import read_workflow_config

try:
    SETTINGS = read_workflow_config(config)
    GRID = load_grid(SETTINGS.preset, CONFIG_DIR, SETTINGS.user_data)
except UserError as error:
    sys.exit(f"error: {error}")

RESULTS = f"results/{SETTINGS.preset}"
MODEL_DIR = f"{RESULTS}/{{dataset}}/{{variant}}/trial{{trial}}"
PREDICTION_DIR = f"{MODEL_DIR}/{{inference}}"


wildcard_constraints:
    dataset="|".join(sorted(GRID.datasets)),
    variant="|".join(sorted(GRID.variants)),
    trial=r"\d+",
    inference="[a-z0-9_]+",


def generated_folder(wildcards):
    """The folder that a generated data set is drawn into; other sets have to be there already."""
    dataset = GRID.datasets[wildcards.dataset]
    return [dataset.root] if dataset.generate else []


def training_digest(wildcards):
    """Changes when the resolved settings do; how often a run logs and saves does not count."""
    settings = GRID.training_settings(wildcards.dataset, wildcards.variant)
    return digest(settings.model_dump(mode="json", exclude={"run"}))


def ground_truth(wildcards):
    """The validation annotations that a metric is scored against."""
    paths = data_paths(
        wildcards.dataset, GRID.datasets[wildcards.dataset], SETTINGS.user_data
    )
    return (
        paths.lvis_annotations
        if wildcards.metric == "lvis_ap_star"
        else paths.val_annotations
    )
