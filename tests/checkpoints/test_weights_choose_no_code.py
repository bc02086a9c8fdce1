"""A file of weights names a plug-in head: nothing is imported unless the user has named it too."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import pointrend_repro as pr
from pointrend_repro import cli
from pointrend_repro.base.digests import content_digest
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import write_json
from pointrend_repro.checkpoints.description import METADATA_KEY
from pointrend_repro.checkpoints.saved_models import (
    SavedModel,
    build_model,
    load_saved_model,
    save_model,
)
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.figures.making import load_models
from pointrend_repro.settings.instances import ModelSettings
from pointrend_repro.settings.schedule import InputSettings
from small_experiment import DATASET, OVERRIDES, PRESET, VARIANT, write_small_config

HEAD = "innocent_looking:Head"
KNOWN = "mask_rcnn_r50_fpn_coco"

MODULE = """
from pathlib import Path
from pointrend_repro.modeling.mask_heads.conv4 import Conv4Head
from pointrend_repro.settings.heads import Conv4HeadSettings

Path("WAS_HERE").touch()


class Head(Conv4Head):
    def __init__(self, *, in_channels, trunk_channels, num_classes, channels=8):
        settings = Conv4HeadSettings(kind="4conv", channels=channels)
        super().__init__(in_channels, num_classes, settings)
