import copy
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from config_files import KINDS, PROTOCOL, config_file
from pointrend_repro.base.errors import UserError
from pointrend_repro.config.datasets import Layout
from pointrend_repro.config.finding import files_of
from pointrend_repro.config.reading import (
    CONFIG_DIR,
    load_dataset,
    load_preset,
    load_table,
    load_variant,
    read_yaml,
)
from pointrend_repro.data.paths import UserData, data_paths, paths_of_all
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.pipeline.workflow import WorkflowConfig, read_workflow_config
from pointrend_repro.settings.at_test import detector_at_test
from pointrend_repro.settings.backbone import BackboneSettings
from pointrend_repro.settings.heads import PointRendHeadSettings

LOADERS = {
    "presets": load_preset,
    "variants": load_variant,
    "datasets": load_dataset,
    "tables": load_table,
}
SHIPPED = [(kind, name) for kind in LOADERS for name in files_of(KINDS[kind], CONFIG_DIR)]


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CONFIG_DIR, tmp_path / "config"))


def edit(path: Path, *keys: Any, value: Any) -> None:
    """Set the value at a path of keys in a YAML file."""
    content = yaml.safe_load(path.read_text())
    part = content
    for key in keys[:-1]:
        part = part.setdefault(key, {})
    part[keys[-1]] = value
    path.write_text(yaml.safe_dump(content))


def refusal(load: Callable[[], object]) -> str:
    with pytest.raises(UserError) as told:
        load()
    assert "\n" not in str(told.value)
    return str(told.value)


@pytest.mark.parametrize(("kind", "name"), SHIPPED)
def test_every_shipped_file_loads(kind: str, name: str) -> None:
    assert LOADERS[kind](name).title


# Of a data set that users bring: tests/pipeline/test_your_data.py.
OWN = {"mine", "mine_quick"}


@pytest.mark.parametrize("name", [n for kind, n in SHIPPED if kind == "presets" and n not in OWN])
def test_every_preset_resolves(name: str) -> None:
    grid = load_grid(name)
    assert grid.trainings
    for training in grid.trainings:
        settings = grid.training_settings(training.dataset, training.variant)
        variant = grid.variants[training.variant]
        assert type(settings.model) is type(variant.model)
        for part in ("mask_head", "decoder"):
            if hasattr(getattr(variant.model, part, None), "kind"):  # cascades' masks have one
                assert getattr(settings.model, part).kind == getattr(variant.model, part).kind


@pytest.mark.parametrize("name", ["mini", "mini_3dfuture", "mini_pictures", "smoke"])
def test_scaled_detectors_have_equally_many_proposals(name: str) -> None:
    """Rows of a table would otherwise differ by more than they say."""
    grid = load_grid(name, papers=["3dfuture"] if name == "smoke" else [])
    numbers = set()
    for prediction in grid.predictions:
        training = prediction.training
        model = grid.training_settings(training.dataset, training.variant).model
        if hasattr(model, "detector"):
            test = grid.inference_settings(training.variant, prediction.inference).test
            in_training = model.detector.rpn_post_nms_train or model.detector.rpn_post_nms
            numbers.add((in_training, detector_at_test(model.detector, test).rpn_post_nms))
    assert len(numbers) == 1, numbers


def test_preset_paper_is_the_paper() -> None:
    """Nothing is scaled: section 4 and the supplement, and the ImageNet weights of MSRA."""
    grid = load_grid("paper")
    assert grid.preset.warning is None
    settings = grid.training_settings("coco", "pointrend_r50_fpn")
    head = settings.model.mask_head
    assert isinstance(head, PointRendHeadSettings)
    assert (head.coarse_resolution, head.train_points) == (7, 14 * 14)
    assert (head.oversample_ratio, head.importance_ratio) == (3, 0.75)
    assert settings.model.backbone == BackboneSettings(
        name="resnet50", weights="data/imagenet/R-50.pkl"
    )
    assert settings.optimizer.model_dump() == {
        "images_per_batch": 16,
        "images_per_step": 2,
        "precision": "fp32",
        "base_lr": 0.02,
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "bias_lr_factor": 1.0,
        "bias_weight_decay": None,
        "warmup_iters": 1000,
        "warmup_start_lr": 0.001,
        "clip_norm": None,
        "on_non_finite_loss": "stop",
        "max_skipped_updates": 20,
    }
    assert settings.input.train_short_edges_px == tuple(range(640, 801, 32))
    assert (settings.input.test_short_edge_px, settings.input.flip_probability) == (800, 0.5)
    assert settings.schedule.total_iters == 90_000
    inference = grid.inference_settings("pointrend_r50_fpn", "res224")
    assert (inference.output_resolution, inference.points_per_step) == (224, 28 * 28)


