"""GPU-hours against the arithmetic of what detectron2 publishes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.pipeline.planning.gpu_time import (
    Machine,
    prediction_hours,
    training_hours,
    wall_hours,
)
from pointrend_repro.pipeline.planning.published import load_speeds
from pointrend_repro.pipeline.planning.ranges import NOTHING, Range
from pointrend_repro.pipeline.planning.speeds import (
    ModelSpeed,
    gpu_speed,
    model_speed,
    prediction_factor,
)

SPEEDS = load_speeds(CONFIG_DIR)
V100S = Machine(speed=Range(1, 1), gpus_per_training=8, gpus=8)


@pytest.fixture(scope="module")
def paper() -> Grid:
    return load_grid("paper")


def speed_of(grid: Grid, dataset: str, variant: str) -> ModelSpeed:
    layout = grid.datasets[dataset].layout
    found = model_speed(SPEEDS, grid.training_settings(dataset, variant), layout)
    assert found is not None
    return found


# MODEL_ZOO.md's seconds an iteration times the paper's iterations, worked out by hand.
HOURS_ON_8_V100 = {
    ("coco", "mask_rcnn_r50_fpn"): 6.5,
    ("coco", "mask_rcnn_r50_fpn_3x"): 19.6,
    ("coco", "mask_rcnn_r101_fpn_3x"): 25.5,
    ("coco", "mask_rcnn_x101_fpn_3x"): 51.8,
    ("cityscapes", "mask_rcnn_r50_fpn"): 1.6,
}


@pytest.mark.parametrize(("dataset", "variant"), HOURS_ON_8_V100)
def test_published_trainings_take_the_published_time(
    paper: Grid, dataset: str, variant: str
) -> None:
    updates = paper.training_settings(dataset, variant).schedule.total_iters
    hours = training_hours(speed_of(paper, dataset, variant), updates, V100S, SPEEDS.measured_gpus)
    assert hours.low == hours.high == pytest.approx(HOURS_ON_8_V100[dataset, variant], abs=0.1)


def test_keypoints_take_the_published_time(paper: Grid) -> None:
    """MODEL_ZOO.md's keypoint_rcnn_R_50_FPN: 0.315 s an iteration, 0.072 s an image."""
    settings = paper.training_settings("coco", "mask_rcnn_r50_fpn")
    values = settings.model_dump()
    values["model"] |= {"keypoint_head": {}, "mask_head": {"kind": "none"}}
    speed = model_speed(SPEEDS, type(settings).model_validate(values), "coco")
    assert speed is not None
    assert speed.train_s.low < 0.315 < speed.train_s.high < 0.36
    assert speed.test_s.low < 0.072 < speed.test_s.high
    assert any("keypoint_rcnn minus faster_rcnn" in source for source in speed.sources)


def test_detectors_without_a_pyramid_have_speeds_of_their_own() -> None:
    grid = load_grid("paper", papers=["mask_rcnn"])
    fpn, c4, c4_r101 = (
        speed_of(grid, "coco", f"mask_rcnn_{name}")
        for name in ("resnet50_fpn", "resnet50_c4", "resnet101_c4")
    )
    assert (c4.train_s.low, c4_r101.train_s.low) == (0.584, 0.652)
    assert fpn.train_s.low == 0.261
    assert speed_of(grid, "coco", "mask_rcnn_resnet50_c5").train_s.high >= 0.471


@pytest.fixture(scope="module")
def sharpmask() -> Grid:
    return load_grid("paper", papers=["sharpmask"])


def test_deepmask_takes_on_a_k40_what_its_users_saw(sharpmask: Grid) -> None:
    """Issue 58: 5 days; a V100 is reckoned to be 3 to 6 times as fast."""
    model = speed_of(sharpmask, "coco2014", "sharpmask_deepmask_r50")
    one = Machine(speed=Range(1 / 6, 1 / 3), gpus_per_training=1, gpus=1)
    hours = training_hours(model, 1_200_000, one, SPEEDS.measured_gpus)
    assert hours.low < 5 * 24 < hours.high


def test_sharpmask_takes_longer_for_its_masks(sharpmask: Grid) -> None:
    """Table 1, without a GPU's name: 0.45 and 0.75 s an image."""
    one, other = (
        speed_of(sharpmask, "coco2014", f"sharpmask_{name}") for name in ("deepmask_r50", "r50")
    )
    assert one.test_s.high == 0.45
    assert other.test_s.high == pytest.approx(0.75, abs=0.01)
    assert other.train_s.low < one.train_s.low < one.train_s.high < other.train_s.high


def test_a_prediction_of_more_windows_takes_longer(sharpmask: Grid) -> None:
    """5,203, 10,144 and 20,034 windows, docs/sharpmask.md; masks of few of them, or of all."""
    variant = "sharpmask_r50"
    training = sharpmask.training_settings("coco2014", variant)
    plain, zoom, zoom2, all_masks = (
        prediction_factor(sharpmask.inference_settings(variant, name), training)
        for name in ("default", "zoom", "zoom2", "all_masks")
    )
    assert plain == (1, 1)
    assert zoom == (10_144 / 5_203, 10_144 / 5_203)
    assert zoom2 == (20_034 / 5_203, 20_034 / 5_203)
    assert all_masks == (1, 5_203 / 1000)


