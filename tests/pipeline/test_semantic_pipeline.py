"""Semantic models from their configuration to a table, by the commands that the pipeline runs."""

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from config_files import PROTOCOL, config_file
from pointrend_repro import cli
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.checkpoints.saved_models import SavedModel, build_model, load_saved_model
from pointrend_repro.data.semantic import read_labelled_images
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.experiments.nodes import Evaluation, Prediction, Training
from pointrend_repro.predictions import label_maps as label_prediction
from pointrend_repro.predictions.label_maps import write_label_maps
from pointrend_repro.settings.schedule import InputSettings
from pointrend_repro.settings.semantic import SemanticInferenceSettings
from small_semantic_experiment import (
    DATASET,
    PRESET,
    make_streets,
    small_semantic_settings,
    write_semantic_config,
)

DEEPLABS = ["deeplabv3_r103", "deeplabv3_pointrend_r103"]
FPNS = [
    "semantic_fpn_r101",
    "semantic_fpn_pointrend_r101",
    "semantic_fpn_p3_r101",
    "semantic_fpn_p3_pointrend_r101",
]
TABLES = {"table6", "table7", "trimap"}


def refusal(load: Callable[[], object]) -> str:
    with pytest.raises(UserError) as told:
        load()
    assert "\n" not in str(told.value)
    return str(told.value)


# --- the grid --------------------------------------------------------------------------------


def expected(trials: int, dataset: str) -> set[Evaluation]:
    ways = [("deeplabv3_r103", "os16"), ("deeplabv3_r103", "os8")]
    ways += [(variant, "default") for variant in [DEEPLABS[1], *FPNS]]
    in_trimap = [("deeplabv3_r103", "os16")]
    in_trimap += [(variant, "default") for variant in [DEEPLABS[1], *FPNS[:2]]]
    asked = [(*way, "cityscapes_miou") for way in ways]
    asked += [(*way, "trimap_miou") for way in in_trimap]
    return {
        Evaluation(Prediction(Training(dataset, variant, trial), inference), metric)
        for variant, inference, metric in asked
        for trial in range(trials)
    }


@pytest.mark.parametrize(
    ("preset", "trials", "dataset"),
    # Section 5: "the median mIoU of 5 trials".
    [("paper", 5, "cityscapes"), ("smoke", 1, "generated_cityscapes")],
)
def test_exactly_what_the_semantic_tables_ask_for(preset: str, trials: int, dataset: str) -> None:
    cells = [cell for cell in load_grid(preset).cells if cell.table in TABLES]
    assert {e for cell in cells for e in cell.evaluations} == expected(trials, dataset)
    assert len(cells) == 3 + 4 + 4 * 3
    assert not any(cell.not_run_because for cell in cells)


def test_numbers_of_the_paper() -> None:
    """Tables 6 and 7, and Table 1 of the supplement, which repeats four of them."""
    tables = load_grid("paper").tables
    mious = {
        (row.variant, row.inference): row.paper["miou"]
        for name in ("table6", "table7")
        for row in tables[name].rows.values()
    }
    assert list(mious.values()) == [77.2, 77.8, 78.4, 77.7, 78.6, 77.4, 78.5]
    trimap = tables["trimap"].rows.values()
    assert all(row.paper["miou"] == mious[row.variant, row.inference] for row in trimap)
    assert [tuple(row.paper.values())[:2] for row in trimap] == [
        (42.4, 57.5),
        (47.3, 61.2),
        (47.0, 60.6),
        (48.6, 62.1),
    ]
    columns = tables["trimap"].columns
    # docs/trimap.md: the width is that on each side.
    assert (columns["trimap_8"].value, columns["trimap_20"].value) == ("mIoU@r=8", "mIoU@r=20")


# --- wrong configuration ---------------------------------------------------------------------


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    return write_semantic_config(tmp_path / "config")


def edit(path: Path, *keys: Any, value: Any) -> None:
    content = yaml.safe_load(path.read_text())
    part = content
    for key in keys[:-1]:
        part = part.setdefault(key, {})
    part[keys[-1]] = value
    path.write_text(yaml.safe_dump(content))