def test_overrides_of_a_preset_are_merged_by_key() -> None:
    settings = load_grid("smoke").training_settings("generated_coco", "pointrend_r50_fpn")
    assert settings.model.backbone.name == "resnet18_narrow"
    assert settings.model.backbone.weights is None
    assert settings.model.backbone.channel_order == "BGR"  # not overridden
    assert settings.model.mask_head.kind == "pointrend"
    assert settings.optimizer.base_lr == 0.01
    assert settings.optimizer.momentum == 0.9  # not overridden
    assert settings.schedule.lr_drop_iters == (8,)


UNKNOWN_KEYS = [
    ("variants/pointrend_r50_fpn", ("sourc",), "sourc", "source"),
    ("variants/pointrend_r50_fpn", ("model", "backbone", "nrom"), "model.backbone.nrom", "norm"),
    (
        "variants/pointrend_r50_fpn",
        ("model", "mask_head", "train_point"),
        "model.mask_head.pointrend.train_point",
        "train_points",
    ),
    (
        "variants/pointrend_r50_fpn",
        ("inference", "res28", "output_resolutoin"),
        "inference.res28.output_resolutoin",
        "output_resolution",
    ),
    ("datasets/coco", ("num_clases",), "num_clases", "num_classes"),
    (
        PROTOCOL,
        ("coco", "instances", "optimizer", "base_rl"),
        "optimizer.base_rl",
        "base_lr",
    ),
    (
        "datasets/generated_coco",
        ("generate", "train_image"),
        "generate.train_image",
        "train_images",
    ),
    ("tables/table1", ("captoin",), "captoin", "caption"),
    (
        "tables/table1",
        ("columns", "coco_ap", "tolerence"),
        "columns.coco_ap.tolerence",
        "tolerance",
    ),
    ("tables/table1", ("rows", "4conv_28", "variants"), "rows.4conv_28.variants", "variant"),
    ("presets/smoke", ("trails",), "trails", "trials"),
    ("presets/smoke", ("overrides", "optimiser"), "overrides.optimiser", "optimizer"),
    (
        "presets/smoke",
        ("overrides", "model", "backbone", "fpn_chanels"),
        "model.backbone.fpn_chanels",
        "fpn_channels",
    ),
    (
        "presets/smoke",
        ("overrides", "mask_head", "pointrend", "point_chanels"),
        "model.mask_head.pointrend.point_chanels",
        "point_channels",
    ),
    ("presets/smoke", ("overrides", "schedule", "total_iter"), "schedule.total_iter", "total_iter"),
    ("presets/smoke", ("overrides", "run", "log_evry_iters"), "run.log_evry_iters", "log_every"),
]


@pytest.mark.parametrize(("file", "keys", "told", "suggested"), UNKNOWN_KEYS)
def test_unknown_key_is_refused_with_a_suggestion(
    config_dir: Path, file: str, keys: tuple[str, ...], told: str, suggested: str
) -> None:
    edit(config_file(file, config_dir), *keys, value=1)
    preset = "paper" if file == "datasets/coco" else "smoke"
    message = refusal(lambda: load_grid(preset, config_dir))
    assert "/".join(config_file(file, config_dir).parts[-2:]) in message
    assert f"unknown key {told}; did you mean '{suggested}" in message


def test_override_for_a_mask_head_that_does_not_exist(config_dir: Path) -> None:
    path = config_dir / "presets/smoke.yaml"
    edit(path, "overrides", "mask_head", "pointrnd", value={"point_channels": 8})
    message = refusal(lambda: load_preset("smoke", config_dir))
    assert str(path) in message
    assert "mask_head has no kind 'pointrnd'; did you mean 'pointrend'?" in message


