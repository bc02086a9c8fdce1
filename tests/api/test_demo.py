"""Overlays: what is drawn, what stays visible, and the command that writes one."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from typer.testing import CliRunner

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.known_models import KNOWN_MODELS
from pointrend_repro.checkpoints.loading import load_known_model
from pointrend_repro.checkpoints.saved_models import SavedModel, build_model, save_model
from pointrend_repro.cli import app
from pointrend_repro.predictions.instances import Instances
from pointrend_repro.predictions.mask_proposals import MaskProposals
from pointrend_repro.predictions.overlays import draw_instances
from pointrend_repro.settings.deepmask import DeepMaskModelSettings
from pointrend_repro.settings.schedule import InputSettings

HEIGHT, WIDTH = 120, 160
NAME = "mask_rcnn_r50_fpn_cityscapes"


def _instances(*scores: float) -> Instances:
    masks = np.zeros((len(scores), HEIGHT, WIDTH), bool)
    for k in range(len(scores)):
        masks[k, 50:100, 10 + 50 * k : 50 + 50 * k] = True
    boxes = np.array([[10 + 50 * k, 50, 50 + 50 * k, 100] for k in range(len(scores))])
    return Instances(
        boxes.reshape(-1, 4).astype(np.float32),
        np.array(scores, np.float32),
        np.zeros(len(scores), np.int64),
        masks,
    )


def _draw(image: np.ndarray, instances: Instances) -> np.ndarray:
    return draw_instances(image, instances, ["person"], score_threshold=0.5)


def test_masks_are_tinted_and_all_else_stays():
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    before = image.copy()
    drawn = _draw(image, _instances(0.9, 0.8))
    np.testing.assert_array_equal(image, before)
    assert (drawn[60:90, 20:40] != image[60:90, 20:40]).any(axis=2).mean() > 0.99
    np.testing.assert_array_equal(drawn[102:], image[102:])
    np.testing.assert_array_equal(drawn[60:, 51:59], image[60:, 51:59])
    # The picture shows through: inside a mask it still varies.
    assert drawn[60:90, 20:40].std(axis=(0, 1)).min() > 20


def test_objects_have_different_colours_and_outlines_of_full_colour():
    grey = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    drawn = _draw(grey, _instances(0.9, 0.8))
    first, second = drawn[75, 30], drawn[75, 80]
    assert np.abs(first.astype(int) - second).max() > 50
    outline = drawn[99, 30].astype(int)
    assert np.abs(outline - 128).sum() > np.abs(first.astype(int) - 128).sum()


def test_below_the_threshold_nothing_is_drawn():
    image = np.full((HEIGHT, WIDTH, 3), 7, np.uint8)
    np.testing.assert_array_equal(_draw(image, _instances(0.49)), image)
    np.testing.assert_array_equal(_draw(image, _instances()), image)


def test_keypoints_are_joined_as_the_skeleton_says():
    grey = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    points = np.array([[[20, 110, 0.9], [140, 110, 0.9], [80, 20, 0.9], [80, 60, 0.01]]])
    found = replace(_instances(0.9), keypoints=points.astype(np.float32))
    drawn = draw_instances(grey, found, ["person"], score_threshold=0.5, skeleton=[(0, 1), (2, 3)])
    assert (drawn[110, 18:142] != 128).any(axis=1).all()  # a line
    assert (drawn[20, 79:82] != 128).any()  # a dot
    np.testing.assert_array_equal(drawn[30:45, 70:90], 128)  # no line to a guess
    (without,) = draw_instances(grey, found, ["person"], score_threshold=0.95)[None]
    np.testing.assert_array_equal(without, grey)


def test_the_name_is_written_above_the_mask():
    grey = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    drawn = _draw(grey, _instances(0.9))
    assert (drawn[30:50, 10:60] != 128).any()


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3)])
def test_pictures_without_room_for_a_name(size):
    image = np.zeros((*size, 3), np.uint8)
    whole = Instances(
        np.array([[0, 0, size[1], size[0]]], np.float32),
        np.array([0.9], np.float32),
        np.zeros(1, np.int64),
        np.ones((1, *size), bool),
    )
    assert _draw(image, whole).shape == image.shape


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A model that finds the class `car` everywhere, in small pictures."""
    torch.manual_seed(0)
    known = KNOWN_MODELS[NAME]
    network = build_model(known.model, num_classes=8)
    with torch.no_grad():
        network.box_head.cls_score.bias[2] += 5.0
    small = InputSettings(test_short_edge_px=64, max_long_edge_px=256)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(path, SavedModel(network, small, known.categories))
    return path


def _run(*arguments: object) -> None:
    result = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def test_demo_command_writes_an_overlay(checkpoint, tmp_path):
    Image.new("L", (60, 30), 90).save(tmp_path / "grey.png")
    out = tmp_path / "overlay.png"
    _run("demo", tmp_path / "grey.png", "--model", NAME, "--weights", checkpoint, "--output", out)
    drawn = np.array(Image.open(out))
    assert drawn.shape == (30, 60, 3)
    assert (drawn != 90).any()


