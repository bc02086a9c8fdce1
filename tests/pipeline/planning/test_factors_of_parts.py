"""What a model's parts and image sizes make of published times."""

from typing import Any

import pytest

from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.pipeline.planning.parts import (
    all_factors,
    parts_of,
    size_factors,
)
from pointrend_repro.pipeline.planning.published import load_speeds
from pointrend_repro.pipeline.planning.ranges import Range
from pointrend_repro.pipeline.planning.speeds import model_speed
from pointrend_repro.settings.backbone import BackboneSettings
from pointrend_repro.settings.instances import TrainingSettings
from pointrend_repro.settings.schedule import InputSettings
from pointrend_repro.settings.values import merged

SPEEDS = load_speeds(CONFIG_DIR)
PLAIN: dict[str, Any] = {
    "model": {"backbone": {"name": "resnext101_64x4d"}, "mask_head": {"kind": "pointrend"}},
    "schedule": {"total_iters": 10},
}


def train_s(**changes: Any) -> Range:
    speed = model_speed(SPEEDS, TrainingSettings.model_validate(merged(PLAIN, changes)), "coco")
    assert speed is not None
    return speed.train_s


def test_every_part_is_known_and_named() -> None:
    all_parts = BackboneSettings(
        name="res2net101", deformable=True, context_ratio=0.25, balancing_blocks=2, norm="sync_bn"
    )
    assert list(parts_of(all_parts)) == ["deformable", "context", "balancing", "sync_bn"]
    assert {*parts_of(all_parts), "levels"} == set(SPEEDS.parts)
    assert list(parts_of(BackboneSettings(name="resnet50"))) == []


def test_factors_multiply_and_sizes_add() -> None:
    names = ["deformable", "context"]
    one, two = (SPEEDS.parts[name] for name in names)
    train, test, model_mb = all_factors(names, SPEEDS.parts)
    assert train == Range(one.train[0] * two.train[0], one.train[1] * two.train[1])
    assert test == Range(one.test[0] * two.test[0], one.test[1] * two.test[1])
    assert model_mb == one.model_mb + two.model_mb
    assert all_factors([], SPEEDS.parts) == (Range(1, 1), Range(1, 1), 0)


def test_a_part_makes_a_training_longer() -> None:
    plain = train_s()
    deformable = train_s(model={"backbone": {"deformable": True}})
    assert deformable == plain * Range(*SPEEDS.parts["deformable"].train)
    levels = train_s(model={"mask_head": {"levels": ["p2", "p3"]}})
    assert levels == plain * Range(*SPEEDS.parts["levels"].train)


def test_larger_images_take_as_much_longer_as_they_have_more_pixels() -> None:
    assert size_factors(InputSettings()) == (Range(1, 1), Range(1, 1))
    large = InputSettings(train_short_edge_range_px=(1200, 1400), test_short_edge_px=1400)
    training, testing = size_factors(large)
    edges = range(1200, 1401)
    mean = sum(edge**2 for edge in edges) / len(edges)
    assert training == pytest.approx((mean / 1.07e6, mean / 0.69e6), rel=1e-3)
    assert testing == pytest.approx((1400**2 / 1.07e6, 1400**2 / 0.69e6))
    assert train_s(input=large.model_dump()) == pytest.approx(train_s() * training)
