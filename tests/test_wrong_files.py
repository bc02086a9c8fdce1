"""A model or predictions that are not what their record describes never end in a number.

The files are real ones of a small run; each test damages a copy as disks and people do.
"""

import json
import logging
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from pointrend_repro import cli
from pointrend_repro.api import load_model
from pointrend_repro.checkpoints.loading import convert
from pointrend_repro.config import CONFIG_DIR
from pointrend_repro.digests import content_digest
from pointrend_repro.errors import DamagedError, UserError
from pointrend_repro.experiments import Grid, Training
from pointrend_repro.export.writing import export_model
from pointrend_repro.figures.making import load_models
from pointrend_repro.files import read_json
from pointrend_repro.modeling.weights import SavedModel, build_model, load_saved_model, save_model
from pointrend_repro.origins import origin_path, require_as_recorded
from pointrend_repro.reporting.verifying import verify as look_at_all
from pointrend_repro.settings import InferenceSettings
from small_experiment import DATASET, PRESET, VARIANT, small_settings
from test_changed_data import open_run, run_everything

INFERENCE = "res28"
Damage = Callable[[Path], object]


@dataclass(frozen=True)
class Run:
    """A small run of one training on disk, and a way to run its commands in this process."""

    folder: Path
    grid: Grid
    call: Callable[..., tuple[int, str]]

    @property
    def model(self) -> Path:
        return self.folder / "results" / PRESET / DATASET / VARIANT / "trial0/model.safetensors"

    @property
    def predictions(self) -> Path:
        return self.model.parent / INFERENCE / "predictions.json"

    @property
    def score(self) -> Path:
        return self.predictions.with_name("coco_ap.json")

    def predict(self, **other: Any) -> str:
        """What `predict` says, without older predictions."""
        shutil.rmtree(self.predictions.parent, ignore_errors=True)
        given = {"variant": VARIANT, "inference": INFERENCE, "model": self.model} | other
        where = ["--data-root", self.folder / "coco", "--config-dir", self.folder / "config"]
        code, told = self.call(
            *("predict", "--preset", PRESET, "--dataset", DATASET, "--device", "cpu"),
            *(part for key, value in given.items() for part in (f"--{key}", value)),
            *(*where, "--output", self.predictions),
        )
        assert self.predictions.exists() == (code == 0)
        return told

    def evaluate(self, *, all_at_once: bool = False) -> str:
        """What `evaluate` or `evaluate-all` says, without an older score."""
        self.score.unlink(missing_ok=True)
        truth = self.folder / "coco/annotations/instances_val2017.json"
        what = ["evaluate-all", f"coco_ap={truth}", f"boundary_ap={truth}"]
        if not all_at_once:
            what = ["evaluate", "coco_ap", "--ground-truth", str(truth)]
        output = self.score.parent if all_at_once else self.score
        code, told = self.call(*what, "--predictions", self.predictions, "--output", output)
        assert self.score.exists() == (code == 0)
        return told

    def forget_digests(self) -> None:
        """Make the records those of a version that kept none."""
        for result, step in ((self.model, "train"), (self.predictions, "predict")):
            origin = read_json(origin_path(result))
            for record in (origin["train"], origin[step]):
                for key in ("input_digest", "output_digest"):
                    record.pop(key, None)
            origin_path(result).write_text(json.dumps(origin))


