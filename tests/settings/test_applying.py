"""Settings that a model would not use are refused in one line, unless they are at their default."""

import re
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from pointrend_repro.settings.deepmask_training import DeepMaskInputSettings
from pointrend_repro.settings.htc import HtcModelSettings
from pointrend_repro.settings.instances import ModelSettings
from pointrend_repro.settings.semantic import SemanticModelSettings

BACKBONE = {"name": "resnet50"}
DEEPLAB: dict[str, Any] = {
    "backbone": {"name": "resnet103", "output_stride": 16},
    "decoder": {"kind": "deeplabv3"},
}


def detector(features: str, **settings: Any) -> dict[str, Any]:
    chosen = {"features": features, "detector": settings, "mask_head": {"kind": "none"}}
    return {"backbone": BACKBONE} | chosen


REFUSED: list[tuple[type[BaseModel], dict[str, Any], str]] = [
    (ModelSettings, detector("fpn", res5_stride=1), "detector.res5_stride does not apply to feat"),
    (ModelSettings, detector("c5", res5_stride=1), "detector.res5_stride does not apply to feat"),
    (ModelSettings, detector("c4", box_head_layers=3), "detector.box_head_layers does not apply"),
    (ModelSettings, detector("c4", box_head_dropout=0.5), "detector.box_head_dropout does not app"),
    (ModelSettings, detector("c4", box_roi_resolution=9), "detector.box_roi_resolution does not a"),
    (
        HtcModelSettings,
        {"backbone": BACKBONE, "detector": {"res5_stride": 1}},
        "detector.res5_stride does not apply to cascades",
    ),
    (
        SemanticModelSettings,
        DEEPLAB | {"backbone": DEEPLAB["backbone"] | {"balancing_blocks": 1}},
        "backbone.balancing_blocks does not apply to decoder deeplabv3",
    ),
    (DeepMaskInputSettings, {"train_short_edges_px": [600]}, "input.train_short_edges_px does not"),
    (
        DeepMaskInputSettings,
        {"train_short_edge_range_px": [500, 600]},
        "input.train_short_edge_range_px does not apply to patches",
    ),
    (
        DeepMaskInputSettings,
        {"train_max_long_edge_px": 1000},
        "input.train_max_long_edge_px does not apply to patches",
    ),
]


@pytest.mark.parametrize(("kind", "values", "told"), REFUSED)
def test_what_would_do_nothing_is_refused(
    kind: type[BaseModel], values: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValidationError, match=re.escape(told)) as refused:
        kind.model_validate(values)
    assert refused.value.error_count() == 1


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (ModelSettings, detector("fpn", res5_stride=2, box_head_layers=3)),
        (ModelSettings, detector("c5", box_head_dropout=0.5, box_roi_resolution=9)),
        (ModelSettings, detector("c4", res5_stride=1, box_head_layers=2, box_head_dropout=0)),
        (HtcModelSettings, {"backbone": BACKBONE, "detector": {"box_head_dropout": 0.5}}),
        (SemanticModelSettings, DEEPLAB),
        (DeepMaskInputSettings, {"flip_probability": 0.0, "test_short_edge_px": 600}),
    ],
)
def test_what_is_used_or_at_its_default_is_not(
    kind: type[BaseModel], values: dict[str, Any]
) -> None:
    kind.model_validate(values)
