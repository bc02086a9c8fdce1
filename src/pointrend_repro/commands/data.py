"""`pointrend-repro data ...`: make, prepare, check and show data sets."""

from pathlib import Path
from typing import Annotated

import typer

from pointrend_repro.base.errors import UserError
from pointrend_repro.commands.folder_check import CocoFiles, TrainImages, ValImages, check_folder
from pointrend_repro.commands.folder_mend import check_copy, print_lines
from pointrend_repro.commands.help import HELP_OPTIONS, Command
from pointrend_repro.commands.options import (
    ConfigDir,
    DataRoot,
    DatasetName,
    LvisAnnotations,
    Preset,
    VariantName,
    a_name,
)
from pointrend_repro.commands.telling import tell_written
from pointrend_repro.config.folder import CONFIG_DIR

app = typer.Typer(
    name="data",
    help="Fetch, make, prepare and check data sets.",
    context_settings=HELP_OPTIONS,
    no_args_is_help=True,
)


@app.command("fetch", cls=Command, context_settings=HELP_OPTIONS)
def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="coco, lvis, cityscapes, imagenet, checkpoints, ...")
    ] = None,
    list_all: Annotated[
        bool, typer.Option("--list", help="only list the downloads, and which are already there")
    ] = False,
    data_dir: Annotated[Path, typer.Option(help="folder of all data sets and weights")] = Path(
        "data"
    ),
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Fetch data sets and weights; files that are there are counted, not fetched again."""
    from pointrend_repro.data.fetch.catalogue import load_catalogue

    catalogue = load_catalogue(config_dir)
    if list_all:
        from pointrend_repro.data.fetch.planning import listing

        print("\n".join(listing(catalogue, data_dir)))
    elif names:
        from pointrend_repro.data.fetch.fetch import fetch as fetch_downloads

        fetch_downloads(names, catalogue, data_dir)
    else:
        raise UserError("name what to fetch, or say `data fetch --list` to see what there is")


@app.command("generate", cls=Command, context_settings=HELP_OPTIONS)
def generate(
    dataset: DatasetName, data_root: DataRoot = None, config_dir: ConfigDir = CONFIG_DIR
) -> None:
    """Draw a generated data set in its official layout."""
    from pointrend_repro.config.reading import load_dataset
    from pointrend_repro.data.generated.making import generate_dataset
    from pointrend_repro.data.paths import UserData, data_paths

    config = load_dataset(dataset, config_dir)
    if config.generate is None:
        raise UserError(f"data set {dataset!r} is not a generated one: it has no key 'generate'")
    root = data_paths(dataset, config, UserData(data_root)).root
    generate_dataset(root, config.layout, config.generate)
    tell_written(root)


@app.command("prepare", cls=Command, context_settings=HELP_OPTIONS)
def prepare(
    dataset: DatasetName, data_root: DataRoot = None, config_dir: ConfigDir = CONFIG_DIR
) -> None:
    """Write annotations, below data/, of Cityscapes' instances or of another choice of images."""
    from pointrend_repro.config.reading import load_dataset
    from pointrend_repro.data.paths import UserData, data_paths
    from pointrend_repro.data.preparing import prepare_annotations

    config = load_dataset(dataset, config_dir)
    paths = data_paths(dataset, config, UserData(data_root))
    prepare_annotations(dataset, config, paths)
    tell_written(paths.train_annotations, paths.val_annotations)