@pytest.fixture(scope="module")
def run_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture
def run(
    run_once: Path,
    tmp_path: Path,
    coco_builder: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Run:
    if not (run_once / "results").exists():
        coco_builder(root=run_once / "coco")
        run_everything(run_once)
    shutil.copytree(run_once, tmp_path / "run")

    def call(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["pointrend-repro", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), capfd.readouterr().err

    return Run(tmp_path / "run", open_run(tmp_path / "run").grid, call)


def put_another_head(path: Path) -> None:
    """A whole model of this project for the same classes, as a mix-up would leave it."""
    saved = load_saved_model(path)
    torch.manual_seed(0)
    other = build_model(small_settings("4conv").model, num_classes=len(saved.categories))
    save_model(path, SavedModel(other, saved.input, saved.categories))


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def half_of_the_objects(path: Path) -> None:
    found = read_json(path)
    assert len(found) > 1
    path.write_text(json.dumps(found[: len(found) // 2]))


def refused_and_kept(told: str, path: Path, damaged: bytes) -> None:
    lines = [line for line in told.splitlines() if "error: " in line]
    assert len(lines) == 1
    assert "Traceback" not in told
    assert f"{path}: is not what" in lines[0]
    assert lines[0].endswith("run again to make it anew")
    aside = path.with_name(f"{path.name}.damaged")
    assert str(aside) in lines[0]
    assert aside.read_bytes() == damaged
    # Snakemake makes a result anew when it, or its record, is not there.
    assert not path.exists()
    assert not origin_path(path).exists()
    assert origin_path(path).with_name(f"{origin_path(path).name}.damaged").exists()


@pytest.mark.parametrize("damage", [put_another_head, flip_a_bit, cut])
def test_a_wrong_model_predicts_nothing(run: Run, damage: Damage) -> None:
    damage(run.model)
    damaged = run.model.read_bytes()
    refused_and_kept(run.predict(), run.model, damaged)
    assert "no such file; train the model first" in run.predict()


@pytest.mark.parametrize("all_at_once", [False, True])
@pytest.mark.parametrize("damage", [half_of_the_objects, lambda p: p.write_text("[]"), cut])
def test_wrong_predictions_have_no_score(run: Run, damage: Damage, all_at_once: bool) -> None:
    damage(run.predictions)
    damaged = run.predictions.read_bytes()
    told = run.evaluate(all_at_once=all_at_once)
    refused_and_kept(told, run.predictions, damaged)


def test_a_record_that_cannot_be_read_is_made_anew_with_its_model(run: Run) -> None:
    cut(origin_path(run.model))
    model = run.model.read_bytes()
    assert "model.origin.json: not valid JSON" in run.predict()
    assert not run.model.exists()
    assert run.model.with_name("model.safetensors.damaged").read_bytes() == model


def test_nothing_that_was_moved_aside_is_overwritten(run: Run) -> None:
    kept = []
    for number in range(3):
        origin = origin_path(run.model).read_bytes()
        run.model.write_bytes(b"damaged %d" % number)
        kept.append(run.model.read_bytes())
        run.predict()
        origin_path(run.model).write_bytes(origin)
    names = ("damaged", "damaged2", "damaged3")
    assert [run.model.with_name(f"{run.model.name}.{n}").read_bytes() for n in names] == kept


def test_records_hold_the_chain(run: Run) -> None:
    origin = read_json(run.score)["origin"]
    assert origin["train"]["output_digest"] == content_digest(run.model)
    assert origin["predict"]["input_digest"] == content_digest(run.model)
    assert origin["predict"]["output_digest"] == content_digest(run.predictions)
    assert origin["evaluate"]["input_digest"] == content_digest(run.predictions)


# --- results of versions that kept no digests ------------------------------------------------


def test_results_from_before_digests_are_taken_and_said_to_be(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    score = read_json(run.score)["values"]
    run.forget_digests()
    with caplog.at_level(logging.INFO):
        run.evaluate()
        assert f"{run.predictions}: made before digests were kept" in caplog.text
        run.predict()
        assert f"{run.model}: made before digests were kept" in caplog.text
    assert read_json(origin_path(run.predictions))["predict"]["input_digest"]
    run.evaluate()
    assert read_json(run.score)["values"] == score


def test_without_a_digest_another_head_and_a_cut_file_still_show(run: Run) -> None:
    run.forget_digests()
    cut(run.predictions)
    assert "predictions.json: is not whole; kept as" in run.evaluate()
    origin, model = origin_path(run.model).read_bytes(), run.model.read_bytes()
    put_another_head(run.model)
    assert "a model of other settings than its record tells; kept as" in run.predict()
    origin_path(run.model).write_bytes(origin)
    run.model.write_bytes(model[:-40])
    assert "model.safetensors: is not whole; kept as" in run.predict()


# --- whole files at the wrong place ----------------------------------------------------------


def test_a_model_of_another_training_is_refused_and_left(run: Run) -> None:
    other = "mask_rcnn_r50_fpn"
    shutil.copy(CONFIG_DIR / "tables/table1.yaml", run.folder / "config/tables")
    told = run.predict(variant=other, inference="default")
    assert f"is of variant {VARIANT}, not of variant {other}" in told
    trial1 = run.model.parents[1] / "trial1"
    shutil.copytree(run.model.parent, trial1)
    told = run.predict(model=trial1 / "model.safetensors")
    assert "is of trial 0, not of trial 1" in told
    assert run.model.exists()
    assert (trial1 / "model.safetensors").exists()


# --- whoever else uses a model ---------------------------------------------------------------


def test_figures_and_pictures_refuse_it(run: Run) -> None:
    results = run.folder / "results" / PRESET
    _, (used,) = load_models([Training(DATASET, VARIANT, 0)], results)
    assert used.model_digest == content_digest(run.model)
    put_another_head(run.model)
    with pytest.raises(DamagedError, match=r"is not what model\.origin\.json beside"):
        load_models([Training(DATASET, VARIANT, 0)], results)


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
    "export": lambda model, out: export_model(
        str(model), None, "pt2", out / "m.pt2", InferenceSettings()
    ),
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


def verify(run: Run) -> tuple[int, str]:
    where = ["--config-dir", run.folder / "config", "--results-dir", run.folder / "results"]
    return run.call("verify", "--preset", PRESET, *where)


def test_verify_looks_at_what_no_step_reads_any_more(run: Run) -> None:
    assert verify(run) == (0, "")
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
    assert "2 of 3 files not as recorded" in told
    for path in (run.predictions, origin_path(run.predictions)):
        path.unlink()
    assert f"{run.predictions}: is not there any more, and what was made of it is" in read_problems(
        run
    )
    run.score.write_text("{")
    assert f"{run.score}: not valid JSON" in read_problems(run)[-1]
    shutil.rmtree(run.folder / "results")
    assert verify(run) == (0, "")


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
