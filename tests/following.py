"""A preset with two trainings, of which one starts from the other, which no table shows."""

from pathlib import Path
from typing import Any

import yaml

from config_files import CLAIMS, config_file
from pointrend_repro.base.files import write_json
from pointrend_repro.data.check import describe_dataset
from pointrend_repro.data.paths import UserData, data_paths
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.experiments.nodes import Training
from pointrend_repro.pipeline.steps.evaluation import run_evaluation
from pointrend_repro.pipeline.steps.prediction import run_prediction
from pointrend_repro.pipeline.steps.training import run_training
from small_experiment import DATASET, PRESET, write_small_config

ROW = "pointrend_28"
SOURCE = "mask_rcnn_r50_fpn"
FOLLOWER = "follower"
START = {"variant": SOURCE, "parts": ["backbone", "rpn"]}


def write_following_config(folder: Path, start: dict[str, Any] = START) -> Path:
    """Copy `config/` with a table of one row, whose variant says `start_from: start`."""
    config = write_small_config(folder)
    table = config_file("tables/table1", config)
    content = yaml.safe_load(table.read_text())
    content["rows"] = {ROW: content["rows"][ROW] | {"variant": FOLLOWER}}
    table.write_text(yaml.safe_dump(content, sort_keys=False))
    (config / f"{CLAIMS}.yaml").write_text("{}\n")
    write_variant(config, FOLLOWER, "pointrend_r50_fpn", start)
    return config


def write_variant(config: Path, name: str, same_as: str, start: dict[str, Any]) -> None:
    values = {"same_as": same_as, "start_from": start}
    (config / "variants").mkdir(exist_ok=True)
    (config / f"variants/{name}.yaml").write_text(yaml.safe_dump(values))


def run_training_of(grid: Grid, folder: Path, variant: str) -> Path:
    """Train one variant as the command does, and return its model."""
    results = folder / "results" / PRESET
    training = Training(DATASET, variant, 0)
    source = grid.source_of(training)
    output = results / training.folder / "model.safetensors"
    run_training(
        {"preset": PRESET, "dataset": DATASET, "variant": variant, "trial": 0},
        grid.training_settings(DATASET, variant),
        data_paths(DATASET, grid.datasets[DATASET], UserData(folder / "coco")),
        output=output,
        device="cpu",
        start_from=results / source.folder / "model.safetensors" if source else None,
    )
    return output


def run_all(folder: Path) -> Grid:
    """Train, predict and score everything in `folder`, which has `config/` and the data."""
    grid = load_grid(PRESET, folder / "config")
    results = folder / "results" / PRESET
    data = data_paths(DATASET, grid.datasets[DATASET], UserData(folder / "coco"))
    described = describe_dataset(DATASET, grid.datasets[DATASET], data)
    write_json(results / DATASET / "dataset.json", described)
    write_json(results / DATASET / "data_today.json", described)
    run_training_of(grid, folder, SOURCE)
    model = run_training_of(grid, folder, FOLLOWER)
    (prediction,) = grid.predictions
    predictions = results / prediction.folder / "predictions.json"
    settings = grid.inference_settings(FOLLOWER, prediction.inference)
    run_prediction(
        prediction.inference, settings, data, model=model, output=predictions, device="cpu"
    )
    for evaluation in grid.evaluations:
        run_evaluation(
            evaluation.metric,
            data.val_annotations,
            predictions,
            output=results / evaluation.path,
        )
    return grid
