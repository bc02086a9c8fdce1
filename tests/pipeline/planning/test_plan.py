"""The plan of a preset: what is counted, what is done, and what is refused."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import build_model
from pointrend_repro.cli import app
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.experiments.nodes import Evaluation, Prediction, Training, evaluation_rule
from pointrend_repro.pipeline.planning.disk import CHECKPOINTS_KEPT
from pointrend_repro.pipeline.planning.jobs import Places
from pointrend_repro.pipeline.planning.plan import Plan, make_plan
from pointrend_repro.pipeline.planning.progress import look_at
from pointrend_repro.pipeline.planning.published import load_speeds
from pointrend_repro.pipeline.planning.ranges import Range
from pointrend_repro.pipeline.planning.speeds import model_speed
from pointrend_repro.pipeline.planning.text import span, to_text
from pointrend_repro.settings.semantic import SemanticTrainingSettings
from pointrend_repro.training import checkpoints
from working_copy import PARTS, REPOSITORY, WorkingCopy

TRAINING = Training("coco", "pointrend_r50_fpn", 1)
PREDICTION = Prediction(TRAINING, "res224")

ONE_OF_EACH_SIZE = [
    ("coco", "mask_rcnn_r50_fpn"),
    ("coco", "mask_rcnn_r101_fpn_3x"),
    ("coco", "pointrend_x101_fpn_3x"),
    ("coco", "sharpmask_r50_fpn"),
    ("cityscapes", "pointrend_r50_fpn"),
    ("cityscapes", "semantic_fpn_pointrend_r101"),
    ("cityscapes", "deeplabv3_r103"),
]


@pytest.fixture(scope="module")
def paper() -> Grid:
    return load_grid("paper")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Empty folders; the current one is empty, too, and so has no data."""
    monkeypatch.chdir(tmp_path)
    return Places(tmp_path / "results/paper", tmp_path / "reports/paper", CONFIG_DIR)


def plan_of(grid: Grid, places: Places, *, per_training: int = 8, gpus: int | None = None) -> Plan:
    return make_plan(grid, places, gpu="v100", gpus_per_training=per_training, gpus=gpus)


def to_do(plan: Plan) -> dict[str, int]:
    return {job.rule: job.to_do for job in plan.jobs if job.to_do}


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_training(grid: Grid, places: Places, training: Training, **changes: Any) -> None:
    settings = grid.training_settings(training.dataset, training.variant).model_dump(mode="json")
    folder = places.results / training.folder
    write(folder / "model.origin.json", {"train": {"settings": settings | changes}})
    (folder / "model.safetensors").touch()


def write_prediction(grid: Grid, places: Places, prediction: Prediction, name: str) -> None:
    settings = grid.inference_settings(prediction.training.variant, prediction.inference)
    folder = places.results / prediction.folder
    record = {"settings": settings.model_dump(mode="json")}
    write(folder / f"{name}.origin.json", {"predict": record})
    if name == "labels":
        (folder / name).mkdir()
    else:
        write(folder / f"{name}.json", [])


def finish(grid: Grid, places: Places) -> None:
    """Leave behind what a whole run leaves."""
    for training in grid.trainings:
        write_training(grid, places, training)
    labels = {e.prediction for e in grid.evaluations if e.metric.endswith("miou")}
    for prediction in grid.predictions:
        name = "labels" if prediction in labels else "predictions"
        write_prediction(grid, places, prediction, name)
    files = [places.results / number.path for number in [*grid.evaluations, *grid.costs]]
    files += [places.results / d / "dataset.json" for d in grid.datasets]
    files += [places.results / d / "data_today.json" for d in grid.datasets]
    files += [Path("data/cityscapes_instances") / f"instances_{s}.json" for s in ("train", "val")]
    figures, pictures = places.reports / "figures", places.reports / "pictures"
    files += [figures / f"{f}{e}" for f in grid.preset.figures for e in (".png", ".pdf", ".json")]
    files += [pictures / f"{picture}.json" for picture in grid.drawn_pictures]
    files += [
        pictures / "curves.csv",
        *(places.results / f"{name}.csv" for name in ("metrics", "origins")),
    ]
    files += [Path("data/.fetched") / f"{d.download}.json" for d in plan_of(grid, places).downloads]
    files.append(places.results / "claims" / "claims.json")
    for path in [*files, places.reports / "index.html"]:
        write(path, {"origin": "fetched"})