"""


def model_settings(mask_head: dict[str, Any]) -> ModelSettings:
    return ModelSettings.model_validate(OVERRIDES["model"] | {"mask_head": mask_head})


def plugin(**settings: Any) -> dict[str, Any]:
    return {"kind": "plugin", "head": HEAD, "settings": settings}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a module in it, and a model that names a class of the module."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p and Path(p) != tmp_path])
    monkeypatch.delitem(sys.modules, "innocent_looking", raising=False)
    (tmp_path / "innocent_looking.py").write_text(MODULE)
    write_model(tmp_path / "evil.safetensors", named=plugin(channels=8))
    Image.new("RGB", (64, 48)).save(tmp_path / "picture.png")
    return tmp_path


def write_model(path: Path, *, named: dict[str, Any]) -> None:
    """Write a model with the 4x conv head, whose metadata name another."""
    size = InputSettings(test_short_edge_px=64, max_long_edge_px=96)
    built = build_model(model_settings({"kind": "4conv", "channels": 8}), num_classes=3).eval()
    save_model(path, SavedModel(built, size, [(3, "a"), (7, "b"), (20, "c")]))
    change_metadata(path, lambda metadata: metadata["model"].update(mask_head=named))


def change_metadata(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    metadata = json.loads(metadata_of(path))
    change(metadata)
    save_file(load_file(path), path, {METADATA_KEY: json.dumps(metadata)})


def metadata_of(path: Path) -> str:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return str(file.metadata()[METADATA_KEY])


def assert_nothing_ran(folder: Path) -> None:
    assert not (folder / "WAS_HERE").exists()
    assert "innocent_looking" not in sys.modules
    assert str(folder) not in sys.path


def run(monkeypatch: pytest.MonkeyPatch, command: str) -> int:
    monkeypatch.setattr(sys, "argv", ["pointrend-repro", *command.split()])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (
            f"demo picture.png --model {KNOWN} --weights evil.safetensors --output o.png",
            "mask head plugin, but",
        ),
        ("export evil.safetensors --format torchscript --output o.pt", "name it yourself"),
        (
            f"export {KNOWN} --weights evil.safetensors --format torchscript --output o.pt",
            "mask head plugin, but",
        ),
        (f"convert evil.safetensors o.pkl --model {KNOWN}", "mask head plugin, but"),
        (
            "export evil.safetensors --head other:Head --format torchscript --output o.pt",
            "with the plug-in head 'innocent_looking:Head', not 'other:Head'",
        ),
    ],
)
def test_commands(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    told: str,
) -> None:
    assert run(monkeypatch, command) == 2
    assert told in capsys.readouterr().err
    assert_nothing_ran(folder)


def test_the_package(folder: Path) -> None:
    with pytest.raises(UserError, match="mask head plugin"):
        pr.load_model(KNOWN, folder / "evil.safetensors")
    with pytest.raises(UserError, match="which a file of weights cannot choose"):
        load_saved_model(folder / "evil.safetensors")
    assert_nothing_ran(folder)


def test_steps_of_the_pipeline(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    coco_builder: Callable[..., Path],
) -> None:
    data = coco_builder(root=folder / "data")
    config = write_small_config(folder / "config")
    grid = load_grid(PRESET, config)
    for training in grid.trainings:
        model = folder / f"results/{PRESET}/{training.folder}/model.safetensors"
        model.parent.mkdir(parents=True, exist_ok=True)
        write_model(model, named=plugin(channels=8))
        made = {"settings_digest": "0", "git_commit": None, "code_digest": "0"}
        made["output_digest"] = content_digest(model)
        of = {"dataset": training.dataset, "variant": training.variant, "trial": training.trial}
        write_json(model.with_suffix(".origin.json"), of | {"train": made})
    what = f"--preset {PRESET} --dataset {DATASET} --variant {VARIANT} --config-dir config"
    where = f"--data-root {data} --device cpu"
    model = f"results/{PRESET}/{DATASET}/{VARIANT}/trial0/model.safetensors"
    asked = f"--inference res224 --model {model} --output p.json"
    assert run(monkeypatch, f"predict {what} {where} {asked}") == 2
    assert "was trained with other settings than are configured" in capsys.readouterr().err
    with pytest.raises(UserError, match="other settings than are configured"):
        load_models(grid, {"only": grid.trainings[0]}, folder / f"results/{PRESET}")
    assert_nothing_ran(folder)


def test_a_head_that_the_user_names_is_built(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "evil.safetensors"
    ours = model_settings(plugin(channels=8))
    for other in (plugin(channels=4), plugin(), {"kind": "4conv", "channels": 8}):
        with pytest.raises(UserError, match=r"configured \(mask_head\."):
            load_saved_model(path, configured=model_settings(other))
    assert_nothing_ran(folder)
    saved = load_saved_model(path, configured=ours)
    assert type(saved.model.mask_head).__name__ == "Head"
    assert (folder / "WAS_HERE").exists()
    assert (
        run(monkeypatch, f"export {path.name} --head {HEAD} --format torchscript --output o.pt")
        == 0
    )
    assert (folder / "o.pt").exists()


def broken(change: Callable[[dict[str, Any]], Any]) -> Callable[[str], str]:
    def changed(text: str) -> str:
        metadata = json.loads(text)
        new = change(metadata)
        return json.dumps(metadata if new is None else new)

    return changed


def section(name: str, **values: Any) -> Callable[[str], str]:
    def change(metadata: dict[str, Any]) -> None:
        found = metadata["model"]
        for part in name.split("."):
            found = found[part]
        found.update(values)

    return broken(change)


DAMAGES: dict[str, Callable[[str], str]] = {
    "no JSON": lambda _: "{",
    "empty": lambda _: "",
    "a list": lambda _: "[1, 2]",
    "a number": lambda _: "1",
    "deep": lambda _: "[" * 100_000 + "]" * 100_000,
    "deep settings": lambda text: text.replace('"settings": {}', '"settings": ' + "[" * 99999),
    "long": lambda text: text + " " * 4_000_000,
    "no model": broken(lambda m: m.pop("model") and None),
    "unknown key": broken(lambda m: m.update(code="x")),
    "terminal": broken(lambda m: m.update({"\x1b[31m\u202e": 1})),
    "model: 1": broken(lambda m: m.update(model=1)),
    "model: list": broken(lambda m: m.update(model=["decoder"])),
    "input: 1": broken(lambda m: m.update(input=1)),
    "categories: 5": broken(lambda m: m.update(categories=5)),
    "categories: [1]": broken(lambda m: m.update(categories=[1])),
    "categories: []": broken(lambda m: m.update(categories=[])),
    "categories: [[1]]": broken(lambda m: m.update(categories=[[1]])),
    "a thousand wrong": broken(lambda m: m.update(categories=[1] * 100_000)),
    "image of any size": broken(lambda m: m["input"].update(test_short_edge_px=10**9)),
    "number of any size": lambda text: text.replace("64", "9" * 5000),
    "wider": section("backbone", fpn_channels=10**6),
    "wide beyond reason": section("backbone", fpn_channels=10**17),
    "head": section("mask_head", channels=10**5),
    "RoI of any size": section("mask_head", roi_resolution=10**6),
    "no mean": section("backbone", pixel_mean=[float("nan"), 1, 1]),
    "no deviation": section("backbone", pixel_std=[0, 1, 1]),
    "another kind": section("mask_head", kind="pointrend"),
    "path": broken(lambda m: m["model"].update(mask_head=plugin() | {"head": "../x:Y"})),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_metadata_that_are_none_are_one_line(folder: Path, damage: str) -> None:
    path = folder / "model.safetensors"
    write_model(path, named={"kind": "4conv", "channels": 8})
    save_file(load_file(path), path, {METADATA_KEY: DAMAGES[damage](metadata_of(path))})
    if damage == "deep settings":
        write_model(path, named=plugin())
        save_file(load_file(path), path, {METADATA_KEY: DAMAGES[damage](metadata_of(path))})
    for load in (load_saved_model, lambda p: pr.load_model(KNOWN, p)):
        with pytest.raises(UserError) as error:
            load(path)
        told = str(error.value)
        assert told.startswith(f"{path}: ")
        assert len(told) < 600
        assert told.isprintable()
    assert_nothing_ran(folder)


def test_settings_ask_for_no_memory_before_they_fit(folder: Path) -> None:
    """The widest of these models would take 40 GB."""
    path = folder / "model.safetensors"
    write_model(path, named={"kind": "4conv", "channels": 8})
    for channels in (10**4, 10**5, 10**9):
        change_metadata(
            path, lambda m, c=channels: m["model"]["detector"].update(box_head_channels=c)
        )
        with pytest.raises(UserError, match="does not fit its settings"):
            load_saved_model(path)


def test_what_fits_is_loaded(folder: Path) -> None:
    path = folder / "model.safetensors"
    write_model(path, named={"kind": "4conv", "channels": 8})
    saved = load_saved_model(path, configured=model_settings({"kind": "4conv", "channels": 8}))
    assert saved.categories == [(3, "a"), (7, "b"), (20, "c")]
    state = saved.model.state_dict()
    for name, values in load_file(path).items():
        assert torch.equal(state[name], values)
    assert_nothing_ran(folder)
