"""A checkpoint that does not fit says what is wrong with it, and what it looks like."""

import pytest
import torch
import torchvision
from one_storage import views_of_one_storage
from safetensors.torch import save_file

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.detectron2_names import to_detectron2
from pointrend_repro.checkpoints.fit import compare_shapes, known_shapes, looks_like, shapes_of
from pointrend_repro.checkpoints.known_models import KNOWN_MODELS
from pointrend_repro.checkpoints.loading import load_known_model


def _write(path, shapes):
    """A checkpoint with detectron2's names in PyTorch's format."""
    torch.save({"model": views_of_one_storage(to_detectron2(shapes))}, path)
    return path


@pytest.mark.parametrize("name", list(KNOWN_MODELS))
def test_every_model_looks_like_itself_only(name):
    shapes = known_shapes(name)
    assert looks_like(shapes) == name
    for other in KNOWN_MODELS:
        assert compare_shapes(known_shapes(other), shapes).is_exact == (other == name)


def test_report_names_each_kind_of_difference():
    fit = compare_shapes(
        {"a": (1,), "b": (2, 3), "c": (), "d": (4,), "norm.num_batches_tracked": ()},
        {"a": (1,), "b": (3, 2), "e": (5,), "d": (4, 1)},
    )
    text = str(fit)
    assert "1 missing (c)" in text
    assert "1 unexpected (e)" in text
    assert "2 misshapen (b is 3x2 instead of 2x3, d is 4x1 instead of 4)" in text


def test_long_lists_are_cut():
    fit = compare_shapes({f"k{i}": (1,) for i in range(9)}, {})
    assert str(fit) == "9 missing (k0, k1, k2, ...)"


@pytest.mark.parametrize(
    ("file", "model", "told"),
    [
        ("pointrend_r50_fpn_coco", "mask_rcnn_r50_fpn_coco", "12 missing .*16 unexpected"),
        ("pointrend_r101_fpn_coco", "pointrend_r50_fpn_coco", "255 unexpected .*res4"),
        (
            "mask_rcnn_r50_fpn_cityscapes",
            "mask_rcnn_r50_fpn_coco",
            "6 misshapen .*bbox_pred.bias is 32 instead of 320",
        ),
    ],
)
def test_the_wrong_models_file(tmp_path, file, model, told):
    path = _write(tmp_path / "file.pth", known_shapes(file))
    with pytest.raises(UserError, match=rf"file\.pth: does not fit {model}: {told}.*like {file}"):
        load_known_model(model, path)


def test_other_classes(tmp_path):
    shapes = dict(known_shapes("pointrend_r50_fpn_coco"))
    shapes["box_head.cls_score.bias"] = (4,)
    path = _write(tmp_path / "file.pth", shapes)
    with pytest.raises(UserError, match=r"is 4 instead of 81.*trained for other classes"):
        load_known_model("pointrend_r50_fpn_coco", path)


def test_something_else(tmp_path):
    save_file({"weight": torch.zeros(3)}, tmp_path / "file.safetensors")
    with pytest.raises(UserError, match=r"1 unexpected \(weight\); it looks like none"):
        load_known_model("mask_rcnn_r50_fpn_coco", tmp_path / "file.safetensors")


def test_an_imagenet_backbone(tmp_path):
    torch.save({"layer1.0.conv1.weight": torch.zeros(64, 64, 1, 1)}, tmp_path / "r50.pth")
    with pytest.raises(UserError, match=r"ImageNet backbone.*model\.backbone\.weights"):
        load_known_model("mask_rcnn_r50_fpn_coco", tmp_path / "r50.pth")


def test_torchvisions_detector_is_another_model(tmp_path):
    """Its pyramid is ours by name, its trunk and its heads are not: a line says so."""
    with torch.device("meta"):
        theirs = torchvision.models.detection.maskrcnn_resnet50_fpn(
            weights=None, weights_backbone=None
        )
    torch.save(views_of_one_storage(shapes_of(theirs.state_dict())), tmp_path / "file.pth")
    with pytest.raises(UserError, match=r"does not fit mask_rcnn_r50_fpn_coco: .*like none"):
        load_known_model("mask_rcnn_r50_fpn_coco", tmp_path / "file.pth")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("file.bin", b"", "ends in .pkl, .pth, .pt, .pyth, .safetensors or .t7"),
        ("file.pth", b"no", "not a whole PyTorch file|refused"),
        ("file.safetensors", b"no", "not a whole safetensors file"),
    ],
)
def test_files_that_are_none(tmp_path, name, content, told):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=told):
        load_known_model("mask_rcnn_r50_fpn_coco", tmp_path / name)


@pytest.mark.parametrize("suffix", [".pkl", ".pth", ".safetensors"])
def test_missing_file(tmp_path, suffix):
    with pytest.raises(UserError, match="no such file"):
        load_known_model("mask_rcnn_r50_fpn_coco", tmp_path / f"none{suffix}")


def test_no_weights_at_all(tmp_path):
    torch.save([1, 2], tmp_path / "file.pth")
    with pytest.raises(UserError, match="holds no weights"):
        load_known_model("mask_rcnn_r50_fpn_coco", tmp_path / "file.pth")
