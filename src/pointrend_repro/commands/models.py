"""Commands for one model: convert its weights, look at what it finds, make a graph of it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pointrend_repro.base.files import require_other
from pointrend_repro.commands.options import (
    AtTest,
    ChosenModel,
    ChosenWeights,
    ConfigDir,
    DataDir,
    Device,
    DeviceName,
    ModelName,
    Output,
    OwnHead,
    Threads,
    prepare_device,
    read_at_test,
)
from pointrend_repro.commands.telling import tell_written
from pointrend_repro.config.folder import CONFIG_DIR


class GraphFormat(StrEnum):
    """What a model can be exported as."""

    onnx = "onnx"
    torchscript = "torchscript"
    pt2 = "pt2"


def convert(
    source: Annotated[Path, typer.Argument(help="a .pkl, .pth, .t7 or .safetensors to read")],
    target: Annotated[Path, typer.Argument(help="the .safetensors or detectron2 .pkl to write")],
    model: ModelName,
) -> None:
    """Rewrite a checkpoint of others as one of this project, or one of ours as detectron2's."""
    from pointrend_repro.checkpoints.loading import convert as convert_checkpoint

    saved = convert_checkpoint(source, target, model)
    print(f"Found: {model}, {len(saved.categories)} classes")
    tell_written(target)


def demo(
    image: Annotated[Path, typer.Argument(help="the image")],
    output: Output,
    model: ChosenModel = None,
    weights: ChosenWeights = None,
    head: OwnHead = None,
    score_threshold: Annotated[
        float, typer.Option(min=0, max=1, help="lowest score that is drawn")
    ] = 0.5,
    device: DeviceName = Device.auto,
    threads: Threads = 1,
    test: AtTest = None,
    data_dir: DataDir = Path("data"),
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Draw the objects that a model finds on an image, or the best of its proposals."""
    asked = read_at_test(test)
    from pointrend_repro.api.choosing import Chosen
    from pointrend_repro.api.demo import in_words, require_format, write_overlay

    require_format(output)
    require_other(output, [image])
    chosen = Chosen(model, weights)
    file = chosen.file(data_dir, config_dir)
    where = prepare_device(device, threads, needs_gpu=False)
    loaded = chosen.load(file, device=where, head=head, test=asked)
    found = write_overlay(image, output, loaded, score_threshold=score_threshold)
    print(in_words(found, loaded, score_threshold=score_threshold))
    tell_written(output)


def export(
    model: Annotated[str, typer.Argument(help="model.safetensors of a training, or a known name")],
    output: Output,
    form: Annotated[GraphFormat, typer.Option("--format", help="format of the graph")],
    weights: Annotated[Path | None, typer.Option(help="weights of a known model")] = None,
    head: OwnHead = None,
    output_resolution: Annotated[
        int | None,
        typer.Option(min=1, help="side of PointRend's masks; none: 32 times its coarse masks'"),
    ] = None,
    points_per_step: Annotated[
        int | None, typer.Option(min=1, help="PointRend's N, points per step; none: 784")
    ] = None,
    threads: Threads = 1,
    test: AtTest = None,
) -> None:
    """Write a detector as a graph that runs without this package."""
    test_with = read_at_test(test)
    prepare_device(Device.cpu, threads, needs_gpu=False)
    from pointrend_repro.tools.export.choosing import Asked
    from pointrend_repro.tools.export.writing import export_model

    asked = Asked(output_resolution, points_per_step, test_with)
    tell_written(output, export_model(model, weights, form.value, output, asked, head=head))
