"""A family from outside the package: docs/your_family.md word for word, and what goes wrong."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from pointrend_repro import cli
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.checkpoints.saved_models import load_saved_model
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.config.reading import load_variant
from pointrend_repro.declarations.family import FAMILIES, Family, family_in, family_of
from pointrend_repro.declarations.finding import load_function
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.pipeline.planning.published import load_speeds
from pointrend_repro.pipeline.planning.speeds import model_speed
from pointrend_repro.reporting.settings_diff import differences
from pointrend_repro.settings.identity import settings_digest
from small_experiment import small_settings
from small_semantic_experiment import small_semantic_settings

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/your_family.md"
DATASET, PRESET, VARIANT = "coco_folder", "quick", "one_box"


def documented(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S)


def install(folder: Path, name: str = "one_box", value: str = "one_box.family:FAMILY") -> None:
    metadata = folder / f"my_{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: my-{name}\nVersion: 1.0\n")
    entry = f"[pointrend_repro.families]\n{name} = {value}\n"
    (metadata / "entry_points.txt").write_text(entry)


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on Python's path with the document's package in it, installed."""
    folder = tmp_path / "site"
    (folder / "one_box").mkdir(parents=True)
    for file, text in zip(("family.py", "network.py"), documented("python"), strict=True):
        (folder / "one_box" / file).write_text(text)
    install(folder)
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    yield folder
    for module in [name for name in sys.modules if name.partition(".")[0] == "one_box"]:
        del sys.modules[module]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """`config/` with what the document says of the family, and a table that asks for it."""
    folder = tmp_path / "config"
    shutil.copytree(CONFIG_DIR, folder)
    variant, recipes, overrides = documented("yaml")
    (folder / f"variants/{VARIANT}.yaml").write_text(variant)
    dataset = folder / f"datasets/{DATASET}.yaml"
    dataset.write_text(dataset.read_text() + recipes)
    column = {"title": "AP", "heading": ["AP"], "dataset": "coco", "metric": "coco_ap"}
    scale = {"value": "AP", "tolerance": 1.0, "tolerance_source": "none"}
    table = {
        "title": "One box",
        "caption": "Of a test.",
        "source": "none",
        "stub_headings": ["model"],
        "columns": {"ap": column | scale},
        "rows": {
            VARIANT: {
                "title": "one box",
                "stub": ["one box"],
                "variant": VARIANT,
                "inference": "default",
                "paper": {},
            }
        },
    }
    (folder / "tables/one.yaml").write_text(yaml.safe_dump(table))
    preset = {
        "title": "Quick",
        "warning": "Preset quick: for tests.",
        "tables": ["one"],
        "datasets": {"coco": DATASET},
        "trials": {"coco": 1},
    } | yaml.safe_load(overrides)
    preset["overrides"]["run"] = {"loader_workers": 0, "log_every_iters": 1, "samples": 0}
    (folder / f"presets/{PRESET}.yaml").write_text(yaml.safe_dump(preset))
    return folder


def run(*words: str) -> None:
    cli.app(list(words), standalone_mode=False)


def refusal(load: Callable[[], object]) -> str:
    with pytest.raises(UserError) as told:
        load()
    assert "\n" not in str(told.value)
    return str(told.value)


