"""Our SOLOv2 finds and loses what mmdetection's does with the same weights.

Its outputs were recorded by `record_mmdetection_solov2.py`. Features are given: trunk and pyramid
are compared with detectron2's elsewhere.
"""

from typing import Any

import numpy as np
import pytest
import torch
from mmdetection_solov2_cases import (
    IMAGE_PX,
    INFERENCE,
    RECORDED,
    SEEN_PX,
    make_features,
    make_model,
    make_targets,
)
from torch import Tensor

from pointrend_repro.modeling.solov2.model import SOLOv2
from pointrend_repro.predictions.whole_masks import enlarge

MAX_SCORE = 1e-5
MAX_LOSS_RELATIVE = 1e-5
# Of all pixels of all masks: where a probability equals the threshold up to rounding.
MAX_PIXELS = 1e-5


@pytest.fixture(scope="module")
def theirs() -> dict[str, Any]:
    return dict(np.load(RECORDED))


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> SOLOv2:
    made = make_model()
    monkeypatch.setattr(made.backbone, "forward", lambda images: make_features())
    return made


def images() -> list[Tensor]:
    return [torch.zeros(3, *size, dtype=torch.uint8) for size in SEEN_PX]


def test_objects_scores_and_masks(theirs: dict[str, Any], model: SOLOv2) -> None:
    found = model.detect(images(), INFERENCE)
    for number, (each, seen, size) in enumerate(zip(found, SEEN_PX, IMAGE_PX, strict=True)):
        scores = theirs[f"scores_{number}"]
        assert len(scores) == len(each.scores) == INFERENCE.detections_per_image
        assert len(set(theirs[f"labels_{number}"].tolist())) > 1
        np.testing.assert_array_equal(each.labels, theirs[f"labels_{number}"])
        np.testing.assert_allclose(each.scores, scores, rtol=0, atol=MAX_SCORE)
        masks = np.zeros((len(scores), *size), dtype=bool)
        for mask, probabilities in zip(masks, each.probabilities, strict=True):
            enlarge(probabilities, seen, size, threshold=INFERENCE.mask_threshold).draw(mask)
        wanted = np.unpackbits(theirs[f"masks_{number}"], count=masks.size).astype(bool)
        assert 0.05 < wanted.mean() < 0.95
        assert (masks.ravel() != wanted).mean() < MAX_PIXELS


def test_losses_of_a_training_step(theirs: dict[str, Any], model: SOLOv2) -> None:
    with torch.no_grad():
        losses = model(images(), make_targets())
    for name, recorded in (("loss_mask", "loss_mask"), ("loss_class", "loss_cls")):
        assert losses[name].item() == pytest.approx(float(theirs[recorded]), rel=MAX_LOSS_RELATIVE)