WRONG = [
    (
        "variants/deeplabv3_r103",
        ("model", "decoder", "chanels"),
        "unknown key model.decoder.deeplabv3.chanels; did you mean 'channels'?",
    ),
    (
        "variants/deeplabv3_r103",
        ("model", "mask_head"),
        "unknown key model.mask_head",
    ),
    (
        "variants/deeplabv3_r103",
        ("inference", "os8", "output_resolution"),
        "unknown key inference.os8.output_resolution; did you mean",
    ),
    ("variants/deeplabv3_r103", ("recipe",), "recipe: Input should be a valid string"),
    (
        PROTOCOL,
        ("cityscapes", "deeplabv3", "input", "crop"),
        "cityscapes.deeplabv3: unknown key input.crop; did you mean 'crop_px'?",
    ),
    (
        "presets/quick",
        ("overrides", "semantic", "input", "crop"),
        "unknown key input.crop; did you mean 'crop_px'?",
    ),
    (
        "presets/quick",
        ("overrides", "semantic", "decoder", "deeplab"),
        "decoder has no kind 'deeplab'; did you mean 'deeplabv3'?",
    ),
]


@pytest.mark.parametrize(("file", "keys", "told"), WRONG)
def test_wrong_keys_are_named_in_one_line(
    config_dir: Path, file: str, keys: tuple[str, ...], told: str
) -> None:
    edit(config_file(file, config_dir), *keys, value={"a": 1} if keys[-1] == "deeplab" else 1)
    message = refusal(lambda: load_grid(PRESET, config_dir))
    assert "/".join(config_file(file, config_dir).parts[-2:]) in message
    assert told in message


def test_a_recipe_that_the_data_set_lacks(config_dir: Path) -> None:
    edit(config_file("variants/deeplabv3_r103", config_dir), "recipe", value="deeplab")
    message = refusal(lambda: load_grid(PRESET, config_dir))
    assert "papers/pointrend/models/deeplabv3_r103.yaml on datasets/generated_city" in message
    assert "recipe 'deeplab' is not one of its paper's" in message
    assert "did you mean 'deeplabv3'?" in message


def test_a_metric_of_the_other_kind_of_model(config_dir: Path) -> None:
    table = config_file("tables/table6", config_dir)
    edit(table, "columns", "miou", "metric", value="cityscapes_ap")
    edit(table, "columns", "miou", "value", value="AP")
    assert "'deeplabv3_r103' is a semantic model, which metric cityscapes_ap does not" in refusal(
        lambda: load_grid(PRESET, config_dir)
    )
    edit(table, "columns", "miou", "metric", value="cityscapes_miou")
    edit(table, "columns", "miou", "value", value="mIoU")
    edit(table, "rows", "os16", "variant", value="mask_rcnn_r50_fpn")
    edit(table, "rows", "os16", "inference", value="default")
    assert "'mask_rcnn_r50_fpn' is an instance model, which metric cityscapes_miou" in refusal(
        lambda: load_grid(PRESET, config_dir)
    )


def test_coco_has_no_semantic_recipes(config_dir: Path) -> None:
    recipe = {"input": {"crop_px": [8, 8]}, "schedules": {}}
    edit(config_dir / "datasets/generated_coco.yaml", "semantic_recipes", value={"a": recipe})
    preset = config_dir / "presets/quick.yaml"
    edit(preset, "datasets", value={"cityscapes": "generated_coco"})
    assert "layout coco has no label images" in refusal(lambda: load_grid(PRESET, config_dir))


# --- predictions -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_streets(tmp_path_factory.mktemp("streets") / "data")


def untrained(categories: list[tuple[int, str]]) -> SavedModel:
    torch.manual_seed(0)
    model = build_model(small_semantic_settings().model, num_classes=len(categories))
    return SavedModel(model.eval(), InputSettings(test_short_edge_px=64), categories)


