"""Files as mmdetection writes them: what they tell of their trunk, and who may load them."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.fit import known_shapes
from pointrend_repro.checkpoints.known_models import KNOWN_MODELS
from pointrend_repro.checkpoints.loading import convert, load_known_model, load_own_file
from pointrend_repro.checkpoints.mmdetection_config import trunk_settings
from pointrend_repro.checkpoints.mmdetection_names import from_mmdetection
from pointrend_repro.checkpoints.saved_models import build_model
from pointrend_repro.settings.instances import ModelSettings

NAME = "pointrend_r50_fpn_coco"
RECORDED = Path(__file__).resolve().parents[1] / "recorded" / "mmdetection_pointrend.npz"
# As `pretty_text` of mmcv 1.3 and mmengine 0.10 write them, from
# configs/mask_rcnn/mask_rcnn_r50_caffe_fpn_mstrain_1x_coco.py and, for 3.3, mask-rcnn_r50_fpn.py.
CAFFE = """model = dict(
    type='PointRend',
    backbone=dict(
        type='ResNet',
        depth=50,
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        style='caffe'))
img_norm_cfg = dict(
    mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], to_rgb=False)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='Normalize',
        mean=[103.53, 116.28, 123.675],
        std=[1.0, 1.0, 1.0],
        to_rgb=False),
]
"""
PYTORCH = """model = dict(
    backbone=dict(depth=50, frozen_stages=1, style='pytorch', type='ResNet'),
    data_preprocessor=dict(
        bgr_to_rgb=True,
        mean=[
            123.675,
            116.28,
            103.53,
        ],
        pad_size_divisor=32,
        std=[
            58.395,
            57.12,
            57.375,
        ],
        type='DetDataPreprocessor'),
    type='PointRend')
"""


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The known model, but narrow; shapes are remembered by name."""
    known_shapes.cache_clear()
    known = KNOWN_MODELS[NAME]
    settings = known.model.model_dump() | {"detector": {"box_head_channels": 8}}
    settings["backbone"] |= {"name": "resnet50_narrow", "fpn_channels": 8}
    settings["mask_head"] |= {"coarse_channels": 8, "point_channels": 8}
    model = ModelSettings.model_validate(settings)
    monkeypatch.setitem(KNOWN_MODELS, NAME, dataclasses.replace(known, model=model))
    yield
    known_shapes.cache_clear()


def write_file(path: Path, meta: dict[str, Any]) -> dict[str, Tensor]:
    """Write a narrow model under mmdetection's names, and return it under ours."""
    torch.manual_seed(0)
    model = build_model(KNOWN_MODELS[NAME].model, num_classes=80)
    ours = {name: torch.randn_like(tensor) for name, tensor in model.state_dict().items()}
    theirs = json.loads(str(np.load(RECORDED)["names"]))
    renamed = from_mmdetection({name: name for name in theirs})
    state = {old: ours[new] for new, old in renamed.items()}
    state |= {n: torch.tensor(7) for n in theirs if n.endswith("num_batches_tracked")}
    content = {"mmdet_version": "2.11.0", "epoch": 12, "CLASSES": ("person",)} | meta
    torch.save({"meta": content, "state_dict": state, "optimizer": {"state": {}}}, path)
    return ours


@pytest.mark.parametrize(
    ("meta", "wanted"),
    [
        ({"config": CAFFE}, ("BGR", (103.53, 116.28, 123.675), (1.0, 1.0, 1.0), True)),
        ({"cfg": PYTORCH}, ("RGB", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), False)),
        ({}, ("BGR", (103.53, 116.28, 123.675), (1.0, 1.0, 1.0), True)),
    ],
)
def test_a_file_tells_how_pixels_are_fed(
    narrow: None, tmp_path: Path, meta: dict[str, str], wanted: tuple[Any, ...]
) -> None:
    source, target = tmp_path / "a.pth", tmp_path / "a.safetensors"
    ours = write_file(source, meta)
    convert(source, target, NAME)
    model = load_own_file(target).model
    found = model.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in ours.items())
    trunk = model.settings.backbone
    keys = ("channel_order", "pixel_mean", "pixel_std", "stride_in_1x1")
    assert tuple(getattr(trunk, key) for key in keys) == wanted
    first = model.backbone.bottom_up.res3[0]
    assert (first.conv1.stride[0] == 2) == wanted[-1]


@pytest.mark.parametrize(
    ("meta", "told"),
    [
        ({"config": CAFFE}, []),
        (
            {},
            [
                "pixel_mean (103.53, 116.28, 123.675); pixel_std (1.0, 1.0, 1.0); "
                "channel_order BGR; stride_in_1x1 True"
            ],
        ),
        ({"cfg": PYTORCH.replace("bgr_to_rgb=True,", "")}, ["channel_order BGR"]),
    ],
)
def test_what_a_file_does_not_tell_is_assumed_aloud(
    narrow: None,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    meta: dict[str, str],
    told: list[str],
) -> None:
    source = tmp_path / "a.pth"
    write_file(source, meta)
    load_known_model(NAME, source)
    wanted = f"{source}: does not tell what its trunk was trained with; assumed, as in {NAME}: "
    assert caplog.messages == [wanted + each for each in told]


@pytest.mark.parametrize(
    "text",
    [
        "mean=[1, 2], std=[1, 2, 0], style='other'",
        "mean=[1e999, 2, 3] mean=[a, b, c]",
        "to_rgb=True, to_rgb=False, style='caffe', style='pytorch'",
        "mean=[--1, 2, 3] std=[., ., .]",
    ],
)
def test_what_is_no_setting_tells_nothing(text: str) -> None:
    assert trunk_settings({"config": text}) == {}


@pytest.mark.parametrize("meta", [None, "text", {}, {"config": 3}, {"config": "m" * 2_000_000}])
def test_other_meta_tells_nothing(meta: Any) -> None:
    assert trunk_settings(meta) == {}


def test_another_model_of_mmdetection_is_told_apart(narrow: None, tmp_path: Path) -> None:
    write_file(tmp_path / "a.pth", {})
    with pytest.raises(
        UserError, match=r"does not fit mask_rcnn_r50_fpn_coco: .*looks like"
    ) as told:
        load_known_model("mask_rcnn_r50_fpn_coco", tmp_path / "a.pth")
    assert "\n" not in str(told.value)
