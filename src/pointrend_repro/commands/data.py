"""`pointrend-repro data ...`: make, prepare and check data sets."""

import typer

from pointrend_repro.commands.options import (
    ConfigDir,
    DataRoot,
    DatasetName,
    LvisAnnotations,
    Output,
)
from pointrend_repro.config import CONFIG_DIR
from pointrend_repro.data.paths import UserData, data_paths
from pointrend_repro.errors import UserError

app = typer.Typer(help="Make data sets.", no_args_is_help=True)


@app.command("generate")
def generate(
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


@app.command("prepare")
def prepare(
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


@app.command("check")
def check(
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
