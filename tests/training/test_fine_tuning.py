"""A training that begins with whatever fits of a file for other classes."""

import logging
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from test_matching_classes import HERE, KINDS, THERE, network, outputs, saved

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.checkpoints.loading import save_detectron2
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.settings.schedule import InputSettings
from pointrend_repro.settings.start_from import ResolvedStart, StartFrom
from pointrend_repro.training.starting import freeze, note_start, start_model

STRANGERS = ["nut", "bolt", "washer"]


def begun(
    model: Any, path: Path, classes: Sequence[str], folder: Path | None = None
) -> tuple[dict[str, torch.Tensor], set[str]]:
    """Start a model; return what it was before, and the layers that were changed."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    start = ResolvedStart(weights=str(path), what_fits=True)
    if folder is not None:
        note_start(folder, start, None, classes)
    start_model(model, start, None, classes, folder)
    changed = {
        name.rpartition(".")[0]
        for name, tensor in model.state_dict().items()
        if not torch.equal(tensor, before[name])
    }
    return before, changed


def test_predictors_of_other_classes_begin_anew_and_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, model = network("4conv", THERE, seed=1), network("4conv", STRANGERS, seed=2)
    path = saved(tmp_path / "model.safetensors", source, THERE)
    with caplog.at_level(logging.INFO):
        before, changed = begun(model, path, STRANGERS, tmp_path)
    new = ["box_head.cls_score", "box_head.bbox_pred", "mask_head.predictor"]
    layers = {name.rpartition(".")[0] for name in before}
    assert changed == layers - set(new)
    noted = read_json(tmp_path / "checkpoints/start.json")
    assert noted["layers_at_random"] == new
    assert noted["classes"] == {"taken": [], "new": STRANGERS}
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == f"{path}: begins at random, not from this file: {', '.join(new)}"


def test_of_points_what_reads_features_is_kept(tmp_path: Path) -> None:
    """PointRend's point head reads features and the classes' coarse logits in one layer."""
    source, model = network("pointrend", THERE, seed=1), network("pointrend", STRANGERS, seed=2)
    path = saved(tmp_path / "model.safetensors", source, THERE)
    before, changed = begun(model, path, STRANGERS)
    name = "mask_head.point_head.layers.0.weight"
    theirs, ours, old = source.state_dict()[name], model.state_dict()[name], before[name]
    features = old.shape[1] - len(STRANGERS)
    assert torch.equal(ours[:, :features], theirs[:, :features])
    assert torch.equal(ours[:, features:], old[:, features:])
    assert "mask_head.point_head.predictor" not in changed


@pytest.mark.parametrize("kind", KINDS)
def test_shared_classes_are_found_as_before(kind: str, tmp_path: Path) -> None:
    source, model = network(kind, THERE, seed=1), network(kind, HERE, seed=2)
    path = saved(tmp_path / "model.safetensors", source, THERE)
    begun(model, path, HERE)
    theirs, ours = outputs(source, THERE), outputs(model, HERE)
    for name in ("person", "train"):
        for a, b in zip(theirs[name][:2], ours[name][:2], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("classes", [STRANGERS, [*STRANGERS, "screw"]])
def test_a_file_that_does_not_tell_its_classes_has_others(
    classes: list[str], tmp_path: Path
) -> None:
    """As many classes as here are not therefore the same."""
    source, model = network("4conv", THERE, seed=1), network("4conv", classes, seed=2)
    path = tmp_path / "model.pkl"
    categories = list(enumerate(THERE))
    save_detectron2(path, SavedModel(source, InputSettings(), categories))
    _, changed = begun(model, path, classes)
    assert "box_head.cls_score" not in changed
    assert "mask_head.predictor" not in changed
    assert {name.partition(".")[0] for name in changed} == {
        "backbone",
        "rpn",
        "box_head",
        "mask_head",
    }


def test_a_layer_of_classes_that_is_no_weight_is_refused(tmp_path: Path) -> None:
    source, model = network("pointrend", THERE, seed=1), network("pointrend", THERE, seed=2)
    name = "mask_head.point_head.layers.0.weight"  # whose last inputs are the classes
    state = source.state_dict()
    torch.save(state | {name: state[name].to_sparse()}, tmp_path / "model.pth")
    with pytest.raises(UserError, match=rf"model\.pth: {name} is sparse") as error:
        begun(model, tmp_path / "model.pth", THERE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("with_pixels", [False, True])
def test_what_a_file_does_not_tell_of_its_backbone_is_said_to_be_assumed(
    with_pixels: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """detectron2's files have no order of channels and no stride; only old ones have pixels."""
    source, model = network("4conv", THERE, seed=1), network("4conv", THERE, seed=2)
    path = tmp_path / "model.pkl"
    save_detectron2(path, SavedModel(source, InputSettings(), list(enumerate(THERE))))
    content = pickle.loads(path.read_bytes())
    del content["pointrend_repro"]  # which tells them, of files that are written here
    if not with_pixels:
        del content["model"]["pixel_mean"], content["model"]["pixel_std"]
    path.write_bytes(pickle.dumps(content, protocol=4))
    begun(model, path, THERE, tmp_path)
    pixels = {"pixel_mean": [103.53, 116.28, 123.675], "pixel_std": [1.0, 1.0, 1.0]}
    noted = read_json(tmp_path / "checkpoints/start.json")["assumed"]
    untold = {"channel_order": "BGR", "stride_in_1x1": True}
    assert noted == (untold if with_pixels else untold | pixels)
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert line.startswith(f"{path}: does not tell all that its backbone was trained with; ")
    assert "as in this variant: channel_order BGR; " in line
    assert line.endswith("stride_in_1x1 True")
    assert ("pixel_mean (103.53" in line) != with_pixels