def test_label_maps_are_whole_or_as_before(
    streets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = read_labelled_images(streets, "val")
    saved = untrained([(c.id, c.name) for c in dataset.categories])
    folder = tmp_path / "labels"
    (folder / ".snakemake_timestamp").parent.mkdir()
    (folder / ".snakemake_timestamp").touch()
    write_label_maps(saved, dataset, SemanticInferenceSettings(), folder)
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"{image.id}_pred_labelIds.png" for image in dataset.images]
    for image in dataset.images:
        ids = np.array(Image.open(folder / f"{image.id}_pred_labelIds.png"))
        assert (ids.shape, ids.dtype) == ((image.height, image.width), np.uint8)
        assert set(np.unique(ids).tolist()) <= {c.id for c in dataset.categories}
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    calls: list[object] = []

    def fail_at_the_second(train_ids: Any) -> Any:
        calls.append(train_ids)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train_ids

    monkeypatch.setattr(label_prediction, "label_ids", fail_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        write_label_maps(saved, dataset, SemanticInferenceSettings(), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["labels"]


def test_a_folder_of_something_else_is_never_replaced(streets: Path, tmp_path: Path) -> None:
    dataset = read_labelled_images(streets, "val")
    saved = untrained([(c.id, c.name) for c in dataset.categories])
    (tmp_path / "thesis.tex").touch()
    message = refusal(
        lambda: write_label_maps(saved, dataset, SemanticInferenceSettings(), tmp_path)
    )
    assert "holds thesis.tex, which is not a predicted label image" in message
    assert (tmp_path / "thesis.tex").exists()
    file = tmp_path / "thesis.tex"
    assert "is a file" in refusal(
        lambda: write_label_maps(saved, dataset, SemanticInferenceSettings(), file)
    )


def test_a_model_for_other_classes_is_refused(streets: Path, tmp_path: Path) -> None:
    dataset = read_labelled_images(streets, "val")
    saved = untrained([(1, "cat"), (2, "dog")])
    message = refusal(
        lambda: write_label_maps(saved, dataset, SemanticInferenceSettings(), tmp_path / "labels")
    )
    assert "was trained for the categories (2: cat, dog), the data set has (19: road" in message


# --- from end to end -------------------------------------------------------------------------


def run(*arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pointrend-repro", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("variant", [DEEPLABS[0], FPNS[3]])
def test_train_predict_evaluate_and_report(
    streets: Path, config_dir: Path, tmp_path: Path, variant: str
) -> None:
    results = tmp_path / "results"
    where = ["--preset", PRESET, "--config-dir", str(config_dir)]
    what = ["--dataset", DATASET, "--variant", variant, "--data-root", str(streets)]
    cpu = ["--device", "cpu"]
    trial = results / PRESET / DATASET / variant / "trial0"
    model = trial / "model.safetensors"
    assert run("train", *where, *what, *cpu, "--trial", "0", "--output", str(model)) == 0
    saved = load_saved_model(model)
    assert [name for _, name in saved.categories[:2]] == ["road", "sidewalk"]
    assert type(saved.input) is InputSettings

    ways = ["os16", "os8"] if variant == DEEPLABS[0] else ["default"]
    for way in ways:
        labels = trial / way / "labels"
        files = ["--inference", way, "--model", str(model), "--output", str(labels)]
        fewer = ["--set", "semantic.inference.points_per_step=40"]
        assert run("predict", *where, *what, *cpu, *files, *fewer) == 0
        for metric in ("cityscapes_miou", "trimap_miou"):
            output = trial / way / f"{metric}.json"
            given = ["--ground-truth", str(streets), "--predictions", str(labels)]
            assert run("evaluate", metric, *given, "--output", str(output)) == 0
    official = read_json(trial / ways[0] / "cityscapes_miou.json")
    ours = read_json(trial / ways[0] / "trimap_miou.json")
    assert ours["values"]["mIoU"] == official["values"]["mIoU"]
    assert 0 <= ours["values"]["mIoU"] < 100
    origin = official["origin"]
    assert (origin["variant"], origin["inference"]) == (variant, ways[0])
    assert origin["train"]["settings"]["input"]["crop_px"] == [32, 64]
    points = 40 if "pointrend" in variant else 8096  # of no use to the others
    assert origin["predict"]["settings"]["points_per_step"] == points
    if variant == DEEPLABS[0]:  # the same weights, read more densely
        dense = read_json(trial / "os8" / "cityscapes_miou.json")["origin"]
        assert dense["predict"]["settings"]["output_stride"] == 8
        assert dense["train"] == origin["train"]

    folders = ["--results-dir", str(results)]
    assert run("collect", *where, *folders) == 0
    assert run("report", *where, *folders, "--reports-dir", str(tmp_path / "reports")) == 0
    name = "table6" if variant == DEEPLABS[0] else "table7"
    with (tmp_path / "reports" / PRESET / "tables" / f"{name}.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert sum(row["status"] == "no-claim" for row in rows) == len(ways)
    assert float(rows[0 if variant == DEEPLABS[0] else 3]["paper"]) in (77.2, 78.5)


def test_there_is_no_mask_head_to_count(
    config_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    what = ["--preset", PRESET, "--variant", DEEPLABS[1], "--inference", "default"]
    where = ["--config-dir", str(config_dir), "--output", str(config_dir / "cost.json")]
    assert run("cost", *what, *where) == 2
    told = "_r103.yaml: metric mask_head_cost counts nothing of a semantic model"
    assert told in capfd.readouterr().err


def test_detectors_do_not_label_streets(
    streets: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Predictions of the wrong kind are told, not scored."""
    predictions = tmp_path / "predictions.json"
    predictions.write_text(json.dumps([]))
    predictions.with_suffix(".origin.json").write_text("{}")
    given = ["--ground-truth", str(streets), "--predictions", str(predictions)]
    assert run("evaluate", "trimap_miou", *given, "--output", str(tmp_path / "m.json")) == 2
    assert "no such folder; give the folder of the predicted images" in capfd.readouterr().err
