"""Our cascade's heads find and lose what mmdetection's do with the same weights.

Its outputs were recorded by `record_mmdetection_htc.py`.
"""

import json
from typing import Any

import numpy as np
import pytest
import torch
from mmdetection_htc_cases import (
    HEIGHT_PX,
    RECORDED,
    WIDTH_PX,
    make_features,
    make_model,
    make_proposals,
    make_target,
)
from torch import Tensor

from pointrend_repro.checkpoints.mmdetection_names import from_mmdetection
from pointrend_repro.modeling.htc.model import HybridTaskCascade
from pointrend_repro.settings.htc import STAGES

MAX_BOX_PX = 0.01
MAX_SCORE = 1e-5
MAX_LOGIT = 1e-3
MAX_LOSS_RELATIVE = 1e-4
SIZE = (HEIGHT_PX, WIDTH_PX)


@pytest.fixture(scope="module")
def theirs() -> dict[str, Any]:
    return dict(np.load(RECORDED))


@pytest.fixture
def model() -> HybridTaskCascade:
    return make_model()


@torch.no_grad()
def boxes_of(model: HybridTaskCascade) -> tuple[Tensor, Tensor, Tensor]:
    (scored,) = model._scored_boxes(make_features(), [make_proposals()], [SIZE])
    return model.choose(*scored, SIZE)


def test_boxes_scores_and_classes(theirs: dict[str, Any], model: HybridTaskCascade) -> None:
    boxes, scores, labels = boxes_of(model)
    assert len(boxes) == len(theirs["boxes"]) > 15
    np.testing.assert_array_equal(labels, theirs["labels"])
    np.testing.assert_allclose(boxes, theirs["boxes"], rtol=0, atol=MAX_BOX_PX)
    np.testing.assert_allclose(scores, theirs["scores"], rtol=0, atol=MAX_SCORE)


@torch.no_grad()
def test_masks_of_each_stage_and_their_scores(
    theirs: dict[str, Any], model: HybridTaskCascade
) -> None:
    boxes, labels = torch.from_numpy(theirs["boxes"]), torch.from_numpy(theirs["labels"])
    masks, ious = model.mask_head.scored(make_features(), [boxes], [labels])
    stages = torch.from_numpy(theirs["mask_logits"])
    assert stages.std() > 0.5
    wanted = stages.sigmoid().mean(dim=0)
    assert torch.allclose(masks.sigmoid()[:, 2::4, 2::4], wanted, rtol=0, atol=MAX_LOGIT)
    assert ious is not None
    assert theirs["ious"].min() < 0.2 < 0.8 < theirs["ious"].max()
    wanted_ious = theirs["ious"].clip(0, 1)  # which mmdetection does not cut
    np.testing.assert_allclose(ious, wanted_ious, rtol=0, atol=MAX_LOGIT)


@torch.no_grad()
def losses_of(model: HybridTaskCascade) -> dict[str, float]:
    boxes, found = [make_proposals()], {}
    for number, stage in enumerate(STAGES):
        losses, boxes = model._train_stage(number, make_features(), boxes, [make_target()])
        for name, loss in losses.items():
            found[f"loss_{name}_{number + 1}"] = stage.loss_weight * float(loss)
    return found


def test_losses_of_each_stage(theirs: dict[str, Any], model: HybridTaskCascade) -> None:
    wanted = {
        name.replace("bbox", "box"): float(value)
        for name, value in theirs.items()
        if name.startswith("loss_")
    }
    assert len(wanted) == 10
    assert losses_of(model) == pytest.approx(wanted, rel=MAX_LOSS_RELATIVE)


def test_a_changed_weight_is_noticed(theirs: dict[str, Any], model: HybridTaskCascade) -> None:
    with torch.no_grad():
        model.box_heads[1].bbox_pred.bias += 0.05
    boxes, _, _ = boxes_of(model)
    assert len(boxes) != len(theirs["boxes"]) or (
        np.abs(boxes.numpy() - theirs["boxes"]).max() > 10 * MAX_BOX_PX
    )


def test_its_names_become_ours(theirs: dict[str, Any], model: HybridTaskCascade) -> None:
    names = json.loads(str(theirs["names"]))
    renamed = from_mmdetection(names)
    ours = {
        name: list(tensor.shape)
        for name, tensor in model.state_dict().items()
        if name.startswith(("box_heads.", "mask_head."))
    }
    assert renamed == ours
    assert {"mmdet", "torch", "torchvision", "numpy"} <= set(json.loads(str(theirs["origin"])))
    assert RECORDED.stat().st_size < 100e3
