"""Whoever uses a model or predictions asks first whether they are what their record describes."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from damaged_run import Run, Runs, flip_a_bit, put_another_head, refused_and_kept
from PIL import Image

from pointrend_repro.api.loading import load_model
from pointrend_repro.base.digests import content_digest
from pointrend_repro.base.errors import DamagedError, UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.base.origins import origin_path, require_as_recorded
from pointrend_repro.checkpoints.loading import convert
from pointrend_repro.experiments.nodes import Training
from pointrend_repro.figures.making import load_models
from pointrend_repro.predictions.instances import detect
from pointrend_repro.reporting.verifying import verify as look_at_all
from pointrend_repro.settings.at_test import DetectionAtTest
from pointrend_repro.settings.instances import InferenceSettings
from pointrend_repro.tools.export.choosing import Asked
from pointrend_repro.tools.export.writing import export_model
from small_experiment import DATASET, PRESET, VARIANT


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("run"))


@pytest.fixture
def run(
    runs: Runs,
    tmp_path: Path,
    coco_builder: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Run:
    return runs.copy(tmp_path / "run", coco_builder, monkeypatch, capfd)


def test_figures_and_pictures_refuse_it(run: Run) -> None:
    results = run.folder / "results" / PRESET
    _, (used,) = load_models(run.grid, {"pointrend": Training(DATASET, VARIANT, 0)}, results)
    assert used.model_digest == content_digest(run.model)
    put_another_head(run.model)
    with pytest.raises(DamagedError, match=r"is not what model\.origin\.json beside"):
        load_models(run.grid, {"pointrend": Training(DATASET, VARIANT, 0)}, results)


def test_figures_and_pictures_show_models_as_the_preset_tests_them(run: Run) -> None:
    over = run.grid.preset.overrides.model_copy(
        update={"test": DetectionAtTest(short_edge_px=32, detections_per_image=1)}
    )
    grid = replace(run.grid, preset=run.grid.preset.model_copy(update={"overrides": over}))
    results = run.folder / "results" / PRESET
    models, _ = load_models(grid, {"it": Training(DATASET, VARIANT, 0)}, results)
    assert models["it"].input.test_short_edge_px == 32
    picture = np.zeros((40, 60, 3), np.uint8)
    every = InferenceSettings.model_validate({"test": {"score_threshold": 0.0}})
    assert len(detect(models["it"], picture, every).boxes) == 1


def test_the_figures_command_moves_it_aside(run: Run) -> None:
    preset = run.folder / f"config/presets/{PRESET}.yaml"
    preset.write_text(preset.read_text() + "figures: [figure6]\n")
    flip_a_bit(run.model)
    damaged = run.model.read_bytes()
    where = ["--data-root", run.folder / "coco", "--config-dir", run.folder / "config"]
    where += ["--results-dir", run.folder / "results", "--output", run.folder / "figure6.png"]
    code, told = run.call("figure", "figure6", "--preset", PRESET, *where)
    assert code == 2
    refused_and_kept(told, run.model, damaged)


USES: dict[str, Callable[[Path, Path], object]] = {
    "load_model": lambda model, _: load_model("pointrend_r50_fpn_coco", model),
    "convert": lambda model, out: convert(model, out / "m.pkl", "pointrend_r50_fpn_coco"),
    "export": lambda model, out: export_model(str(model), None, "pt2", out / "m.pt2", Asked()),
}


@pytest.mark.parametrize("use", USES)
def test_library_and_conversions_refuse_it_and_leave_it(run: Run, tmp_path: Path, use: str) -> None:
    flip_a_bit(run.model)
    with pytest.raises(DamagedError, match=r"put the right file back, or train it again"):
        USES[use](run.model, tmp_path)
    assert run.model.exists()
    assert not list(tmp_path.glob("m.*"))


def test_a_model_without_a_record_is_its_own_word(run: Run, tmp_path: Path) -> None:
    alone = tmp_path / "model.safetensors"
    shutil.copy(run.model, alone)
    with pytest.raises(UserError, match="holds resnet18_narrow"):  # read, and compared
        load_model("pointrend_r50_fpn_coco", alone)
    with pytest.raises(UserError, match=r"model\.origin\.json: no such file"):
        require_as_recorded(alone, "train")


def verify(run: Run, *more: str) -> tuple[int, str]:
    where = ["--config-dir", run.folder / "config", "--results-dir", run.folder / "results"]
    return run.call("verify", "--preset", PRESET, *where, *more)


def test_verify_tells_gone_files_from_wrong_ones_and_scores_that_it_was_not_asked_for(
    run: Run,
) -> None:
    run.predictions.unlink()
    origin_path(run.predictions).unlink()
    code, told = verify(run)
    assert code == 2
    assert "1 of 3 files gone; what is there is as recorded" in told
    assert "not as recorded" not in told
    results = run.folder / "results" / PRESET
    other = results / DATASET / VARIANT / "trial7" / "default" / run.score.name
    other.parent.mkdir(parents=True)
    shutil.copy(run.score, other)
    found = look_at_all(run.grid, results)
    assert (found.looked_at, found.gone, found.others) == (3, 1, 1)


def test_verify_looks_at_what_no_step_reads_any_more(run: Run) -> None:
    assert verify(run) == (0, "")
    code, told = verify(run, "--set", "trials.coco=7..8")  # trials that this run does not have
    assert code == 2
    assert "holds no model, prediction or score" in told
    flip_a_bit(run.model)
    score = read_json(run.score)
    score["values"]["AP"] = 99.0
    run.score.write_text(json.dumps(score))
    verified = read_problems(run)
    assert [problem.split(": ")[0] for problem in verified] == [str(run.model), str(run.score)]
    assert "is not what model.origin.json beside it describes" in verified[0]
    assert "edited since it was scored" in verified[1]
    code, told = verify(run)
    assert code == 2
    assert "2 of 3 files not as recorded; move each away" in told
    for path in (run.predictions, origin_path(run.predictions)):
        path.unlink()
    assert f"{run.predictions}: is gone, but results made from it are still there" in read_problems(
        run
    )
    run.score.write_text("{")
    assert f"{run.score}: not valid JSON" in read_problems(run)[-1]
    shutil.rmtree(run.folder / "results" / PRESET)
    assert verify(run)[0] == 2  # nothing looked at is nothing verified
    (run.folder / "results" / PRESET).mkdir()
    code, told = verify(run)
    assert code == 2
    assert "holds no model, prediction or score" in told


def read_problems(run: Run) -> list[str]:
    return list(look_at_all(run.grid, run.folder / "results" / PRESET).problems)


# --- label images ----------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["another pixel", "one less", "one more"])
def test_label_images_are_tied_to_their_record_too(tmp_path: Path, change: str) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    for name in "ab":
        Image.new("L", (4, 3), 7).save(folder / f"{name}_pred_labelIds.png")
    record = {"predict": {"output_digest": content_digest(folder)}}
    origin_path(folder).write_text(json.dumps(record))
    assert require_as_recorded(folder, "predict").origin == record
    if change == "another pixel":
        Image.new("L", (4, 3), 8).save(folder / "a_pred_labelIds.png")
    elif change == "one less":
        (folder / "a_pred_labelIds.png").unlink()
    else:
        Image.new("L", (4, 3), 7).save(folder / "c_pred_labelIds.png")
    with pytest.raises(DamagedError, match=r"labels: is not what labels\.origin\.json"):
        require_as_recorded(folder, "predict")
