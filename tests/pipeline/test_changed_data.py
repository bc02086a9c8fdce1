"""A file of the data set changes under a finished run: the report says so, nothing is lost."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from test_workflow import STUB

from config_files import config_file
from pointrend_repro.base.files import read_json, write_json
from pointrend_repro.data.check import describe_dataset
from pointrend_repro.data.paths import DataPaths, UserData, data_paths
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.pipeline.steps.evaluation import run_evaluation
from pointrend_repro.pipeline.steps.prediction import run_prediction
from pointrend_repro.pipeline.steps.training import run_training
from pointrend_repro.reporting.collect import write_metrics
from pointrend_repro.reporting.data_state import in_words, load_data_state, mark_changed
from pointrend_repro.reporting.report import write_report
from pointrend_repro.reporting.results import load_results
from small_experiment import DATASET, PRESET, write_small_config
from working_copy import WorkingCopy, make_copy

ROW = "pointrend_28"
MARK = "the data have changed since"


@dataclass(frozen=True)
class Finished:
    """A finished run of one training, and the folder of its data."""

    grid: Grid
    data: DataPaths
    results: Path
    reports: Path

    def look_again(self) -> None:
        """What the rules check_data_again and report do."""
        described = describe_dataset(DATASET, self.grid.datasets[DATASET], self.data)
        write_json(self.results / DATASET / "data_today.json", described)
        write_report(self.grid, self.results, self.reports)

    def changed_steps(self) -> set[str]:
        results = mark_changed(
            load_results(self.grid, self.results), load_data_state(self.grid, self.results)
        )
        steps = [result.origin.steps.items() for result in results.values()]
        return {name for found in steps for name, record in found if record.data_changed}

    def texts(self) -> dict[str, str]:
        names = ["index.html", "summary.json", "tables/table1.md", "tables/table1.tex"]
        return {name: (self.reports / name).read_text() for name in names}


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for config, data and a finished run; built by the first test that needs it."""
    return tmp_path_factory.mktemp("finished")


@pytest.fixture
def finished(finished_once: Path, tmp_path: Path, coco_builder: Callable[..., Path]) -> Finished:
    if not (finished_once / "results").exists():
        coco_builder(root=finished_once / "coco")
        run_everything(finished_once)
    folder = tmp_path / "run"
    shutil.copytree(finished_once, folder)
    return open_run(folder)


def open_run(folder: Path) -> Finished:
    grid = load_grid(PRESET, folder / "config")
    data = data_paths(DATASET, grid.datasets[DATASET], UserData(folder / "coco"))
    return Finished(grid, data, folder / "results" / PRESET, folder / "reports" / PRESET)


def run_everything(folder: Path) -> None:
    table = config_file("tables/table1", write_small_config(folder / "config"))
    content = yaml.safe_load(table.read_text())
    content["rows"] = {ROW: content["rows"][ROW]}
    table.write_text(yaml.safe_dump(content, sort_keys=False))
    run = open_run(folder)
    grid, results = run.grid, run.results
    described = describe_dataset(DATASET, grid.datasets[DATASET], run.data)
    write_json(results / DATASET / "dataset.json", described)
    (training,), (prediction,) = grid.trainings, grid.predictions
    experiment = {"preset": PRESET, "dataset": DATASET, "variant": training.variant, "trial": 0}
    settings = grid.training_settings(DATASET, training.variant)
    model = results / training.folder / "model.safetensors"
    run_training(experiment, settings, run.data, output=model, device="cpu")
    inference = grid.inference_settings(training.variant, prediction.inference)
    predictions = results / prediction.folder / "predictions.json"
    run_prediction(
        prediction.inference, inference, run.data, model=model, output=predictions, device="cpu"
    )
    for evaluation in grid.evaluations:
        truth, output = run.data.val_annotations, results / evaluation.path
        run_evaluation(evaluation.metric, truth, predictions, output=output)
    write_metrics(grid, results)
    run.look_again()


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = read_json(path)
    change(content)
    path.write_text(json.dumps(content))


def move_first_box(content: dict[str, Any]) -> None:
    content["annotations"][0]["bbox"][0] += 1


def test_an_undisturbed_run_is_not_marked(finished: Finished) -> None:
    assert not finished.changed_steps()
    assert not any(MARK in text for text in finished.texts().values())
    assert "unchanged since the results were made" in finished.texts()["index.html"]


