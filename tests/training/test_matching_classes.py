"""A training takes over the classes that its source shares with it, by name and layer by layer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.checkpoints.loading import save_detectron2
from pointrend_repro.checkpoints.saved_models import SavedModel, build_model, save_model
from pointrend_repro.settings.instances import InferenceSettings, ModelSettings
from pointrend_repro.settings.schedule import InputSettings
from pointrend_repro.settings.start_from import ResolvedStart
from pointrend_repro.training.starting import note_start, start_model
from small_experiment import small_settings

THERE = ["person", "bicycle", "boat", "train"]
HERE = ["rider", "train", "person"]
SIDE = 64


# What differs from a small detector with a pyramid and a 4x conv head.
KINDS: dict[str, dict[str, Any]] = {
    "4conv": {},
    "pointrend": {},
    "pointrend on levels": {
        "mask_head": {
            "kind": "pointrend",
            "levels": ("p2", "p4", "p6"),
            "coarse_channels": 8,
            "coarse_layers": 3,
            "point_channels": 8,
            "point_layers": 4,
        }
    },
    "softmax": {"mask_head": {"kind": "4conv", "channels": 8, "mask_loss": "softmax"}},
    "agnostic": {"mask_head": {"kind": "4conv", "channels": 8, "class_agnostic": True}},
    "mlp": {"mask_head": {"kind": "mlp", "channels": 8, "resolution": 6, "roi_resolution": 4}},
    "c4": {"mask_head": {"kind": "res5", "channels": 8}, "features": "c4"},
}


def settings_of(kind: str) -> ModelSettings:
    settings = small_settings("pointrend" if kind == "pointrend" else "4conv").model
    values = settings.model_dump() | {"family": settings.family} | KINDS[kind]
    return ModelSettings.model_validate(values)


def network(kind: str, classes: Sequence[str], seed: int) -> Any:
    torch.manual_seed(seed)
    model = build_model(settings_of(kind), num_classes=len(classes))
    for parameter in model.parameters():  # biases, too, so that a wrong one shows
        nn.init.normal_(parameter, std=0.1)
    return model.eval()


def saved(path: Path, model: Any, classes: Sequence[str]) -> Path:
    categories = [(10 + k, name) for k, name in enumerate(classes)]
    save_model(path, SavedModel(model, InputSettings(), categories))
    return path


def start(path: Path, **more: Any) -> ResolvedStart:
    return ResolvedStart(weights=str(path), match_classes=True, **more)


def outputs(model: Any, classes: Sequence[str]) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """What a detector says of two boxes of an image for each class: logit, deltas, mask."""
    torch.manual_seed(3)
    image = 255 * torch.rand(3, SIDE, SIDE)
    boxes = [torch.tensor([[4.0, 6.0, 40.0, 52.0], [20.0, 8.0, 60.0, 30.0]])]
    found = {}
    with torch.no_grad():
        features = model.backbone([image])
        logits, deltas = model.box_head(features, boxes)
        for k, name in enumerate(classes):
            labels = [torch.full((2,), k)]
            masks = model.mask_head.predict(features, boxes, labels, InferenceSettings())
            found[name] = (logits[:, k] - logits[:, -1], deltas[:, k], masks)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_classes_in_another_order_give_the_same_model(kind: str, tmp_path: Path) -> None:
    source = network(kind, THERE, seed=1)
    path = saved(tmp_path / "model.safetensors", source, THERE)
    order = ["train", "person", "boat", "bicycle"]
    model = network(kind, order, seed=2)
    start_model(model, start(path), None, order)
    theirs, ours = outputs(source, THERE), outputs(model, order)
    for name in THERE:
        for a, b in zip(theirs[name], ours[name], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_shared_classes_are_copied_and_the_others_left_as_they_were(tmp_path: Path) -> None:
    """Against a copy class by class, which knows each of the detector's three layers of classes."""
    source, model = network("4conv", THERE, seed=1), network("4conv", HERE, seed=2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    path = saved(tmp_path / "model.safetensors", source, THERE)
    start_model(model, start(path), None, HERE)
    theirs, after = source.state_dict(), model.state_dict()
    rows = {"box_head.cls_score": 1, "box_head.bbox_pred": 4, "mask_head.predictor": 1}
    expected = {name: t for name, t in theirs.items() if name.rpartition(".")[0] not in rows}
    for layer, each in rows.items():
        for kind in ("weight", "bias"):
            name = f"{layer}.{kind}"
            expected[name] = before[name].clone()
            for here, there in ((1, 3), (2, 0)):  # train, person
                for row in range(each):
                    expected[name][each * here + row] = theirs[name][each * there + row]
            if layer == "box_head.cls_score":
                expected[name][-1] = theirs[name][-1]  # background
    assert expected.keys() == after.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, after[name]), name
    rider = before["mask_head.predictor.weight"][0]
    assert torch.equal(after["mask_head.predictor.weight"][0], rider)


def test_only_named_parts_are_taken(tmp_path: Path) -> None:
    path = saved(tmp_path / "model.safetensors", network("4conv", THERE, seed=1), THERE)
    model = network("4conv", HERE, seed=2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    start_model(model, start(path, parts=("box_head",)), None, HERE)
    changed = {name for name, t in model.state_dict().items() if not torch.equal(t, before[name])}
    assert {name.partition(".")[0] for name in changed} == {"box_head"}


def test_what_was_taken_is_noted(tmp_path: Path) -> None:
    path = saved(tmp_path / "model.safetensors", network("4conv", THERE, seed=1), THERE)
    note_start(tmp_path, start(path), None, HERE)
    noted = read_json(tmp_path / "checkpoints/start.json")
    assert noted["classes"] == {"taken": ["train", "person"], "new": ["rider"]}


def test_no_shared_name_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    path = saved(tmp_path / "model.safetensors", network("4conv", THERE, seed=1), THERE)
    for refused in (
        lambda: note_start(tmp_path, start(path), None, ["Person", "kite"]),
        lambda: start_model(network("4conv", HERE, 2), start(path), None, ["Person", "kite", "x"]),
    ):
        with pytest.raises(UserError) as told:
            refused()
        assert "\n" not in str(told.value)
        assert "its classes (4: person, bicycle, boat, train) share no name with those" in str(
            told.value
        )


def test_a_file_that_does_not_name_its_classes_is_refused(tmp_path: Path) -> None:
    model = network("4conv", THERE, seed=1)
    path = tmp_path / "model.pkl"
    save_detectron2(path, SavedModel(model, InputSettings(), [(k, "c") for k in range(4)]))
    with pytest.raises(UserError, match=r"model\.pkl: start_from\.match_classes needs the names"):
        start_model(network("4conv", HERE, seed=2), start(path), None, HERE)


def test_other_layers_have_to_fit_as_without_it(tmp_path: Path) -> None:
    path = saved(tmp_path / "model.safetensors", network("pointrend", THERE, seed=1), THERE)
    with pytest.raises(UserError, match=r"does not fit what is to start from it"):
        start_model(network("4conv", HERE, seed=2), start(path), None, HERE)
