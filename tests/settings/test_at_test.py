"""What is decided when a model is tested changes its predictions, and trains nothing anew."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from config_files import config_file
from pointrend_repro.base.errors import UserError
from pointrend_repro.config.finding import files_of
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.config.reading import load_variant, with_test
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.reporting.captions import settings_in_force, shown_in_force
from pointrend_repro.reporting.settings_diff import Difference, differences
from pointrend_repro.settings.at_test import (
    AS_TRAINED,
    DetectionAtTest,
    detector_at_test,
    in_force,
    input_at_test,
    views_at_test,
)
from pointrend_repro.settings.identity import are_of, identity, settings_digest
from pointrend_repro.settings.instances import DetectorSettings, InferenceSettings
from pointrend_repro.settings.schedule import InputSettings
from pointrend_repro.settings.semantic import SemanticInferenceSettings
from small_experiment import VARIANT, write_small_config
from small_semantic_experiment import write_semantic_config

ASKED = {
    "short_edge_px": 1000,
    "max_long_edge_px": 1600,
    "precision": "bf16",
    "rpn_pre_nms": 2000,
    "rpn_post_nms": 1500,
    "score_threshold": 0.0,
    "nms_iou": 0.7,
    "detections_per_image": 300,
    "nms": "soft_linear",
    "flip": True,
    "more_short_edges_px": [600, 1200],
}


def test_how_a_paper_tests_its_models_is_said_by_the_models() -> None:
    """Else figures, samples and `load_model`, which name no inference, would do it otherwise."""
    different = []
    for name in files_of("variant", CONFIG_DIR):
        variant = load_variant(name)
        default = variant.inference.get("default")
        detector = getattr(variant.model, "detector", None)
        if default is None or detector is None:
            continue
        if detector_at_test(detector, default.test) != detector_at_test(detector, AS_TRAINED):
            different.append(name)
    assert different == []


@pytest.mark.parametrize("kind", [InferenceSettings, SemanticInferenceSettings])
def test_digests_are_as_before_where_nothing_is_asked(kind: Any) -> None:
    plain = kind().model_dump(mode="json", exclude={"test", "ensemble", "proposals_only"})
    for nothing in ({}, {"test": {}}, {"test": {"short_edge_px": None}}):
        assert identity(kind.model_validate(nothing)) == plain
    assert are_of(plain, kind())
    assert not are_of(plain, kind.model_validate({"test": {"short_edge_px": 640}}))


@pytest.mark.parametrize("key", sorted(ASKED))
def test_each_key_changes_the_digest_and_one_setting(key: str) -> None:
    settings = InferenceSettings.model_validate({"test": {key: ASKED[key]}})
    assert settings_digest(settings) != settings_digest(InferenceSettings())
    size, detector = InputSettings(), DetectorSettings()
    before, now = in_force(size, detector, AS_TRAINED), in_force(size, detector, settings.test)
    assert {name for name in now if now[name] != before[name]} == {key}
    assert now[key] == ASKED[key]


def test_all_of_it_is_in_force() -> None:
    test = DetectionAtTest.model_validate(ASKED)
    assert in_force(InputSettings(), DetectorSettings(), test) == ASKED
    size = input_at_test(InputSettings(flip_probability=0.25), test)
    assert (size.test_short_edge_px, size.max_long_edge_px) == (1000, 1600)
    assert size.flip_probability == 0.25
    detector = detector_at_test(DetectorSettings(rpn_pre_nms_train=7), test)
    assert (detector.rpn_pre_nms_test, detector.rpn_pre_nms_train) == (2000, 7)


def test_how_often_an_image_is_seen() -> None:
    """The report's multi-scale test is one size and its mirror image; a real one has several."""
    size = InputSettings(test_short_edge_px=800, max_long_edge_px=1000)

    def seen(**test: Any) -> list[tuple[int, int, bool]]:
        asked = DetectionAtTest.model_validate(test)
        return [
            (at.test_short_edge_px, at.max_long_edge_px, flip)
            for at, flip in views_at_test(size, asked)
        ]

    assert seen() == [(800, 1000, False)]
    assert seen(short_edge_px=1400, max_long_edge_px=1400, flip=True) == [
        (1400, 1400, False),
        (1400, 1400, True),
    ]
    assert seen(more_short_edges_px=[400, 1200]) == [
        (800, 1000, False),
        (400, 500, False),
        (1200, 1500, False),
    ]
    assert [flip for *_, flip in seen(more_short_edges_px="400", flip=True)] == [False, True] * 2
    views = [DetectionAtTest(), DetectionAtTest(flip=False), DetectionAtTest(flip=True)]
    assert [test.has_views for test in views] == [False, False, True]
    assert DetectionAtTest(more_short_edges_px=(9,)).has_views
    assert DetectionAtTest(more_short_edges_px=(9, 8), flip=True).views == 6