def test_a_batch_of_more_patches_takes_longer(sharpmask: Grid) -> None:
    settings = sharpmask.training_settings("coco2014", "sharpmask_deepmask_r50")
    values = settings.model_dump()
    values["optimizer"]["images_per_batch"] = 8
    values["input"]["patches_per_image"] = 8
    found = model_speed(SPEEDS, type(settings).model_validate(values), "coco")
    plain = speed_of(sharpmask, "coco2014", "sharpmask_deepmask_r50")
    assert found is not None
    assert found.train_s.high == pytest.approx(2 * plain.train_s.high)
    assert found.loading_s.high == pytest.approx(plain.loading_s.high / 4)


def test_a_mask_head_without_a_published_speed_gets_a_range(paper: Grid) -> None:
    plain = speed_of(paper, "coco", "mask_rcnn_r50_fpn")
    for variant in ("pointrend_r50_fpn", "sharpmask_r50_fpn", "mask_rcnn_56_r50_fpn"):
        other = speed_of(paper, "coco", variant)
        assert plain.train_s.low <= other.train_s.low < other.train_s.high
        assert any("assum" in source for source in other.sources)


def test_detectron2s_semantic_pointrend_takes_what_its_users_saw(paper: Grid) -> None:
    """Issue 1455: 1.035 and 1.85 s an iteration, so 18.7 to 33 h."""
    model = speed_of(paper, "cityscapes", "semantic_fpn_pointrend_r101")
    hours = training_hours(model, 65_000, V100S, SPEEDS.measured_gpus)
    assert hours.low < 18.7
    assert hours.high == pytest.approx(33.4, abs=0.1)


def test_one_gpu_takes_eight_times_as_long(paper: Grid) -> None:
    model = speed_of(paper, "coco", "pointrend_r50_fpn")
    one = Machine(speed=Range(1, 1), gpus_per_training=1, gpus=1)
    assert training_hours(model, 90_000, one, 8) == pytest.approx(
        [8 * hours for hours in training_hours(model, 90_000, V100S, 8)]
    )


def test_a_faster_gpu_computes_sooner_but_loads_no_faster(paper: Grid) -> None:
    model = speed_of(paper, "cityscapes", "semantic_fpn_pointrend_r101")
    fast = Machine(speed=Range(1e9, 1e9), gpus_per_training=8, gpus=8)
    hours = training_hours(model, 65_000, fast, 8)
    assert hours.high == pytest.approx(model.loading_s.high * 65_000 / 3600)
    assert prediction_hours(model, 500, fast).high < 1e-6
    once, four_times = (prediction_hours(model, 500, fast, views) for views in (1, 4))
    assert four_times.low == pytest.approx(4 * once.low)
    assert four_times.high == pytest.approx(10 * once.high)


def test_a_range_of_gpu_speeds_widens_the_estimate(paper: Grid) -> None:
    model = speed_of(paper, "coco", "mask_rcnn_r50_fpn")
    h100 = Machine(Range(*gpu_speed(SPEEDS, "H100").speed), gpus_per_training=8, gpus=8)
    hours = training_hours(model, 90_000, h100, 8)
    assert hours.low == pytest.approx(6.525 / h100.speed.high)
    assert hours.high == pytest.approx(6.525 / h100.speed.low)


def test_an_unknown_gpu_is_refused_with_the_list() -> None:
    with pytest.raises(UserError, match=r"^--gpu v1000: .*v100, .*a100, .*h100") as caught:
        gpu_speed(SPEEDS, "v1000")
    assert "\n" not in str(caught.value)


@settings(max_examples=50, deadline=None)
@given(
    hours=st.lists(st.floats(0.1, 50), min_size=1, max_size=30),
    slots=st.integers(1, 10),
)
def test_wall_time_keeps_within_what_any_schedule_can_do(hours: list[float], slots: int) -> None:
    """Graham's bounds for a schedule that leaves no machine idle."""
    machine = Machine(Range(1, 1), gpus_per_training=8, gpus=8 * slots + 3)
    jobs = [(Range(h, 2 * h), 8) for h in hours]
    wall = wall_hours(jobs, NOTHING, machine, longest=NOTHING)
    assert wall.low >= max(sum(hours) / slots, max(hours)) * (1 - 1e-9)
    assert wall.low <= (sum(hours) / slots + max(hours)) * (1 + 1e-9)
    assert wall.high == pytest.approx(2 * wall.low)


def test_predictions_are_spread_over_all_gpus() -> None:
    machine = Machine(Range(1, 1), gpus_per_training=8, gpus=16)
    assert wall_hours([], Range(32, 64), machine, longest=NOTHING) == (2, 4)
    one = [(Range(5, 5), 8)]
    assert wall_hours(one, Range(32, 64), machine, longest=Range(5, 5)) == (7, 9)
    chain = Range(12, 14)  # that one and another, which waits for it
    assert wall_hours(one, Range(32, 64), machine, longest=chain) == (14, 18)


@pytest.mark.parametrize(
    ("jobs", "hours"),
    [
        ([(10, 1)] * 8, 10),  # side by side
        ([(10, 8), *[(1, 1)] * 8], 11),
        ([(10, 4), (9, 8), (1, 4)], 20),  # the second waits for all eight
    ],
)
def test_trainings_of_fewer_gpus_share_them(jobs: list[tuple[float, int]], hours: float) -> None:
    found = wall_hours([(Range(h, h), k) for h, k in jobs], NOTHING, V100S, longest=NOTHING)
    assert found == (hours, hours)
