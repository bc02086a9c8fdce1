"""A Fast R-CNN that learns from, and detects in, the boxes of another model's predictions."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from config_files import CLAIMS, config_file
from following import ROW
from pointrend_repro import cli
from pointrend_repro.base.digests import content_digest
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json, write_json
from pointrend_repro.checkpoints.saved_models import load_saved_model
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.data.check import describe_dataset
from pointrend_repro.data.paths import UserData, data_paths
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.experiments.nodes import Prediction, Training
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.pipeline.planning.jobs import Places
from pointrend_repro.pipeline.planning.plan import make_plan
from pointrend_repro.pipeline.planning.progress import look_at
from pointrend_repro.predictions import in_parts
from pointrend_repro.reporting.collect import write_metrics
from pointrend_repro.reporting.missing import why_absent
from pointrend_repro.reporting.report import write_report
from pointrend_repro.reporting.verifying import verify
from pointrend_repro.settings.identity import settings_digest
from pointrend_repro.settings.instances import InferenceSettings
from small_experiment import DATASET, PRESET, write_small_config
from small_semantic_experiment import write_semantic_config

SOURCE, FOLLOWER = "mask_rcnn_r50_fpn", "follower"
WAY = next(iter(yaml.safe_load(config_file(f"variants/{SOURCE}").read_text())["inference"]))
BOXES = {"variant": SOURCE, "inference": WAY, "per_image": 5}
FEW = {"test": {"given_proposals": 2}}


def write_config(folder: Path, boxes: dict[str, Any] = BOXES, same_as: str = SOURCE) -> Path:
    """Copy `config/` with a table of one row, whose variant says `proposals_from: boxes`."""
    config = write_small_config(folder)
    table = config_file("tables/table1", config)
    content = yaml.safe_load(table.read_text())
    row = content["rows"][ROW] | {"variant": FOLLOWER, "inference": WAY}
    content["rows"] = {ROW: row}
    table.write_text(yaml.safe_dump(content, sort_keys=False))
    (config / f"{CLAIMS}.yaml").write_text("{}\n")
    write_variant(config, FOLLOWER, boxes, same_as)
    return config


def write_variant(config: Path, name: str, boxes: dict[str, Any], same_as: str = SOURCE) -> None:
    values = {"same_as": same_as, "proposals_from": boxes, "inference": {"few": FEW}}
    (config / "variants").mkdir(exist_ok=True)
    (config / f"variants/{name}.yaml").write_text(yaml.safe_dump(values))


OF_SOURCE, OF_FOLLOWER = (Training(DATASET, name, 0) for name in (SOURCE, FOLLOWER))
ON_VAL, ON_TRAIN = (Prediction(OF_SOURCE, WAY, split=split) for split in ("val", "train"))
SCORED = Prediction(OF_FOLLOWER, WAY)


def test_what_it_needs_is_made_before(tmp_path: Path) -> None:
    grid = load_grid(PRESET, write_config(tmp_path / "config"))
    assert grid.trainings == sorted([OF_SOURCE, OF_FOLLOWER])
    assert grid.predictions == sorted([ON_VAL, ON_TRAIN, SCORED])
    assert {e.prediction for e in grid.evaluations} == {SCORED}
    assert grid.before(SCORED) == [OF_SOURCE, ON_TRAIN, OF_FOLLOWER, ON_VAL]
    assert ON_VAL.folder == f"{OF_SOURCE.folder}/{WAY}"
    assert ON_TRAIN.folder == f"{OF_SOURCE.folder}/{WAY}/on_train"


def test_what_decides_the_boxes_decides_the_training(tmp_path: Path) -> None:
    def digest(config: Path) -> str:
        return settings_digest(load_grid(PRESET, config).training_settings(DATASET, FOLLOWER))

    config = write_config(tmp_path / "config")
    found = {digest(config)}
    source = config_file(f"variants/{SOURCE}", config)
    values = yaml.safe_load(source.read_text())
    values["inference"][WAY]["test"] = {"detections_per_image": 7}
    source.write_text(yaml.safe_dump(values))
    found.add(digest(config))
    values["model"]["mask_head"] = {"kind": "sharpmask"}
    source.write_text(yaml.safe_dump(values))
    found.add(digest(config))
    write_variant(config, FOLLOWER, BOXES | {"per_image": 6})
    found.add(digest(config))
    assert len(found) == 4


def test_a_circle_is_refused(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config", BOXES | {"variant": "middle"})
    write_variant(config, "middle", BOXES | {"variant": FOLLOWER})
    with pytest.raises(UserError, match="leads back to itself"):
        load_grid(PRESET, config)


@pytest.mark.parametrize(
    ("boxes", "told"),
    [
        (BOXES | {"inference": "nobody"}, "inference 'nobody' is not one of"),
        (BOXES | {"variant": "nobody"}, "there is no variant 'nobody'"),
        (BOXES | {"dataset": "nobody"}, r"proposals_from\.dataset: 'nobody' is not one of"),
        (BOXES | {"per_image": 0}, "proposals_from.per_image"),
        (BOXES | {"variant": "deeplabv3_r103"}, "is not one of|without boxes"),
    ],
)
def test_what_is_refused(boxes: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=told):
        load_grid(PRESET, write_config(tmp_path / "config", boxes))


def test_a_family_that_takes_no_boxes(tmp_path: Path) -> None:
    config = write_semantic_config(tmp_path / "config")
    path = config_file("variants/deeplabv3_r103", config)
    values = yaml.safe_load(path.read_text())
    values["proposals_from"] = BOXES
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match="models of family semantic take no proposals"):
        load_grid(PRESET, config)


def test_boxes_are_counted_only_where_some_are_given(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config")
    source = config_file(f"variants/{SOURCE}", config)
    values = yaml.safe_load(source.read_text())
    values["inference"]["few"] = {"test": {"given_proposals": 2}}
    source.write_text(yaml.safe_dump(values))
    told = r"inference\.few\.test\.given_proposals needs proposals_from"
    with pytest.raises(UserError, match=told):
        load_grid(PRESET, config)


def test_detectron2_is_given_no_boxes(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config")
    path = config / f"variants/{FOLLOWER}.yaml"
    path.write_text(path.read_text() + "engine: detectron2\n")
    with pytest.raises(UserError, match="engine detectron2 reads no proposals_from"):
        load_grid(PRESET, config)


def results(folder: Path) -> Path:
    return folder / "results" / PRESET


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("finished")


@pytest.fixture
def folder(
    finished_once: Path,
    tmp_path: Path,
    coco_builder: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A copy of a run in which everything is done by the commands."""
    if not (finished_once / "results").exists():
        coco_builder(root=finished_once / "coco")
        write_config(finished_once / "config")
        run_all(finished_once, monkeypatch)
    shutil.copytree(finished_once, tmp_path / "run")
    return tmp_path / "run"


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["pointrend-repro", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def where(folder: Path, variant: str) -> list[object]:
    of = ("--preset", PRESET, "--dataset", DATASET, "--variant", variant, "--device", "cpu")
    return [*of, "--config-dir", folder / "config", "--data-root", folder / "coco"]


def run_all(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = load_grid(PRESET, folder / "config")
    data = data_paths(DATASET, grid.datasets[DATASET], UserData(folder / "coco"))
    described = describe_dataset(DATASET, grid.datasets[DATASET], data)
    for name in ("dataset.json", "data_today.json"):
        write_json(results(folder) / DATASET / name, described)
    for step in [*grid.before(SCORED), SCORED]:
        if isinstance(step, Training):
            boxes = grid.boxes_of(step, "train")
            command = ["train", "--trial", 0, "--output", results(folder) / step.model_path]
        else:
            boxes = grid.boxes_of(step.training, step.split)
            output = results(folder) / step.path(grid.kind_of(step))
            model = results(folder) / step.training.model_path
            command = ["predict", "--inference", step.inference, "--model", model]
            command += ["--output", output, "--split", step.split]
        if boxes is not None:
            command += ["--proposals", results(folder) / boxes.path(grid.kind_of(boxes))]
        variant = step.variant if isinstance(step, Training) else step.training.variant
        assert call(monkeypatch, *command, *where(folder, variant)) == 0
    truth = data.val_annotations
    metrics = [f"{e.metric}={truth}" for e in grid.evaluations]
    predictions = results(folder) / SCORED.folder / "predictions.json"
    scores = ("--predictions", predictions, "--output", predictions.parent)
    assert call(monkeypatch, "evaluate-all", *metrics, *scores) == 0


def test_parts_and_workers_change_nothing_of_predictions_in_given_boxes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = load_grid(PRESET, folder / "config")
    path = results(folder) / SCORED.path(grid.kind_of(SCORED))
    boxes = grid.boxes_of(SCORED.training, SCORED.split)
    assert boxes is not None
    again = folder / "again.json"
    monkeypatch.setattr(in_parts, "IMAGES", 1)
    command = ["predict", "--inference", SCORED.inference, "--output", again, "--workers", 1]
    command += ["--model", results(folder) / SCORED.training.model_path]
    command += ["--proposals", results(folder) / boxes.path(grid.kind_of(boxes))]
    assert call(monkeypatch, *command, *where(folder, FOLLOWER)) == 0
    assert again.read_bytes() == path.read_bytes()
    assert len(read_json(again)) > 5


def test_from_one_models_boxes_to_the_others_numbers(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    grid = load_grid(PRESET, folder / "config")
    path = results(folder) / OF_FOLLOWER.model_path
    saved = load_saved_model(path)
    assert saved.model.rpn is None
    assert not any(name.startswith("rpn") for name in saved.model.state_dict())
    with pytest.raises(UserError, match="no proposals of its own"):
        saved.model.detect([torch.zeros(3, 32, 32)], InferenceSettings())

    story = read_json(results(folder) / grid.evaluations[0].path)["origin"]
    for step, prediction in (("train", ON_TRAIN), ("predict", ON_VAL)):
        read = story[step]["proposals_from"]
        file = results(folder) / prediction.path(grid.kind_of(prediction))
        assert read["input_digest"] == content_digest(file)
        assert read["origin"].get("split", "val") == prediction.split
        assert read["origin"]["variant"] == SOURCE
    # No loss is of region proposals.
    log = (results(folder) / OF_FOLLOWER.updates_path).read_text()
    assert "loss_box" in log
    assert "rpn" not in log

    progress = look_at(grid, results(folder))
    assert all(progress.predictions.values())
    assert verify(grid, results(folder)).problems == ()
    write_metrics(grid, results(folder))
    write_report(grid, results(folder), folder / "reports")
    page = "".join(path.read_text() for path in (folder / "reports").rglob("*.html"))
    assert "<dt>proposals from</dt>" in page
    for prediction in (ON_TRAIN, ON_VAL):
        assert f"predict {prediction.folder}" in page
    assert "2 of 2 trainings" in page

    # An inference setting may look at fewer boxes than the training's settings say.
    few = ["predict", "--inference", "few", "--model", path, *where(folder, FOLLOWER)]
    few += ["--proposals", results(folder) / ON_VAL.path(grid.kind_of(ON_VAL))]
    counts: list[int] = []
    detect = MaskRCNN.detect

    def counting(self: MaskRCNN, images: Any, settings: Any, proposals: Any) -> Any:
        counts.append(len(proposals[0]))
        return detect(self, images, settings, proposals)

    with monkeypatch.context() as patch:
        patch.setattr(MaskRCNN, "detect", counting)
        assert call(monkeypatch, *few, "--output", folder / "few/predictions.json") == 0
    assert max(counts) == 2

    # Those of the other split, of none, and damaged ones are refused.
    train = ["train", "--trial", 0, "--output", folder / "trial0/model.safetensors"]
    train += where(folder, FOLLOWER)
    on_val, on_train = (results(folder) / p.path(grid.kind_of(p)) for p in (ON_VAL, ON_TRAIN))
    capfd.readouterr()
    assert call(monkeypatch, *train, "--proposals", on_val) == 2
    assert "is of split val, not of split train" in capfd.readouterr().err
    assert call(monkeypatch, *train) == 2
    assert "give its predictions of the train images by --proposals" in capfd.readouterr().err
    on_train.write_text("[]\n")
    (problem,) = verify(grid, results(folder)).problems
    assert problem.startswith(f"{on_train}: is not what")
    assert call(monkeypatch, *train, "--proposals", on_train) == 2
    assert "is not what" in capfd.readouterr().err


def test_the_plan_has_all_of_it(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config")
    grid = load_grid(PRESET, config)
    places = Places(tmp_path / "results", tmp_path / "reports", CONFIG_DIR)
    plan = make_plan(grid, places, gpu="v100", gpus_per_training=8, gpus=8)
    jobs = {job.rule: job.to_do for job in plan.jobs}
    assert (jobs["train"], jobs["predict"], jobs["predict_on_train"]) == (2, 2, 1)


def test_why_a_number_is_not_there_tells_of_the_boxes(tmp_path: Path) -> None:
    grid: Grid = load_grid(PRESET, write_config(tmp_path / "config"))
    evaluation = grid.evaluations[0]
    log = tmp_path / ON_TRAIN.log_path
    for file in (f"{DATASET}/dataset.json", OF_SOURCE.model_path, OF_SOURCE.origin_path):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    log.parent.mkdir(parents=True)
    log.write_text("Killed\n")
    absent = why_absent(evaluation, tmp_path, grid.before(evaluation.prediction), grid.kind_of)
    assert absent.reason == f"predict {ON_TRAIN.folder} failed: Killed"