@pytest.mark.parametrize(
    "wrong",
    [
        {"nms": 0.5},
        {"nms_iou": 1.5},
        {"detections_per_image": 0},
        {"more_short_edges_px": [0]},
        {"more_short_edges_px": "600,much"},
        {"flip": "sideways"},
    ],
)
def test_what_is_wrong_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        InferenceSettings.model_validate({"test": wrong})


def test_a_semantic_model_has_no_detections_to_ask_for() -> None:
    with pytest.raises(UserError, match=r"^test: unknown key nms_iou"):
        with_test(SemanticInferenceSettings(), {"nms_iou": 0.5}, where="test")
    sized = with_test(SemanticInferenceSettings(), {"short_edge_px": "512"}, where="test")
    assert sized.test.short_edge_px == 512


def preset_with(folder: Path, inference: dict[str, Any], overrides: dict[str, Any]) -> Grid:
    """The small preset, with such a `test` in PointRend's `res224` and in its overrides."""
    config = write_small_config(folder / "config")
    variant = config_file(f"variants/{VARIANT}", config)
    values = yaml.safe_load(variant.read_text())
    values["inference"]["res224"] = {"test": inference} if inference else {}
    variant.write_text(yaml.safe_dump(values))
    preset = config / "presets/quick.yaml"
    values = yaml.safe_load(preset.read_text())
    values["overrides"] |= {"test": overrides} if overrides else {}
    preset.write_text(yaml.safe_dump(values))
    return load_grid("quick", config)


@pytest.mark.parametrize(
    ("inference", "overrides", "in_the_end"),
    [
        ({"detections_per_image": 1}, {}, {"detections_per_image": 1}),
        ({}, {"short_edge_px": 32}, {"short_edge_px": 32}),
        (
            {"detections_per_image": 1, "nms_iou": 0.3},
            {"detections_per_image": 2},
            {"detections_per_image": 2, "nms_iou": 0.3},
        ),
    ],
)
def test_trainings_stay_and_predictions_are_made_anew(
    tmp_path: Path, inference: Any, overrides: Any, in_the_end: Any
) -> None:
    plain = preset_with(tmp_path / "plain", {}, {})
    asked = preset_with(tmp_path / "asked", inference, overrides)
    assert asked.trainings == plain.trainings
    for training in asked.trainings:
        pair = training.dataset, training.variant
        assert settings_digest(asked.training_settings(*pair)) == settings_digest(
            plain.training_settings(*pair)
        )
    settings = asked.inference_settings(VARIANT, "res224")
    assert settings.test.model_dump(exclude_none=True) == in_the_end
    assert settings_digest(settings) != settings_digest(plain.inference_settings(VARIANT, "res224"))


def test_figures_are_drawn_anew_only_for_what_the_whole_preset_tests_with(tmp_path: Path) -> None:
    plain = preset_with(tmp_path / "plain", {}, {})
    one = preset_with(tmp_path / "one", {"nms_iou": 0.3}, {})
    all_of_it = preset_with(tmp_path / "all", {}, {"nms_iou": 0.3})
    assert plain.shown_with == one.shown_with != all_of_it.shown_with
    pairs = [(t.dataset, t.variant) for t in all_of_it.trainings]
    assert "tested with:\n  test.nms_iou 0.3 (default as trained)" in shown_in_force(
        all_of_it, pairs
    )
    assert "tested with" not in shown_in_force(plain, pairs)


def test_a_preset_names_only_what_a_model_has(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"presets/quick.yaml: .*overrides.test.nms_iu"):
        preset_with(tmp_path, {}, {"nms_iu": 0.5})


def test_the_report_tells_of_it(tmp_path: Path) -> None:
    grid = preset_with(tmp_path, {"detections_per_image": 1}, {})
    settings = grid.inference_settings(VARIANT, "res224").model_dump(mode="json")
    told = Difference("test.detections_per_image", "1", "as trained")
    assert differences(settings) == [told]
    texts = [settings_in_force(grid, e) for e in grid.evaluations]
    assert any("  test.detections_per_image 1 (default as trained)" in text for text in texts)


def test_label_maps_of_a_preset_may_be_of_another_size(tmp_path: Path) -> None:
    config = write_semantic_config(tmp_path / "config")
    plain = load_grid("quick", config)
    path = config / "presets/quick.yaml"
    values = yaml.safe_load(path.read_text())
    values["overrides"]["semantic"]["test"] = {"short_edge_px": 32}
    values["overrides"]["test"] = {"short_edge_px": 48}  # of detectors alone
    path.write_text(yaml.safe_dump(values))
    asked = load_grid("quick", config)
    for prediction in asked.predictions:
        pair = prediction.training.variant, prediction.inference
        before, now = (grid.inference_settings(*pair) for grid in (plain, asked))
        assert now.test.short_edge_px == 32
        assert settings_digest(now) != settings_digest(before)
    values["overrides"]["semantic"]["test"] = {"detections_per_image": 3}
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match=r"unknown key overrides.semantic.test.detections_per"):
        load_grid("quick", config)