def test_a_preset_chooses_a_trunk_for_each_of_the_paper(config_dir: Path) -> None:
    """Over what it changes of all models; the others keep that."""
    path = config_dir / "presets/smoke.yaml"
    edit(path, "overrides", "trunk", value={"resnet101": {"name": "resnet50_narrow"}})
    edit(path, "overrides", "semantic", "trunk", value={"resnet103": {"norm": "bn"}})
    grid = load_grid("smoke", config_dir)

    def trunk(dataset: str, variant: str) -> tuple[str, str]:
        backbone = grid.training_settings(dataset, variant).model.backbone
        return backbone.name, backbone.norm

    assert trunk("generated_coco", "mask_rcnn_r50_fpn") == ("resnet18_narrow", "gn")
    assert trunk("generated_coco", "mask_rcnn_r101_fpn_3x") == ("resnet50_narrow", "gn")
    assert trunk("generated_cityscapes", "deeplabv3_r103") == ("resnet18_narrow", "bn")
    assert trunk("generated_cityscapes", "semantic_fpn_r101") == ("resnet18_narrow", "gn")
    edit(path, "overrides", "trunk", value={"resnet11": {}})
    assert "trunk has no kind 'resnet11'" in refusal(lambda: load_preset("smoke", config_dir))


WRONG_VALUES = [
    ("variants/pointrend_r50_fpn", ("title",), 3, "title: Input should be a valid string"),
    (
        "variants/pointrend_r50_fpn",
        ("model", "backbone", "name"),
        "resnet5",
        "model.backbone.name: Input should be 'resnet18_narrow'",
    ),
    ("variants/pointrend_r50_fpn", ("model", "mask_head", "kind"), "pointrnd", "model.mask_head"),
    (
        "variants/pointrend_r50_fpn",
        ("inference", "res28", "output_resolution"),
        0,
        "inference.res28.output_resolution: Input should be greater than 0",
    ),
    ("datasets/generated_coco", ("num_classes",), "six", "num_classes: Input should be a valid"),
    ("datasets/generated_coco", ("layout",), "voc", "layout: Input should be 'coco'"),
    (
        PROTOCOL,
        ("coco", "instances", "schedules", "1x", "lr_drop_iters"),
        [60_000, 90_000],
        "lr_drop_iters (60000, 90000) must lie before total_iters 90000",
    ),
    (
        PROTOCOL,
        ("coco", "instances", "schedules", "1x", "lr_drop_iters"),
        [80_000, 60_000],
        "lr_drop_iters (80000, 60000) must increase",
    ),
    (
        "tables/table1",
        ("columns", "coco_ap", "metric"),
        "coco_app",
        "columns.coco_ap.metric: there is no metric 'coco_app'; did you mean 'coco_ap'?",
    ),
    (
        "tables/table1",
        ("rows", "4conv_28", "paper", "coco_app"),
        35.2,
        "row '4conv_28' has numbers for ['coco_app'], which are no columns",
    ),
    ("tables/table1", ("rows", "4conv_28", "paper", "coco_ap"), "n/a", "valid number"),
    (
        "tables/table1",
        ("columns", "coco_ap", "value"),
        "AP5O",
        "columns.coco_ap: metric coco_ap has no key 'AP5O'; it has AP, AP50, AP75, "
        "APs, APm, APl, AP_box",
    ),
    (
        "tables/trimap",
        ("columns", "trimap_8", "value"),
        "mIoU@r=9",
        "columns.trimap_8: metric trimap_miou has no key 'mIoU@r=9'; it has mIoU@r=4",
    ),
    (
        "tables/table2",
        ("columns", "flops", "unit"),
        "%",
        "columns.flops: multiply_adds of metric mask_head_cost is in B, not in '%'",
    ),
    (
        "tables/table2",
        ("rows", "pointrend_224", "inference"),
        "res225",
        "row 'pointrend_224': papers/pointrend/models/pointrend_r50_fpn.yaml: inference 'res225'",
    ),
    (
        "presets/smoke",
        ("trials", "coco"),
        0,
        "trials.coco: 0 must be a number above 0",
    ),
    ("presets/smoke", ("overrides", "schedule"), 5, "overrides.schedule: Input should be a valid"),
    (
        "presets/smoke",
        ("overrides", "schedule", "total_iters"),
        8,
        "lr_drop_iters (8,) must lie before total_iters 8",
    ),
    (
        "presets/smoke",
        ("overrides", "optimizer", "base_lr"),
        "fast",
        "optimizer.base_lr: Input should be a valid number",
    ),
    (
        "presets/smoke",
        ("trials",),
        {"coco": 2},
        "trials ['coco'] must name ['cityscapes', 'coco', ",
    ),
    (
        "presets/smoke",
        ("judges_claims",),
        True,
        "resamples is 20; claims are judged by 40 at least",
    ),
]


@pytest.mark.parametrize(("file", "keys", "value", "told"), WRONG_VALUES)
def test_wrong_value_is_refused(
    config_dir: Path, file: str, keys: tuple[str, ...], value: Any, told: str
) -> None:
    edit(config_file(file, config_dir), *keys, value=value)
    message = refusal(lambda: load_grid("smoke", config_dir))
    assert "/".join(config_file(file, config_dir).parts[-2:]) in message
    assert told in message


