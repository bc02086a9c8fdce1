"""Whose code, data and time are in a model: of trainings that were interrupted, or finished before.

What other code has made is made here by this code, with another file of one module in its memory.
"""

import contextlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageOps

from following import FOLLOWER, SOURCE, run_training_of, write_following_config
from pointrend_repro.base import own_code
from pointrend_repro.base.digests import content_digest
from pointrend_repro.base.files import read_json
from pointrend_repro.base.origins import origin_path
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.reporting.code_state import TodaysCode
from pointrend_repro.reporting.results import Record
from pointrend_repro.training import loop
from small_experiment import DATASET, PRESET

MODULE = "pointrend_repro.training.loop"


class Interrupted(Exception):  # noqa: N818
    pass


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def grid(tmp_path: Path, coco_builder: Callable[..., Path]) -> Grid:
    coco_builder(root=tmp_path / "coco")
    return load_grid(PRESET, write_following_config(tmp_path / "config"))


def train(grid: Grid, folder: Path, variant: str = SOURCE) -> dict[str, Any]:
    """Train as the command does, and return what the record says of it."""
    found: dict[str, Any] = read_json(origin_path(run_training_of(grid, folder, variant)))["train"]
    return found


@contextlib.contextmanager
def other_code() -> Iterator[None]:
    own_code.note_loaded_modules()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(own_code._code_that_runs, MODULE, b"# of last year\n\0")
        yield


def cut(grid: Grid, folder: Path, iteration: int) -> None:
    """Begin or go on, and die in the middle of an update; checkpoints are after 3, 6 and 8."""
    update = loop.update

    def fail(state: Any, *args: Any) -> Any:
        if state.iteration == iteration:
            raise Interrupted
        return update(state, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "update", fail)
        with pytest.raises(Interrupted):
            run_training_of(grid, folder, SOURCE)


def place(folder: Path, variant: str = SOURCE) -> Path:
    return folder / "results" / PRESET / DATASET / variant / "trial0"


def forget_records(folder: Path) -> None:
    """Make checkpoints what they were before records were kept in them."""
    for path in (place(folder) / "checkpoints").glob("iter_*.pt"):
        state = torch.load(path, weights_only=True)
        torch.save({k: v for k, v in state.items() if k not in ("record", "source_digest")}, path)


def but_times(record: dict[str, Any]) -> dict[str, Any]:
    """What stays: a model is written some moments after the last checkpoint."""
    return {k: v for k, v in record.items() if k not in ("wall_s", "peak_memory_mb")}


def is_of_today(record: dict[str, Any]) -> bool:
    return TodaysCode().has_run(Record.model_validate(record))


