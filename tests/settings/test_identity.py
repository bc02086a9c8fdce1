"""A new setting leaves the digests of finished results alone, and what matters changes them."""

from typing import Any

import pytest
from pydantic import Field

from pointrend_repro.base.provenance import digest
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.settings.identity import added, are_of, identity, settings_digest
from pointrend_repro.settings.instances import DetectorSettings, ModelSettings, TrainingSettings
from small_experiment import small_settings


class LaterDetector(DetectorSettings):
    soft_nms_sigma: float | None = added(None, description="a setting of tomorrow")
    boxes: tuple[int, ...] = added((7,), description="another")


class LaterModel(ModelSettings):
    detector: LaterDetector = Field(LaterDetector())


class LaterTraining(TrainingSettings):
    model: LaterModel


def later(**detector: Any) -> LaterTraining:
    values = small_settings().model_dump()
    values["model"]["detector"] |= detector
    return LaterTraining.model_validate(values)


def test_a_new_setting_at_its_default_changes_no_digest() -> None:
    assert settings_digest(later()) == settings_digest(small_settings())
    assert are_of(small_settings().model_dump(mode="json"), later())
    assert are_of(later().model_dump(mode="json"), later())


@pytest.mark.parametrize("change", [{"soft_nms_sigma": 0.5}, {"boxes": (7, 14)}])
def test_a_new_setting_counts_where_it_is_set(change: dict[str, Any]) -> None:
    assert settings_digest(later(**change)) != settings_digest(small_settings())
    assert not are_of(small_settings().model_dump(mode="json"), later(**change))


# What decides no weight, and what came after results were made without it.
LATER_OR_NO_MATTER: dict[str, Any] = {
    "run": True,
    "start_from": True,
    "proposals_from": True,
    "model": {
        "given_proposals": True,
        "features": True,
        "keypoint_head": True,
        "rpn_only": True,
        "backbone": {"deformable", "context_ratio", "balancing_blocks"},
        "detector": {
            "roi_layer",
            "box_loss",
            "rpn_inside_anchors_only",
            "res5_stride",
            "box_roi_resolution",
            "box_head_layers",
            "class_agnostic_boxes",
            "rpn_post_nms_train",
            "box_head_dropout",
            "roi_negative_from",
        },
        "mask_head": {
            "mask_loss",
            "class_agnostic",
            "levels",
            "coarse_conv_channels",
            "coarse_layers",
            "point_layers",
            "mask_scoring",
        },
    },
    "input": {"only_with_keypoints", "train_short_edge_range_px", "train_max_long_edge_px"},
    "optimizer": {"clip_norm", "bias_lr_factor", "bias_weight_decay"},
    "schedule": {"lr_drop_shares"},
}


def test_all_other_settings_count_at_their_defaults_too() -> None:
    settings = small_settings()
    assert identity(settings) == settings.model_dump(mode="json", exclude=LATER_OR_NO_MATTER)
    assert settings_digest(settings) != settings_digest(small_settings(optimizer={"momentum": 0.8}))


def test_how_often_a_training_speaks_and_saves_does_not_count() -> None:
    often = small_settings(run={"log_every_iters": 7, "samples": 3, "trackers": ["wandb"]})
    assert settings_digest(often) == settings_digest(small_settings())
    assert are_of(often.model_dump(mode="json"), small_settings())


@pytest.mark.parametrize("recorded", [None, {}, [], {"model": 1}, {"of_another_kind": True}])
def test_what_are_no_settings_are_not_these(recorded: Any) -> None:
    assert not are_of(recorded, small_settings())


@pytest.mark.parametrize("preset", ["smoke", "paper"])
def test_digests_are_those_of_all_values_as_before(preset: str) -> None:
    grid = load_grid(preset)
    for training in {(t.dataset, t.variant) for t in grid.trainings}:
        settings = grid.training_settings(*training)
        values = settings.model_dump(mode="json", exclude=LATER_OR_NO_MATTER)
        assert settings_digest(settings) == digest(values)
