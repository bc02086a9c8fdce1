"""Times of a detector are measured by stage; no test says how long anything may take."""

from pathlib import Path
from typing import Any

import pytest

from pointrend_repro import cli
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.config.reading import load_variant
from pointrend_repro.config.tables import Column
from pointrend_repro.data.structures import Detections
from pointrend_repro.declarations.metric import METRICS, Metric
from pointrend_repro.evaluation import clock
from pointrend_repro.evaluation import inference_time as measured
from pointrend_repro.settings.at_test import DetectionAtTest
from pointrend_repro.settings.instances import InferenceSettings, ModelSettings
from pointrend_repro.settings.schedule import InputSettings
from small_experiment import Run, small_settings, write_small_config

SETTINGS = small_settings("4conv")


@pytest.mark.parametrize("scoring", [None, {}])
def test_the_stages_add_up(scoring: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that moves on by one second each time that it is read."""
    seconds = iter(range(10_000))
    monkeypatch.setattr(clock.time, "perf_counter", lambda: float(next(seconds)))
    values = SETTINGS.model.model_dump()
    values["mask_head"] |= {"mask_scoring": scoring}
    found = measured.inference_time(
        ModelSettings.model_validate(values),
        InferenceSettings(),
        size=SETTINGS.input,
        device="cpu",
    )
    assert list(found) == list(METRICS.find("inference_time").keys)
    # The network's start and end are read around those of trunk and masks.
    assert found == {
        "images_per_s": 1000 / 6000,
        "total_ms": 5000,
        "trunk_ms": 1000,
        "boxes_ms": 3000,
        "masks_ms": 1000,
        "pasting_ms": 1000,
    }


@pytest.fixture
def masks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of masks of each round."""
    sizes: list[int] = []
    paste = measured._paste

    def noting(found: Detections, scale: tuple[float, float]) -> None:
        sizes.append(len(found.boxes))
        paste(found, scale)

    monkeypatch.setattr(measured, "_paste", noting)
    monkeypatch.setitem(measured._ROUNDS, "cpu", 1)
    return sizes


def test_there_are_as_many_masks_as_an_image_can_have(masks: list[int]) -> None:
    """Although an untrained detector is sure of nothing."""
    asked = InferenceSettings(test=DetectionAtTest(detections_per_image=5))
    measured.inference_time(SETTINGS.model, asked, size=SETTINGS.input, device="cpu")
    assert masks == [5, 5]


def test_a_deep_network_of_fixed_norms_has_them_too(masks: list[int]) -> None:
    """Although its norms hold back nothing, and NMS leaves few of as many boxes as proposals."""
    model = load_variant("mask_rcnn_resnet50_c4").model
    asked = InferenceSettings(test=DetectionAtTest(rpn_post_nms=10, detections_per_image=10))
    size = InputSettings(test_short_edge_px=64)
    measured.inference_time(model, asked, size=size, device="cpu")
    assert masks == [10, 10]


def test_the_time_of_fewer_masks_is_not_published() -> None:
    asked = InferenceSettings(test=DetectionAtTest(rpn_post_nms=1, detections_per_image=100))
    told = r"of 80 boxes NMS leaves \d+, fewer than detections_per_image \(100\)"
    with pytest.raises(UserError, match=told):
        measured.inference_time(SETTINGS.model, asked, size=SETTINGS.input, device="cpu")


def test_the_time_of_several_views_is_none_of_its_numbers() -> None:
    asked = InferenceSettings(test=DetectionAtTest(flip=True))
    with pytest.raises(UserError, match=r"of one view: leave out test\.flip"):
        measured.inference_time(SETTINGS.model, asked, size=SETTINGS.input, device="cpu")


@pytest.mark.parametrize("metric", ["inference_time", "mask_head_cost"])
@pytest.mark.parametrize("variant", ["future3d_htc_res2net101", "future3d_solov2_x101"])
def test_models_of_other_families_are_refused(run: Run, metric: str, variant: str) -> None:
    words = ["--variant", variant, "--inference", "default", "--metric", metric]
    code, _, told = run("cost", "--preset", "smoke", *words, "--output", "time.json")
    assert code == 2
    family = variant.split("_")[1]
    assert f"metric {metric} counts nothing of family {family}" in told


def test_proposals_alone_have_no_time() -> None:
    model = small_settings("none", model={"rpn_only": True}).model
    with pytest.raises(UserError, match=r"model\.rpn_only"):
        measured.inference_time(model, InferenceSettings(), size=SETTINGS.input, device="cpu")


def test_the_command_measures_with_the_presets_widths_and_names_the_device(tmp_path: Path) -> None:
    config = write_small_config(tmp_path / "config")
    output = tmp_path / "time.json"
    words = ["cost", "--preset", "quick", "--variant", "mask_rcnn_r50_fpn", "--inference"]
    words += ["default", "--metric", "inference_time", "--device", "cpu"]
    words += ["--output", str(output), "--config-dir", str(config)]
    cli.app(words, standalone_mode=False)
    content = read_json(output)
    assert content["values"]["total_ms"] > 0
    assert content["units"]["images_per_s"] == "images/s"
    record = content["origin"]["evaluate"]
    assert record["device"].startswith("cpu (")
    assert record["settings"]["model"]["backbone"]["name"] == "resnet18_narrow"
    assert record["settings"]["input"]["test_short_edge_px"] == 64


def test_a_measured_number_is_no_count() -> None:
    common = {"title": "time", "tolerance": None, "tolerance_source": "another device"}
    time = Column(metric="inference_time", value="total_ms", unit="ms", **common)
    count = Column(metric="mask_head_cost", value="activations", unit="M", **common)
    assert (time.is_exact, count.is_exact) == (False, True)
    assert time.lower_is_better
    with pytest.raises(UserError, match="measured and families are of counts"):
        Metric(
            name="x", keys={"a": "ms"}, score="a:b", reads="instances", measured=True,
            truth="val_annotations", layouts=("coco",),
        )  # fmt: skip
