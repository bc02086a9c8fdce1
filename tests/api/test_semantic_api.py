"""`load_model` of semantic models, from detectron2's files and from ours."""

import numpy as np
import pytest
import torch

import pointrend_repro as pr
from pointrend_repro.checkpoints.fit import known_shapes
from pointrend_repro.checkpoints.known_models import KNOWN_MODELS
from pointrend_repro.checkpoints.loading import convert, load_known_model, new_model
from pointrend_repro.checkpoints.saved_models import (
    SavedModel,
    build_model,
    load_saved_model,
    save_model,
)
from pointrend_repro.predictions.overlays import draw_labels
from pointrend_repro.settings.schedule import InputSettings
from pointrend_repro.settings.semantic import SemanticModelSettings

NAMES = [n for n, known in KNOWN_MODELS.items() if isinstance(known.model, SemanticModelSettings)]


def test_the_four_semantic_models_are_listed() -> None:
    assert set(NAMES) == {
        "deeplabv3_r103_cityscapes",
        "deeplabv3_pointrend_r103_cityscapes",
        "semantic_fpn_r101_cityscapes",
        "semantic_fpn_pointrend_r101_cityscapes",
    }
    assert set(NAMES) <= set(pr.list_models())


@pytest.mark.parametrize("name", NAMES)
def test_every_model_has_cityscapes_classes(name: str) -> None:
    categories = KNOWN_MODELS[name].categories
    labels = pytest.importorskip("cityscapesscripts.helpers.labels")
    wanted = [labels.trainId2label[train_id] for train_id in range(19)]
    assert categories == [(label.id, label.name) for label in wanted]
    assert known_shapes(name)["decoder.predictor.weight"][0] == 19


@pytest.mark.parametrize(
    "name", ["deeplabv3_r103_cityscapes", "semantic_fpn_pointrend_r101_cityscapes"]
)
def test_models_go_to_detectron2s_format_and_back(name: str, tmp_path) -> None:
    saved = new_model(name)
    save_model(tmp_path / "a.safetensors", saved)
    convert(tmp_path / "a.safetensors", tmp_path / "b.pkl", name)
    back = load_known_model(name, tmp_path / "b.pkl").model
    assert back.settings == saved.model.settings
    for key, tensor in saved.model.state_dict().items():
        torch.testing.assert_close(back.state_dict()[key], tensor, msg=key)


def test_a_loaded_model_labels_a_picture(tmp_path) -> None:
    known = KNOWN_MODELS["semantic_fpn_pointrend_r101_cityscapes"]
    torch.manual_seed(0)
    network = build_model(known.model, num_classes=19)
    small = InputSettings(test_short_edge_px=48, max_long_edge_px=200)
    save_model(tmp_path / "a.safetensors", SavedModel(network, small, known.categories))
    assert load_saved_model(tmp_path / "a.safetensors").model.settings == known.model
    model = pr.load_model("semantic_fpn_pointrend_r101_cityscapes", tmp_path / "a.safetensors")
    for shape in ((30, 50, 3), (30, 50), (1, 1, 3)):
        image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        labels = model.predict(image).labels
        assert labels.shape == shape[:2]
        assert labels.dtype == np.uint8
        assert labels.max() < 19
    assert model.class_names[0] == "road"


def test_an_overlay_has_one_tint_a_class() -> None:
    image = np.full((2, 3, 3), 100, dtype=np.uint8)
    labels = np.array([[0, 0, 1], [0, 1, 1]], dtype=np.uint8)
    drawn = draw_labels(image, labels)
    assert len(np.unique(drawn[labels == 0], axis=0)) == 1
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) == 2
