"""A number that is not there says why: what has not run, or how the step that failed ended."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointrend_repro.declarations.prediction_kind import PredictionKind
from pointrend_repro.experiments.nodes import Cost, Evaluation, Prediction, Training
from pointrend_repro.reporting.missing import Absent, last_line, why_absent

EVALUATION = Evaluation(Prediction(Training("coco", "v", 1), "default"), "coco_ap")
SEMANTIC = Evaluation(Prediction(Training("coco", "v", 1), "default"), "trimap_miou")
FOLDER = "coco/v/trial1"
TRAINED = (f"{FOLDER}/model.safetensors", f"{FOLDER}/model.origin.json")
PREDICTED = (f"{FOLDER}/default/predictions.json", f"{FOLDER}/default/predictions.origin.json")


def write(folder: Path, *names: str, text: str = "x", age_s: int = 0) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (1e9 - age_s, 1e9 - age_s))


def of_none(prediction: Prediction) -> PredictionKind:
    raise AssertionError(f"{prediction} is not needed")


def absence(result: Evaluation | Cost, folder: Path) -> Absent:
    """Of a model that builds on no other."""
    before = [result.prediction.training] if isinstance(result, Evaluation) else []
    return why_absent(result, folder, before, of_none)


def test_what_has_not_run_is_said(tmp_path: Path) -> None:
    reasons = [absence(EVALUATION, tmp_path).reason]
    for done in (("coco/dataset.json",), TRAINED, PREDICTED):
        write(tmp_path, *done)
        reasons.append(absence(EVALUATION, tmp_path).reason)
    assert reasons == [
        "not run yet",
        "not run yet",
        "trained, not predicted yet",
        "predicted, not scored yet",
    ]
    assert absence(Cost("v", "default", "mask_head_cost"), tmp_path).reason == "not counted yet"


@pytest.mark.parametrize(
    ("done", "log", "step"),
    [
        ((), "coco/check.log", "data check"),
        ((), f"{FOLDER}/train.log", "train"),
        (("coco/dataset.json",), f"{FOLDER}/train.log", "train"),
        (TRAINED, f"{FOLDER}/default/predict.log", "predict"),
        (PREDICTED, f"{FOLDER}/default/coco_ap.log", "evaluate"),
    ],
)
def test_a_failure_is_told_by_the_last_line(
    tmp_path: Path, done: tuple[str, ...], log: str, step: str
) -> None:
    write(tmp_path, *done)
    write(tmp_path, log, text="started\npointrend-repro: error: disk full; free some space\n\n")
    absent = absence(EVALUATION, tmp_path)
    assert (absent.step, absent.failed, absent.log) == (step, True, log)
    assert absent.reason == f"{step} failed: pointrend-repro: error: disk full; free some space"


@pytest.mark.parametrize(
    ("own", "process", "log"),
    [
        ("error: of AP", "error: coco_ap failed", "coco_ap"),
        ("", "error: there is no metric", "evaluate"),
        (None, "error: there is no metric", "evaluate"),
        ("", "", "coco_ap"),
    ],
)
def test_of_several_metrics_in_one_process_each_has_its_own_reason(
    tmp_path: Path, own: str | None, process: str, log: str
) -> None:
    write(tmp_path, *PREDICTED, age_s=10)
    if own is not None:
        write(tmp_path, f"{FOLDER}/default/coco_ap.log", text=own, age_s=5)
    write(tmp_path, f"{FOLDER}/default/evaluate.log", text=process)
    absent = absence(EVALUATION, tmp_path)
    assert (absent.step, absent.log) == ("evaluate", f"{FOLDER}/default/{log}.log")
    assert absent.last_line == (own or process)


def test_the_step_that_was_reached_speaks(tmp_path: Path) -> None:
    write(tmp_path, "coco/check.log", text="checked\n")
    write(tmp_path, f"{FOLDER}/train.log", text="Killed\n")
    assert absence(EVALUATION, tmp_path).reason == "train failed: Killed"


def test_the_newest_log_speaks(tmp_path: Path) -> None:
    write(tmp_path, f"{FOLDER}/default/predict.log", text="error: of last week\n", age_s=10)
    write(tmp_path, f"{FOLDER}/train.log", text="Killed\n")
    assert absence(EVALUATION, tmp_path).reason == "train failed: Killed"


def test_label_images_are_a_semantic_models_predictions(tmp_path: Path) -> None:
    write(tmp_path, *TRAINED, *PREDICTED)
    assert absence(SEMANTIC, tmp_path).step == "predict"
    write(tmp_path, f"{FOLDER}/default/labels/a.png", f"{FOLDER}/default/labels.origin.json")
    assert absence(SEMANTIC, tmp_path).step == "evaluate"


def test_the_log_of_an_earlier_run_says_nothing(tmp_path: Path) -> None:
    write(tmp_path, *TRAINED)
    write(tmp_path, f"{FOLDER}/default/predict.log", text="error: old", age_s=10)
    assert absence(EVALUATION, tmp_path).reason == "trained, not predicted yet"


@pytest.mark.parametrize(
    ("line", "failed"),
    [
        ("torch.cuda.OutOfMemoryError: CUDA out of memory.", True),
        ("KeyboardInterrupt", True),
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2024-05-01 DUE TO TIME LIMIT ***", True),
        ("Segmentation fault (core dumped)", True),
        ("INFO iteration 20 loss_mask 0.7", False),
        ("Average Precision (AP) 0.352, no errors", False),
    ],
)
def test_ends_that_are_failures(tmp_path: Path, line: str, failed: bool) -> None:
    write(tmp_path, f"{FOLDER}/train.log", text=f"started\n{line}\n")
    absent = absence(EVALUATION, tmp_path)
    assert absent.failed == failed
    told = "train failed" if failed else "train has not finished; last line of its log"
    assert absent.reason == f"{told}: {line}"


def test_a_traceback_whose_message_has_several_lines_is_a_failure(tmp_path: Path) -> None:
    text = "Traceback (most recent call last):\n  File x\nValueError: one\ntwo\n"
    write(tmp_path, f"{FOLDER}/train.log", text=text)
    assert absence(EVALUATION, tmp_path).reason == "train failed: two"


def test_an_empty_log_is_said_to_be_empty(tmp_path: Path) -> None:
    write(tmp_path, f"{FOLDER}/train.log", text="\n \n")
    assert absence(EVALUATION, tmp_path).reason == "train has not finished; its log is empty"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a\r10%\r20%\r30%", "30%"),
        ("training \x1b[36m━━━━━━━\x1b[0m 37% 0:10\n".encode(), "training 37% 0:10"),
        (b"\x1b]0;title\x07done\x1b[2K\n", "done"),
        (b"ok\n\xff\xfe broken \x07 bytes", "�� broken bytes"),
        (b"\x7fELF\x00\x00\x01", "(the log is not text)"),
        (b"x" * 100_000, "x" * 239 + "…"),
        (b"first\n" + b"\n" * 100_000, ""),
    ],
)
def test_a_log_may_hold_anything(tmp_path: Path, content: bytes, line: str) -> None:
    path = tmp_path / "train.log"
    path.write_bytes(content)
    assert last_line(path) == line


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_the_last_line_is_one_short_line_of_text(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.log"
        path.write_bytes(content)
        line = last_line(path)
    assert len(line) <= 240
    assert line.isprintable()
