"""detectron2 itself trains, continues, and predicts: a few updates of small images.

Skipped where detectron2 is not installed (docs/detectron2.md). To run them:
    pytest -m needs_detectron2
"""

import copy
import dataclasses
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pointrend_repro.base.errors import StoppedBySignal, UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.base.origins import origin_path
from pointrend_repro.checkpoints.saved_models import SavedModel, build_model, load_saved_model
from pointrend_repro.data.coco import CocoDataset, read_coco
from pointrend_repro.data.examples import inference_image, read_record
from pointrend_repro.data.paths import DataPaths
from pointrend_repro.data.semantic import read_labelled_images
from pointrend_repro.engines.detectron2.config import training_config
from pointrend_repro.pipeline.steps.evaluation import run_evaluation
from pointrend_repro.pipeline.steps.prediction import run_prediction
from pointrend_repro.pipeline.steps.training import run_training
from pointrend_repro.predictions.label_maps import write_label_maps
from pointrend_repro.settings.instances import InferenceSettings, TrainingSettings
from pointrend_repro.settings.semantic import (
    SemanticInferenceSettings,
    SemanticTrainingSettings,
)
from pointrend_repro.training.schedule import learning_rate
from pointrend_repro.training.signals import StopSignals
from small_semantic_experiment import make_streets

pytestmark = [
    pytest.mark.needs_detectron2,
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("detectron2") is None, reason="detectron2 is not installed"
    ),
]

EXPERIMENT = {"preset": "quick", "dataset": "coco", "variant": "any", "trial": 0}
BACKBONE = {"name": "resnet50", "norm": "bn", "freeze_at": 0, "fpn_channels": 32}
HEADS: dict[str, dict[str, Any]] = {
    "4conv": {"channels": 16},
    "pointrend": {"coarse_channels": 32, "point_channels": 16},
    "sharpmask": {"reduced_channels": 16, "bottleneck_channels": 32, "skip_channels": 16},
}
INFERENCE = InferenceSettings(output_resolution=28)
UPDATES = 3


def settings_of(head: str, **changes: dict[str, Any]) -> TrainingSettings:
    values: dict[str, dict[str, Any]] = {
        "model": {
            "backbone": BACKBONE,
            "detector": {
                "anchor_sizes_px": (8, 16, 32, 48, 64),
                "rpn_pre_nms_train": 100,
                "rpn_pre_nms_test": 100,
                "rpn_post_nms": 50,
                "roi_batch_per_image": 32,
                "box_head_channels": 32,
                "score_threshold": 0.01,
                "detections_per_image": 10,
            },
            "mask_head": {"kind": head, **HEADS[head]},
        },
        "input": {
            "train_short_edges_px": (48, 64),
            "test_short_edge_px": 64,
            "max_long_edge_px": 96,
        },
        "optimizer": {"images_per_batch": 2, "base_lr": 0.005, "warmup_iters": 1},
        "schedule": {"total_iters": UPDATES, "lr_drop_iters": (2,)},
        "run": {"log_every_iters": 1, "checkpoint_every_iters": 2, "loader_workers": 0},
    }
    merged = {key: section | changes.get(key, {}) for key, section in values.items()}
    return TrainingSettings.model_validate({"engine": "detectron2", **merged})


@pytest.fixture
def data(coco_builder: Callable[..., Path]) -> DataPaths:
    root = coco_builder(train_images=4, val_images=2, size=(96, 64))
    return DataPaths(
        root=root,
        train_images=root / "train2017",
        train_annotations=root / "annotations/instances_train2017.json",
        val_images=root / "val2017",
        val_annotations=root / "annotations/instances_val2017.json",
        lvis_annotations=None,
    )


