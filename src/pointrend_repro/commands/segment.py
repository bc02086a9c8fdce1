"""Many pictures: what people come with."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointrend_repro.commands.options import (
    AtTest,
    ChosenModel,
    ChosenWeights,
    ConfigDir,
    DataDir,
    Device,
    DeviceName,
    OwnHead,
    Threads,
    prepare_device,
    read_at_test,
)
from pointrend_repro.config.folder import CONFIG_DIR

if TYPE_CHECKING:
    from pointrend_repro.api.segment.pictures import Found
    from pointrend_repro.api.segment.run import Segmented

Beside = Annotated[str | None, typer.Option(help="a second model to compare with, like --model")]
BesideWeights = Annotated[
    Path | None, typer.Option(help="weights of the second model, like --weights")
]
BesideHead = Annotated[str | None, typer.Option(help="head of the second model, like --head")]


def segment(
    pictures: Annotated[
        list[str], typer.Argument(help="files, folders, or patterns such as 'photos/**/*.jpg'")
    ],
    output: Annotated[Path, typer.Option(help="the folder to write")],
    model: ChosenModel = None,
    weights: ChosenWeights = None,
    head: OwnHead = None,
    beside: Beside = None,
    beside_weights: BesideWeights = None,
    beside_head: BesideHead = None,
    score_threshold: Annotated[
        float, typer.Option(min=0, max=1, help="objects below this score are left out")
    ] = 0.5,
    device: DeviceName = Device.auto,
    threads: Threads = 1,
    test: AtTest = None,
    data_dir: DataDir = Path("data"),
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Find the objects in pictures: COCO results, overlays, and a gallery that opens from disk.

    A second call continues: pictures that are finished are not predicted again, and others are
    added to the gallery. A picture that cannot be read is left out and listed at the end; the exit
    code is then 1.
    """
    from pointrend_repro.api.choosing import Chosen
    from pointrend_repro.api.segment.owning import require_safe
    from pointrend_repro.api.segment.pictures import find_pictures
    from pointrend_repro.base.digests import content_digest

    found, asked = find_pictures(pictures, output), read_at_test(test)
    chosen = [Chosen(model, weights)]
    if beside is not None or beside_weights is not None:
        chosen.append(Chosen(beside, beside_weights))
    require_safe(output, found.pictures, models=len(chosen))
    files = [each.file(data_dir, config_dir) for each in chosen]
    where = prepare_device(device, threads, needs_gpu=False)
    from pointrend_repro.api.segment.run import Segmenter, segment_pictures

    segmenters = [
        Segmenter(
            each.load(file, device=where, head=own_head, test=asked),
            content_digest(file),
            score_threshold,
        )
        for each, file, own_head in zip(chosen, files, (head, beside_head), strict=False)
    ]
    _tell(found, segment_pictures(found.pictures, segmenters, output))


def _tell(found: "Found", done: "Segmented") -> None:
    """Print what was done, and end with 1 if a picture was left out."""
    from pointrend_repro.api.segment.naming import as_text
    from pointrend_repro.api.segment.pictures import in_words
    from pointrend_repro.reporting.formats import count

    objects = "" if done.objects is None else f", {done.objects} objects"
    kept = f" ({done.kept} were finished before)" if done.kept else ""
    print(f"{count(done.pictures, 'picture')}{kept}{objects}: {as_text(done.page)}")
    if found.gone:
        print(
            f"no longer shown, since they are gone: {count(found.gone, 'picture')}", file=sys.stderr
        )
    if found.passed_over:
        print(f"passed over: {in_words(found.passed_over)}", file=sys.stderr)
    for path, frames in done.cut:
        print(f"only the first of {frames} frames: {as_text(path)}", file=sys.stderr)
    for path, reason in done.failed:
        print(f"not read: {as_text(path)}: {as_text(reason)}", file=sys.stderr)
    if done.failed:
        raise typer.Exit(1)
