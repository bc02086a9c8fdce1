"""One variant's model: made, trained for a step and asked for a prediction, on any device."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pointrend_repro.checkpoints.saved_models import SavedModel, build_model
from pointrend_repro.config.reading import with_test
from pointrend_repro.data.batches import MicroBatch, to_device
from pointrend_repro.data.images import read_image
from pointrend_repro.declarations.family import family_of
from pointrend_repro.modeling.precision import computing_in
from pointrend_repro.predictions.by_default import default_inference
from pointrend_repro.settings.at_test import Precision

# Boxes for a model that finds none itself, in pixels.
_GIVEN = np.array([[4, 4, 40, 40], [10, 8, 60, 50]], np.float32)


@dataclass(frozen=True)
class Example:
    """An image to train on, as a variant's family makes it, and the same one to predict.

    Attributes:
        settings: of the training.
        batch: the image with its target, on the CPU.
        num_classes: of the data set.
        categories, keypoints: of the data set, as a model's file has them.
        pixels: the image as it is on disk, RGB (H, W, 3) uint8.
    """

    settings: Any
    batch: MicroBatch
    num_classes: int
    categories: list[tuple[int, str]]
    keypoints: Any
    pixels: NDArray[np.uint8]

    @property
    def predicts(self) -> bool:
        """Whether its models find objects in an image alone; others are given boxes."""
        return not getattr(self.settings.model, "given_proposals", False)

    def model(self) -> nn.Module:
        """Make a model with random weights, always the same."""
        torch.manual_seed(0)
        return build_model(self.settings.model, self.num_classes)


def make_example(settings: Any, paths: Any) -> Example:
    """Make the example of a training from the first image of a data set in its layout."""
    family = family_of(settings)
    dataset = family.function(family.read)(paths, "train")
    records = family.training_records(dataset, settings)
    given = {"proposals": _GIVEN} if getattr(settings.model, "given_proposals", False) else {}
    make = family.example_maker(settings, records)
    image, target = make(records[0], rng=np.random.default_rng(0), **given)
    path: Path = records[0].path
    return Example(
        settings,
        MicroBatch([image], [target], 1.0, 0),
        len(dataset.categories),
        [(category.id, category.name) for category in dataset.categories],
        getattr(dataset, "keypoints", None),
        read_image(path),
    )


def step(
    model: nn.Module, example: Example, device: torch.device, precision: Precision = "fp32"
) -> dict[str, Tensor]:
    """Compute losses and gradients, and return the losses."""
    model.train()
    model.zero_grad()
    batch = to_device(example.batch, device)
    torch.manual_seed(0)
    with computing_in(precision, device):
        losses: dict[str, Tensor] = model(batch.images, batch.targets)
    torch.stack(list(losses.values())).sum().backward()
    return {name: loss.detach() for name, loss in losses.items()}


def prediction(
    model: nn.Module, example: Example, precision: Precision = "fp32"
) -> dict[str, NDArray[Any] | None]:
    """Return what a model finds in the image, by the names of its family's result."""
    model.eval()
    family = family_of(example.settings)
    saved = SavedModel(model, example.settings.input, example.categories, example.keypoints)
    inference = with_test(default_inference(saved), {"precision": precision}, where="test")
    return vars(family.function(family.predict_image)(saved, example.pixels, inference))