def read_log(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("head", HEADS)
def test_from_training_to_a_score(head: str, data: DataPaths, tmp_path: Path) -> None:
    model = tmp_path / "trial0/model.safetensors"
    settings = settings_of(head)
    run_training(EXPERIMENT, settings, data, output=model, device="cpu")
    predictions = model.parent / "default/predictions.json"
    run_prediction("default", INFERENCE, data, model=model, output=predictions, device="cpu")
    score = predictions.with_name("coco_ap.json")
    run_evaluation("coco_ap", data.val_annotations, predictions, output=score)

    origin = read_json(score)["origin"]
    for step in ("train", "predict"):
        assert origin[step]["versions"]["detectron2"].startswith("0.6 at ")
    assert origin["train"]["settings"]["engine"] == "detectron2"
    found = read_json(predictions)
    assert found
    assert {result["category_id"] for result in found} <= {3, 7, 20}
    assert {result["image_id"] for result in found} <= {1001, 1002}
    assert all(result["segmentation"]["size"] == [64, 96] for result in found)
    assert load_saved_model(model).model.settings == settings.model


def test_the_log_is_ours(data: DataPaths, tmp_path: Path) -> None:
    settings = settings_of("pointrend")
    run_training(EXPERIMENT, settings, data, output=tmp_path / "model.safetensors", device="cpu")
    log = read_log(tmp_path)
    assert [line["iteration"] for line in log] == list(range(UPDATES))
    names = {"loss_rpn_objectness", "loss_rpn_box", "loss_cls", "loss_box"}
    names |= {"loss_mask", "loss_mask_point"}
    for line in log:
        assert {key for key in line if key.startswith("loss_")} == names
        assert line["loss"] == pytest.approx(sum(line[name] for name in names))


@pytest.mark.parametrize(
    "schedule",
    [
        {"optimizer": {"warmup_iters": 0}},
        {"optimizer": {"warmup_iters": 4}, "schedule": {"lr_drop_iters": (6, 8)}},
        {"optimizer": {"warmup_iters": 10}, "schedule": {"lr_drop_iters": ()}},
    ],
)
def test_the_learning_rate_is_ours(schedule: dict[str, dict[str, Any]]) -> None:
    from detectron2.solver import build_lr_scheduler

    from pointrend_repro.engines.detectron2.models import make_config

    total = {"total_iters": 10, "lr_drop_iters": ()} | schedule.get("schedule", {})
    settings = settings_of("4conv", optimizer=schedule["optimizer"], schedule=total)
    cfg = make_config(training_config(settings, num_classes=3, seed=0), device="cpu")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=cfg.SOLVER.BASE_LR)
    scheduler = build_lr_scheduler(cfg, optimizer)
    theirs = []
    for _ in range(10):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    ours = [learning_rate(i, settings.optimizer, settings.schedule) for i in range(10)]
    np.testing.assert_allclose(theirs, ours, rtol=1e-6)


