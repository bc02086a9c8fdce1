"""Checkpoints of mmdetection's HTC and Mask Scoring R-CNN: names, shapes, a file as it is written.

The names are those of mmdetection 3.3's own models (`record_mmdetection_htc.py`). A file has,
beside `state_dict`, what mmengine's `save_checkpoint` adds: `meta` with versions and classes, and
with a training's checkpoint `optimizer`. Its published files were not to be had here.
"""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.fit import known_shapes
from pointrend_repro.checkpoints.known_models import KNOWN_MODELS
from pointrend_repro.checkpoints.loading import convert, load_known_model, load_own_file
from pointrend_repro.checkpoints.mmdetection_names import from_mmdetection
from pointrend_repro.checkpoints.saved_models import build_model
from pointrend_repro.settings.htc import HtcModelSettings

RECORDED = Path(__file__).resolve().parents[1] / "recorded" / "mmdetection_htc.npz"
NAME = "htc_r50_fpn_coco"
NARROW: dict[str, Any] = {
    "backbone": {"name": "resnet50_narrow", "stride_in_1x1": False, "fpn_channels": 8},
    "detector": {"box_head_channels": 8, "box_roi_resolution": 3},
    "mask_head": {"channels": 4},
}


def names_of_mmdetection(name: str = NAME) -> dict[str, list[int]]:
    names: dict[str, list[int]] = json.loads(str(np.load(RECORDED)[f"names_of_{name}"]))
    return names


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The known model, but narrow; shapes are remembered by name."""
    known_shapes.cache_clear()
    known = KNOWN_MODELS[NAME]
    small = dataclasses.replace(known, model=HtcModelSettings.model_validate(NARROW))
    monkeypatch.setitem(KNOWN_MODELS, NAME, small)
    yield
    known_shapes.cache_clear()


def write_file(path: Path, **more: torch.Tensor) -> dict[str, torch.Tensor]:
    """Write a narrow model under mmdetection's names, and return it under ours."""
    torch.manual_seed(0)
    model = build_model(KNOWN_MODELS[NAME].model, num_classes=80)
    ours = {name: torch.randn_like(tensor) for name, tensor in model.state_dict().items()}
    theirs = {
        old: new for new, old in from_mmdetection({n: n for n in names_of_mmdetection()}).items()
    }
    state = {name: ours[theirs[name]] for name in names_of_mmdetection() if name in theirs}
    counters = [n for n in names_of_mmdetection() if n.endswith("num_batches_tracked")]
    state |= {name: torch.tensor(7) for name in counters} | more
    meta = {"mmdet_version": "2.3.0", "epoch": 12, "CLASSES": ("person",)}
    torch.save({"meta": meta, "state_dict": state}, path)
    return ours


@pytest.mark.parametrize("name", [NAME, "mask_scoring_rcnn_r50_fpn_coco"])
def test_names_and_shapes_are_those_of_our_model(name: str) -> None:
    with torch.device("meta"):
        model = build_model(KNOWN_MODELS[name].model, num_classes=80)
    ours = {key: list(tensor.shape) for key, tensor in model.state_dict().items()}
    assert from_mmdetection(names_of_mmdetection(name)) == ours


def test_a_file_is_converted(narrow: None, tmp_path: Path) -> None:
    source, target = tmp_path / "htc.pth", tmp_path / "htc.safetensors"
    wanted = write_file(source)
    convert(source, target, NAME)
    found = load_own_file(target).model.state_dict()
    assert set(found) == set(wanted)
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())


def test_a_semantic_branch_is_refused(narrow: None, tmp_path: Path) -> None:
    """Without it the same boxes would get other features."""
    source = tmp_path / "htc.pth"
    more = {"roi_head.semantic_head.conv_embedding.conv.weight": torch.zeros(4, 4, 1, 1)}
    write_file(source, **more)
    with pytest.raises(UserError, match="is of an HTC with a semantic branch") as told:
        load_known_model(NAME, source)
    assert "\n" not in str(told.value)
