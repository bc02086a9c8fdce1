"""`import pointrend_repro as pr`: models by name, and what they answer to odd pictures."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import pointrend_repro as pr
from pointrend_repro.checkpoints.fit import known_shapes
from pointrend_repro.checkpoints.known_models import KNOWN_MODELS
from pointrend_repro.checkpoints.saved_models import SavedModel, build_model, save_model
from pointrend_repro.settings.schedule import InputSettings

INSTANCE_MODELS = [
    f"{head}_{trunk}"
    for head in ("mask_rcnn", "pointrend")
    for trunk in ("r50_fpn_coco", "r101_fpn_coco", "x101_fpn_coco", "r50_fpn_cityscapes")
]


def test_importing_the_package_and_listing_models_needs_no_torch():
    code = (
        "import sys, pointrend_repro as pr; pr.list_models(); "
        "assert not {'torch', 'torchvision', 'snakemake'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_everything_named_is_there():
    assert set(pr.__all__) <= set(dir(pr))
    assert all(getattr(pr, name) is not None for name in pr.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'load_modle'"):
        _ = pr.load_modle


def test_the_instance_models_are_listed():
    assert set(INSTANCE_MODELS) <= set(pr.list_models())


@pytest.mark.parametrize("name", INSTANCE_MODELS)
def test_every_model_builds_with_its_classes(name):
    known = KNOWN_MODELS[name]
    classes = 8 if name.endswith("cityscapes") else 80
    assert len(known.categories) == classes
    assert known_shapes(name)["box_head.cls_score.weight"] == (classes + 1, 1024)
    assert known.input.test_short_edge_px == (1024 if classes == 8 else 800)
    assert known.input.max_long_edge_px == (2048 if classes == 8 else 1333)


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(pr.UserError, match="did you mean 'pointrend_r50_fpn_coco'"):
        pr.load_model("pointrend_r50_fpn_cocoo")
    with pytest.raises(pr.UserError, match=r"list_models\(\) says which there are"):
        pr.load_model("zzz")


@pytest.fixture(scope="module", params=["mask_rcnn_r50_fpn_cityscapes", "pointrend_r50_fpn_coco"])
def model(request, tmp_path_factory):
    """A model whose weights find the first class everywhere, fed with small pictures."""
    torch.manual_seed(0)
    known = KNOWN_MODELS[request.param]
    network = build_model(known.model, num_classes=len(known.categories))
    with torch.no_grad():
        network.box_head.cls_score.bias[0] += 5.0
    small = InputSettings(test_short_edge_px=64, max_long_edge_px=256)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(path, SavedModel(network, small, known.categories))
    return pr.load_model(request.param, weights=str(path))


@pytest.mark.parametrize(
    "shape",
    [(48, 64, 3), (1, 1, 3), (40, 400, 3), (400, 40, 3), (48, 64), (48, 64, 1)],
    ids=["colour", "one-pixel", "panorama", "tower", "grey", "grey-channel"],
)
def test_pictures_of_any_shape(model, shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    out = model.predict(image)
    count = len(out.scores)
    assert out.boxes.shape == (count, 4)
    assert out.masks.shape == (count, *shape[:2])
    assert (out.boxes.dtype, out.scores.dtype) == (np.float32, np.float32)
    assert (out.labels.dtype, out.masks.dtype) == (np.int64, np.bool_)
    if shape != (1, 1, 3):
        assert 0 < count <= 100
    height, width = shape[:2]
    assert (out.boxes >= 0).all()
    assert (out.boxes <= [width, height, width, height]).all()
    assert (np.diff(out.scores) <= 0).all()
    assert set(out.labels.tolist()) <= set(range(len(model.class_names)))


def test_a_grey_picture_is_its_own_three_channels(model):
    grey = np.random.default_rng(1).integers(0, 256, (40, 56), dtype=np.uint8)
    ours, wanted = model.predict(grey), model.predict(np.stack([grey] * 3, axis=2))
    np.testing.assert_array_equal(ours.boxes, wanted.boxes)
    np.testing.assert_array_equal(ours.masks, wanted.masks)


def test_no_detections(model):
    with torch.no_grad():
        bias = model.saved.model.box_head.cls_score.bias
        bias[-1] += 1e9
        out = model.predict(np.zeros((30, 50, 3), np.uint8))
        bias[-1] = 0.0
    assert out.boxes.shape == (0, 4)
    assert out.scores.shape == out.labels.shape == (0,)
    assert out.masks.shape == (0, 30, 50)


def test_without_weights_they_are_random():
    torch.manual_seed(0)
    a, b = (pr.load_model("mask_rcnn_r50_fpn_cityscapes").saved.model for _ in range(2))
    assert not torch.equal(a.box_head.fc1.weight, b.box_head.fc1.weight)
    assert not a.training


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "pointrend_r50_fpn_coco",
            "`pointrend-repro data fetch pointrend_r50_fpn_3x_coco` fetches published ones",
        ),
        ("sharpmask_r50_fpn_coco", "name a file that you have"),
    ],
)
def test_random_weights_are_said_to_be_random(name, told, caplog):
    pr.load_model(name)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == (
        f"{name}: no weights given, so they are random and predictions mean nothing; {told}: "
        "load_model(NAME, weights=FILE)"
    )


def test_that_they_are_random_is_seen_without_a_logger_and_without_a_clone():
    code = (
        "import pathlib, pointrend_repro as pr; "
        "from pointrend_repro.data.fetch import catalogue; "
        "catalogue.load_catalogue.__defaults__ = (pathlib.Path('/nowhere'),); "
        "pr.load_model('mask_rcnn_r50_fpn_coco')"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr.startswith("mask_rcnn_r50_fpn_coco: no weights given, so they are random")
    assert "name a file that you have" in done.stderr


def test_given_weights_bring_no_such_warning(tmp_path, caplog):
    known = KNOWN_MODELS["mask_rcnn_r50_fpn_cityscapes"]
    network = build_model(known.model, num_classes=len(known.categories))
    path = tmp_path / "model.safetensors"
    save_model(path, SavedModel(network, known.input, known.categories))
    pr.load_model("mask_rcnn_r50_fpn_cityscapes", weights=path)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (np.zeros((4, 4, 3), np.float32), "not a float32 array"),
        ([[0]], "not a list"),
        (np.zeros((4, 4, 4), np.uint8), r"not \(4, 4, 4\)"),
        (np.zeros((3,), np.uint8), r"shape \(H, W, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), r"not \(0, 4, 3\)"),
    ],
)
def test_what_is_no_picture(model, image, told):
    with pytest.raises(pr.UserError, match=told):
        model.predict(image)


def test_a_device_that_is_not_there():
    with pytest.raises(pr.UserError, match="device 'nonsense'"):
        pr.load_model("mask_rcnn_r50_fpn_cityscapes", device="nonsense")
