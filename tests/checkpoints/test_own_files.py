"""Models that this project has trained, loaded by the name of the known model that they are."""

import numpy as np
import pytest

import pointrend_repro as pr
from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import SavedModel, build_model, save_model
from pointrend_repro.settings.instances import ModelSettings
from pointrend_repro.settings.schedule import InputSettings

CATEGORIES = [(3, "cat"), (7, "dog")]


def save_narrow(path, mask_head):
    settings = ModelSettings.model_validate(
        {
            "backbone": {"name": "resnet50", "fpn_channels": 8},
            "detector": {"box_head_channels": 8, "rpn_post_nms": 20},
            "mask_head": mask_head,
        }
    )
    model = build_model(settings, num_classes=2).eval()
    size = InputSettings(test_short_edge_px=64, max_long_edge_px=96)
    save_model(path, SavedModel(model, size, CATEGORIES))
    return model


@pytest.mark.parametrize(
    ("name", "mask_head"),
    [
        ("pointrend_r50_fpn_coco", {"kind": "pointrend", "coarse_channels": 8}),
        ("mask_rcnn_r50_fpn_coco", {"kind": "4conv", "channels": 8}),
        ("sharpmask_r50_fpn_coco", {"kind": "sharpmask", "bottleneck_channels": 8}),
    ],
)
def test_a_file_of_ours_brings_its_own_settings_and_classes(tmp_path, name, mask_head):
    model = save_narrow(tmp_path / "model.safetensors", mask_head)
    loaded = pr.load_model(name, weights=tmp_path / "model.safetensors")
    assert loaded.saved.model.settings == model.settings
    assert loaded.saved.categories == CATEGORIES
    found = loaded.predict(np.zeros((48, 64, 3), dtype=np.uint8))
    assert found.masks.shape[1:] == (48, 64)


def test_a_file_of_another_model_is_refused_by_what_it_holds(tmp_path):
    path = tmp_path / "model.safetensors"
    save_narrow(path, {"kind": "4conv", "channels": 8})
    message = "holds resnet50 with mask head 4conv, but pointrend_r50_fpn_coco is resnet50 with"
    with pytest.raises(UserError, match=message):
        pr.load_model("pointrend_r50_fpn_coco", weights=path)
    with pytest.raises(UserError, match="is resnet101 with mask head 4conv"):
        pr.load_model("mask_rcnn_r101_fpn_coco", weights=path)
