"""Checkpoints of mmdetection's SOLOv2: names, shapes, and a file as it writes them.

The names are those of mmdetection 3.3's own models (`record_mmdetection_solov2.py`). A file has,
beside `state_dict`, what mmengine's `save_checkpoint` adds: `meta` with versions and classes. The
published files were not to be had here.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.fit import known_shapes
from pointrend_repro.checkpoints.known_models import KNOWN_MODELS
from pointrend_repro.checkpoints.loading import convert, load_known_model, load_own_file
from pointrend_repro.checkpoints.mmdetection_solov2_names import from_mmdetection_solov2
from pointrend_repro.checkpoints.saved_models import build_model
from pointrend_repro.settings.solov2 import SoloModelSettings

RECORDED = Path(__file__).resolve().parents[1] / "recorded" / "mmdetection_solov2.npz"
NAME = "solov2_r50_fpn_coco"
NARROW: dict[str, Any] = {
    "backbone": {"name": "resnet50_narrow", "stride_in_1x1": False, "fpn_channels": 8},
    "head": {"channels": 8, "map_channels": 8, "kernel_channels": 8},
}


def names_of(key: str = "names_of_model") -> dict[str, list[int]]:
    names: dict[str, list[int]] = json.loads(str(np.load(RECORDED)[key]))
    return names


@pytest.mark.parametrize(
    ("name", "key"),
    [(NAME, "names_of_model"), ("solov2_light_r50_fpn_coco", "names_of_light_model")],
)
def test_every_tensor_has_its_place(name: str, key: str) -> None:
    theirs = from_mmdetection_solov2(names_of(key))
    assert {n: tuple(shape) for n, shape in theirs.items()} == known_shapes(name)


def test_a_deeper_trunk_has_its_place() -> None:
    """mmdetection's R-101 is its R-50 with 23 blocks in layer3; all but the first are alike."""
    sixth = "backbone.layer3.5."
    names = names_of()
    for block in range(6, 23):
        more = {n: shape for n, shape in names_of().items() if n.startswith(sixth)}
        names |= {n.replace(sixth, f"backbone.layer3.{block}."): s for n, s in more.items()}
    theirs = from_mmdetection_solov2(names)
    assert {n: tuple(s) for n, s in theirs.items()} == known_shapes("solov2_r101_fpn_coco")


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The known model, but narrow."""
    known = KNOWN_MODELS[NAME]
    small = dataclasses.replace(known, model=SoloModelSettings.model_validate(NARROW))
    monkeypatch.setitem(KNOWN_MODELS, NAME, small)
    known_shapes.cache_clear()
    monkeypatch.setattr("pointrend_repro.checkpoints.loading.looks_like", lambda shapes: None)


def write_file(path: Path, **more: torch.Tensor) -> dict[str, torch.Tensor]:
    """Write a narrow model under mmdetection's names, and return it under ours."""
    torch.manual_seed(0)
    model = build_model(KNOWN_MODELS[NAME].model, num_classes=80)
    ours = {name: torch.randn_like(tensor) for name, tensor in model.state_dict().items()}
    theirs = {old: new for new, old in from_mmdetection_solov2({n: n for n in names_of()}).items()}
    state = {name: ours[theirs[name]] for name in names_of() if name in theirs}
    counters = [name for name in names_of() if name.endswith("num_batches_tracked")]
    assert counters
    state |= {name: torch.tensor(7) for name in counters} | more
    meta = {"mmdet_version": "2.24.0", "epoch": 12, "CLASSES": ("person",)}
    torch.save({"meta": meta, "state_dict": state}, path)
    return ours


@pytest.mark.usefixtures("narrow")
def test_a_file_is_converted(tmp_path: Path) -> None:
    source, target = tmp_path / "solov2.pth", tmp_path / "solov2.safetensors"
    ours = write_file(source)
    convert(source, target, NAME)
    found = load_own_file(target).model.state_dict()
    assert set(found) == set(ours)
    assert all(found[name].equal(tensor) for name, tensor in ours.items())


@pytest.mark.usefixtures("narrow")
def test_a_file_with_deformable_convolutions_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "solov2.pth"
    offsets = "backbone.layer2.0.conv2.conv_offset.weight"
    write_file(source, **{offsets: torch.zeros(27, 4, 3, 3)})
    with pytest.raises(UserError, match=r"1 unexpected \(.*res3.0.conv2.offset"):
        load_known_model(NAME, source)
