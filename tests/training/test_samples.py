"""Sample predictions of every kind of model, and that no training depends on them."""

import contextlib
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kinds_of_models import draw_few
from pointrend_repro.checkpoints.saved_models import SavedModel, build_model, save_model
from pointrend_repro.config.papers import list_papers
from pointrend_repro.data.paths import DataPaths, UserData, data_paths
from pointrend_repro.data.semantic import LabelledImages
from pointrend_repro.declarations.family import family_of
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.pipeline.steps.sampling import _images, samples_of
from pointrend_repro.pipeline.steps.training import _saved
from pointrend_repro.predictions.instances import Instances
from pointrend_repro.settings.of_family import AnyTrainingSettings
from pointrend_repro.settings.schedule import InputSettings
from pointrend_repro.training import loop
from pointrend_repro.training.log import TrainingLog
from pointrend_repro.training.samples import Samples, _clearest, is_due, set_apart
from small_experiment import CocoBuilder

GRID = load_grid("smoke", papers=list_papers())
UPDATES = 2
# No table of these papers has region proposals alone.
CHANGED: dict[str, dict[str, Any]] = {"sharpmask_faster_rcnn_vgg": {"rpn_only": True}}
NO_DATA = LabelledImages((), ())


@pytest.fixture(scope="module")
def few_images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DataPaths]:
    """Each generated data set of preset smoke, with a few images."""
    return draw_few(GRID, tmp_path_factory.mktemp("few"))


def short(
    variant: str, folder: Path, *, samples: int = UPDATES, **run: Any
) -> tuple[str, AnyTrainingSettings]:
    """A data set, and settings of a training of two updates on two images each, on tiny images."""
    dataset = max(t.dataset for t in GRID.trainings if t.variant == variant)  # COCO's layout
    settings = GRID.training_settings(dataset, variant)
    values = settings.model_dump(mode="json")
    values["optimizer"] |= {"images_per_batch": 2, "images_per_step": 2, "warmup_iters": 0}
    values["schedule"] |= {"total_iters": UPDATES, "lr_drop_iters": [], "lr_drop_shares": []}
    values["run"] |= {"samples": samples, "loader_workers": 0} | run
    values["model"] |= CHANGED.get(variant, {})
    if values["model"]["backbone"].get("deformable"):
        values["model"]["backbone"]["deformable"] = False  # seconds on a CPU
    if settings.start_from is not None:
        source = GRID.training_settings(dataset, settings.start_from.variant)
        torch.manual_seed(0)
        begun = SavedModel(build_model(source.model, 1), source.input, [(1, "object")])
        save_model(folder / "start.safetensors", begun)
        there = {"variant": None, "dataset": None, "weights": str(folder / "start.safetensors")}
        values["start_from"] |= there
    return dataset, type(settings).model_validate(values)


def trained(
    settings: AnyTrainingSettings, paths: DataPaths, folder: Path
) -> dict[str, torch.Tensor]:
    family = family_of(settings)
    dataset = family.function(family.read)(paths, "train")
    samples = samples_of(settings, dataset, paths, _saved)
    assert (samples is None) == (not settings.run.samples)
    model = loop.train(settings, dataset, seed=0, folder=folder, device="cpu", samples=samples)
    return model.state_dict()


def pictures(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "samples").glob("*"))


@pytest.mark.parametrize(
    "variant",
    [
        "pointrend_r50_fpn",
        "mask_rcnn_person_keypoints_masks",
        "mask_rcnn_faster_rcnn_resnet101_fpn",  # boxes only
        "mask_rcnn_resnet101_c4",
        "sharpmask_faster_rcnn_vgg",
        "deeplabv3_pointrend_r103",
        "future3d_htc_default_rois",
        "future3d_solov2_x101",
        "sharpmask_deepmask_r50",
        "sharpmask_r50",
    ],
)
def test_weights_are_those_of_a_training_without_samples(
    few_images: dict[str, DataPaths], tmp_path: Path, variant: str
) -> None:
    dataset, settings = short(variant, tmp_path, samples=0)
    without = trained(settings, few_images[dataset], tmp_path / "without")
    assert pictures(tmp_path / "without") == []
    dataset, settings = short(variant, tmp_path)
    found = trained(settings, few_images[dataset], tmp_path / "with")
    assert pictures(tmp_path / "with") == ["after_00000001.jpg", "after_00000002.jpg"]
    assert all(torch.equal(found[name], value) for name, value in without.items())