MISSING_NAMES = [
    (
        "presets/smoke",
        ("tables",),
        ["table11"],
        "there is no table 'table11' in {0}/tables or {0}/papers/*/tables; did you mean 'table1'?",
    ),
    (
        "presets/smoke",
        ("datasets", "coco"),
        "generated_cocoa",
        "there is no dataset 'generated_cocoa' in {}/datasets; did you mean 'generated_coco'?",
    ),
    (
        "tables/table1",
        ("rows", "4conv_28", "variant"),
        "mask_rcnn_r50",
        "there is no variant 'mask_rcnn_r50' in {0}/variants or {0}/papers/*/models; did you mean "
        "'mask_rcnn_r50_fpn'?",
    ),
    (
        "tables/table1",
        ("rows", "pointrend_28", "inference"),
        "res29",
        "models/pointrend_r50_fpn.yaml: inference 'res29' is not one of ['res",
    ),
    (
        "variants/pointrend_r50_fpn",
        ("schedule",),
        "2x",
        "models/pointrend_r50_fpn.yaml on datasets/generated_cityscapes.yaml: schedule '2x' is "
        "not one of the recipe's ['1x']",
    ),
]


@pytest.mark.parametrize(("file", "keys", "value", "told"), MISSING_NAMES)
def test_name_of_nothing_is_refused(
    config_dir: Path, file: str, keys: tuple[str, ...], value: Any, told: str
) -> None:
    edit(config_file(file, config_dir), *keys, value=value)
    assert told.format(config_dir) in refusal(lambda: load_grid("smoke", config_dir))


def test_preset_or_config_folder_that_does_not_exist(config_dir: Path) -> None:
    assert refusal(lambda: load_grid("papr", config_dir)) == (
        f"there is no preset 'papr' in {config_dir}/presets; did you mean 'paper'?"
    )
    assert "there are: " in refusal(lambda: load_grid("xyz", config_dir))
    assert "none: no such folder" in refusal(lambda: load_grid("paper", config_dir / "none"))


def test_missing_key_is_named(config_dir: Path) -> None:
    path = config_dir / "datasets/coco.yaml"
    content = yaml.safe_load(path.read_text())
    del content["num_classes"]
    path.write_text(yaml.safe_dump(content))
    assert (
        refusal(lambda: load_dataset("coco", config_dir)) == f"{path}: num_classes: Field required"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: {c: 1, d: 2, c: 3}\n", "key 'c' appears twice.*line 2"),
        ("title: x\nother: 1\ntitle: y\n", "key 'title' appears twice.*line 3"),
        ("a: [1, 2\n", "not valid YAML"),
        ("a:\n\t- 1\n", "not valid YAML"),
        ("? [a, b]\n: 1\n", "not valid YAML"),
        ("a: !!python/object:os.system {}\n", "not valid YAML"),
        ("- 1\n- 2\n", "must be a mapping"),
        ("", "must be a mapping"),
    ],
)
def test_file_that_is_no_mapping_of_unique_keys(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=told) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    assert refusal(lambda: read_yaml(path)) == f"{path}: no such file"
    assert "cannot be read: Is a directory" in refusal(lambda: read_yaml(tmp_path))
    path.write_bytes(b"a: \xff\xfe\n")
    assert "not valid YAML" in refusal(lambda: read_yaml(path))


def test_scientific_notation_without_a_dot_is_a_number(config_dir: Path) -> None:
    """YAML 1.1 reads 1e-4 as a text."""
    path = config_dir / "presets/smoke.yaml"
    path.write_text(path.read_text().replace("base_lr: 0.01", "base_lr: 1e-4"))
    grid = load_grid("smoke", config_dir)
    rate = grid.training_settings("generated_coco", "pointrend_r50_fpn").optimizer.base_lr
    assert rate == 0.0001


def test_merging_leaves_its_inputs_alone() -> None:
    grid = load_grid("smoke")
    before = copy.deepcopy((grid.preset, grid.variants, grid.datasets))
    grid.training_settings("generated_coco", "mask_rcnn_r50_fpn")
    assert (grid.preset, grid.variants, grid.datasets) == before


