"""The command line: one command for each arrow of the pipeline.

Heavy libraries are imported by the command that needs them, so that `--help` answers at once.
"""

import logging
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pointrend_repro.config import CONFIG_DIR
from pointrend_repro.data.paths import UserData, data_paths
from pointrend_repro.errors import UserError
from pointrend_repro.experiments import Grid, load_grid

app = typer.Typer(
    help="PointRend: Image Segmentation as Rendering, from raw data to finished tables.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Make data sets.", no_args_is_help=True)
app.add_typer(data_app, name="data")


class Device(StrEnum):
    """Where to compute; `auto` is a GPU if there is one."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


Preset = Annotated[str, typer.Option(help="a file of config/presets, such as smoke")]
DatasetName = Annotated[str, typer.Option(help="a file of config/datasets")]
VariantName = Annotated[str, typer.Option(help="a file of config/variants")]
DataRoot = Annotated[Path | None, typer.Option(help="the data set's folder, if not the usual one")]
LvisAnnotations = Annotated[Path | None, typer.Option(help="LVIS v0.5 annotations for AP*")]
ConfigDir = Annotated[Path, typer.Option(help="folder with presets, variants, datasets, tables")]
DeviceName = Annotated[Device, typer.Option(help="where to compute")]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads that torch may use")]
ModelName = Annotated[str, typer.Option("--model", help="a name of pointrend_repro.list_models()")]
Output = Annotated[Path, typer.Option(help="the file to write")]
ResultsDir = Annotated[Path, typer.Option(help="holds <preset>/...")]
ReportsDir = Annotated[Path, typer.Option(help="gets <preset>/...")]


@data_app.command("generate")
def data_generate(
    dataset: DatasetName, data_root: DataRoot = None, config_dir: ConfigDir = CONFIG_DIR
) -> None:
    """Draw a generated data set in its official layout."""
    from pointrend_repro.config import load_dataset
    from pointrend_repro.data.generated.cityscapes_layout import generate_cityscapes
    from pointrend_repro.data.generated.coco_layout import generate_coco

    config = load_dataset(dataset, config_dir)
    if config.generate is None:
        raise UserError(f"data set {dataset!r} is not a generated one: it has no key 'generate'")
    generate = {"coco": generate_coco, "cityscapes": generate_cityscapes}[config.layout]
    generate(data_paths(dataset, config, UserData(data_root)).root, config.generate)


@data_app.command("prepare")
def data_prepare(
    dataset: DatasetName, data_root: DataRoot = None, config_dir: ConfigDir = CONFIG_DIR
) -> None:
    """Write the instances of Cityscapes as COCO annotations, below data/ and not in its folder."""
    from pointrend_repro.config import load_dataset
    from pointrend_repro.data.cityscapes import prepare_instances

    config = load_dataset(dataset, config_dir)
    if config.layout != "cityscapes":
        raise UserError(f"data set {dataset!r} has layout {config.layout}: nothing to prepare")
    paths = data_paths(dataset, config, UserData(data_root))
    prepare_instances(paths.root, "train", paths.train_annotations)
    prepare_instances(paths.root, "val", paths.val_annotations)


@data_app.command("check")
def data_check(
    dataset: DatasetName,
    output: Output,
    data_root: DataRoot = None,
    lvis_annotations: LvisAnnotations = None,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Check that a data set is there, whole and consistent, and record what it is."""
    from pointrend_repro.config import load_dataset
    from pointrend_repro.data.check import describe_dataset
    from pointrend_repro.files import write_json

    config = load_dataset(dataset, config_dir)
    paths = data_paths(dataset, config, UserData(data_root, lvis_annotations))
    write_json(output, describe_dataset(dataset, config, paths))


