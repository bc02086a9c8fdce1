"""Benchmarks what_a_stride_keeps and miou_by_step, against what must be true of any label map."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import pointrend_repro as pr
from benchmarks.dilated_inference import ways
from benchmarks.miou_by_step import by_step
from benchmarks.what_a_stride_keeps import confusion, fitted
from pointrend_repro.checkpoints.saved_models import SavedModel, build_model, save_model
from pointrend_repro.data.images import read_image
from pointrend_repro.data.semantic import (
    IGNORED,
    TRAIN_CLASSES,
    label_ids,
    read_labelled_images,
    read_train_ids,
)
from pointrend_repro.evaluation.semantic_iou import cityscapes_miou
from small_semantic_experiment import make_streets, small_semantic_settings


def test_a_coarser_stride_keeps_less_of_streets(tmp_path: Path) -> None:
    (image, *_) = read_labelled_images(make_streets(tmp_path), "val").images
    labels = torch.from_numpy(read_train_ids(image.labels).astype(np.int64))
    known = labels != IGNORED
    right = [float((fitted(labels, k) == labels)[known].float().mean()) for k in (4, 8, 16, 32)]
    assert right == sorted(right, reverse=True)
    assert right[0] > 0.97 > right[-1] > 0.5


def test_what_cells_can_hold_is_kept_and_a_thin_line_is_lost() -> None:
    halves = torch.zeros(64, 64, dtype=torch.int64)
    halves[:, 32:] = 4
    assert torch.equal(fitted(halves, 16), halves)
    line = torch.zeros(64, 64, dtype=torch.int64)
    line[:, 20:24] = 4
    assert torch.equal(fitted(line, 4), line)
    assert not (fitted(line, 32) == 4).any()


@pytest.mark.parametrize("pointrend", [False, True])
def test_the_last_step_is_what_the_official_tool_scores(pointrend: bool, tmp_path: Path) -> None:
    root = make_streets(tmp_path / "streets")
    images = read_labelled_images(root, "val").images
    settings = small_semantic_settings(pointrend=pointrend)
    torch.manual_seed(0)
    model = build_model(settings.model, num_classes=len(TRAIN_CLASSES)).eval()
    file = tmp_path / "model.safetensors"
    save_model(file, SavedModel(model, settings.input, [(c.id, c.name) for c in TRAIN_CLASSES]))
    steps = by_step(file, images)
    assert len(steps) == (2 if pointrend else 1)  # 8096 points are the whole image at once
    fewer = by_step(file, images, points=40)
    assert len(fewer) == (5 if pointrend else 1)  # 6x4 cells, each step with twice as many a side
    loaded = pr.load_model(file)
    (tmp_path / "found").mkdir()
    for image in images:
        labels = loaded.predict(read_image(image.path)).labels
        Image.fromarray(label_ids(labels)).save(tmp_path / "found" / f"{image.id}.png")
    official = cityscapes_miou(root, tmp_path / "found")["mIoU"]
    assert list(steps.values())[-1] == pytest.approx(official, abs=0.005)


def test_ways_to_read_dilated_logits() -> None:
    torch.manual_seed(0)
    size = (64, 96)
    smooth = torch.linspace(0, 1, 12).expand(1, 1, 8, 12)  # along x: cell j is at pixel 8 j + 4
    found = dict(ways(smooth[:, :, ::2, ::2], smooth, size))
    assert torch.equal(found["stride 16"], found["stride 8, even cells"])
    assert torch.equal(found["stride 8, moved"][:, :, 4:, 4:], found["stride 8"][:, :, :-4, :-4])
    # What is linear stays as it is when it is interpolated over more pixels. Read at stride 16, an
    # even cell is placed 4 pixels further than at stride 8, which moving them makes good.
    inner = (0, 0, slice(16, -16), slice(24, -24))
    for way in ("stride 16", "stride 8, moved, over 16 px"):
        assert torch.allclose(found[way][inner], found["stride 8, moved"][inner], atol=1e-6), way
    assert not torch.allclose(found["stride 16"][inner], found["stride 8"][inner], atol=1e-3)


def test_counts_are_of_pairs() -> None:
    truth, found = np.array([[7, 8], [7, 7]], np.uint8), np.array([[7, 7], [8, 7]], np.uint8)
    counts = confusion(truth, found)
    assert counts.sum() == 4
    assert (counts[7, 7], counts[8, 7], counts[7, 8]) == (2, 1, 1)