def test_snakemakes_own_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my data").mkdir()
    settings = read_workflow_config({"preset": "tiny", "data_root": "my data", "device": "cpu"})
    assert settings.user_data == UserData(Path("my data"), None)
    assert settings.root_option("coco_folder", "coco") == "--data-root=my data"
    assert settings.root_option("streets", "cityscapes") == ""
    named = settings.model_copy(update={"roots": {"streets": Path("/s")}})
    assert named.root_option("streets", "cityscapes") == "--data-root=/s"
    assert settings.lvis_option == ""
    shipped = yaml.safe_load((CONFIG_DIR / "config.yaml").read_text())
    # The key `slurm` comes from slurm/cluster.yaml, by --profile slurm.
    assert set(shipped) == set(WorkflowConfig.model_fields) - {"slurm"}
    assert read_workflow_config(shipped).preset == "smoke"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"prest": "paper"}, "unknown key prest; did you mean 'preset'?"),
        ({"preset": "smoke", "device": "gpu"}, "device: Input should be 'auto', 'cpu' or 'cuda'"),
        ({}, "preset: Field required"),
        ({"preset": "tiny", "data_root": "/nosuch"}, "data_root: /nosuch: no such folder"),
        ({"preset": "tiny", "roots": {"coco": "/nosuch"}}, "roots: /nosuch: no such folder"),
        ({"preset": "tiny", "lvis_annotations": "/no.json"}, "/no.json: no such file"),
    ],
)
def test_snakemakes_wrong_keys(values: dict[str, Any], told: str) -> None:
    message = refusal(lambda: read_workflow_config(values))
    assert message.startswith("config/config.yaml or snakemake --config: ")
    assert told in message


def test_what_the_user_names_stands_for_one_data_set() -> None:
    coco, streets = load_dataset("coco"), load_dataset("cityscapes")
    furniture = coco.model_copy(update={"root": "data/furniture"})
    all_sets = {"coco": coco, "furniture": furniture, "cityscapes": streets}

    def roots(user: dict[Layout, UserData], named: dict[str, Path]) -> dict[str, Path]:
        all_layouts = {"coco": UserData(), "cityscapes": UserData()} | user
        return {n: p.root for n, p in paths_of_all(all_sets, all_layouts, named).items()}

    usual, mine = {name: Path("data") / name for name in all_sets}, UserData(Path("/mine"))
    assert roots({}, {}) == usual
    assert roots({"cityscapes": mine}, {}) == usual | {"cityscapes": Path("/mine")}
    for data in (mine, UserData(lvis_annotations=Path("/lvis.json"))):
        message = refusal(partial(roots, {"coco": data}, {}))
        assert "would be used for each of the data sets coco, furniture" in message
    there = {"coco": Path("/coco"), "furniture": Path("/chairs")}
    assert roots({}, there) == usual | there
    # What is named by data set leaves the other to `data_root`.
    found = roots({"coco": mine}, {"coco": Path("/coco")})
    assert (found["coco"], found["furniture"]) == (Path("/coco"), Path("/mine"))


def test_data_paths() -> None:
    coco, folder = load_dataset("coco"), load_dataset("coco_folder")
    own = data_paths("coco", coco, UserData())
    assert own.train_images == Path("data/coco/train2017")
    assert own.lvis_annotations == Path("data/coco/annotations/lvis_v0.5_val.json")
    named = data_paths("coco_folder", folder, UserData(Path("/mine"), Path("/else/lvis.json")))
    assert named.val_annotations == Path("/mine/annotations/instances_val2017.json")
    assert named.lvis_annotations == Path("/else/lvis.json")
    moved = data_paths("coco", coco, UserData(Path("/mine")))
    assert moved.lvis_annotations == Path("/mine/annotations/lvis_v0.5_val.json")
    message = refusal(lambda: data_paths("coco_folder", folder, UserData()))
    assert "snakemake --config preset=tiny data_root=FOLDER" in message
    assert "--data-root FOLDER" in message


def test_single_schedules_are_shortened_by_name(config_dir: Path) -> None:
    """On top of what a preset changes of all of them; schedules of other names stay."""
    schedules = {"1x": {"total_iters": 9, "lr_drop_iters": [7]}}
    edit(config_file("presets/smoke", config_dir), "overrides", "schedules", value=schedules)
    grid = load_grid("smoke", config_dir)
    found = {
        grid.variants[t.variant].schedule: grid.training_settings(t.dataset, t.variant).schedule
        for t in grid.trainings
        if grid.variants[t.variant].family == "mask_rcnn"
    }
    assert {name: schedule.total_iters for name, schedule in found.items()} == {"1x": 9, "3x": 12}
    assert found["1x"].lr_drop_iters == (7,)