def test_a_stopped_training_goes_on(data: DataPaths, tmp_path: Path) -> None:
    from pointrend_repro.engines.detectron2.train import train

    dataset = read_coco(data.train_images, data.train_annotations)
    settings = settings_of("4conv")
    stop = StopSignals()
    stop.received = 15
    arguments: dict[str, Any] = {"seed": 0, "folder": tmp_path, "device": "cpu"}
    with pytest.raises(StoppedBySignal, match="SIGTERM after iteration 1"):
        train(settings, dataset, stop=stop, **arguments)
    assert [line["iteration"] for line in read_log(tmp_path)] == [0]
    train(settings, dataset, **arguments)
    assert [line["iteration"] for line in read_log(tmp_path)] == list(range(UPDATES))
    (folder,) = (tmp_path / "detectron2").iterdir()
    changed = settings_of("4conv", optimizer={"base_lr": 0.001})
    train(changed, dataset, **arguments)
    (other,) = {*(tmp_path / "detectron2").iterdir()} - {folder}
    assert (other / "model_final.pth").exists()
    assert read_log(tmp_path)[0]["lr"] == pytest.approx(0.001)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_picture_ends_a_training_in_one_line(
    workers: int, data: DataPaths, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from pointrend_repro.engines.detectron2.train import train

    dataset = read_coco(data.train_images, data.train_annotations)
    for image in dataset.images:
        image.path.write_bytes(image.path.read_bytes()[:300])
    settings = settings_of("4conv", run={"loader_workers": workers})
    with pytest.raises(UserError, match="not a whole image") as error:
        train(settings, dataset, seed=0, folder=tmp_path, device="cpu")
    assert "\n" not in str(error.value)
    assert not [record for record in caplog.records if record.exc_info]  # no page


@pytest.mark.parametrize("head", HEADS)
def test_images_that_are_left_without_objects_are_trained_on(
    head: str, data: DataPaths, tmp_path: Path
) -> None:
    """Alone in a batch, PointRend's labels would be none; with others, our heads' targets."""
    from pointrend_repro.engines.detectron2.train import train

    dataset = read_coco(data.train_images, data.train_annotations)
    images = []
    for n, image in enumerate(dataset.images):
        x, y = (image.width + 50.0, 5.0) if n % 2 else (10.0, 10.0)  # the odd ones' lie outside
        square = [[x, y, x + 30, y, x + 30, y + 30, x, y + 30]]
        changed = dataclasses.replace(
            image.annotations[0], segmentation=square, box=(x, y, x + 30, y + 30), is_crowd=False
        )
        images.append(dataclasses.replace(image, annotations=(changed,)))
    settings = settings_of(head, optimizer={"images_per_batch": 1 + (head != "pointrend")})
    dataset = dataclasses.replace(dataset, images=tuple(images))
    train(settings, dataset, seed=0, folder=tmp_path, device="cpu")
    assert len(read_log(tmp_path)) == UPDATES


def test_a_prediction_needs_pictures_of_their_recorded_size(
    data: DataPaths, tmp_path: Path
) -> None:
    from pointrend_repro.engines.detectron2.predict import predict

    dataset = read_coco(data.val_images, data.val_annotations)
    saved = _untrained(settings_of("4conv"), dataset)
    Image.new("RGB", (96, 65)).save(dataset.images[0].path)
    with pytest.raises(UserError, match="is 96x65 pixels, but its annotation says 96x64"):
        predict(saved, dataset, INFERENCE, tmp_path / "predictions.json")


def test_a_model_that_is_made_again_keeps_its_record(data: DataPaths, tmp_path: Path) -> None:
    """From the checkpoint of the finished training, which nothing of today had a part in."""
    model = tmp_path / "trial0/model.safetensors"
    run_training(EXPERIMENT, settings_of("4conv"), data, output=model, device="cpu")
    first = read_json(origin_path(model))["train"]
    assert first["continued_from"] == []
    model.unlink()
    origin_path(model).unlink()
    run_training(EXPERIMENT, settings_of("4conv"), data, output=model, device="cpu")
    second = read_json(origin_path(model))["train"]
    assert second["wall_s"] <= first["wall_s"]  # of the checkpoint, without the writing after it
    told = ("started", "code_digest", "git_commit", "versions", "continued_from", "output_digest")
    assert {key: second[key] for key in told} == {key: first[key] for key in told}


def _same_detections(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    from pycocotools.mask import area, iou

    assert len(ours) == len(theirs) > 0
    for a, b in zip(ours, theirs, strict=True):
        assert (a["image_id"], a["category_id"]) == (b["image_id"], b["category_id"])
        np.testing.assert_allclose(a["bbox"], b["bbox"], atol=0.05)
        assert a["score"] == pytest.approx(b["score"], abs=1e-4)
        if a["segmentation"] != b["segmentation"]:  # of empty masks there is no IoU
            overlap = iou([a["segmentation"]], [b["segmentation"]], [0]).item()
            both = area([a["segmentation"], b["segmentation"]]).sum()
            pixels = both * (1 - overlap) / (1 + overlap)  # that only one of them has
            assert overlap > 0.98 or pixels < 1.5, (overlap, pixels)  # rounding may decide one
    assert any(area([a["segmentation"]]).item() > 0 for a in ours)


@pytest.mark.parametrize("head", HEADS)
def test_predictions_of_the_same_weights_are_the_same(
    head: str, data: DataPaths, tmp_path: Path
) -> None:
    from pointrend_repro.engines.detectron2.predict import predict
    from predicted import predict_dataset

    dataset = read_coco(data.val_images, data.val_annotations)
    saved = _untrained(settings_of(head), dataset)
    predict(saved, dataset, INFERENCE, tmp_path / "predictions.json")
    ours = predict_dataset(saved, dataset, INFERENCE)
    _same_detections(ours, read_json(tmp_path / "predictions.json"))


def _untrained(settings: TrainingSettings, dataset: CocoDataset) -> SavedModel:
    torch.manual_seed(0)
    model = build_model(settings.model, len(dataset.categories))
    torch.nn.init.normal_(model.box_head.cls_score.weight, std=0.5)
    torch.nn.init.normal_(model.box_head.bbox_pred.weight, std=0.1)
    for name, parameter in model.mask_head.named_parameters():
        if "predict" in name and name.endswith("weight"):
            torch.nn.init.normal_(parameter, std=0.3)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # of the pictures below, or activations explode
    with torch.no_grad():
        model.backbone.train()(
            [inference_image(read_record(r), settings.input) for r in dataset.images]
        )
    categories = [(c.id, c.name) for c in dataset.categories]
    return SavedModel(model.eval(), settings.input, categories)


def _everything_counts(settings: TrainingSettings) -> TrainingSettings:
    """Every anchor and every proposal is in the sample, so that only points are drawn.

    Both draw them last, from the same seed.
    """
    detector = settings.model.detector.model_copy(
        update={"rpn_batch_per_image": 10_000, "roi_batch_per_image": 10_000}
    )
    size = settings.input.model_copy(
        update={"flip_probability": 0.0, "train_short_edges_px": (64,)}
    )
    model = settings.model.model_copy(update={"detector": detector})
    return settings.model_copy(update={"model": model, "input": size})


@pytest.mark.parametrize("head", HEADS)
def test_first_losses_of_the_same_weights_are_the_same(head: str, data: DataPaths) -> None:
    """From files to losses: each engine reads, draws masks and computes by itself."""
    from pointrend_repro.data.examples import training_example

    settings = _everything_counts(settings_of(head))
    dataset = read_coco(data.train_images, data.train_annotations)
    model = _untrained(settings, dataset).model.train()
    rng = np.random.default_rng(0)
    examples = [training_example(image, settings.input, rng) for image in dataset.images[:2]]
    torch.manual_seed(0)
    with torch.no_grad():
        ours = model([image for image, _ in examples], [target for _, target in examples])
    theirs = _losses_of_detectron2(settings, dataset, model)
    assert set(ours) == set(theirs)
    for name, loss in ours.items():
        assert loss.item() == pytest.approx(theirs[name], rel=1e-3), name


def _losses_of_detectron2(
    settings: TrainingSettings, dataset: CocoDataset, ours: torch.nn.Module
) -> dict[str, float]:
    from detectron2.modeling import build_model as build_theirs
    from detectron2.utils.events import EventStorage

    from pointrend_repro.engines.detectron2.models import load_ours, make_config
    from pointrend_repro.engines.detectron2.records import InstanceMapper, instance_records
    from pointrend_repro.engines.detectron2.trainer import OUR_LOSSES

    keys = training_config(settings, num_classes=len(dataset.categories), seed=0)
    cfg = make_config(keys, device="cpu")
    theirs = build_theirs(cfg)
    load_ours(theirs, ours)
    records = instance_records(dataset.images[:2])
    torch.manual_seed(0)
    with torch.no_grad(), EventStorage():
        losses = theirs.train()([InstanceMapper(cfg)(record) for record in records])
    return {OUR_LOSSES.get(name, name): loss.item() for name, loss in losses.items()}


SEMANTIC = {
    "engine": "detectron2",
    "model": {
        "backbone": BACKBONE,
        "decoder": {"kind": "semantic_fpn"},
        "pointrend": {"train_points": 24, "channels": 16, "uncertainty": "logits"},
    },
    "input": {
        "crop_px": (32, 64),
        "train_short_edges_px": (32, 48, 64),
        "test_short_edge_px": 64,
        "max_long_edge_px": 96,
        "color_augmentation": "ssd",
        "crop_bootstrapping": 0.75,
    },
    "optimizer": {"images_per_batch": 2, "warmup_iters": 1},
    "schedule": {"total_iters": UPDATES, "lr_drop_iters": ()},
    "run": {"log_every_iters": 1, "checkpoint_every_iters": 2, "loader_workers": 0},
}


@pytest.mark.parametrize("level", ["p2", "p3"])
@pytest.mark.parametrize("pointrend", [True, False])
def test_semantic_fpn_from_training_to_a_score(
    *, pointrend: bool, level: str, tmp_path: Path
) -> None:
    root = make_streets(tmp_path / "streets")
    data = DataPaths(root, root, root, root, root, None)
    values = copy.deepcopy(SEMANTIC)
    values["model"]["decoder"]["finest_level"] = level
    if not pointrend:
        values["model"]["pointrend"] = None
    settings = SemanticTrainingSettings.model_validate(values)
    model = tmp_path / "trial0/model.safetensors"
    run_training(EXPERIMENT, settings, data, output=model, device="cpu")
    labels = model.parent / "default/labels"
    inference = SemanticInferenceSettings(points_per_step=500)
    run_prediction("default", inference, data, model=model, output=labels, device="cpu")
    score = labels.with_name("cityscapes_miou.json")
    run_evaluation("cityscapes_miou", root, labels, output=score)
    assert read_json(score)["values"]["mIoU"] is not None
    assert ("loss_sem_seg_point" in read_log(model.parent)[0]) == pointrend
    # Our model with the same weights, in our inference, labels nearly all pixels alike.
    saved = load_saved_model(model)
    dataset = read_labelled_images(root, "val")
    ours = tmp_path / "ours"
    write_label_maps(saved, dataset, inference, ours)
    for path in ours.glob("*.png"):
        same = np.array(Image.open(path)) == np.array(Image.open(labels / path.name))
        assert same.mean() > 0.99
