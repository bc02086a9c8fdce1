"""Commands for one model: convert its weights, look at what it finds."""

from pathlib import Path
from typing import Annotated

import typer

from pointrend_repro.commands.options import (
    Device,
    DeviceName,
    ModelName,
    Output,
    Threads,
    prepare_device,
)


def convert(
    source: Annotated[Path, typer.Argument(help="a .pkl, .pth or .safetensors to read")],
    target: Annotated[Path, typer.Argument(help="the .safetensors or detectron2 .pkl to write")],
    model: ModelName,
) -> None:
    """Rewrite a checkpoint of detectron2 as one of this project, or the other way round."""
    from pointrend_repro.checkpoints.loading import convert as convert_checkpoint

    convert_checkpoint(source, target, model)


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
    where = prepare_device(device, threads, needs_gpu=False)
    from pointrend_repro.demo import write_overlay

    write_overlay(
        image, output, model=model, weights=weights, score_threshold=score_threshold, device=where
    )