@app.command("check", cls=Command, context_settings=HELP_OPTIONS)
def check(
    folder: Annotated[Path | None, typer.Argument(help="folder with your own data")] = None,
    name: Annotated[str, typer.Option(help="name of the data set", callback=a_name)] = "mine",
    write: Annotated[bool, typer.Option("--write", help="write config/datasets/NAME.yaml")] = False,
    train: Annotated[Path | None, typer.Option(help="the COCO file of the training split")] = None,
    val: Annotated[Path | None, typer.Option(help="the COCO file of the validation split")] = None,
    train_images: TrainImages = None,
    val_images: ValImages = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="how many images of each split to open; none: all")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="a file of config/datasets, instead of a folder", callback=a_name),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="file for all findings as JSON")] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="page to write, with objects drawn on their images")
    ] = None,
    data_root: DataRoot = None,
    lvis_annotations: LvisAnnotations = None,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Check and describe your own folder and propose settings, or check a data set by its name.

    By its name, it is checked as the pipeline does: whether it is there, complete and consistent.
    """
    from pointrend_repro.data.paths import UserData, data_paths

    if folder is not None and dataset is None:
        written = (output, pictures)
        coco = CocoFiles(train, val, train_images, val_images)
        check_folder(folder, name, config_dir if write else None, coco, sample, written)
    elif folder is None and dataset is not None and output is not None:
        from pointrend_repro.base.files import write_json
        from pointrend_repro.config.reading import load_dataset
        from pointrend_repro.data.check import describe_dataset, require_description

        require_description(output)
        config = load_dataset(dataset, config_dir)
        paths = data_paths(dataset, config, UserData(data_root, lvis_annotations))
        write_json(output, describe_dataset(dataset, config, paths))
        tell_written(output)
    else:
        raise UserError(
            "give a folder, as in `data check FOLDER`, or a data set and a file for the findings, "
            "as in `data check --dataset NAME --output FILE`"
        )


@app.command("mend", cls=Command, context_settings=HELP_OPTIONS)
def mend(
    folder: Annotated[Path, typer.Argument(help="your own data, in COCO's format")],
    out: Annotated[Path, typer.Argument(help="a new folder for the mended copy")],
    train: Annotated[Path | None, typer.Option(help="the COCO file of the training split")] = None,
    val: Annotated[Path | None, typer.Option(help="the COCO file of the validation split")] = None,
    train_images: TrainImages = None,
    val_images: ValImages = None,
    val_share: Annotated[
        float, typer.Option(min=0, max=1, help="of a single file: share of images for validation")
    ] = 0.2,
    seed: Annotated[int, typer.Option(help="seed that chooses these images")] = 0,
    no_crowds: Annotated[
        bool, typer.Option("--no-crowds", help="set iscrowd 0: each crowd is a single object")
    ] = False,
    drop_empty: Annotated[
        bool, typer.Option("--drop-empty", help="take out objects without a mask, or a pixel of it")
    ] = False,
    link: Annotated[
        bool,
        typer.Option("--link", help="link images instead of copying; editing one then edits both"),
    ] = False,
) -> None:
    """Mend in a copy the annotation errors that `data check` finds."""
    from pointrend_repro.tools.survey.mending.planning import plan_mending
    from pointrend_repro.tools.survey.mending.sources import find_sources
    from pointrend_repro.tools.survey.mending.text import to_lines
    from pointrend_repro.tools.survey.mending.writing import require_free, write_copy

    require_free(folder, out)
    named = CocoFiles(train, val, train_images, val_images)
    sources = find_sources(folder, train=train, val=val, images=named.images)
    plan = plan_mending(
        sources, val_share=val_share, seed=seed, no_crowds=no_crowds, drop_empty=drop_empty
    )
    print_lines(to_lines(plan))
    if not plan.done:
        print(f"{folder}: nothing that can be mended, so {out} is not made")
        return
    files = write_copy(plan, out, link=link)
    check_copy(plan, out, files, named)


@app.command("show", cls=Command, context_settings=HELP_OPTIONS)
def show(
    preset: Preset,
    dataset: DatasetName,
    variant: VariantName,
    output: Annotated[Path, typer.Option(help="the picture, a PNG")],
    trial: Annotated[int, typer.Option(min=0, help="number of the trial, which is its seed")] = 0,
    iteration: Annotated[int, typer.Option(min=0, help="the first one that is shown")] = 0,
    count: Annotated[int, typer.Option(min=1, max=512, help="how many patches")] = 32,
    data_root: DataRoot = None,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Draw the patches that a training of DeepMask or SharpMask sees, with masks and labels."""
    from pointrend_repro.data.paths import UserData, data_paths
    from pointrend_repro.declarations.family import family_of
    from pointrend_repro.experiments.loading import load_grid_of
    from pointrend_repro.tools.patch_sheet import write_patch_sheet

    grid = load_grid_of(preset, dataset, variant, config_dir)
    settings = grid.training_settings(dataset, variant)
    family = family_of(settings)
    paths = data_paths(dataset, grid.datasets[dataset], UserData(data_root))
    images = family.function(family.read)(paths, "train")
    drawn = write_patch_sheet(
        output, settings, images, seed=trial, iteration=iteration, count=count
    )
    print(f"{output}: {drawn} patches")
