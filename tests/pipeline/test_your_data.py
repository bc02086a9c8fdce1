"""Own data, from a folder to the plan of `preset=mine` (docs/your_data.md)."""

import dataclasses
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pointrend_repro.base.digests import content_digest
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.base.origins import origin_path
from pointrend_repro.base.texts import visible
from pointrend_repro.checkpoints.loading import save_detectron2
from pointrend_repro.checkpoints.saved_models import SavedModel, build_model, load_saved_model
from pointrend_repro.config.datasets import Dataset
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.config.reading import load_dataset
from pointrend_repro.data.check import describe_dataset
from pointrend_repro.data.coco import Category, read_coco
from pointrend_repro.data.generated.cityscapes_layout import generate_cityscapes
from pointrend_repro.data.paths import UserData, data_paths
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.figures.objects import choose_objects
from pointrend_repro.settings.generated import GeneratedSettings
from pointrend_repro.tools.survey.inspecting import Survey, inspect_folder
from pointrend_repro.tools.survey.writing import to_yaml
from small_experiment import OVERRIDES, Run, small_settings
from working_copy import REPOSITORY, WorkingCopy, make_copy

Builder = Callable[..., Path]


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CONFIG_DIR, tmp_path / "clone/config"))


@pytest.fixture(scope="module")
def surveyed(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    """Of a small folder in Cityscapes' layout, which is drawn in a second."""
    root = tmp_path_factory.mktemp("own") / "streets"
    size = {"width_px": 96, "height_px": 48, "classes": 8}
    generate_cityscapes(root, GeneratedSettings(train_images=3, val_images=2, **size))
    return inspect_folder(root)


# --- from the folder to the file -------------------------------------------------------------


def test_the_file_is_written_and_the_pipeline_takes_it(
    run: Run, coco_builder: Builder, config_dir: Path, tmp_path: Path
) -> None:
    root = coco_builder(root=tmp_path / "my data: #1")
    where = ("--config-dir", config_dir)
    code, told, _ = run("data", "check", root, "--write", *where)
    assert code == 0
    assert "preset=mine_quick" in told
    path = config_dir / "datasets/mine.yaml"
    assert f"Written: {path}" in told
    dataset = load_dataset("mine", config_dir)
    assert (dataset.title, dataset.root) == ("my data: #1", str(root))
    assert dataset.classes == ("rectangle", "triangle", "diamond")  # ids 3, 7 and 20
    assert dataset.num_classes == 3
    assert dataset.metrics is not None
    assert {"boundary_ap", "coco_ap", "coco_box_ap"} <= set(dataset.metrics)
    assert "lvis_ap_star" not in dataset.metrics
    output = tmp_path / "dataset.json"
    assert run("data", "check", "--dataset", "mine", "--output", output, *where)[0] == 0
    assert json.loads(output.read_text())["categories"] == list(dataset.classes)


def test_nothing_is_overwritten(
    run: Run, coco_builder: Builder, config_dir: Path, tmp_path: Path
) -> None:
    root, where = coco_builder(), ("--config-dir", config_dir)
    path = config_dir / "datasets/coco.yaml"
    before = path.read_text()
    code, told, error = run("data", "check", root, "--write", "--name", "coco", *where)
    assert (code, told) == (2, "")  # before anything is read
    assert error == (
        f"pointrend-repro: error: {path}: exists already; remove it, or choose another --name\n"
    )
    assert path.read_text() == before
    (config_dir / "datasets/mine.yaml").symlink_to(tmp_path / "nowhere")
    assert run("data", "check", root, "--write", *where)[0] == 2
    assert not (tmp_path / "nowhere").exists()
    for name in ("../up", "Mine", "a b", ""):
        code, _, error = run("data", "check", root, "--write", "--name", name, *where)
        assert (code, "lowercase letters" in error) == (2, True)


def test_with_something_to_mend_nothing_is_written(
    run: Run, coco_builder: Builder, config_dir: Path, tmp_path: Path
) -> None:
    root = coco_builder()
    (root / "train2017/000000000002.jpg").unlink()
    (root / "val2017/000000001001.jpg").write_bytes(b"\xff\xd8")
    output = tmp_path / "found.json"
    arguments = ("--write", "--output", output, "--config-dir", config_dir)
    code, told, error = run("data", "check", root, *arguments)
    assert code == 2
    assert error.endswith(f"error: {root}: 2 to mend, named above; then say the same again\n")
    assert "Traceback" not in error
    assert "000000000002.jpg is not on disk" in told
    assert "000000001001.jpg: not a whole image" in told
    assert not (config_dir / "datasets/mine.yaml").exists()
    found = json.loads(output.read_text())
    assert [f["must_mend"] for f in found["findings"]].count(True) == 2
    assert found["proposal"]["recipe"]["optimizer"]["base_lr"] == 0.01


def test_a_folder_or_a_name_but_not_both(run: Run, coco_builder: Builder) -> None:
    for arguments in ([], [coco_builder(), "--dataset", "coco"], ["--dataset", "coco"]):
        code, _, error = run("data", "check", *arguments)
        assert (code, "as in `data check FOLDER`" in error) == (2, True)


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ODD_NAMES = st.sampled_from(["yes", "~", "1e3", "a: b", "#", "- x", "", "\u2028", "\x85", "\x00😀"])


@given(names=st.lists(words | ODD_NAMES, min_size=8, max_size=8), title=words | ODD_NAMES)
@settings(max_examples=60, deadline=None)
def test_names_come_back_from_the_file_as_they_are(
    surveyed: Survey, names: list[str], title: str
) -> None:
    train = dataclasses.replace(
        surveyed.splits["train"], categories=tuple(Category(k, n) for k, n in enumerate(names))
    )
    title = title.replace("/", "").replace("\x00", "")
    survey = dataclasses.replace(
        surveyed,
        root=surveyed.root.parent / title,
        splits=surveyed.splits | {"train": train},
        layout="coco",
        metrics=("coco_ap",),
    )
    text = to_yaml(survey, clone=Path("/clone"))
    assert len(text.splitlines()) == text.count("\n")  # nothing broke a line
    dataset = Dataset.model_validate(yaml.safe_load(text))
    assert dataset.classes == tuple(names)
    assert dataset.root == str(survey.root)
    assert dataset.title == visible(survey.root.name)
    assert survey.proposal is not None
    assert dataset.recipe == survey.proposal.recipe


def test_a_folder_in_the_clone_is_written_relative_to_it(surveyed: Survey) -> None:
    text = to_yaml(surveyed, clone=surveyed.root.parents[1])
    assert yaml.safe_load(text)["root"] == f"{surveyed.root.parent.name}/streets"


# --- what the pipeline checks of it ----------------------------------------------------------


def own(root: Path, **changes: object) -> Dataset:
    recipe = {"schedules": {"1x": {"total_iters": 9}}}
    values = {"title": "x", "layout": "coco", "root": str(root), "num_classes": 3}
    return Dataset.model_validate(values | {"recipe": recipe} | changes)


def refusal(do: Callable[[], object]) -> str:
    with pytest.raises((UserError, ValueError)) as told:
        do()
    return str(told.value)


def test_classes_and_areas_are_checked_before_anything_is_trained(coco_builder: Builder) -> None:
    root = coco_builder()

    def check(**changes: object) -> object:
        dataset = own(root, **changes)
        return describe_dataset("mine", dataset, data_paths("mine", dataset, UserData()))

    check(classes=["rectangle", "triangle", "diamond"])
    told = refusal(lambda: check(classes=["rectangle", "square", "diamond"]))
    assert "the first is 'triangle' for 'square'" in told
    path = root / "annotations/instances_val2017.json"
    document = json.loads(path.read_text())
    del document["annotations"][1]["area"]
    path.write_text(json.dumps(document))
    told = refusal(check)
    assert f"{path}: annotation {document['annotations'][1]['id']} has no 'area'" in told
    document["annotations"][1]["area"] = -1
    path.write_text(json.dumps(document))
    told = refusal(check)
    assert f"{path}: annotation {document['annotations'][1]['id']} has area -1; write" in told


def test_metrics_and_classes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    assert "layout coco can be scored by boundary_ap, coco_ap, " in refusal(
        lambda: own(tmp_path, metrics=["coco_ap", "cityscapes_ap"])
    )
    assert "metrics has none" in refusal(lambda: own(tmp_path, metrics=[]))
    told = refusal(lambda: own(tmp_path, classes=["a", "b"]))
    assert "num_classes 3, but 2 names in classes" in told


# --- the plan --------------------------------------------------------------------------------


def grid_of(config_dir: Path, root: Path, **changes: object) -> Grid:
    values = own(root, **changes).model_dump(mode="json", exclude_unset=True)
    (config_dir / "datasets/mine.yaml").write_text(yaml.safe_dump(values))
    return load_grid("mine", config_dir)


def test_columns_are_the_data_sets_metrics(config_dir: Path, tmp_path: Path) -> None:
    grid = grid_of(config_dir, tmp_path)
    assert list(grid.tables["mine"].columns) == ["ap", "ap50", "ap75", "boundary_ap"]
    assert (len(grid.trainings), len(grid.predictions), len(grid.evaluations)) == (4, 7, 14)
    grid = grid_of(config_dir, tmp_path, metrics=["boundary_ap"])
    assert list(grid.tables["mine"].columns) == ["boundary_ap"]
    assert len(grid.evaluations) == 7
    grid = grid_of(config_dir, tmp_path, layout="cityscapes")
    assert list(grid.tables["mine"].columns)[-2:] == ["boundary_ap_cityscapes", "cityscapes_ap"]
    assert len(grid.evaluations) == 28


def test_fine_tuning_from_a_file_of_detectron2s(
    run: Run, config_dir: Path, coco_builder: Builder, tmp_path: Path
) -> None:
    """By the lines of docs/your_data.md, on the quick preset made narrower still."""
    root = coco_builder(root=tmp_path / "coco")
    grid_of(config_dir, root, num_classes=None)
    preset = config_dir / "presets/mine.yaml"
    lines = "  start_from: {weights: FILE, parts: [backbone, rpn]}"
    assert lines in (REPOSITORY / "docs/your_data.md").read_text()
    weights = tmp_path / "theirs.pkl"
    overrides = OVERRIDES | {"start_from": yaml.safe_load(lines.replace("FILE", str(weights)))}
    overrides["start_from"] = overrides["start_from"]["start_from"]
    overrides["schedule"] = {"total_iters": 1, "lr_drop_iters": []}
    values = yaml.safe_load(preset.read_text()) | {"overrides": overrides, "needs_gpu": False}
    preset.write_text(yaml.safe_dump(values))
    trained = small_settings()
    theirs = build_model(trained.model, num_classes=80)
    save_detectron2(weights, SavedModel(theirs, trained.input, [(k, str(k)) for k in range(80)]))
    content = pickle.loads(weights.read_bytes())
    del content["pointrend_repro"]  # which only files of ours have
    weights.write_bytes(pickle.dumps(content))

    output = tmp_path / "trial0/model.safetensors"
    where = ("--preset", "mine", "--dataset", "mine", "--trial", 0, "--config-dir", config_dir)
    command = ("train", *where, "--device", "cpu", "--output", output)
    code, _, told = run(*command, "--variant", "pointrend_r50_fpn")
    assert code == 0, told
    found = load_saved_model(output).model.state_dict()
    for name, tensor in theirs.rpn.state_dict().items():
        assert torch.allclose(found[f"rpn.{name}"], tensor, atol=0.05)
    record = read_json(origin_path(output))["train"]["started_from"]
    assumed = record.pop("assumed")  # what detectron2's files do not tell
    assert set(assumed) == {"channel_order", "stride_in_1x1"}
    assert record == {"file": str(weights), "input_digest": content_digest(weights)}
    preset.write_text(preset.read_text().replace("- rpn", "- box_head"))
    code, _, told = run(*command, "--variant", "mask_rcnn_r50_fpn")
    assert (code, len([ln for ln in told.splitlines() if "error: " in ln])) == (2, 1)
    assert "box_head.bbox_pred" in told
    assert "start_from.leave_out" in told


def test_a_table_without_a_column_is_refused(config_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tables/mine.yaml: none of its metrics .* of mine"):
        grid_of(config_dir, tmp_path, metrics=["lvis_ap_star"])


def test_only_the_schedule_of_the_quick_one_is_quick(config_dir: Path, tmp_path: Path) -> None:
    slow = grid_of(config_dir, tmp_path)
    quick = load_grid("mine_quick", config_dir)
    assert quick.trainings == slow.trainings
    assert quick.evaluations == slow.evaluations
    assert slow.training_settings("mine", "pointrend_r50_fpn").schedule.total_iters == 9
    assert quick.preset.warning
    assert slow.preset.warning is None


@pytest.fixture
def copy(tmp_path: Path) -> WorkingCopy:
    copy = make_copy(tmp_path / "clone")
    for name in ("presets/mine.yaml", "presets/mine_quick.yaml"):
        shutil.copy(REPOSITORY / "config" / name, copy.folder / "config" / name)
    return copy


def test_without_the_file_one_line_says_which_command_makes_it(copy: WorkingCopy) -> None:
    done = copy.snakemake("--dry-run", "--config", "preset=mine")
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert lines == [
        "error: there is no dataset 'mine' in config/datasets; `pointrend-repro data check FOLDER "
        "--name mine --write` makes it of a folder of yours (docs/your_data.md)"
    ]


TABLE = {
    "check_data": 1,
    "check_data_again": 1,
    "train": 4,
    "predict": 7,  # PointRend at four resolutions
    "draw_picture": 3,
    "thin_logs": 1,
    "collect": 1,
    "judge_claims": 1,
    "report": 1,
    "all": 1,
}


def test_plans_of_both_layouts(copy: WorkingCopy, run: Run, coco_builder: Builder) -> None:
    where = ("--config-dir", copy.folder / "config")
    assert run("data", "check", coco_builder(), "--write", *where)[0] == 0
    assert copy.plan("--config", "preset=mine_quick") == TABLE | {"evaluate_boundary_ap_coco_ap": 7}


def test_images_at_the_top_of_a_folder_below_data(
    copy: WorkingCopy, run: Run, coco_builder: Builder
) -> None:
    """As VIA and Label Studio export them: `data/mine` is then an input, and no rule's output."""
    config = copy.folder / "config"
    root = coco_builder(root=copy.folder / "data/mine")
    assert run("data", "check", root, "--write", "--config-dir", config)[0] == 0
    dataset = config / "datasets/mine.yaml"
    content = yaml.safe_load(dataset.read_text()) | {"train_images": ".", "val_images": "."}
    assert content["root"] == "data/mine"
    dataset.write_text(yaml.safe_dump(content))
    assert copy.plan("--config", "preset=mine_quick") == TABLE | {"evaluate_boundary_ap_coco_ap": 7}


def test_plan_of_streets(copy: WorkingCopy, run: Run, surveyed: Survey) -> None:
    where = ("--config-dir", copy.folder / "config")
    assert run("data", "check", surveyed.root, "--write", *where)[0] == 0
    metrics = "boundary_ap_boundary_ap_cityscapes_cityscapes_ap_coco_ap"
    more = {f"evaluate_{metrics}": 7, "prepare_cityscapes": 1}
    jobs = copy.plan("--config", "preset=mine")
    assert jobs == TABLE | more | {"fetch_data": 1}  # ImageNet's weights


# --- pictures --------------------------------------------------------------------------------


def test_pictures_show_objects_that_are_annotated_by_rle(coco_builder: Builder) -> None:
    """As Cityscapes' are: the outline is traced, and is what a polygon's would be."""
    drawn = coco_builder()

    def mutate(document: dict) -> None:
        width, height = 64, 48
        for entry in document["annotations"]:
            xs, ys = entry["segmentation"][0][::2], entry["segmentation"][0][1::2]
            mask = np.zeros((height, width), bool)
            mask[int(min(ys)) : int(max(ys)), int(min(xs)) : int(max(xs))] = True
            if entry["id"] % 3 == 0:
                mask[:, (int(min(xs)) + int(max(xs))) // 2] = False  # two parts
            flat = np.concatenate([[False], mask.T.ravel(), [False]])
            edges = np.flatnonzero(flat[1:] != flat[:-1])
            runs = np.diff(np.concatenate([[0], edges, [mask.size]])).tolist()
            entry["segmentation"] = {"size": [height, width], "counts": runs}

    boxed = coco_builder(root=drawn.with_name("boxed"), mutate=mutate)
    dataset = read_coco(boxed / "val2017", boxed / "annotations/instances_val2017.json")
    (shown,) = choose_objects(dataset, 1)
    x0, y0, x1, y1 = map(int, shown.annotation.box)
    assert shown.outline.min(axis=0).tolist() == [x0 + 0.5, y0 + 0.5]
    assert shown.outline.max(axis=0).tolist() == [x1 - 0.5, y1 - 0.5]
    assert shown.annotation.segmentation["counts"]
