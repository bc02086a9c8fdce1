"""A training begins with the weights of another one, or with those of a file, by named parts."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from comparing import assert_same

from pointrend_repro.base.digests import content_digest
from pointrend_repro.base.errors import DamagedError, UserError
from pointrend_repro.base.files import write_json
from pointrend_repro.base.origins import origin_path
from pointrend_repro.checkpoints.loading import save_detectron2
from pointrend_repro.checkpoints.parts import load_parts
from pointrend_repro.checkpoints.saved_models import SavedModel, build_model, save_model
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.settings.heads import SharpMaskHeadSettings
from pointrend_repro.settings.instances import TrainingSettings
from pointrend_repro.settings.start_from import ResolvedStart
from pointrend_repro.training import loop
from pointrend_repro.training.digest import training_digest
from pointrend_repro.training.starting import noted_start
from small_experiment import read_train_split, small_settings

Builder = Callable[..., Path]
CLASSES = 3  # of coco_builder


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def dataset(coco_builder: Builder) -> CocoDataset:
    return read_train_split(coco_builder())


def another(head: str = "pointrend", classes: int = CLASSES, **model: Any) -> SavedModel:
    """A model with random weights, which a training of seed 0 does not begin with."""
    settings = small_settings(head, model=model) if model else small_settings(head)
    torch.manual_seed(7)
    model_ = build_model(settings.model, num_classes=classes)
    for tensor in model_.state_dict().values():
        tensor.add_(0.01)
    return SavedModel(model_, settings.input, [(k, f"c{k}") for k in range(classes)])


def starting(iters: int = 1, **start: Any) -> TrainingSettings:
    settings = small_settings(schedule={"total_iters": iters, "lr_drop_iters": []})
    # So small a rate that what was loaded can still be told after an update.
    optimizer = settings.optimizer.model_copy(update={"base_lr": 1e-9, "warmup_start_lr": 1e-9})
    update = {"start_from": ResolvedStart(**start), "optimizer": optimizer}
    return settings.model_copy(update=update)


def run(
    folder: Path, dataset: CocoDataset, settings: TrainingSettings, source: Path | None = None
) -> MaskRCNN:
    return loop.train(settings, dataset, seed=0, folder=folder, device="cpu", start_from=source)


def moved(model: MaskRCNN, source: SavedModel) -> set[str]:
    """The parts of a model that are not the source's."""
    theirs = source.model.state_dict()
    return {
        name.partition(".")[0]
        for name, tensor in model.state_dict().items()
        if name not in theirs
        or tensor.shape != theirs[name].shape
        or not torch.allclose(tensor, theirs[name], atol=1e-4)
    }


@pytest.mark.parametrize("name", ["model.safetensors", "model.pkl"])
def test_parts_of_a_file(name: str, dataset: CocoDataset, tmp_path: Path) -> None:
    source = another(classes=5)
    (save_model if name.endswith("safetensors") else save_detectron2)(tmp_path / name, source)
    start = {"weights": str(tmp_path / name), "parts": ("backbone", "rpn")}
    model = run(tmp_path / "run", dataset, starting(**start))
    assert moved(model, source) == {"box_head", "mask_head"}
    noted = noted_start(tmp_path / "run")
    digest = content_digest(tmp_path / name)
    assert noted == {"file": str(tmp_path / name), "input_digest": digest}


def test_a_pickle_has_the_pixels_of_its_own_model(tmp_path: Path) -> None:
    """Detectron's mean has four decimals, and a mean of one's own may have more."""
    for mean in ((102.9801, 115.9465, 122.7717), (101.23456789, 115.9465, 122.7717)):
        settings = small_settings("pointrend")
        backbone = settings.model.backbone.model_copy(update={"pixel_mean": mean})
        model = settings.model.model_copy(update={"backbone": backbone})
        classes = [(k, f"c{k}") for k in range(CLASSES)]
        source = SavedModel(build_model(model, CLASSES), settings.input, classes)
        path = tmp_path / "model.pkl"
        save_detectron2(path, source)
        start = ResolvedStart(weights=str(path))
        load_parts(build_model(model, CLASSES), backbone, path, start)
        other = backbone.model_copy(update={"pixel_mean": (102.9, 115.9465, 122.7717)})
        with pytest.raises(UserError, match=r"another model\.backbone: pixel_mean: \(10"):
            load_parts(build_model(model, CLASSES), other, path, start)


def test_all_of_a_model_of_the_same_classes(dataset: CocoDataset, tmp_path: Path) -> None:
    source, path = another(), tmp_path / "model.safetensors"
    save_model(path, source)
    assert moved(run(tmp_path / "run", dataset, starting(weights=str(path))), source) == set()


def test_other_classes_have_to_be_left_out_by_name(dataset: CocoDataset, tmp_path: Path) -> None:
    source, path = another(classes=5), tmp_path / "model.safetensors"
    save_model(path, source)
    with pytest.raises(UserError, match=r"misshapen \(box_head\.bbox_pred.*start_from\.leave_out"):
        run(tmp_path / "run", dataset, starting(weights=str(path)))
    left = ("box_head.cls_score", "box_head.bbox_pred", "mask_head")
    model = run(tmp_path / "run", dataset, starting(weights=str(path), leave_out=left))
    assert moved(model, source) == {"box_head", "mask_head"}
    fc = model.box_head.fc1.weight
    assert torch.allclose(fc, source.model.box_head.fc1.weight, atol=1e-4)


