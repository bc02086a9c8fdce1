"""A model or predictions that are not what their record describes never end in a number.

The files are real ones of a small run; each test damages a copy as disks and people do.
"""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from damaged_run import (
    Run,
    Runs,
    cut,
    flip_a_bit,
    half_of_the_objects,
    put_another_head,
    refused_and_kept,
)

from config_files import config_file
from pointrend_repro.base.digests import content_digest
from pointrend_repro.base.files import read_json
from pointrend_repro.base.origins import origin_path
from small_experiment import VARIANT

Damage = Callable[[Path], object]


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
    assert "a model of other settings than its record says; kept as" in run.predict()
    origin_path(run.model).write_bytes(origin)
    run.model.write_bytes(model[:-40])
    assert "model.safetensors: is not whole; kept as" in run.predict()


# --- whole files at the wrong place ----------------------------------------------------------


def test_a_model_of_another_training_is_refused_and_left(run: Run) -> None:
    other = "mask_rcnn_r50_fpn"
    shutil.copy(config_file("tables/table1"), config_file("tables/table1", run.folder / "config"))
    told = run.predict(variant=other, inference="default")
    assert f"is of variant {VARIANT}, not of variant {other}" in told
    trial1 = run.model.parents[1] / "trial1"
    shutil.copytree(run.model.parent, trial1)
    told = run.predict(model=trial1 / "model.safetensors")
    assert "is of trial 0, not of trial 1" in told
    assert run.model.exists()
    assert (trial1 / "model.safetensors").exists()
