"""Masks of SOLOv2 in the image: enlarged as a whole, written as COCO results, and learned."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

import pointrend_repro as pr
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.checkpoints.saved_models import SavedModel, load_saved_model, save_model
from pointrend_repro.data.examples import read_record
from pointrend_repro.modeling.solov2.model import SOLOv2
from pointrend_repro.predictions.whole_masks import enlarge, predict_image, write_results
from pointrend_repro.settings.schedule import InputSettings
from pointrend_repro.settings.solov2 import SoloInferenceSettings, SoloTrainingSettings
from pointrend_repro.training.loop import train
from small_experiment import OVERRIDES, CocoBuilder, read_train_split

SMALL_HEAD = {"grids": (10, 8, 6, 4, 3), "channels": 32, "map_channels": 32, "kernel_channels": 32}
RANGES = ((1, 24), (12, 48), (24, 64), (48, 128), (64, 512))
EVERYTHING = SoloInferenceSettings(score_threshold=0, decayed_threshold=0, candidates=20)


def solo_settings(iters: int) -> SoloTrainingSettings:
    trunk = OVERRIDES["model"]["backbone"] | {"fpn_channels": 32}
    head = SMALL_HEAD | {"ranges_px": RANGES, "tower_layers": 2}
    return SoloTrainingSettings.model_validate(
        {
            "model": {"backbone": trunk, "head": head},
            "input": OVERRIDES["input"] | {"train_short_edges_px": [64], "flip_probability": 0},
            "optimizer": {"images_per_batch": 2, "base_lr": 0.05, "warmup_iters": 10},
            "schedule": {"total_iters": iters, "lr_drop_iters": [iters * 4 // 5]},
            "run": OVERRIDES["run"] | {"log_every_iters": 50, "checkpoint_every_iters": iters},
        }
    )


@settings(max_examples=60, deadline=None)
@given(
    seen=st.tuples(st.integers(1, 64), st.integers(1, 96)),
    image=st.tuples(st.integers(1, 150), st.integers(1, 150)),
    seed=st.integers(0, 99),
    threshold=st.sampled_from([0.3, 0.5, 0.8]),
)
def test_masks_are_enlarged_as_if_they_were_enlarged_whole(
    seen: tuple[int, int], image: tuple[int, int], seed: int, threshold: float
) -> None:
    torch.manual_seed(seed)
    # Blobs of some cells, so that parts of them are cut.
    blobs = F.avg_pool2d(torch.randn(1, 1, 18, 26), 3, stride=1)[0, 0]
    probabilities = (4 * blobs - 1).sigmoid()
    at_input = F.interpolate(probabilities[None, None], (64, 96), mode="bilinear")
    at_input = at_input[:, :, : seen[0], : seen[1]]
    wanted = F.interpolate(at_input, image, mode="bilinear")[0, 0]
    found = np.zeros(image, dtype=bool)
    window = enlarge(probabilities, seen, image, threshold=threshold)
    window.draw(found)
    sure = ((wanted - threshold).abs() > 1e-4).numpy()
    np.testing.assert_array_equal(found[sure], (wanted > threshold).numpy()[sure])
    if window.columns.size:
        edges = window.columns[[0, -1]].any(axis=1), window.columns[:, [0, -1]].any(axis=0)
        assert all(edge.all() for edge in edges)  # the box is tight


def test_results_are_those_of_single_images(coco_builder: CocoBuilder, tmp_path: Path) -> None:
    dataset = read_train_split(coco_builder(train_images=2, val_images=1, size=(96, 72)))
    categories = [(c.id, c.name) for c in dataset.categories]
    torch.manual_seed(0)
    model = SOLOv2(solo_settings(200).model, num_classes=len(categories))
    path = tmp_path / "model.safetensors"
    save_model(path, SavedModel(model.eval(), InputSettings(test_short_edge_px=64), categories))
    saved = load_saved_model(path)
    write_results(saved, dataset, EVERYTHING, tmp_path / "found.json")
    entries = read_json(tmp_path / "found.json")
    assert entries
    for record in dataset.images:
        alone = predict_image(saved, read_record(record), EVERYTHING)
        assert alone.masks is not None
        of_image = [each for each in entries if each["image_id"] == record.id]
        assert len(of_image) == len(alone.scores) > 0
        for k, entry in enumerate(of_image):
            mask = coco_mask.decode(entry["segmentation"]).astype(bool)
            np.testing.assert_array_equal(mask, alone.masks[k])
            x, y, width, height = coco_mask.toBbox(entry["segmentation"])
            assert entry["bbox"] == [x, y, width, height]
            assert alone.boxes[k].tolist() == [x, y, x + width, y + height]
            assert entry["category_id"] == categories[alone.labels[k]][0]
            assert entry["score"] == pytest.approx(float(alone.scores[k]))
    other = SavedModel(saved.model, saved.input, [(1, "other")])
    with pytest.raises(UserError, match="trained for the categories"):
        write_results(other, dataset, EVERYTHING, tmp_path / "none.json")


@pytest.mark.slow
def test_the_objects_of_four_images_are_learned(coco_builder: CocoBuilder, tmp_path: Path) -> None:
    root = coco_builder(train_images=4, val_images=1, size=(96, 72))
    dataset = read_train_split(root)
    settings = solo_settings(200)
    model = train(settings, dataset, seed=0, folder=tmp_path / "run", device="cpu")
    categories = [(c.id, c.name) for c in dataset.categories]
    saved = SavedModel(model.eval(), settings.input, categories)
    write_results(saved, dataset, SoloInferenceSettings(), tmp_path / "found.json")
    truth = root / "annotations/instances_train2017.json"
    values = pr.evaluate_predictions("coco_ap", truth, tmp_path / "found.json")
    assert values["AP"] is not None
    assert values["AP"] > 50