@app.command()
def train(
    preset: Preset,
    dataset: DatasetName,
    variant: VariantName,
    trial: Annotated[int, typer.Option(min=0, help="number of the trial, which is its seed")],
    output: Output,
    data_root: DataRoot = None,
    device: DeviceName = Device.auto,
    threads: Threads = 1,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Train one model; run again, it continues from its newest checkpoint."""
    grid = load_grid(preset, config_dir)
    _require_experiment(grid, dataset, variant)
    settings = grid.training_settings(dataset, variant)
    paths = data_paths(dataset, grid.datasets[dataset], UserData(data_root))
    where = _prepare_device(device, threads, needs_gpu=grid.preset.needs_gpu)
    from pointrend_repro.steps import run_training

    experiment = {"preset": preset, "dataset": dataset, "variant": variant, "trial": trial}
    run_training(experiment, settings, paths, output=output, device=where)


@app.command()
def predict(
    preset: Preset,
    dataset: DatasetName,
    variant: VariantName,
    inference: Annotated[str, typer.Option(help="one of the variant's inference settings")],
    model: Annotated[Path, typer.Option(help="model.safetensors of a training")],
    output: Annotated[Path, typer.Option(help="the file, or the folder of label images")],
    data_root: DataRoot = None,
    device: DeviceName = Device.auto,
    threads: Threads = 1,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Predict the validation images with a trained model."""
    grid = load_grid(preset, config_dir)
    _require_experiment(grid, dataset, variant)
    settings = grid.inference_settings(variant, inference)
    paths = data_paths(dataset, grid.datasets[dataset], UserData(data_root))
    where = _prepare_device(device, threads, needs_gpu=False)
    from pointrend_repro.steps import run_prediction

    run_prediction(inference, settings, paths, model=model, output=output, device=where)


@app.command()
def evaluate(
    metric: Annotated[str, typer.Argument(help="coco_ap, lvis_ap_star, cityscapes_ap, ...")],
    ground_truth: Annotated[Path, typer.Option(help="official annotations, or Cityscapes' folder")],
    predictions: Annotated[Path, typer.Option(help="predictions.json or labels/ of a prediction")],
    output: Output,
) -> None:
    """Score predictions with the official tool of a metric."""
    from pointrend_repro.steps import run_evaluation

    run_evaluation(metric, ground_truth, predictions, output=output)


@app.command()
def cost(
    preset: Preset,
    variant: VariantName,
    inference: Annotated[str, typer.Option(help="one of the variant's inference settings")],
    output: Output,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Count multiply-adds and activations of a variant's mask head, at the paper's widths."""
    from pointrend_repro.config import load_variant, resolve_inference
    from pointrend_repro.schema import SemanticVariant
    from pointrend_repro.semantic_settings import SemanticInferenceSettings
    from pointrend_repro.steps import run_cost

    config = load_variant(variant, config_dir)
    settings = resolve_inference(config, inference, where=f"variants/{variant}.yaml")
    if isinstance(config, SemanticVariant) or isinstance(settings, SemanticInferenceSettings):
        raise UserError(f"variants/{variant}.yaml: a semantic model has no mask head to count")
    experiment = {"preset": preset, "variant": variant, "inference": inference}
    run_cost(experiment, config.model, settings, output=output)


@app.command()
def figure(
    name: Annotated[str, typer.Argument(help="such as figure5")],
    preset: Preset,
    output: Annotated[Path, typer.Option(help="the PNG; PDF and JSON are written beside it")],
    results_dir: ResultsDir = Path("results"),
    data_root: DataRoot = None,
    threads: Threads = 1,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Draw a figure of the paper from a preset's trained models, on the CPU."""
    from pointrend_repro.figures.plan import known_figure

    chosen = known_figure(name)
    grid = load_grid(preset, config_dir)
    dataset = grid.figure_trainings(chosen)[0].dataset
    paths = data_paths(dataset, grid.datasets[dataset], UserData(data_root))
    _prepare_device(Device.cpu, threads, needs_gpu=False)
    from pointrend_repro.figures.making import make_figure

    make_figure(grid, chosen, paths, results_dir=results_dir / preset, png=output)


@app.command()
def collect(
    preset: Preset,
    results_dir: ResultsDir = Path("results"),
    lvis_annotations: LvisAnnotations = None,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Gather all numbers of a preset into results/<preset>/metrics.csv."""
    from pointrend_repro.reporting.collect import write_metrics

    grid = load_grid(preset, config_dir, UserData(lvis_annotations=lvis_annotations))
    write_metrics(grid, results_dir / preset)


@app.command()
def report(
    preset: Preset,
    results_dir: ResultsDir = Path("results"),
    reports_dir: ReportsDir = Path("reports"),
    lvis_annotations: LvisAnnotations = None,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Render the tables and the page of a preset into reports/<preset>/."""
    from pointrend_repro.reporting.report import write_report

    grid = load_grid(preset, config_dir, UserData(lvis_annotations=lvis_annotations))
    write_report(grid, results_dir / preset, reports_dir / preset)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="a .pkl, .pth or .safetensors to read")],
    target: Annotated[Path, typer.Argument(help="the .safetensors or detectron2 .pkl to write")],
    model: ModelName,
) -> None:
    """Rewrite a checkpoint of detectron2 as one of this project, or the other way round."""
    from pointrend_repro.checkpoints.loading import convert as convert_checkpoint

    convert_checkpoint(source, target, model)


@app.command()
def demo(
    image: Annotated[Path, typer.Argument(help="the picture to look at")],
    model: ModelName,
    weights: Annotated[Path, typer.Option(help="a .pkl, .pth or .safetensors")],
    output: Output,
    score_threshold: Annotated[float, typer.Option(min=0, max=1, help="objects to draw")] = 0.5,
    device: DeviceName = Device.auto,
    threads: Threads = 1,
) -> None:
    """Draw what a model finds over a picture."""
    where = _prepare_device(device, threads, needs_gpu=False)
    from pointrend_repro.demo import write_overlay

    write_overlay(
        image, output, model=model, weights=weights, score_threshold=score_threshold, device=where
    )


def main() -> None:
    """Run the command line; a user's error is one line on stderr and exit code 2."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        app()
    except UserError as error:
        print(f"pointrend-repro: error: {error}", file=sys.stderr)
        sys.exit(2)


def _require_experiment(grid: Grid, dataset: str, variant: str) -> None:
    known = {(t.dataset, t.variant) for t in grid.trainings}
    if (dataset, variant) not in known:
        raise UserError(
            f"preset {grid.name!r} has no experiment of variant {variant!r} on data set "
            f"{dataset!r}; it has: {', '.join(f'{v} on {d}' for d, v in sorted(known))}"
        )


def _prepare_device(device: Device, threads: int, *, needs_gpu: bool) -> str:
    """Limit torch to some threads, and say which device it is to be."""
    import torch

    torch.set_num_threads(threads)
    if device is not Device.auto:
        return device.value
    if torch.cuda.is_available():
        return Device.cuda.value
    if needs_gpu:
        raise UserError(
            "this preset trains on a GPU and this machine has none: run it on a cluster, or say "
            "`--device cpu` (`snakemake --config device=cpu`) to train on the CPU all the same"
        )
    return Device.cpu.value