def test_the_same_jobs_as_snakemake(tmp_path: Path) -> None:
    copy = WorkingCopy(tmp_path)
    for part in PARTS:
        source = REPOSITORY / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / part)
    expected = copy.plan("--config", "preset=paper")
    done = copy.command("pointrend-repro", "plan", "--preset", "paper", "--json")
    assert done.returncode == 0, done.stderr
    assert to_do(Plan.model_validate_json(done.stdout)) | {"all": 1} == expected
    said = (REPOSITORY / "docs/scaling.md").read_text()
    assert f"The paper itself is {sum(expected.values())} jobs." in said


def test_every_trial_of_a_published_training_is_counted(paper: Grid, places: Places) -> None:
    plan = plan_of(paper, places)
    lines = {(line.dataset, line.variant): line for line in plan.trainings}
    line = lines["coco", "mask_rcnn_r50_fpn"]
    assert (line.trials, line.done, line.updates) == (3, 0, 90_000)
    assert line.gpu_hours_to_do == pytest.approx([3 * 8 * 0.261 * 90_000 / 3600] * 2)
    assert sum(line.trials for line in plan.trainings) == len(paper.trainings)
    together = sum(line.gpu_hours_to_do.high for line in plan.trainings if line.gpu_hours_to_do)
    assert plan.train_gpu_hours.high == pytest.approx(together)
    assert plan.wall_hours.low >= plan.longest_training_hours.low
    assert not plan.not_estimated


def test_more_gpus_end_sooner_for_the_same_gpu_hours(paper: Grid, places: Places) -> None:
    one, many = plan_of(paper, places), plan_of(paper, places, gpus=64)
    assert many.train_gpu_hours == one.train_gpu_hours
    assert many.wall_hours.high < one.wall_hours.high / 5


def test_trainings_that_need_all_gpus_of_a_batch_are_told(paper: Grid, places: Places) -> None:
    report = load_grid("paper", papers=["3dfuture"])
    assert plan_of(report, places).refused == ()
    four = plan_of(report, places, per_training=4)
    assert len(four.refused) == 3
    assert all("htc" in line and "gpus=8, not 4" in line for line in four.refused)
    assert f"Not on these GPUs: {four.refused[0]}" in to_text(four)
    assert plan_of(paper, places, per_training=1).refused == ()


def test_all_of_sharpmask_has_hours(places: Places) -> None:
    grid = load_grid("paper", papers=["sharpmask"])
    plan = plan_of(grid, places)
    assert not plan.not_estimated
    assert plan.predict_gpu_hours.low > 0
    # Its batches are one step, which one GPU computes, however many there are.
    hours = {line.variant: line.gpu_hours_each for line in plan.trainings}
    alone = {
        line.variant: line.gpu_hours_each
        for line in plan_of(grid, places, per_training=1).trainings
    }
    assert hours == alone