CHANGES: dict[str, tuple[Callable[[DataPaths], object], set[str]]] = {
    "an annotation of train": (lambda d: edit(d.train_annotations, move_first_box), {"train"}),
    "an annotation of val": (lambda d: edit(d.val_annotations, move_first_box), {"evaluate"}),
    "an image of train": (
        lambda d: Image.new("RGB", (64, 48)).save(d.train_images / "000000000002.jpg"),
        {"train"},
    ),
    "an image of val": (
        lambda d: Image.new("RGB", (64, 48)).save(d.val_images / "000000001001.jpg"),
        {"predict"},
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_every_number_of_changed_data_is_marked(finished: Finished, what: str) -> None:
    change, steps = CHANGES[what]
    metrics = (finished.results / "metrics.csv").read_bytes()
    change(finished.data)
    finished.look_again()
    assert finished.changed_steps() == steps
    texts = finished.texts()
    assert "changed since: 1 of 1 result made from other data than today" in texts["index.html"]
    cells = json.loads(texts["summary.json"])["tables"]["table1"]["cells"]
    assert [c["data_changed"] for c in cells] == [c["measured"] is not None for c in cells]
    assert all(MARK in texts[name] for name in ("index.html", "tables/table1.md"))
    assert MARK in texts["tables/table1.tex"]
    assert (finished.results / "metrics.csv").read_bytes() == metrics


def test_what_is_put_back_is_as_before(finished: Finished) -> None:
    before = finished.texts()
    content = finished.data.val_annotations.read_bytes()
    edit(finished.data.val_annotations, move_first_box)
    finished.look_again()
    assert finished.texts() != before
    finished.data.val_annotations.write_bytes(content)
    finished.look_again()
    assert finished.texts() == before


def test_a_new_time_alone_marks_nothing(finished: Finished) -> None:
    before = finished.texts()
    for path in [finished.data.train_annotations, *finished.data.val_images.iterdir()]:
        path.touch()
    finished.look_again()
    assert finished.texts() == before


def test_results_without_a_fingerprint_are_told_apart(finished: Finished) -> None:
    (evaluation,) = finished.grid.evaluations
    path = finished.results / evaluation.path
    content = read_json(path)
    del content["origin"]["predict"]["data"]
    path.write_text(json.dumps(content))
    results = load_results(finished.grid, finished.results)
    told = in_words(mark_changed(results, load_data_state(finished.grid, finished.results)))
    assert told == "unchanged since the results were made; 1 made before data were recorded"


def test_without_the_data_nothing_is_called_unchanged(finished: Finished) -> None:
    """As in a clone that has only the metric files: nobody has checked any data there."""

    def told() -> str:
        results = load_results(finished.grid, finished.results)
        return in_words(mark_changed(results, load_data_state(finished.grid, finished.results)))

    for name in ("dataset.json", "data_today.json"):
        (finished.results / DATASET / name).unlink(missing_ok=True)
    assert told() == "not compared: the data are not here, or have not been checked"
    write_report(finished.grid, finished.results, finished.reports)
    page = finished.texts()["index.html"]
    assert page.count("not compared") > 1  # among the conditions, and of each step
    assert "unchanged since the results were made<" not in page

    finished.look_again()
    path = finished.results / DATASET / "data_today.json"
    edit(path, lambda content: content["fingerprints"].pop("train"))
    assert told() == (
        "unchanged since the results were made; 1 of 1 result not compared, whose data are not here"
    )


def test_lvis_annotations_of_ones_own_count_too(finished: Finished, tmp_path: Path) -> None:
    lvis = tmp_path / "lvis.json"
    lvis.write_text("{}")
    state = load_data_state(finished.grid, finished.results, lvis)
    assert state.today[DATASET]["lvis_annotations"]
    lvis.write_text("{ }")
    other = load_data_state(finished.grid, finished.results, lvis)
    assert state.today[DATASET]["lvis_annotations"] != other.today[DATASET]["lvis_annotations"]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> WorkingCopy:
    """Preset tiny, finished by a stub in place of the commands, on a folder of the user's."""
    copy = make_copy(tmp_path_factory.mktemp("pipeline") / "copy")
    stub = copy.folder / "bin" / "pointrend-repro"
    stub.parent.mkdir()
    stub.write_text(STUB)
    stub.chmod(0o755)
    for folder in ("annotations", "train2017", "val2017"):
        (copy.folder / "mine" / folder).mkdir(parents=True)
    for split in ("train", "val"):
        (copy.folder / f"mine/annotations/instances_{split}2017.json").write_text("{}")
    done = copy.snakemake("--cores", "1", "--quiet", "all", "--config", *OWN_DATA)
    assert done.returncode == 0, done.stderr
    return copy


OWN_DATA = ("preset=tiny", "data_root=mine")
LOOK_AGAIN = {"check_data_again": 1, "report": 1, "all": 1}


def test_the_pipeline_looks_again_but_trains_nothing(pipeline: WorkingCopy) -> None:
    assert pipeline.plan("--config", *OWN_DATA) == {}
    annotations = pipeline.folder / "mine/annotations/instances_val2017.json"
    annotations.write_text('{"changed": true}')
    assert pipeline.plan("--config", *OWN_DATA) == LOOK_AGAIN
    annotations.write_text("{}")  # newer than the results, but the same
    assert pipeline.plan("--config", *OWN_DATA) == {}


def test_the_pipeline_notices_another_image(pipeline: WorkingCopy) -> None:
    (pipeline.folder / "mine/train2017/another.jpg").touch()
    assert pipeline.plan("--config", *OWN_DATA) == LOOK_AGAIN
