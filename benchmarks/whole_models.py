"""Whole models, images and targets for benchmarks, and detectron2's with the same weights.

They are those on which the tests compare us with detectron2: `tests/modeling/detectron2_cases.py`.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers import importing_detectron2
from pointrend_repro.data.structures import Target

_TESTS = str(Path(__file__).resolve().parents[1] / "tests" / "modeling")
if _TESTS not in sys.path:
    sys.path.append(_TESTS)

import detectron2_cases as cases  # noqa: E402


@dataclass(frozen=True)
class Scene:
    """Images of one size, RGB uint8 (3, H, W), with objects to train on; made from seeds."""

    height: int
    width: int
    num_images: int = 1

    def case(self, model: str, number: int = 0) -> cases.Case:
        """Return what the tests' case for a known model is, on image `number`."""
        return cases.Case(
            model, self.height, self.width, short_edge=min(self.height, self.width), seed=number
        )

    def images(self, model: str) -> list[Tensor]:
        """Return the images, which are the same for all models."""
        made = [cases.make_image(self.case(model, n)) for n in range(self.num_images)]
        return [torch.from_numpy(image).permute(2, 0, 1).contiguous() for image in made]

    def targets(self, model: str) -> list[Target]:
        """Return six objects an image."""
        size = self.height, self.width
        return [cases.make_target(self.case(model, n), *size) for n in range(self.num_images)]

    def model(self, model: str) -> torch.nn.Module:
        """Our model, with weights of realistic scale that find a hundred objects."""
        return cases.make_model(replace(self.case(model), seed=0))


def detectron2_model(scene: Scene, model: str) -> torch.nn.Module:
    """Make detectron2's model with our weights.

    Raises:
        NotInstalled: there is no detectron2.
    """
    with importing_detectron2():
        from detectron2_models import build_detectron2, copy_weights
    theirs = build_detectron2(scene.case(model))
    copy_weights(scene.model(model), theirs)
    return theirs


def detectron2_inputs(scene: Scene, model: str) -> list[dict[str, Any]]:
    """Return the images as detectron2's models take them: BGR, float, with the size to return."""
    return [
        {"image": image.flip(0).float(), "height": scene.height, "width": scene.width}
        for image in scene.images(model)
    ]
