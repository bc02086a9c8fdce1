"""Sample predictions that trainings have left, as strips on the page; there may be none."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from PIL import Image

from pointrend_repro.base.embedded import data_url
from pointrend_repro.base.errors import UserError
from pointrend_repro.data.decoding import opened_picture
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Training

_SHOWN = 3  # of a training: an early one, one in between, and the last
_WIDTH_PX = 960
_JPEG = {"quality": 75, "optimize": True}
_NAME = re.compile(r"after_(\d{8})\.jpg")


@dataclass(frozen=True)
class Strip:
    """Predictions on a few images side by side.

    Attributes:
        updates: after which they were drawn.
        file: relative to the preset's results.
        source: the picture as a `data:` URL.
        width: of the picture in pixels, and `height` likewise.
    """

    updates: int
    file: str
    source: str
    width: int
    height: int


@dataclass(frozen=True)
class TrainingSamples:
    """The strips of one training, in the order of its updates."""

    title: str
    trial: int
    strips: list[Strip]


@dataclass(frozen=True)
class DatasetSamples:
    """Those of the variants that are trained on one data set."""

    dataset: str
    title: str
    trainings: list[TrainingSamples]


def load_samples(grid: Grid, results_dir: Path) -> list[DatasetSamples]:
    """Read the sample predictions of a preset's trainings, of each variant's first trial with any.

    They are no results, so a missing or damaged picture is left out.
    """
    found = []
    for dataset, of_dataset in groupby(sorted(grid.trainings), key=lambda t: t.dataset):
        variants = groupby(of_dataset, key=lambda t: t.variant)
        of_variants = [_of_first(grid, list(trials), results_dir) for _, trials in variants]
        trainings = sorted((s for s in of_variants if s is not None), key=lambda s: s.title)
        if trainings:
            found.append(DatasetSamples(dataset, grid.datasets[dataset].title, trainings))
    return found


def _of_first(grid: Grid, trials: list[Training], results_dir: Path) -> TrainingSamples | None:
    for training in trials:
        strips = list(_strips(training, results_dir))
        if strips:
            return TrainingSamples(grid.variants[training.variant].title, training.trial, strips)
    return None


def _strips(training: Training, results_dir: Path) -> Iterator[Strip]:
    paths = sorted((results_dir / training.samples_folder).glob("after_*.jpg"))
    paths = [path for path in paths if _NAME.fullmatch(path.name)]
    shown = min(len(paths), _SHOWN)
    # The last, and others at equal distances before it.
    for path in [paths[(k + 1) * len(paths) // shown - 1] for k in range(shown)]:
        try:
            yield _strip(path, f"{training.samples_folder}/{path.name}")
        except UserError:
            continue


def _strip(path: Path, file: str) -> Strip:
    with opened_picture(path, otherwise="not a whole picture", advice="remove it") as image:
        picture = image.convert("RGB")
    picture.thumbnail((_WIDTH_PX, _WIDTH_PX), Image.Resampling.LANCZOS)
    updates = int(path.stem.removeprefix("after_"))
    return Strip(updates, file, data_url(picture, "JPEG", **_JPEG), *picture.size)
