"""A model that was trained here is used by its file alone, by its own settings and classes."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import pointrend_repro as pr
from pointrend_repro import cli
from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints import loading
from pointrend_repro.checkpoints.description import read_description
from pointrend_repro.checkpoints.known_models import known_model
from pointrend_repro.checkpoints.loading import load_known_model
from pointrend_repro.checkpoints.saved_models import SavedModel, build_model, save_model
from pointrend_repro.predictions.by_default import default_inference
from pointrend_repro.settings.schedule import InputSettings
from small_experiment import small_settings
from small_semantic_experiment import small_semantic_settings

CATEGORIES = [(4, "leaf"), (9, "stone")]
SMALL = InputSettings(test_short_edge_px=64, max_long_edge_px=96)
KINDS = {
    "4conv": small_settings("4conv").model,
    "pointrend": small_settings("pointrend").model,
    "deeplabv3": small_semantic_settings("deeplabv3").model,
}


def write_model(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.safetensors"
    save_model(path, SavedModel(build_model(KINDS[kind], len(CATEGORIES)), SMALL, CATEGORIES))
    return path


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("as_text", [False, True])
def test_the_file_is_enough(tmp_path: Path, kind: str, as_text: bool) -> None:
    path = write_model(tmp_path, kind)
    model = pr.load_model(str(path) if as_text else path)
    assert model.class_names == ["leaf", "stone"]
    assert model.saved.model.settings == KINDS[kind]
    found = model.predict(picture())
    if kind == "deeplabv3":
        assert found.labels.shape == (60, 90)
        assert set(np.unique(found.labels)) <= {0, 1}
    else:
        assert found.masks.shape[1:] == (60, 90)
        assert set(found.labels) <= {0, 1}


def test_masks_of_another_coarse_resolution_are_subdivided_as_often(tmp_path: Path) -> None:
    small = KINDS["pointrend"]
    head = small.mask_head.model_copy(update={"coarse_resolution": 13})
    settings = small.model_copy(update={"mask_head": head})
    path = tmp_path / "model.safetensors"
    save_model(path, SavedModel(build_model(settings, len(CATEGORIES)), SMALL, CATEGORIES))
    model = pr.load_model(path)
    assert model.inference.output_resolution == 416  # the 3D-FUTURE report's
    assert model.predict(picture()).masks.shape[1:] == (60, 90)


def test_under_a_known_name_a_model_trained_here_predicts_as_its_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name's 224x224 is no doubling of 13x13, and fewer doublings than were asked of 14x14."""
    name, small = "pointrend_r50_fpn_coco", KINDS["pointrend"]
    known = replace(known_model(name), model=small)
    monkeypatch.setattr(loading, "known_model", lambda _: known)
    for coarse, side in ((13, 416), (14, 448)):
        head = small.mask_head.model_copy(update={"coarse_resolution": coarse})
        settings = small.model_copy(update={"mask_head": head})
        path = tmp_path / f"{coarse}.safetensors"
        save_model(path, SavedModel(build_model(settings, 2), SMALL, CATEGORIES))
        assert default_inference(load_known_model(name, path)).output_resolution == side


@pytest.mark.parametrize("name", pr.list_models())
def test_a_converted_model_is_tested_as_the_known_one(name: str, tmp_path: Path) -> None:
    """By its file alone: R50-C4 keeps 1000 proposals at test time, of 2000 in training."""
    known = known_model(name)
    path = tmp_path / "model.safetensors"
    model = SimpleNamespace(settings=known.model, state_dict=dict, eval=lambda: model)
    save_model(path, loading._known(known, model))
    described = read_description(path)
    found = SavedModel(model, described.input, described.categories, inference=described.inference)
    assert default_inference(found) == known.inference
    assert type(described.inference) is type(known.inference)


def test_a_file_holds_its_weights(tmp_path: Path) -> None:
    path = write_model(tmp_path, "4conv")
    with pytest.raises(UserError, match="has its own weights; give no others"):
        pr.load_model(path, weights=path)
    with pytest.raises(UserError, match="no such file; train the model first"):
        pr.load_model(tmp_path / "missing.safetensors")


@pytest.mark.parametrize("kind", ["pointrend", "deeplabv3"])
def test_demo_by_the_file_alone(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, image, output = write_model(tmp_path, kind), tmp_path / "i.png", tmp_path / "o.png"
    Image.fromarray(picture()).save(image)
    arguments = ["demo", image, "--weights", weights, "--output", output, "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["pointrend-repro", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    with Image.open(output) as drawn:
        assert drawn.size == (90, 60)


def test_demo_says_what_weights_of_others_lack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "i.png"
    Image.fromarray(picture()).save(image)
    arguments = ["demo", image, "--weights", "model_final.pkl", "--output", tmp_path / "o.png"]
    monkeypatch.setattr(sys, "argv", ["pointrend-repro", *map(str, arguments)])
    with pytest.raises(SystemExit):
        cli.main()
    assert "model_final.pkl: does not say which model it is of; name it by --model" in (
        capsys.readouterr().err
    )


def test_the_version() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pointrend_repro", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"pointrend-repro {pr.__version__}\n"
    assert pr.__version__.count(".") == 2


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("name", ["model_final_edd263.pkl", "a.pth", "model.t7"])
def test_other_files_are_not_told_to_be_trained_again(
    tmp_path: Path, kind: type, name: str
) -> None:
    path = tmp_path / name
    path.touch()
    with pytest.raises(UserError, match=r"load_model\(NAME, weights=") as told:
        pr.load_model(kind(path))
    assert str(path) in str(told.value)
    assert "train it again" not in str(told.value)