def test_predictions_take_as_long_as_their_settings_say(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = load_grid("paper", papers=["sharpmask"])
    zooms, hours = set(), []

    def double(inference: Any, settings: Any) -> Range:
        zooms.add(getattr(inference, "zoom", 0))
        return Range(2, 2)

    for factor in (double, lambda *_: Range(1, 1)):
        monkeypatch.setattr(f"{make_plan.__module__}.prediction_factor", factor)
        hours.append(plan_of(grid, places).predict_gpu_hours)
    assert hours[0] == pytest.approx(hours[1] * 2)
    assert zooms == {0, 1, 2}


def test_what_is_done_is_not_done_again(paper: Grid, places: Places) -> None:
    before = to_do(plan_of(paper, places))
    write_training(paper, places, TRAINING)
    write_prediction(paper, places, PREDICTION, "predictions")
    write(places.results / Evaluation(PREDICTION, "coco_ap").path, {})
    after = to_do(plan_of(paper, places))
    (metrics,) = (names for names, scored in paper.scored_by.items() if PREDICTION in scored)
    rules = ("train", "predict", evaluation_rule(metrics), "report")
    assert [before[rule] - after[rule] for rule in rules] == [1, 1, 0, 0]
    for metric in metrics:
        write(places.results / Evaluation(PREDICTION, metric).path, {})
    after = to_do(plan_of(paper, places))
    assert [before[rule] - after[rule] for rule in rules] == [1, 1, 1, 0]


def test_predictions_take_as_long_as_the_checked_data_have_images(
    paper: Grid, places: Places
) -> None:
    before = plan_of(paper, places).predict_gpu_hours
    for dataset, images in (("coco", 50_000), ("cityscapes", 5000)):
        write(places.results / dataset / "dataset.json", {"val": {"images": images}})
    assert plan_of(paper, places).predict_gpu_hours == pytest.approx([10 * h for h in before])


def test_how_often_a_training_saves_does_not_undo_it(paper: Grid, places: Places) -> None:
    write_training(paper, places, TRAINING, run={"log_every_iters": 7})
    assert look_at(paper, places.results).trainings[TRAINING].state == "done"


def test_other_settings_undo_a_training_and_all_behind_it(paper: Grid, places: Places) -> None:
    write_training(paper, places, TRAINING, schedule={"total_iters": 1})
    write_prediction(paper, places, PREDICTION, "predictions")
    progress = look_at(paper, places.results)
    assert progress.trainings[TRAINING].state == "other settings"
    assert not progress.predictions[PREDICTION]
    assert "(1 with other settings)" in to_text(plan_of(paper, places))


def test_a_checkpoint_shortens_what_is_left(paper: Grid, places: Places) -> None:
    whole = plan_of(paper, places).train_gpu_hours
    folder = places.results / Training("coco", "mask_rcnn_r50_fpn", 0).folder / "checkpoints"
    folder.mkdir(parents=True)
    for updates in (55_000, 60_000):
        (folder / f"iter_{updates:08d}.pt").touch()
    plan = plan_of(paper, places)
    saved = 8 * 0.261 * 60_000 / 3600
    assert plan.train_gpu_hours.low == pytest.approx(whole.low - saved)
    assert "0/3 +1 started" in to_text(plan)


def test_a_broken_origin_counts_as_not_done(paper: Grid, places: Places) -> None:
    write_training(paper, places, TRAINING)
    (places.results / TRAINING.folder / "model.origin.json").write_text("{")
    assert look_at(paper, places.results).trainings[TRAINING].state == "to do"


def test_a_finished_preset_leaves_nothing_to_do(paper: Grid, places: Places) -> None:
    finish(paper, places)
    plan = plan_of(paper, places)
    assert to_do(plan) == {}
    assert plan.train_gpu_hours == plan.predict_gpu_hours == plan.wall_hours == (0, 0)


def test_downloads_are_those_that_the_preset_uses(paper: Grid, places: Places) -> None:
    (places.results.parents[1] / "data/coco/train2017").mkdir(parents=True)
    plan = plan_of(paper, places)
    files = {d.file: d for d in plan.downloads}
    assert files["train2017.zip"].here
    assert (files["val2017.zip"].here, files["val2017.zip"].bytes) == (False, 815_585_330)
    assert files["R-103.pkl"].bytes is None  # its size is not published
    assert not any("model_final" in name for name in files)
    own = Places(places.results, places.reports, CONFIG_DIR, frozenset({"coco"}))
    assert not {"train2017.zip", "lvis_v0.5_val.json.zip"} & {
        d.file for d in plan_of(paper, own).downloads
    }


def test_json_is_the_plan(places: Places) -> None:
    arguments = ["plan", "--preset", "paper", "--gpu", "a100", "--json"]
    done = CliRunner().invoke(app, [*arguments, "--gpus-per-training", "4", "--gpus", "32"])
    assert done.exit_code == 0, done.output
    content = json.loads(done.output)
    assert set(content) == set(Plan.model_fields)
    plan = Plan.model_validate_json(done.output)
    assert (plan.gpu, plan.gpus_per_training, plan.gpus) == ("a100", 4, 32)
    spans = [plan.train_gpu_hours, plan.wall_hours, *(item.bytes for item in plan.disk)]
    assert all(0 < s.low <= s.high for s in spans)


def test_generated_data_have_no_hours_but_jobs(places: Places) -> None:
    text = to_text(plan_of(load_grid("smoke"), places))
    assert re.search(r"^train +0 +\d+$", text, re.M)
    assert "no speed is published: generated_cityscapes/" in text
    assert "Downloads" not in text


def test_too_few_gpus_are_refused(paper: Grid, places: Places) -> None:
    with pytest.raises(UserError, match="--gpus 4: one training takes 8"):
        plan_of(paper, places, gpus=4)


def test_wrong_speeds_are_refused_in_one_line(tmp_path: Path) -> None:
    text = (CONFIG_DIR / "speeds.yaml").read_text()
    for old, new, told in (
        ("measured_gpus: 8", "measured_gpu: 8", "unknown key measured_gpu"),
        ("[1.4, 2.2]", "[2.2, 1.4]", "smaller number first"),
        ("test_s: [0.043, 0.13]", "test_s: [-1, 0.13]", "resnet50.test_s"),
    ):
        assert old in text
        (tmp_path / "speeds.yaml").write_text(text.replace(old, new, 1))
        with pytest.raises(UserError, match=re.escape(told)) as caught:
            load_speeds(tmp_path)
        assert "\n" not in str(caught.value)


def test_model_sizes_are_those_of_the_models(paper: Grid) -> None:
    speeds = load_speeds(CONFIG_DIR)
    classes = {"coco": 80, "cityscapes": 8}
    for dataset, variant in ONE_OF_EACH_SIZE:
        settings = paper.training_settings(dataset, variant)
        is_semantic = isinstance(settings, SemanticTrainingSettings)
        with torch.device("meta"):
            model = build_model(settings.model, num_classes=19 if is_semantic else classes[dataset])
        actual = sum(t.numel() * t.element_size() for t in model.state_dict().values())
        speed = model_speed(speeds, settings, paper.datasets[dataset].layout)
        assert speed is not None
        assert speed.model_bytes == pytest.approx(actual, rel=0.1), variant


def test_model_sizes_of_sharpmasks_paper() -> None:
    grid, speeds = load_grid("paper", papers=["sharpmask"]), load_speeds(CONFIG_DIR)
    for training in grid.trainings:
        settings = grid.training_settings(training.dataset, training.variant)
        with torch.device("meta"):
            model = build_model(settings.model, num_classes=80)
        actual = sum(t.numel() * t.element_size() for t in model.state_dict().values())
        speed = model_speed(speeds, settings, "coco")
        assert speed is not None
        assert speed.model_bytes == pytest.approx(actual, rel=0.1), training.variant


def test_as_many_checkpoints_are_kept_as_the_disk_is_reckoned_for() -> None:
    assert checkpoints._KEEP == CHECKPOINTS_KEPT


def test_ranges_are_told_in_two_figures() -> None:
    assert span(Range(52.2, 73.08), "h") == "52 to 73 h"
    assert span(Range(3.26, 3.31)) == "3.3"
    assert span(Range(9.96, 12345)) == "10 to 12300"
    assert span(Range(0, 0.044)) == "0 to 0.04"


def test_planning_imports_no_torch() -> None:
    code = "import sys, pointrend_repro.pipeline.planning.text; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
