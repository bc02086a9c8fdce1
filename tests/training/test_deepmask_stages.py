"""The two stages in which SharpMask is trained."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import SavedModel, save_model
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.settings.deepmask import FIRST_STAGE
from pointrend_repro.settings.deepmask_training import (
    DeepMaskOverrides,
    DeepMaskTrainingSettings,
)
from pointrend_repro.settings.schedule import InputSettings
from pointrend_repro.training import loop
from small_experiment import CocoBuilder, read_train_split

MODEL: dict[str, Any] = {
    "backbone": {"name": "resnet18_narrow", "norm": "gn"},
    "patch_px": 64,
    "feature_channels": 8,
    "bottleneck_channels": 12,
    "score_channels": 10,
    "mask_resolution": 14,
}
REFINEMENT = {"k": 4, "skip_channels": [4]}
STAGE_1 = {"parts": list(FIRST_STAGE), "frozen": list(FIRST_STAGE)}


def settings_of(
    *, iters: int = 3, start: Path | None = None, input: Any = None, **model: Any
) -> DeepMaskTrainingSettings:
    values: dict[str, Any] = {
        "model": MODEL | model,
        "input": input or {},
        "optimizer": {"images_per_batch": 4, "images_per_step": 2},
        "schedule": {"total_iters": iters},
        "run": {"log_every_iters": 1, "checkpoint_every_iters": 2, "loader_workers": 0},
    }
    if start is not None:
        values["start_from"] = STAGE_1 | {"weights": str(start)}
    return DeepMaskTrainingSettings.model_validate(values)


def test_a_refinement_without_a_first_stage_is_refused() -> None:
    with pytest.raises(ValidationError, match="is trained in the second stage: start_from"):
        settings_of(refinement=REFINEMENT)


def test_a_presets_changes_reach_trunks_and_refinements() -> None:
    over = DeepMaskOverrides(
        trunk={"vgg11": {"name": "vgg11_narrow"}}, refinement={"k": 8}, model={"patch_px": 64}
    )
    plain = settings_of().model.model_dump()
    assert over.of_model(plain)["refinement"] is None
    named = plain | {"backbone": {"name": "vgg11"}, "refinement": REFINEMENT}
    changed = over.of_model(named)
    assert changed["backbone"]["name"] == "vgg11_narrow"
    assert changed["refinement"]["k"] == 8
    assert changed["patch_px"] == 64
    with pytest.raises(ValidationError, match="trunk has no kind 'vgg12'"):
        DeepMaskOverrides(trunk={"vgg12": {}})


@pytest.fixture
def dataset(coco_builder: CocoBuilder) -> CocoDataset:
    return read_train_split(coco_builder())


def test_the_second_stage_changes_the_refinement_alone(
    dataset: CocoDataset, tmp_path: Path
) -> None:
    first = loop.train(settings_of(), dataset, seed=1, folder=tmp_path / "first", device="cpu")
    path = tmp_path / "first.safetensors"
    categories = [(c.id, c.name) for c in dataset.categories]
    save_model(path, SavedModel(first, InputSettings(), categories))
    second = loop.train(
        settings_of(start=path, refinement=REFINEMENT),
        dataset,
        seed=1,
        folder=tmp_path / "second",
        device="cpu",
    )
    before, after = first.state_dict(), second.state_dict()
    for name, value in after.items():
        if not name.startswith("refinement."):
            assert torch.equal(value, before[name]), name
    torch.manual_seed(1)
    assert second.refinement is not None
    assert all(p.grad is None for p in second.backbone.parameters())
    assert all(p.grad is not None for p in second.refinement.parameters())
    assert set(_losses(tmp_path / "second")) == {"loss_mask"}
    assert set(_losses(tmp_path / "first")) == {"loss_mask", "loss_score"}


def _losses(folder: Path) -> list[str]:
    line = (folder / "log.jsonl").read_text().splitlines()[-1]
    return [key for key in json.loads(line) if key.startswith("loss_")]


@pytest.mark.parametrize("sampling", ["paper", "code"])
def test_images_of_tiny_objects_alone_are_refused(
    coco_builder: CocoBuilder, tmp_path: Path, sampling: str
) -> None:
    def shrink(document: dict[str, Any]) -> None:
        for entry in document["annotations"]:
            entry |= {"segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]], "bbox": [1, 1, 4, 4], "area": 16}

    dataset = read_train_split(coco_builder(mutate=shrink))
    settings = settings_of(input={"sampling": sampling})
    with pytest.raises(UserError, match="nothing to train on"):
        loop.train(settings, dataset, seed=0, folder=tmp_path / "run", device="cpu")


@pytest.mark.parametrize("sampling", ["paper", "code"])
def test_an_interrupted_training_continues_as_if_it_had_not_stopped(
    dataset: CocoDataset, tmp_path: Path, sampling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(iters=4, input={"sampling": sampling, "patches_per_image": 2})
    whole = loop.train(settings, dataset, seed=3, folder=tmp_path / "whole", device="cpu")

    class StoppedError(Exception):
        pass

    update = loop.update

    def stopping(state: Any, *args: Any) -> Any:
        if state.iteration == 3:
            raise StoppedError
        return update(state, *args)

    monkeypatch.setattr(loop, "update", stopping)
    with pytest.raises(StoppedError):
        loop.train(settings, dataset, seed=3, folder=tmp_path / "parts", device="cpu")
    monkeypatch.setattr(loop, "update", update)
    continued = loop.train(settings, dataset, seed=3, folder=tmp_path / "parts", device="cpu")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, continued.state_dict()[name]), name


@pytest.mark.parametrize("stage", ["deepmask_r50", "r50"])
def test_both_stages_of_the_authors_code_sample_as_it_does(stage: str) -> None:
    """DataSampler.lua:132: masks' categories are drawn at even odds, whatever is trained."""
    grid = load_grid("paper_sharpmask_code")
    papers, codes = (
        grid.training_settings("coco2014", f"sharpmask_{name}") for name in (stage, f"{stage}_code")
    )
    assert isinstance(papers, DeepMaskTrainingSettings)
    assert isinstance(codes, DeepMaskTrainingSettings)
    assert (papers.input.sampling, codes.input.sampling) == ("paper", "code")
    if stage == "r50":  # nothing else differs
        assert codes.optimizer == papers.optimizer
        assert codes.schedule == papers.schedule
