"""Training semantic models: what differs from detectors, and that it resumes as exactly."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import build_model
from pointrend_repro.config.papers import load_paper
from pointrend_repro.data.semantic import LabelledImages, read_labelled_images
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.settings.schedule import OptimizerSettings, ScheduleSettings
from pointrend_repro.settings.semantic import SemanticTrainingSettings
from pointrend_repro.training import loop
from pointrend_repro.training.parameter_groups import with_faster_decoder
from pointrend_repro.training.schedule import learning_rate
from small_semantic_experiment import make_streets, small_semantic_settings

LAST = "checkpoints/iter_00000008.pt"


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for the disk is most of the time otherwise."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> LabelledImages:
    return read_labelled_images(make_streets(tmp_path_factory.mktemp("s") / "data"), "train")


def run(folder: Path, dataset: LabelledImages, settings: SemanticTrainingSettings) -> Any:
    return loop.train(settings, dataset, seed=0, folder=folder, device="cpu")


def log_lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def saved(folder: Path) -> dict[str, Any]:
    return torch.load(folder / LAST, weights_only=True)


class Interrupted(Exception):  # noqa: N818
    pass


def spoil(
    patch: pytest.MonkeyPatch, iterations: set[int], value: float = float("nan")
) -> list[list[int | str]]:
    """Let the losses of some updates be `value`; returns where their image ids will be."""
    told: list[list[int | str]] = []
    update = loop.update

    def spoiled(state: Any, batch: Any, *args: Any) -> dict[str, float]:
        if state.iteration not in iterations:
            return update(state, batch, *args)
        told.append(batch.image_ids)
        with pytest.MonkeyPatch.context() as inner:
            forward = type(state.model).forward
            inner.setattr(
                type(state.model),
                "forward",
                lambda *a: {k: v * value for k, v in forward(*a).items()},
            )
            return update(state, batch, *args)

    patch.setattr(loop, "update", spoiled)
    return told


# --- exact resume ----------------------------------------------------------------------------


@pytest.mark.parametrize("decoder", ["deeplabv3", "semantic_fpn"])
def test_interrupted_and_continued_is_uninterrupted(
    tmp_path: Path, dataset: LabelledImages, decoder: str
) -> None:
    """Dropout, points, crops and colours are drawn anew from where the training was cut."""
    extra = {"color_augmentation": "ssd", "crop_bootstrapping": 0.75}
    settings = small_semantic_settings(decoder, input=extra)
    run(tmp_path / "whole", dataset, settings)
    update = loop.update

    def fail(state: Any, *args: Any) -> dict[str, float]:
        if state.iteration == 4:
            raise Interrupted
        return update(state, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "update", fail)
        with pytest.raises(Interrupted):
            run(tmp_path / "cut", dataset, settings)
    torch.manual_seed(12345)
    run(tmp_path / "cut", dataset, settings)
    whole, cut = saved(tmp_path / "whole"), saved(tmp_path / "cut")
    for key, tensor in whole["model"].items():
        assert torch.equal(cut["model"][key], tensor), key
    losses = [[line["loss"] for line in log_lines(tmp_path / name)] for name in ("whole", "cut")]
    assert losses[0] == losses[1]
    assert len(set(losses[0])) == 8


def test_other_labels_start_afresh(tmp_path: Path, dataset: LabelledImages) -> None:
    settings = small_semantic_settings(pointrend=False)
    run(tmp_path, dataset, settings)
    run(tmp_path, LabelledImages(dataset.categories, dataset.images[1:]), settings)
    assert len(list(tmp_path.glob("checkpoints.*"))) == 1


def test_skipped_updates_are_counted_across_an_interruption(
    tmp_path: Path, dataset: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"on_non_finite_loss": "skip", "max_skipped_updates": 2}
    settings = small_semantic_settings(optimizer=limits)
    spoil(monkeypatch, {1, 4, 6})
    with pytest.raises(UserError, match="iteration 6"):
        run(tmp_path, dataset, settings)
    with pytest.raises(UserError, match="after 2 updates were skipped"):
        run(tmp_path, dataset, settings)  # from iteration 6, with both of the earlier ones


# --- the learning rate -----------------------------------------------------------------------

# Supplement, section 2, DeeplabV3: "90k updates with a poly learning rate update strategy,
# starting from 0.01; a linear learning rate warmup over 1000 updates starting from a learning rate
# of 0.001"; DeepLab's power is 0.9. By hand: 0.01 * (1 - i / 90000) ** 0.9, in the warm-up times
# 0.1 + 0.9 * i / 1000.
POLY = {
    0: 0.001,
    500: 0.0055 * 0.994998610,
    1000: 0.00989998,
    45_000: 0.00535887,
    81_000: 0.00125893,
    89_999: 3.47682e-07,
}
# SemanticFPN: "40k / 15k / 10k updates at learning rates of 0.01 / 0.001 / 0.0001".
STEPS = {0: 0.001, 1000: 0.01, 39_999: 0.01, 40_000: 0.001, 54_999: 0.001, 55_000: 0.0001}


@pytest.mark.parametrize(
    ("recipe", "schedule", "rates", "total"),
    [("deeplabv3", "90k", POLY, 90_000), ("semantic_fpn", "65k", STEPS, 65_000)],
)
def test_schedules_are_the_papers(
    recipe: str, schedule: str, rates: dict[int, float], total: int
) -> None:
    found = load_paper("pointrend").protocol["cityscapes"][recipe]
    chosen = found.schedules[schedule]
    assert chosen.total_iters == total
    for iteration, rate in rates.items():
        assert learning_rate(iteration, found.optimizer, chosen) == pytest.approx(rate, rel=1e-4)


def test_poly_of_power_1_is_a_straight_line() -> None:
    optimizer = OptimizerSettings(base_lr=0.5, warmup_iters=0)
    schedule = ScheduleSettings(total_iters=4, poly_power=1.0)
    assert [learning_rate(i, optimizer, schedule) for i in range(4)] == [0.5, 0.375, 0.25, 0.125]


def test_poly_and_drops_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        ScheduleSettings(total_iters=4, poly_power=0.9, lr_drop_iters=(2,))


@pytest.mark.parametrize("pointrend", [False, True])
def test_only_aspp_and_the_prediction_convolution_learn_faster(pointrend: bool) -> None:
    settings = small_semantic_settings(pointrend=pointrend, optimizer={"decoder_lr_factor": 10})
    model = build_model(settings.model, num_classes=19)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = with_faster_decoder(model, settings.optimizer)
    by_factor: dict[float, set[str]] = {1.0: set(), 10.0: set()}
    for group in groups:
        by_factor[group["lr_factor"]] |= {names[id(p)] for p in group["params"]}
    assert {name.split(".")[0] for name in by_factor[1.0]} == {"backbone"} | (
        {"refiner"} if pointrend else set()
    )
    assert {".".join(name.split(".")[:2]) for name in by_factor[10.0]} == {
        "decoder.aspp",
        "decoder.predictor",
    }
    assert by_factor[1.0] | by_factor[10.0] == set(names.values())


def test_norms_have_a_weight_decay_of_their_own() -> None:
    settings = small_semantic_settings("semantic_fpn", optimizer={"norm_weight_decay": 0.5})
    model = build_model(settings.model, num_classes=19)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = with_faster_decoder(model, settings.optimizer)
    decays = {names[id(p)]: g["weight_decay"] for g in groups for p in g["params"]}
    assert decays.keys() == set(names.values())
    of_norms = {name for name in decays if ".norm." in name}
    assert len(of_norms) > 20
    assert {name for name, decay in decays.items() if decay == 0.5} == of_norms
    assert set(decays.values()) == {0.5, 1e-4}


def test_a_tenfold_rate_moves_the_decoder_ten_times_as_far(
    tmp_path: Path, dataset: LabelledImages
) -> None:
    """One update of SGD without weight decay or momentum: minus rate times gradient."""
    moved: dict[float, dict[str, float]] = {}
    for factor in (1.0, 10.0):
        optimizer = {"decoder_lr_factor": factor, "weight_decay": 0.0, "warmup_iters": 0}
        settings = small_semantic_settings(optimizer=optimizer, schedule={"total_iters": 1})
        torch.manual_seed(0)
        start = build_model(settings.model, num_classes=19).state_dict()
        model = run(tmp_path / str(factor), dataset, settings)
        moved[factor] = {
            name: float((p.detach() - start[name]).abs().sum())
            for name, p in model.named_parameters()
        }
    weights = [name for name in moved[1.0] if ".norm." not in name]  # those are 1: too few digits
    for name in weights:
        distance = moved[1.0][name]
        expected = (10 if name.startswith("decoder.") else 1) * distance
        assert moved[10.0][name] == pytest.approx(expected, rel=1e-2, abs=1e-6), name
    assert sum(moved[1.0][name] > 0 for name in weights if name.startswith("decoder.")) > 5


# --- losses that are not finite --------------------------------------------------------------


def test_stop_tells_losses_and_images(
    tmp_path: Path, dataset: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = spoil(monkeypatch, {2})
    with pytest.raises(UserError, match="iteration 2: the loss is not finite") as caught:
        run(tmp_path, dataset, small_semantic_settings())
    message = str(caught.value)
    assert "loss_sem_seg=nan" in message
    assert "loss_sem_seg_point=nan" in message
    assert str(told[0]) in message
    assert "\n" not in message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_skipped_update_changes_nothing_but_the_count(
    tmp_path: Path,
    dataset: LabelledImages,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    value: float,
) -> None:
    """BN's running statistics included, which the forward pass alone would move."""
    backbone = small_semantic_settings().model.backbone.model_dump() | {"norm": "bn"}
    settings = small_semantic_settings(
        optimizer={"on_non_finite_loss": "skip"}, model={"backbone": backbone}
    )
    states: list[dict[str, torch.Tensor]] = []
    told = spoil(monkeypatch, {2}, value)
    update = loop.update

    def record(state: Any, *args: Any) -> dict[str, float]:
        states.append({k: v.clone() for k, v in state.model.state_dict().items()})
        return update(state, *args)

    monkeypatch.setattr(loop, "update", record)
    with caplog.at_level(logging.WARNING):
        run(tmp_path, dataset, settings)
    assert all(torch.equal(states[3][key], states[2][key]) for key in states[2])
    assert any("running_mean" in key for key in states[2])
    assert not torch.equal(
        states[4]["backbone.bottom_up.stem.conv1.weight"],
        states[3]["backbone.bottom_up.stem.conv1.weight"],
    )
    assert "iteration 2: the loss is not finite" in caplog.text
    assert str(told[0]) in caplog.text
    assert "update skipped (1 so far)" in caplog.text
    assert saved(tmp_path)["skipped"] == 1
    assert [line.get("skipped_updates") for line in log_lines(tmp_path)] == [
        1 if i == 2 else None for i in range(8)
    ]


