"""What is told of a step's settings is exactly what its class does not have by default."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.reporting.settings_diff import Difference, differences
from pointrend_repro.settings.instances import InferenceSettings, TrainingSettings

MINIMAL: dict[str, Any] = {
    "model": {"backbone": {"name": "resnet50"}, "mask_head": {"kind": "pointrend"}},
    "schedule": {"total_iters": 90},
}


def recorded(values: dict[str, Any]) -> dict[str, Any]:
    """Settings as a record holds them: through JSON, which has no tuples."""
    return json.loads(TrainingSettings.model_validate(values).model_dump_json())


def test_what_has_no_default_is_all_that_is_told_of_minimal_settings() -> None:
    assert differences(recorded(MINIMAL)) == [
        Difference("model.backbone.name", "resnet50", None),
        Difference("model.mask_head.kind", "pointrend", None),
        Difference("schedule.total_iters", "90", None),
    ]


def test_changes_are_told_with_their_default() -> None:
    values = MINIMAL | {
        "model": {
            "backbone": {"name": "resnet50", "weights": "R-50.pkl"},
            "mask_head": {"kind": "pointrend", "oversample_ratio": 10.0},
        },
        "input": {"train_short_edges_px": [128, 144]},
        "schedule": {"total_iters": 90, "lr_drop_iters": [60]},
    }
    told = {d.key: (d.value, d.default) for d in differences(recorded(values))}
    assert told["model.backbone.weights"] == ("R-50.pkl", "none")
    assert told["model.mask_head.oversample_ratio"] == ("10.0", "3.0")
    assert told["input.train_short_edges_px"] == ("[128, 144]", "[640, 672, 704, 736, 768, 800]")
    assert told["schedule.lr_drop_iters"] == ("[60]", "[]")
    assert len(told) == 3 + 4


@given(st.integers(1, 300), st.integers(1, 1000))
@settings(max_examples=30, deadline=None)
def test_inference_settings(resolution: int, points: int) -> None:
    given = {"output_resolution": resolution, "points_per_step": points}
    defaults = InferenceSettings().model_dump()
    told = {d.key: d.value for d in differences(given)}
    assert told == {k: str(v) for k, v in given.items() if defaults[k] != v}


def test_every_training_of_the_paper_is_told_apart() -> None:
    grid = load_grid("paper")
    told: dict[str, str] = {}
    for dataset, variant in sorted({(t.dataset, t.variant) for t in grid.trainings}):
        resolved = grid.training_settings(dataset, variant).model_dump(mode="json")
        found = [d for d in differences(resolved) if d.key.split(".")[0] != "run"]
        assert any(d.key == "model.backbone.name" for d in found)
        told[f"{dataset}/{variant}"] = str(found)
    assert len(set(told.values())) == len(told)


def test_settings_of_older_code_are_told_as_they_are() -> None:
    old = recorded(MINIMAL) | {"gone": {"deep": [1, {"x": None}]}, "also": True}
    assert differences(old)[-2:] == [
        Difference("gone.deep", "[1, {'x': None}]", None),
        Difference("also", "true", None),
    ]
    assert differences({"metric": "coco_ap"}) == [Difference("metric", "coco_ap", None)]
    assert differences({}) == []