def test_a_model_of_a_finished_training_keeps_the_record_of_its_run(
    grid: Grid, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with other_code():
        first = train(grid, tmp_path)
    (place(tmp_path) / "model.safetensors").unlink()
    with caplog.at_level(logging.INFO):
        again = train(grid, tmp_path)
    assert but_times(again) == but_times(first)
    assert again["wall_s"] == pytest.approx(first["wall_s"], rel=0.5)
    assert not is_of_today(again)
    (said,) = [r.getMessage() for r in caplog.records if "nothing is trained" in r.getMessage()]
    assert f"other code or data (code {first['code_digest']}" in said
    assert f"to train anew, remove {place(tmp_path)} and run again" in said
    assert "\n" not in said
    shutil.rmtree(place(tmp_path))
    assert is_of_today(train(grid, tmp_path))


def test_so_does_one_of_other_pixels(grid: Grid, tmp_path: Path) -> None:
    first = train(grid, tmp_path)
    for path in (tmp_path / "coco/train2017").iterdir():
        with Image.open(path) as picture:
            ImageOps.invert(picture.convert("RGB")).resize(picture.size).save(path, quality=30)
    again = train(grid, tmp_path)
    assert again["output_digest"] == first["output_digest"]
    assert again["data"] == first["data"]
    shutil.rmtree(place(tmp_path))
    anew = train(grid, tmp_path)
    assert anew["output_digest"] != first["output_digest"]
    assert anew["data"] != first["data"]


def test_a_continued_training_tells_of_the_code_that_began_it(
    grid: Grid, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(tmp_path / "coco", tmp_path / "whole/coco")
    whole = train(grid, tmp_path / "whole")
    assert whole["continued_from"] == []
    with other_code():
        cut(grid, tmp_path, 4)
    (begun,) = (place(tmp_path) / "checkpoints").glob("iter_*.pt")
    old = torch.load(begun, weights_only=True)["record"]
    cut(grid, tmp_path, 7)
    record = train(grid, tmp_path)
    (part,) = record["continued_from"]
    assert part["iterations"] == 3
    assert part["code_digest"] == old["code_digest"] != record["code_digest"]
    assert {"code_modules", "git_commit", "versions", "data", "device", "started"} <= part.keys()
    assert record["code_digest"] == whole["code_digest"]
    assert not is_of_today(record)
    assert is_of_today(record | {"continued_from": []})
    assert record["wall_s"] > part["wall_s"] == old["wall_s"]
    assert f"continuing after 3 of 8 updates by other code or data (code {part['code_digest']}" in (
        caplog.text
    )


def test_runs_of_the_same_code_are_one_of_the_time_of_all(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut(grid, tmp_path, 4)
    cut(grid, tmp_path, 7)
    state = torch.load(place(tmp_path) / "checkpoints/iter_00000006.pt", weights_only=True)
    before = state["record"]
    before |= {"wall_s": 1000.5, "peak_memory_mb": 1e6, "started": "2024-05-01T08:00:00+00:00"}
    torch.save(state, place(tmp_path) / "checkpoints/iter_00000006.pt")
    record = train(grid, tmp_path)
    assert record["continued_from"] == []
    assert 1000.5 < record["wall_s"] < 2000
    assert record["peak_memory_mb"] == 1e6
    assert record["started"] == before["started"]
    assert is_of_today(record)


@pytest.mark.parametrize("updates", [3, 8])
def test_checkpoints_of_before_records_are_of_code_that_nobody_knows(
    grid: Grid, tmp_path: Path, updates: int
) -> None:
    if updates == 8:
        whole = train(grid, tmp_path)
    else:
        shutil.copytree(tmp_path / "coco", tmp_path / "whole/coco")
        whole = train(grid, tmp_path / "whole")
        cut(grid, tmp_path, 4)
    forget_records(tmp_path)
    record = train(grid, tmp_path)
    assert record["output_digest"] == whole["output_digest"]
    assert record["continued_from"] == [{"iterations": updates}]
    assert not is_of_today(record)


def test_a_follower_is_trained_anew_from_a_source_that_was(grid: Grid, tmp_path: Path) -> None:
    train(grid, tmp_path)
    first = train(grid, tmp_path, FOLLOWER)
    assert but_times(train(grid, tmp_path, FOLLOWER)) == but_times(first)
    kept = place(tmp_path).rename(tmp_path / "kept")
    with pytest.MonkeyPatch.context() as patch:
        update = loop.update  # as another version would: other weights of the same settings
        patch.setattr(loop, "update", lambda state, *args: update(_shift(state), *args))
        train(grid, tmp_path)
    second = train(grid, tmp_path, FOLLOWER)
    source = place(tmp_path) / "model.safetensors"
    assert second["started_from"]["input_digest"] == content_digest(source)
    assert second["output_digest"] != first["output_digest"]
    log = (place(tmp_path, FOLLOWER) / "log.jsonl").read_text()
    # Back to the first source: its training lies aside, with all that tells of it.
    shutil.rmtree(place(tmp_path))
    kept.rename(place(tmp_path))
    assert but_times(train(grid, tmp_path, FOLLOWER)) == but_times(first)
    assert (place(tmp_path, FOLLOWER) / "log.jsonl").read_text() != log
    start = read_json(place(tmp_path, FOLLOWER) / "checkpoints/start.json")
    assert start["input_digest"] == first["started_from"]["input_digest"]


def _shift(state: Any) -> Any:
    with torch.no_grad():
        next(state.model.parameters()).add_(0.01)
    return state


def test_a_follower_of_before_source_digests_goes_on(grid: Grid, tmp_path: Path) -> None:
    train(grid, tmp_path)
    first = train(grid, tmp_path, FOLLOWER)
    for path in (place(tmp_path, FOLLOWER) / "checkpoints").glob("iter_*.pt"):
        state = torch.load(path, weights_only=True)
        del state["source_digest"]
        torch.save(state, path)
    (place(tmp_path) / "model.safetensors").unlink()
    assert but_times(train(grid, tmp_path, FOLLOWER)) == but_times(first)


def test_weights_that_another_file_has_taken_the_place_of(grid: Grid, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    shutil.copy(run_training_of(grid, tmp_path, SOURCE), weights)
    start = {"weights": str(weights), "parts": ["backbone", "rpn"]}
    grid = load_grid(PRESET, write_following_config(tmp_path / "another_config", start))
    first = train(grid, tmp_path, FOLLOWER)
    assert but_times(train(grid, tmp_path, FOLLOWER)) == but_times(first)
    shutil.copy(place(tmp_path, FOLLOWER) / "model.safetensors", weights)
    second = train(grid, tmp_path, FOLLOWER)
    assert second["started_from"]["input_digest"] == content_digest(weights)
    assert second["output_digest"] != first["output_digest"]