def test_convert_command(checkpoint, tmp_path):
    out = tmp_path / "model.pkl"
    _run("convert", checkpoint, out, "--model", NAME)
    wanted = load_known_model(NAME, checkpoint).model.state_dict()
    back = load_known_model(NAME, out).model.state_dict()
    assert all(torch.equal(back[key], tensor) for key, tensor in wanted.items())


def test_demo_of_an_unknown_format(checkpoint, tmp_path):
    with pytest.raises(UserError, match=r"overlay\.txt: the name of the overlay must end in"):
        _run(
            "demo", "x.png", "--model", "m", "--weights", checkpoint,
            "--output", tmp_path / "overlay.txt", "--device", "cpu",
        )  # fmt: skip


@pytest.mark.parametrize(("name", "most"), [("o.jpg", 65500), ("o.JPEG", 65500), ("o.webp", 16383)])
def test_demo_of_a_picture_too_long_for_its_overlay(checkpoint, tmp_path, name, most):
    Image.new("RGB", (most + 1, 1)).save(tmp_path / "long.png")
    told = rf"{name}: .*long\.png has {most + 1}x1 pixels, and .* {most} a side; name it \.png"
    words = ("demo", tmp_path / "long.png", "--model", NAME, "--weights", checkpoint)
    with pytest.raises(UserError, match=told):
        _run(*words, "--output", tmp_path / name)
    _run(*words, "--output", tmp_path / "o.png")
    assert [path.name for path in tmp_path.glob("o*")] == ["o.png"]


@pytest.fixture
def proposer(tmp_path):
    """A small SharpMask with random weights, whose scores all exceed one half."""
    settings = DeepMaskModelSettings.model_validate(
        {
            "backbone": {"name": "resnet18_narrow"},
            "patch_px": 64,
            "refinement": {"k": 16, "skip_channels": [8]},
        }
    )
    torch.manual_seed(0)
    model = build_model(settings, num_classes=1)
    torch.nn.init.constant_(model.score_head.predict.bias, 3.0)
    path = tmp_path / "model.safetensors"
    save_model(path, SavedModel(model, InputSettings(), [(1, "object")]))
    return path


def test_demo_draws_the_best_proposals(proposer, tmp_path, monkeypatch):
    drawn = []

    def draw(image, instances, class_names, *, score_threshold):
        drawn.append((len(instances.scores), class_names))
        return draw_instances(image, instances, class_names, score_threshold=score_threshold)

    monkeypatch.setattr("pointrend_repro.predictions.overlays.draw_instances", draw)
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "image.png")
    overlay = tmp_path / "overlay.png"
    _run(
        "demo", tmp_path / "image.png", "--weights", proposer, "--output", overlay,
        "--device", "cpu",
    )  # fmt: skip
    assert drawn == [(10, ["proposal"])]
    assert (np.array(Image.open(overlay)) != image).any()


def test_demo_leaves_out_proposals_that_overlap(proposer, tmp_path, monkeypatch):
    overlaps = []

    def draw(image, instances, class_names, *, score_threshold):
        masks = [coco_mask.encode(np.asfortranarray(m, dtype=np.uint8)) for m in instances.masks]
        iou = coco_mask.iou(masks, masks, [0] * len(masks)) - np.eye(len(masks))
        overlaps.append(iou.max())
        return draw_instances(image, instances, class_names, score_threshold=score_threshold)

    monkeypatch.setattr("pointrend_repro.predictions.overlays.draw_instances", draw)
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "image.png")
    command = ["demo", tmp_path / "image.png", "--weights", proposer, "--device", "cpu"]
    command += ["--output", tmp_path / "overlay.png"]
    _run(*command)
    _run(*command, "--test", "nms_iou=0.3")
    assert overlaps[0] > 0.3 >= overlaps[1]
    with pytest.raises(UserError, match=r"unknown key nms_iuo.*did you mean.*nms_iou"):
        _run(*command, "--test", "nms_iuo=0.3")


@pytest.mark.parametrize("command", ["demo", "segment"])
def test_of_all_proposals_only_ten_are_drawn(proposer, tmp_path, monkeypatch, command):
    drawn = []

    def draw(found):
        drawn.append(len(found.scores))
        return draw_all(found)

    draw_all = MaskProposals.masks.func
    monkeypatch.setattr(MaskProposals, "masks", property(draw))
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "image.png")
    output = tmp_path / ("overlay.png" if command == "demo" else "found")
    _run(
        command, tmp_path / "image.png", "--weights", proposer, "--output", output,
        "--device", "cpu",
    )  # fmt: skip
    assert drawn == [10]
    if command == "segment":
        results = json.loads((output / "results.json").read_text())
        assert len(results) > 10
        for found in results:
            assert coco_mask.toBbox(found["segmentation"]).tolist() == found["bbox"]