@pytest.mark.parametrize(
    ("start", "told"),
    [
        ({"parts": ("backbne",)}, r"start_from\.parts: no 'backbne' in the model; it has backb"),
        ({"leave_out": ("mask",)}, r"start_from\.leave_out: no 'mask' in the model"),
        ({"parts": ("rpn",), "leave_out": ("rpn",)}, "leaves nothing to start from"),
        ({"parts": ("rpn",), "frozen": ("rpm",)}, r"start_from\.frozen: no 'rpm' in the model"),
        ({}, r"does not fit .*: \d+ missing \(mask_head.*unexpected \(mask_head"),
    ],
)
def test_what_does_not_fit_is_refused(
    start: dict[str, Any], told: str, dataset: CocoDataset, tmp_path: Path
) -> None:
    save_model(tmp_path / "model.safetensors", another("4conv"))
    settings = starting(weights=str(tmp_path / "model.safetensors"), **start)
    with pytest.raises(UserError, match=told) as raised:
        run(tmp_path / "run", dataset, settings)
    assert "\n" not in str(raised.value)


def test_weights_of_other_pixels_are_refused(dataset: CocoDataset, tmp_path: Path) -> None:
    backbone = small_settings().model.backbone.model_dump() | {"channel_order": "RGB"}
    save_model(tmp_path / "model.safetensors", another(backbone=backbone))
    settings = starting(weights=str(tmp_path / "model.safetensors"), parts=("backbone",))
    with pytest.raises(UserError, match="channel_order: RGB instead of BGR"):
        run(tmp_path / "run", dataset, settings)


def test_frozen_parts_stay_as_they_were_loaded(dataset: CocoDataset, tmp_path: Path) -> None:
    source, path = another(), tmp_path / "model.safetensors"
    save_model(path, source)
    start = ResolvedStart(weights=str(path), frozen=("backbone", "rpn"))
    settings = small_settings(schedule={"total_iters": 2, "lr_drop_iters": []})
    model = run(tmp_path / "run", dataset, settings.model_copy(update={"start_from": start}))
    ours, theirs = model.state_dict(), source.model.state_dict()
    changed = {name for name, tensor in ours.items() if not torch.equal(tensor, theirs[name])}
    assert {name.partition(".")[0] for name in changed} == {"box_head", "mask_head"}


def test_a_head_in_stages_freezes_parts_by_itself(dataset: CocoDataset, tmp_path: Path) -> None:
    save_model(tmp_path / "model.safetensors", another())
    settings = starting(
        weights=str(tmp_path / "model.safetensors"), parts=("backbone",), frozen=("backbone",)
    )
    head = SharpMaskHeadSettings(kind="sharpmask", coarse_stage_share=0.5)
    model = settings.model.model_copy(update={"mask_head": head})
    with pytest.raises(UserError, match="a head with coarse_stage_share freezes parts by itself"):
        run(tmp_path / "run", dataset, settings.model_copy(update={"model": model}))


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A model with the record of its training, as the pipeline leaves both."""
    path = tmp_path / "source/trial0/model.safetensors"
    path.parent.mkdir(parents=True)
    save_model(path, another())
    experiment = {"preset": "quick", "dataset": "coco", "variant": "first", "trial": 0}
    write_json(origin_path(path), experiment | {"train": {"output_digest": content_digest(path)}})
    return path


FOLLOWS = {"variant": "first", "dataset": "coco", "settings_digest": "0" * 12}


def test_a_continued_training_needs_its_source_no_more(
    trained: Path, dataset: CocoDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small_settings().model_copy(update={"start_from": ResolvedStart(**FOLLOWS)})
    through = run(tmp_path / "through", dataset, settings, trained)

    class CutError(Exception):
        pass

    def cut(state: Any, *others: Any, update: Any = loop.update) -> Any:
        if state.iteration == 5:
            raise CutError
        return update(state, *others)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "update", cut)
        with pytest.raises(CutError):
            run(tmp_path / "cut", dataset, settings, trained)
    noted = noted_start(tmp_path / "cut")
    assert noted is not None
    assert noted["origin"]["variant"] == "first"
    shutil.rmtree(trained.parent)
    continued = run(tmp_path / "cut", dataset, settings, trained)
    assert_same(continued.state_dict(), through.state_dict())
    assert noted_start(tmp_path / "cut") == noted


def test_without_a_checkpoint_the_source_has_to_be_right(
    trained: Path, dataset: CocoDataset, tmp_path: Path
) -> None:
    settings = starting(**FOLLOWS)
    with pytest.raises(UserError, match=r"by --start-from"):
        run(tmp_path / "run", dataset, settings)
    with pytest.raises(UserError, match=r"no such file; train the model first"):
        run(tmp_path / "run", dataset, settings, tmp_path / "model.safetensors")
    other = starting(**FOLLOWS | {"variant": "second"})
    with pytest.raises(UserError, match=r"is of variant first, not of variant second"):
        run(tmp_path / "run", dataset, other, trained)
    with trained.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(DamagedError, match=r"is not what model\.origin\.json beside it describes"):
        run(tmp_path / "run", dataset, settings, trained)
    assert noted_start(tmp_path / "run") is None


def test_another_source_is_another_training(dataset: CocoDataset) -> None:
    digests = {
        training_digest(starting(**FOLLOWS | change), dataset, 0)
        for change in ({}, {"settings_digest": "1" * 12}, {"parts": ("rpn",)}, {"variant": "b"})
    }
    assert len(digests) == 4
