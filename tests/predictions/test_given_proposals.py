"""Proposals from a file: read by image, moved with the image, and taken in place of the RPN's."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import SavedModel, build_model
from pointrend_repro.data.examples import move_boxes, training_example
from pointrend_repro.predictions.instances import detect
from pointrend_repro.predictions.proposals import read_proposals
from pointrend_repro.settings.identity import identity
from pointrend_repro.settings.instances import InferenceSettings
from pointrend_repro.settings.proposals_from import ProposalsFrom
from small_experiment import read_train_split, small_settings

CLASSES = 3  # of coco_builder


def written(path: Path, *entries: Any) -> Path:
    path.write_text(json.dumps(list(entries)))
    return path


def entry(image: int, score: float, *box: float) -> dict[str, Any]:
    return {"image_id": image, "category_id": 1, "score": score, "bbox": list(box)}


def test_boxes_by_image_and_score(tmp_path: Path) -> None:
    path = written(
        tmp_path / "p.json",
        entry(7, 0.2, 1, 2, 3, 4),
        entry(9, 0.5, 0, 0, 1, 1),
        entry(7, 0.9, 5, 6, 7, 8),
    )
    found = read_proposals(path)
    assert {image: boxes.tolist() for image, boxes in found.items()} == {
        7: [[5, 6, 12, 14], [1, 2, 4, 6]],
        9: [[0, 0, 1, 1]],
    }
    assert read_proposals(path, at_most=1)[7].tolist() == [[5, 6, 12, 14]]


@pytest.mark.parametrize(
    "wrong",
    [{"image_id": 1, "score": 0.5}, entry(1, 0.5, 1, 2, 3), 3, entry(1, float("inf"), 1, 2, 3, 4)],
)
def test_what_is_no_proposal(wrong: Any, tmp_path: Path) -> None:
    path = written(tmp_path / "p.json", entry(1, 0.5, 1, 2, 3, 4), wrong)
    with pytest.raises(UserError, match=r"p\.json"):
        read_proposals(path)


def test_boxes_move_with_the_image() -> None:
    boxes = np.array([[10, 10, 20, 30], [90, 0, 120, 5], [200, 0, 210, 5]], dtype=np.float32)
    assert move_boxes(boxes, (50, 100), (100, 200)).tolist() == [
        [20, 20, 40, 60],
        [180, 0, 200, 10],
    ]
    flipped = move_boxes(boxes, (50, 100), (100, 200), flip=True)
    assert flipped.tolist() == [[160, 20, 180, 60], [0, 0, 20, 10]]


def test_proposals_move_as_objects_do(coco_builder: Callable[..., Path]) -> None:
    record = read_train_split(coco_builder()).images[0]
    boxes = np.array([a.box for a in record.annotations if not a.is_crowd], dtype=np.float32)
    for seed in range(4):  # of which some flip
        rng = np.random.default_rng(seed)
        _, target = training_example(record, small_settings().input, rng, boxes)
        assert target.proposals is not None
        assert torch.allclose(target.proposals, target.boxes, atol=1e-3)


def test_the_detector_learns_from_them_without_losses_of_its_own_proposals(
    coco_builder: Callable[..., Path],
) -> None:
    settings = small_settings()
    record = read_train_split(coco_builder()).images[0]
    boxes = np.array([[0, 0, 20, 20], [5, 5, 40, 30]], dtype=np.float32)
    image, target = training_example(record, settings.input, np.random.default_rng(0), boxes)
    torch.manual_seed(0)
    model = build_model(settings.model, CLASSES).train()
    losses = model([image], [target])
    assert not any("rpn" in name for name in losses)
    sum(losses.values()).backward()
    assert all(p.grad is None for p in model.rpn.parameters())
    assert model.box_head.fc1.weight.grad is not None
    own = replace(target, proposals=None)
    assert {name for name in model([image], [own]) if "rpn" in name}
    with pytest.raises(ValueError, match="1 of 2 images have proposals"):
        model([image, image], [target, own])


def test_the_detector_finds_in_its_own_proposals_what_it_finds_without_them(
    coco_builder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:

    settings = small_settings()
    record = read_train_split(coco_builder()).images[0]
    image, _ = training_example(record, settings.input, np.random.default_rng(0))
    torch.manual_seed(0)
    model = build_model(settings.model, CLASSES).eval()
    proposals: list[torch.Tensor] = []
    propose = model.rpn.propose
    monkeypatch.setattr(model.rpn, "propose", lambda *a: proposals.extend(propose(*a)) or proposals)
    alone = model.detect([image], InferenceSettings(output_resolution=28))[0]
    monkeypatch.setattr(model.rpn, "propose", None)  # is not asked
    given = model.detect([image], InferenceSettings(output_resolution=28), proposals)[0]
    assert len(alone.boxes) > 0
    for part in ("boxes", "scores", "labels", "mask_logits"):
        assert torch.equal(getattr(alone, part), getattr(given, part))


def test_images_without_proposals(coco_builder: Callable[..., Path]) -> None:
    settings = small_settings()
    given = settings.model.model_copy(update={"given_proposals": True})
    torch.manual_seed(0)
    model = build_model(given, CLASSES).train()
    record = read_train_split(coco_builder()).images[0]
    none = np.zeros((0, 4), dtype=np.float32)
    image, target = training_example(record, settings.input, np.random.default_rng(0), none)
    losses = model([image], [target])
    assert all(loss.isfinite() for loss in losses.values())
    # The objects themselves are looked at, so that all parameters learn.
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    inference = InferenceSettings(output_resolution=28)
    (found,) = model.eval().detect([image], inference, [torch.from_numpy(none)])
    assert len(found.boxes) == len(found.mask_logits) == 0


def test_an_image_that_is_not_in_the_file_has_none(tmp_path: Path) -> None:
    found = read_proposals(written(tmp_path / "p.json", entry(7, 0.2, 1, 2, 3, 4)))
    assert found.of(8).shape == (0, 4)
    assert found.of(7).tolist() == [[1, 2, 4, 6]]
    assert len(read_proposals(written(tmp_path / "empty.json"))) == 0


def test_fewer_boxes_may_be_taken_at_test_time_than_in_training() -> None:
    values = {"variant": "rpn", "inference": "proposals", "per_image": 2000}
    both = ProposalsFrom.model_validate(values)
    assert both.most("train") == both.most("val") == 2000
    apart = ProposalsFrom.model_validate(values | {"per_image_at_test": 300})
    assert (apart.most("train"), apart.most("val")) == (2000, 300)
    assert identity(both) == values | {"dataset": None}  # finished results keep their digest


def test_a_detector_of_own_proposals_is_not_told_how_many_it_is_given() -> None:
    settings = small_settings()
    saved = SavedModel(build_model(settings.model, CLASSES), settings.input, [])
    asked = InferenceSettings.model_validate({"test": {"given_proposals": 3}})
    with pytest.raises(UserError, match=r"test\.given_proposals: this detector finds proposals"):
        detect(saved, np.zeros((32, 32, 3), dtype=np.uint8), asked)
