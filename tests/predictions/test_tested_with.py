"""What an inference setting tests a model with reaches the network and what it finds."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from pointrend_repro.api.demo import write_overlay
from pointrend_repro.api.loading import load_model
from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import (
    SavedModel,
    as_tested,
    build_model,
    load_saved_model,
    save_model,
)
from pointrend_repro.commands.options import read_at_test
from pointrend_repro.config.reading import with_test
from pointrend_repro.predictions.instances import detect
from pointrend_repro.predictions.label_maps import predict_label_map
from pointrend_repro.settings.at_test import DetectionAtTest, SizeAtTest
from pointrend_repro.settings.instances import InferenceSettings
from pointrend_repro.settings.schedule import InputSettings
from pointrend_repro.settings.semantic import SemanticInferenceSettings
from pointrend_repro.tools.export.graph import DetectorGraph, padded_image
from small_experiment import small_settings
from small_semantic_experiment import small_semantic_settings

SIZE = InputSettings(test_short_edge_px=64, max_long_edge_px=96)
CATEGORIES = [(3, "cat"), (7, "dog")]


@pytest.fixture
def saved() -> SavedModel:
    torch.manual_seed(0)
    settings = small_settings(model={"detector": {"score_threshold": 0.0}})
    model = build_model(settings.model, len(CATEGORIES)).eval()
    return SavedModel(model, SIZE, CATEGORIES)


@pytest.fixture
def image() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)


def asked(**test: Any) -> InferenceSettings:
    return InferenceSettings.model_validate({"output_resolution": 28, "test": test})


def watch_sizes(saved: SavedModel) -> list[tuple[int, ...]]:
    """The sizes (H, W) of the images that a model sees from now on."""
    seen: list[tuple[int, ...]] = []
    saved.model.backbone.register_forward_pre_hook(
        lambda _, args: seen.extend(tuple(image.shape[1:]) for image in args[0])
    )
    return seen


def test_as_trained_it_finds_what_its_own_settings_allow(
    saved: SavedModel, image: NDArray[np.uint8]
) -> None:
    seen = watch_sizes(saved)
    assert len(detect(saved, image, asked()).boxes) == 100
    assert seen == [(64, 96)]


@pytest.mark.parametrize("limit", [1, 7, 30])
def test_detections_of_an_image(saved: SavedModel, image: NDArray[np.uint8], limit: int) -> None:
    every, few = (detect(saved, image, asked(**t)) for t in ({}, {"detections_per_image": limit}))
    assert len(few.boxes) == limit
    torch.testing.assert_close(few.scores, every.scores[:limit])


def test_thresholds_of_scores_and_overlaps(saved: SavedModel, image: NDArray[np.uint8]) -> None:
    plenty = {"detections_per_image": 1000}
    every = detect(saved, image, asked(**plenty))
    threshold = float(every.scores.median())
    likely = detect(saved, image, asked(score_threshold=threshold, **plenty))
    assert 0 < len(likely.scores) < len(every.scores)
    assert float(likely.scores.min()) > threshold
    apart = detect(saved, image, asked(nms_iou=0.05, **plenty))
    assert 0 < len(apart.scores) < len(every.scores)


def test_proposals_of_an_image(saved: SavedModel, image: NDArray[np.uint8]) -> None:
    plenty = {"detections_per_image": 1000, "nms_iou": 1.0}
    found = {
        number: len(detect(saved, image, asked(rpn_post_nms=number, **plenty)).boxes)
        for number in (1, 3)
    }
    assert found == {1: 2, 3: 6}  # each as every class
    # A level gives one proposal at most, and there are five.
    assert len(detect(saved, image, asked(rpn_pre_nms=1, **plenty)).boxes) <= 10


def test_the_network_sees_another_size(saved: SavedModel, image: NDArray[np.uint8]) -> None:
    seen = watch_sizes(saved)
    detect(saved, image, asked(short_edge_px=32))
    detect(saved, image, asked(short_edge_px=80, max_long_edge_px=1000))
    detect(saved, image, asked(max_long_edge_px=48))
    assert seen == [(32, 48), (80, 120), (32, 48)]


def test_it_sees_an_image_several_times(saved: SavedModel, image: NDArray[np.uint8]) -> None:
    seen = watch_sizes(saved)
    views = asked(flip=True, more_short_edges_px=[32])
    found = detect(saved, image, views)
    assert set(seen) == {(64, 96), (32, 48)}
    assert found.boxes.min() >= 0
    assert (found.boxes <= torch.tensor([90, 60, 90, 60])).all()
    assert found.mask_logits is not None
    assert found.mask_logits.shape == (len(found.boxes), 28, 28)
    seen.clear()
    shown = as_tested(saved, DetectionAtTest(flip=True, more_short_edges_px=(32,)))
    torch.testing.assert_close(detect(shown, image, asked()).scores, found.scores)


def test_a_model_without_such_steps_is_refused(image: NDArray[np.uint8]) -> None:
    settings = SimpleNamespace(family="mine")
    model: Any = SimpleNamespace(settings=settings, backbone=SimpleNamespace())
    with pytest.raises(UserError, match=r"^test: models of family mine see an image once"):
        detect(SavedModel(model, SIZE, CATEGORIES), image, asked(flip=True))


def test_proposals_alone_are_pooled_over_views(image: NDArray[np.uint8]) -> None:
    settings = small_settings("none", model={"rpn_only": True})
    model = build_model(settings.model, len(CATEGORIES)).eval()
    found = detect(SavedModel(model, SIZE, CATEGORIES), image, asked(flip=True, rpn_post_nms=20))
    assert found.boxes.shape == (20, 4)
    assert found.mask_logits is None


def test_soft_nms_leaves_what_it_lowers(saved: SavedModel, image: NDArray[np.uint8]) -> None:
    plenty = {"detections_per_image": 10_000, "nms_iou": 0.2}
    hard, soft = (detect(saved, image, asked(**plenty, nms=nms)) for nms in ("hard", "soft_linear"))
    assert len(soft.boxes) > len(hard.boxes) > 0
    assert soft.scores.tolist() == sorted(soft.scores.tolist(), reverse=True)
    threshold = float(soft.scores[10])
    few = detect(saved, image, asked(**plenty, nms="soft_linear", score_threshold=threshold))
    torch.testing.assert_close(few.scores, soft.scores[: len(few.scores)])
    assert 0 < len(few.scores) <= 11
    shown = as_tested(saved, DetectionAtTest(nms="soft_linear"))
    assert len(detect(shown, image, asked(**plenty)).boxes) == len(soft.boxes)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_images_of_a_pixel_in_width_or_height(saved: SavedModel, size: tuple[int, int]) -> None:
    pixels = np.full((*size, 3), 99, dtype=np.uint8)
    for test in ({}, {"flip": True, "more_short_edges_px": [32], "nms": "soft_linear"}):
        found = detect(saved, pixels, asked(**test))
        assert found.boxes.isfinite().all()
        assert (found.boxes <= torch.tensor([size[1], size[0]] * 2)).all()


def test_given_boxes_are_looked_at_in_every_view(
    saved: SavedModel, image: NDArray[np.uint8]
) -> None:
    given = np.array([[10, 10, 50, 50], [20, 5, 80, 55]], dtype=np.float32)
    found = detect(saved, image, asked(flip=True, nms_iou=1.0), given)
    assert len(found.boxes) == 2 * len(CATEGORIES)
    none = detect(saved, image, asked(flip=True), np.zeros((0, 4), dtype=np.float32))
    assert none.boxes.shape == (0, 4)


def test_a_semantic_network_does_too(image: NDArray[np.uint8]) -> None:
    model = build_model(small_semantic_settings("deeplabv3").model, 2).eval()
    saved = SavedModel(model, SIZE, CATEGORIES)
    seen = watch_sizes(saved)
    settings = SemanticInferenceSettings(test=SizeAtTest(short_edge_px=32))
    assert predict_label_map(saved.model, image, settings, SIZE).shape == (60, 90)
    assert seen == [(32, 48)]


def test_an_exported_graph_chooses_as_it_is_asked(saved: SavedModel) -> None:
    picture = padded_image(torch.rand(3, 100, 120) * 255)
    few, likely = asked(detections_per_image=2), asked(score_threshold=1.0)
    found = [len(DetectorGraph(saved.model, test)(*picture)[1]) for test in (asked(), few, likely)]
    assert found == [100, 2, 0]


def test_words_of_a_command_line() -> None:
    assert read_at_test(None) == {}
    words = read_at_test(["short_edge_px=32", "nms_iou=0.5"])
    settings = with_test(InferenceSettings(), words, where="--test")
    assert settings.test == DetectionAtTest(short_edge_px=32, nms_iou=0.5)
    words = read_at_test(["flip=true", "more_short_edges_px=600,1000", "nms=soft_linear"])
    settings = with_test(InferenceSettings(), words, where="--test")
    assert settings.test == DetectionAtTest(
        flip=True, more_short_edges_px=(600, 1000), nms="soft_linear"
    )
    assert read_at_test(["nms_iou="]) == {"nms_iou": ""}
    for word in ("nms_iou", "=0.5"):
        with pytest.raises(UserError, match=rf"^--test '{word}': must be KEY=VALUE$"):
            read_at_test([word])
    with pytest.raises(UserError, match=r"^--test: nms_iou: "):
        with_test(InferenceSettings(), {"nms_iou": "much"}, where="--test")


def test_a_model_that_is_tested_otherwise_is_saved_as_it_was_trained(
    saved: SavedModel, image: NDArray[np.uint8], tmp_path: Path
) -> None:
    save_model(tmp_path / "before.safetensors", saved)
    test = DetectionAtTest(detections_per_image=2, short_edge_px=32)
    changed = as_tested(saved, test)
    seen = watch_sizes(changed)
    assert len(detect(changed, image, asked()).boxes) == 2
    assert len(detect(changed, image, asked(detections_per_image=3)).boxes) == 3
    assert seen == [(32, 48), (32, 48)]
    assert (
        changed.model.settings == load_saved_model(tmp_path / "before.safetensors").model.settings
    )


def test_from_python_and_over_a_picture(
    saved: SavedModel, image: NDArray[np.uint8], tmp_path: Path
) -> None:
    file = tmp_path / "model.safetensors"
    save_model(file, saved)
    few = load_model(file, test={"detections_per_image": 2, "short_edge_px": 32})
    seen = watch_sizes(few.saved)
    assert len(few.predict(image).labels) == 2
    assert seen == [(32, 48)]
    with pytest.raises(UserError, match=r"^test: unknown key detections; .*detections_per_image"):
        load_model(file, test={"detections": 2})
    Image.fromarray(image).save(tmp_path / "in.png")
    drawn = {}
    for name, test in {"none": {"score_threshold": "1"}, "all": {}}.items():
        target = tmp_path / f"{name}.png"
        write_overlay(tmp_path / "in.png", target, load_model(file, test=test), score_threshold=0.0)
        drawn[name] = np.array(Image.open(target))
    assert np.array_equal(drawn["none"], image)
    assert not np.array_equal(drawn["all"], image)