def test_too_many_skipped_updates_stop(
    tmp_path: Path, dataset: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, set(range(8)))
    limits = {"on_non_finite_loss": "skip", "max_skipped_updates": 3}
    with pytest.raises(UserError, match=r"iteration 3: .* after 3 updates were skipped") as caught:
        run(tmp_path, dataset, small_semantic_settings(optimizer=limits))
    assert "\n" not in str(caught.value)


# --- the paper's settings --------------------------------------------------------------------


def test_preset_paper_is_the_papers_appendix_b() -> None:
    grid = load_grid("paper")
    deeplab = grid.training_settings("cityscapes", "deeplabv3_pointrend_r103")
    fpn = grid.training_settings("cityscapes", "semantic_fpn_pointrend_r101")
    assert isinstance(deeplab, SemanticTrainingSettings)
    assert isinstance(fpn, SemanticTrainingSettings)
    for settings, points in ((deeplab, 2304), (fpn, 2048)):
        head = settings.model.pointrend
        assert head is not None
        assert (head.train_points, head.oversample_ratio, head.importance_ratio) == (
            points,
            3,
            0.75,
        )
        height, width = settings.input.crop_px
        assert points == height * width / 16**2
        optimizer = settings.optimizer
        assert (optimizer.base_lr, optimizer.warmup_start_lr) == (0.01, 0.001)
        assert (optimizer.warmup_iters, optimizer.weight_decay) == (1000, 1e-4)
        assert settings.input.flip_probability == 0.5
        assert settings.model.backbone.freeze_at == 0
    assert (deeplab.model.backbone.name, deeplab.model.backbone.norm) == ("resnet103", "sync_bn")
    assert (fpn.model.backbone.name, fpn.model.backbone.norm) == ("resnet101", "frozen_bn")
    inference = grid.inference_settings("deeplabv3_pointrend_r103", "default")
    assert inference.points_per_step == 8096


def test_semantic_overrides_reach_semantic_models_alone() -> None:
    smoke = load_grid("smoke")
    deeplab = smoke.training_settings("generated_cityscapes", "deeplabv3_r103")
    fpn = smoke.training_settings("generated_cityscapes", "semantic_fpn_r101")
    detector = smoke.training_settings("generated_cityscapes", "pointrend_r50_fpn")
    over = smoke.preset.overrides
    assert deeplab.schedule.total_iters == over.semantic.schedule["total_iters"]
    assert detector.schedule.total_iters == over.schedule["total_iters"]
    assert deeplab.schedule.poly_power == 0.9
    assert fpn.schedule.poly_power is None
    assert detector.input.train_short_edges_px == tuple(over.input["train_short_edges_px"])
    assert "crop_px" not in detector.input.model_dump()
    assert deeplab.optimizer.decoder_lr_factor == 10
    assert deeplab.run == fpn.run == detector.run
