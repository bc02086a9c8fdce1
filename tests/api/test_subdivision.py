"""`pr.subdivision`: the steps by which PointRend draws one mask."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import pointrend_repro as pr
from pointrend_repro.api.loading import Model
from pointrend_repro.checkpoints.saved_models import SavedModel, build_model, save_model
from small_experiment import small_settings

CATEGORIES = [(1, "cup"), (2, "kite")]
PICTURE = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)

Loader = Callable[[str], Model]


@pytest.fixture
def load(tmp_path: Path) -> Loader:
    """Returns a model that finds objects of the first class, with random masks."""

    def made(head: str) -> Model:
        torch.manual_seed(1)
        settings = small_settings(head)
        network = build_model(settings.model, num_classes=len(CATEGORIES))
        with torch.no_grad():
            network.box_head.cls_score.bias[0] += 5.0
            for weight in network.mask_head.parameters():
                weight.normal_(0, 0.5)
        path = tmp_path / f"{head}.safetensors"
        save_model(path, SavedModel(network, settings.input, CATEGORIES))
        return pr.load_model(path)

    return made


def test_the_last_mask_is_the_one_that_the_model_predicts(load: Loader) -> None:
    model = load("pointrend")
    found = model.predict(PICTURE)
    assert len(found.scores) > 3
    for box, label, mask in zip(found.boxes[:4], found.labels[:4], found.masks[:4], strict=True):
        steps = pr.subdivision(model, PICTURE, box, label)
        assert 0 < mask.sum() < mask.size
        assert (steps[-1].mask != mask).sum() <= 2  # pixels that are at one half


def test_each_step_doubles_the_grid_and_changes_only_the_cells_of_its_points(load: Loader) -> None:
    box = (10.0, 5.0, 80.0, 47.0)
    steps = pr.subdivision(load("pointrend"), PICTURE, box, 1)
    assert [step.side for step in steps] == [7, 14, 28, 56, 112, 224]
    assert [len(step.points) for step in steps] == [0, 14**2, 28**2, 28**2, 28**2, 28**2]
    for step in steps:
        assert step.before.shape == step.after.shape == (step.side, step.side)
        assert step.mask.shape == PICTURE.shape[:2]
        column = (step.points[:, 0] - 10) / 70 * step.side
        row = (step.points[:, 1] - 5) / 42 * step.side
        np.testing.assert_allclose(column % 1, 0.5, atol=0.01)
        np.testing.assert_allclose(row % 1, 0.5, atol=0.01)
        chosen = np.zeros((step.side, step.side), dtype=bool)
        chosen[row.astype(int), column.astype(int)] = True
        assert chosen.sum() == len(step.points)
        np.testing.assert_array_equal(step.after[~chosen], step.before[~chosen])
        certainty = np.abs(step.before - 0.5)
        if 0 < len(step.points) < step.side**2:
            assert certainty[chosen].max() <= certainty[~chosen].min() + 1e-6


def test_what_cannot_be_shown(load: Loader) -> None:
    model = load("pointrend")
    with pytest.raises(pr.UserError, match="has no PointRend mask head"):
        pr.subdivision(load("4conv"), PICTURE, (0, 0, 9, 9), 0)
    with pytest.raises(pr.UserError, match=r"inside the image of 90x60 px"):
        pr.subdivision(model, PICTURE, (0, 0, 91, 9), 0)
    with pytest.raises(pr.UserError, match=r"inside the image"):
        pr.subdivision(model, PICTURE, (9, 0, 9, 9), 0)
    with pytest.raises(pr.UserError, match="label 2: the model has the classes 0 to 1"):
        pr.subdivision(model, PICTURE, (0, 0, 9, 9), 2)
    with pytest.raises(pr.UserError, match=r"label 1\.5: the model has the classes 0 to 1"):
        pr.subdivision(model, PICTURE, (0, 0, 9, 9), 1.5)
    with pytest.raises(pr.UserError, match="must be a uint8 array"):
        pr.subdivision(model, PICTURE / 255, (0, 0, 9, 9), 0)
