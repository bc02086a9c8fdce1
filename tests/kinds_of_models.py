"""One variant of each kind of model of a grid, and a few generated images for each."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pointrend_repro.data.generated.making import generate_dataset
from pointrend_repro.data.paths import UserData, data_paths
from pointrend_repro.declarations.family import family_of
from pointrend_repro.experiments.grid import Grid


def kinds(grid: Grid) -> Iterator[tuple[str, str]]:
    """One (data set, variant) for each kind of model, on COCO's layout where there is one."""
    seen = set()
    for training in sorted(
        grid.trainings, key=lambda t: ("cityscapes" in t.dataset, t.variant, t.dataset)
    ):
        settings = grid.training_settings(training.dataset, training.variant)
        detector = getattr(settings.model, "detector", None)
        kind = (
            settings.family,
            family_of(settings).architecture(settings.model),
            None if detector is None else detector.roi_layer.kind,
        )
        if kind not in seen:
            seen.add(kind)
            yield training.dataset, training.variant


def draw_few(grid: Grid, folder: Path) -> dict[str, Any]:
    """Draw each generated data set with two images to train on and one of validation."""
    found = {}
    for name, dataset in grid.datasets.items():
        assert dataset.generate is not None
        few = dataset.generate.model_copy(update={"train_images": 2, "val_images": 1})
        generate_dataset(folder / name, dataset.layout, few)
        whole = dataset.model_copy(update={"val_from_train": None})
        found[name] = data_paths(name, whole, UserData(data_root=folder / name))
    return found