def test_from_a_variant_to_a_report(
    outside: Path,
    config: Path,
    coco_builder: Callable[[], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Resolved, planned, trained for 3 iterations, saved, predicted, scored and shown."""
    data = coco_builder()
    monkeypatch.chdir(outside.parent)
    settings = load_grid(PRESET, config).training_settings(DATASET, VARIANT)
    assert (settings.family, settings.model.cells) == ("one_box", 2)
    assert (settings.schedule.total_iters, settings.input.test_short_edge_px) == (3, 64)

    run("plan", "--preset", PRESET, "--config-dir", str(config))
    planned = capsys.readouterr().out
    assert re.search(r"^train +0 +1$", planned, re.M)
    assert "because no speed is published: coco_folder/one_box" in planned

    folder = f"results/{PRESET}/{DATASET}/{VARIANT}/trial0"
    what = ["--preset", PRESET, "--dataset", DATASET, "--variant", VARIANT]
    where = ["--config-dir", str(config), "--data-root", str(data), "--device", "cpu"]
    model, predictions = f"{folder}/model.safetensors", f"{folder}/default/predictions.json"
    run("train", *what, *where, "--trial", "0", "--output", model)
    run(
        *("predict", *what, *where, "--inference", "default"),
        *("--model", model, "--output", predictions),
    )
    truth = data / "annotations/instances_val2017.json"
    score = f"{folder}/default/coco_ap.json"
    run(
        *("evaluate", "coco_ap", "--ground-truth", str(truth)),
        *("--predictions", predictions, "--output", score),
    )
    run("collect", "--preset", PRESET, "--config-dir", str(config))
    run("report", "--preset", PRESET, "--config-dir", str(config))

    log = Path(folder, "log.jsonl").read_text().splitlines()
    assert len(log) == 3
    assert "loss_box" in log[-1]
    origin = read_json(Path(score))["origin"]
    trained, predicted = origin["train"], origin["predict"]
    for module in ("one_box.family", "one_box.network"):
        assert trained["versions"][module].startswith("sha256:")
        assert predicted["versions"][module] == trained["versions"][module]
    assert trained["settings"]["family"] == "one_box"
    assert trained["data"]["part"] == "train"
    # 4 is neither the class's default nor what the preset says.
    assert ("model.cells", "2", "8") in [
        (d.key, d.value, d.default) for d in differences(trained["settings"])
    ]
    assert Path(f"reports/{PRESET}/tables/one.csv").read_text().count("one box")


def test_a_file_of_weights_cannot_choose_a_family(
    outside: Path, config: Path, coco_builder: Callable[[], Path]
) -> None:
    from pointrend_repro.checkpoints.saved_models import SavedModel, build_model, save_model

    settings = load_grid(PRESET, config).training_settings(DATASET, VARIANT)
    path = outside / "model.safetensors"
    model = build_model(settings.model, num_classes=2)
    save_model(path, SavedModel(model, settings.input, [(1, "cat"), (2, "dog")]))
    assert "'one_box', which is not of this package" in refusal(lambda: load_saved_model(path))
    assert "of family 'one_box', not 'two_boxes'" in refusal(
        lambda: load_saved_model(path, family="two_boxes")
    )
    loaded = load_saved_model(path, family="one_box").model
    assert torch.equal(loaded.box.weight, model.box.weight)
    assert load_saved_model(path, configured=settings.model).model.settings == settings.model


def test_two_of_one_name_are_refused(outside: Path) -> None:
    install(outside, "semantic")
    told = refusal(FAMILIES.names)
    assert "family 'semantic' is declared twice" in told


def test_a_misspelt_family_gets_a_suggestion(outside: Path, config: Path) -> None:
    path = config / f"variants/{VARIANT}.yaml"
    path.write_text(path.read_text().replace("family: one_box", "family: one_bix"))
    told = refusal(lambda: load_variant(VARIANT, config))
    assert f"{path}: there is no family 'one_bix'; did you mean 'one_box'" in told


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("presets/quick", "cells: 2", "celsl: 2", "celsl"),
        ("presets/quick", "one_box:", "on_box:", "there is no family 'on_box'; did you mean"),
        ("presets/quick", "one_box:", "semantic:", "semantic has its own place"),
        ("variants/one_box", "cells: 4", "celsl: 4", "unknown key model.celsl; did you mean"),
        ("variants/one_box", "recipe: one_box", "recipe: one", "recipe 'one' is not one of"),
        ("variants/one_box", "schedule: 1x", "schedule: 3x", "schedule '3x' is not one of"),
        ("variants/one_box", "title:", "engine: detectron2\ntitle:", "no models of family one_box"),
        ("datasets/coco_folder", "1x:", "1x: {total_itres: 4}\n      2x:", "total_itres"),
        ("datasets/coco_folder", "family: one_box", "family: tow_box", "no family 'tow_box'"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_line(
    outside: Path, config: Path, file: str, old: str, new: str, told: str
) -> None:
    path = config / f"{file}.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert told in refusal(lambda: load_grid(PRESET, config).training_settings(DATASET, VARIANT))


def test_a_metric_of_other_predictions_is_refused(outside: Path, config: Path) -> None:
    path = outside / "one_box/family.py"
    path.write_text(path.read_text().replace('predictions="instances"', 'predictions="label_maps"'))
    told = refusal(lambda: load_grid(PRESET, config))
    assert "row 'one_box'" in told
    assert "metric coco_ap does not score" in told


def test_a_count_of_another_family_is_refused(outside: Path, config: Path) -> None:
    path = config / "tables/one.yaml"
    table = yaml.safe_load(path.read_text())
    column = table["columns"]["ap"]
    column |= {"metric": "mask_head_cost", "value": "multiply_adds", "unit": "B"}
    del column["dataset"]
    path.write_text(yaml.safe_dump(table))
    told = refusal(lambda: load_grid(PRESET, config))
    assert "of family one_box, in which metric mask_head_cost cannot be counted" in told


def test_only_what_is_asked_for_is_imported(outside: Path) -> None:
    """A record lists the modules that a result ran through: no other family's is among them."""
    code = (
        "import sys\n"
        "from pointrend_repro.experiments.loading import load_grid\n"
        "from pointrend_repro.declarations.family import FAMILIES\n"
        "load_grid('smoke')\n"
        "assert 'one_box' in FAMILIES.names()\n"
        "assert not [name for name in sys.modules if name.startswith('one_box')]\n"
        "assert FAMILIES.find('one_box').name == 'one_box'\n"
        "assert 'torch' not in sys.modules and 'one_box.network' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 0, done.stderr


OWN = ("mask_rcnn", "semantic")


@pytest.mark.parametrize("name", OWN)
def test_what_a_declaration_names_is_there(name: str) -> None:
    family = FAMILIES.find(name)
    paths = [value for value in vars(family).values() if isinstance(value, str) and ":" in value]
    assert len(paths) >= 8
    for path in [*paths, *family.engines.values()]:
        assert load_function(path) is not None


def test_old_files_are_told_by_their_decoder() -> None:
    """Files and digests of the two families that are older than families do not name them."""
    for settings in (small_settings(), small_semantic_settings()):
        values: dict[str, Any] = settings.model_dump(mode="json")
        assert not {"family"} & {*values, *values["model"]}
        assert family_in(values) == settings.family == settings.model.family
        assert family_of(settings).training is type(settings)
        named = type(settings).model_validate(values | {"family": settings.family})
        assert settings_digest(named) == settings_digest(settings)


def test_a_family_of_unknown_speed_is_planned_without_times(outside: Path, config: Path) -> None:
    settings = load_grid(PRESET, config).training_settings(DATASET, VARIANT)
    assert model_speed(load_speeds(CONFIG_DIR), settings, "coco") is None


def test_a_variant_may_name_its_family(tmp_path: Path) -> None:
    config = tmp_path / "config"
    shutil.copytree(CONFIG_DIR, config)
    path = config / "variants/named.yaml"
    for family, same_as in (("semantic", "deeplabv3_r103"), ("mask_rcnn", "mask_rcnn_r50_fpn")):
        path.write_text(f"same_as: {same_as}\nfamily: {family}\n")
        named, plain = (load_variant(n, config) for n in ("named", same_as))
        assert named == plain
    path.write_text("same_as: deeplabv3_r103\nfamily: mask_rcnn\n")
    assert "unknown key model.decoder" in refusal(lambda: load_variant("named", config))


def test_settings_of_another_family_are_refused(outside: Path) -> None:
    path = outside / "one_box/family.py"
    path.write_text(path.read_text().replace('name="one_box"', 'name="two_boxes"'))
    told = refusal(lambda: FAMILIES.find("one_box"))
    assert "family 'two_boxes': ModelSettings says family 'one_box'" in told


def test_a_declaration_of_another_kind_is_refused(outside: Path) -> None:
    install(outside, "no_family", "one_box.family:ModelSettings")
    assert "is not a Family" in refusal(lambda: FAMILIES.find("no_family"))
    assert isinstance(FAMILIES.find("one_box"), Family)