def test_nothing_is_assumed_of_our_files_nor_where_no_backbone_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, model = network("4conv", THERE, seed=1), network("4conv", THERE, seed=2)
    begun(model, saved(tmp_path / "model.safetensors", source, THERE), THERE, tmp_path)
    assert "assumed" not in read_json(tmp_path / "checkpoints/start.json")
    path = tmp_path / "model.pkl"
    save_detectron2(path, SavedModel(source, InputSettings(), list(enumerate(THERE))))
    start = ResolvedStart(weights=str(path), parts=("rpn",))
    note_start(tmp_path, start, None, THERE)
    start_model(model, start, None, THERE, tmp_path)
    assert "assumed" not in read_json(tmp_path / "checkpoints/start.json")
    assert [r for r in caplog.records if r.levelno == logging.WARNING] == []


def test_another_mask_head_begins_anew_as_a_whole(tmp_path: Path) -> None:
    source, model = network("pointrend", THERE, seed=1), network("4conv", STRANGERS, seed=2)
    _, changed = begun(model, saved(tmp_path / "m.safetensors", source, THERE), STRANGERS)
    assert {name.partition(".")[0] for name in changed} == {"backbone", "rpn", "box_head"}


def test_another_backbone_is_refused(tmp_path: Path) -> None:
    source, model = network("c4", THERE, seed=1), network("4conv", STRANGERS, seed=2)
    with pytest.raises(UserError, match="does not fit what is to start from it"):
        begun(model, saved(tmp_path / "m.safetensors", source, THERE), STRANGERS)


def test_stages_can_be_frozen(tmp_path: Path) -> None:
    model = network("4conv", STRANGERS, seed=2)
    stage = ("backbone.bottom_up.res3",)
    freeze(model, ResolvedStart(weights="x", what_fits=True, frozen=stage))
    still = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert still
    assert all(name.startswith("backbone.bottom_up.res3.") for name in still)


def test_what_fits_chooses_alone() -> None:
    for more in ({"parts": ("backbone",)}, {"match_classes": True}):
        with pytest.raises(ValueError, match="what_fits chooses by itself"):
            StartFrom(weights="x", what_fits=True, **more)