def test_a_training_that_continues_draws_the_same_samples_again(
    few_images: dict[str, DataPaths], tmp_path: Path
) -> None:
    dataset, settings = short("pointrend_r50_fpn", tmp_path, checkpoint_every_iters=1)
    whole = trained(settings, few_images[dataset], tmp_path / "whole")
    trained(settings, few_images[dataset], tmp_path / "cut")
    (tmp_path / "cut/checkpoints/iter_00000002.pt").unlink()
    found = trained(settings, few_images[dataset], tmp_path / "cut")
    assert all(torch.equal(found[name], value) for name, value in whole.items())
    for name in pictures(tmp_path / "whole"):
        same = [(tmp_path / there / "samples" / name).read_bytes() for there in ("whole", "cut")]
        assert same[0] == same[1]
    curves = EventAccumulator(str(tmp_path / "cut/tensorboard")).Reload()
    assert [event.step for event in curves.Images("samples")] == [0, 1]


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for the disk is much of the time otherwise."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def test_samples_of_other_settings_are_removed(
    few_images: dict[str, DataPaths], tmp_path: Path
) -> None:
    (tmp_path / "samples").mkdir()
    for name in ("after_00000003.jpg", "after_00000004.jpg", "after_x.jpg"):
        (tmp_path / "samples" / name).touch()
    with TrainingLog(tmp_path, 3):
        assert pictures(tmp_path) == ["after_00000003.jpg"]
    with TrainingLog(tmp_path, 0):
        assert pictures(tmp_path) == []


def test_predictions_inside_a_training_leave_no_trace() -> None:
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)).train()
    model[1].eval()  # frozen
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def draws() -> list[float]:
        return [float(torch.rand(1)), random.random(), float(np.random.rand())]

    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    expected = draws()
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    with contextlib.suppress(KeyError), set_apart(model):
        draws()
        assert not model[0].training
        assert not model(torch.rand(4, 2)).requires_grad
        raise KeyError
    assert draws() == expected
    assert (model.training, model[0].training, model[1].training) == (True, True, False)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("total", "times", "expected"),
    [
        (100, 4, [25, 50, 75, 100]),
        (10, 3, [4, 7, 10]),
        (3, 10, [1, 2, 3]),
        (7, 1, [7]),
        (7, 0, []),
    ],
)
def test_samples_are_evenly_spaced(total: int, times: int, expected: list[int]) -> None:
    assert [done for done in range(1, total + 1) if is_due(done, total, times)] == expected


@pytest.mark.parametrize(
    ("scores", "shown"),
    [([0.9, 0.6, 0.5, 0.5, 0.4], 4), ([0.9, 0.1, 0.1, 0.1], 3), ([0.1], 1), ([0.8] * 30, 20)],
)
def test_a_model_that_has_just_begun_shows_what_it_has(scores: list[float], shown: int) -> None:
    n = len(scores)
    found = Instances(
        np.zeros((n, 4), np.float32),
        np.array(scores, np.float32),
        np.zeros(n, np.int64),
        np.zeros((n, 2, 2), bool),
    )
    clearest = _clearest(found)
    assert clearest.scores.tolist() == found.scores[:shown].tolist()
    assert clearest.masks is not None
    assert len(clearest.boxes) == len(clearest.masks) == shown
    assert clearest.keypoints is None


def test_four_fixed_images_with_objects(coco_builder: CocoBuilder, tmp_path: Path) -> None:
    def without_objects_of_two(document: Any) -> None:
        document["annotations"] = [
            a for a in document["annotations"] if a["image_id"] not in {1001, 1004}
        ]

    root = coco_builder(val_images=11, mutate=without_objects_of_two)
    paths = data_paths("coco_folder", GRID.datasets["generated_coco"], UserData(data_root=root))
    _, settings = short("pointrend_r50_fpn", tmp_path)
    images = [int(path.stem) for path in _images(settings, paths)]
    assert images == [1003, 1006, 1008, 1010]


def test_no_picture_ends_a_training(
    few_images: dict[str, DataPaths], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = tmp_path / "gone.jpg"
    samples = Samples([gone], lambda model: SavedModel(model, InputSettings(), []))
    assert samples.draw(torch.nn.Linear(1, 1)) is None
    assert "sample predictions could not be drawn" in caplog.text


def test_without_validation_images_there_are_no_samples(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, settings = short("pointrend_r50_fpn", tmp_path)
    paths = data_paths("x", GRID.datasets["generated_coco"], UserData(data_root=tmp_path))
    assert samples_of(settings, NO_DATA, paths, _saved) is None
    assert "no sample predictions: " in caplog.text
    assert "no such file" in caplog.text


def test_models_of_given_boxes_have_no_samples(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = GRID.training_settings("generated_coco", "sharpmask_fast_rcnn_r50")
    run = settings.run.model_copy(update={"samples": 1})
    settings = settings.model_copy(update={"run": run})
    paths = data_paths("x", GRID.datasets["generated_coco"], UserData(data_root=tmp_path))
    assert samples_of(settings, NO_DATA, paths, _saved) is None
    assert "predict data sets, not single images" in caplog.text
