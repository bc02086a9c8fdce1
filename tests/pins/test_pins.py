"""What users and finished results rest on is as it was, unless a commit says why it is not.

`record.py` writes the pins anew. What is added (a preset, a command, a column at the end) fails
nothing here: only what is gone or different does.
"""

import json
from pathlib import Path
from typing import Any

import finished
import pinned
import pytest
import torch

from pointrend_repro.base.provenance import digest
from pointrend_repro.checkpoints.saved_models import load_saved_model
from pointrend_repro.reporting.code_state import TodaysCode
from pointrend_repro.reporting.results import Result


def assert_holds(recorded: Any, now: Any, where: str) -> None:
    """All that was recorded is there and the same; of lists, the beginning."""
    if isinstance(recorded, dict):
        for key, value in recorded.items():
            assert key in now, f"{where}: {key} is gone"
            assert_holds(value, now[key], f"{where}: {key}")
    elif isinstance(recorded, list):
        assert now[: len(recorded)] == recorded, where
    else:
        assert now == recorded, where


@pytest.mark.parametrize("name", sorted(pinned.PINS))
def test_pin(name: str) -> None:
    recorded, now = pinned.load(name), json.loads(json.dumps(pinned.PINS[name]()))
    if name == "shell_lines":
        assert set(recorded) - set(now) == set()
    else:
        assert_holds(recorded, now, name)


@pytest.mark.parametrize("kind", sorted(finished.KINDS))
def test_model_files_of_old_are_loaded(kind: str, tmp_path: Path) -> None:
    header = pinned.load("model_files")[kind]
    path = tmp_path / "model.safetensors"
    tensors = finished.write_model_file(path, header)
    saved = load_saved_model(path)
    assert_holds(header["metadata"]["model"], saved.model.settings.model_dump(mode="json"), kind)
    assert_holds(header["metadata"]["input"], saved.input.model_dump(mode="json"), kind)
    assert [list(pair) for pair in saved.categories] == header["metadata"]["categories"]
    state = saved.model.state_dict()
    assert state.keys() == tensors.keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize("kind", ["instances", "label_maps"])
def test_metric_files_of_old_are_read(kind: str) -> None:
    recorded = pinned.load("records")[kind]
    result = Result.model_validate(recorded)
    assert result.values == recorded["values"]
    assert result.resampled is not None
    for record in result.origin.steps.values():
        assert digest(record.settings) == record.settings_digest


@pytest.mark.parametrize("kind", ["instances", "label_maps"])
def test_records_of_today_say_all_that_the_old_ones_did(
    kind: str, todays_records: dict[str, Any]
) -> None:
    old, new = pinned.load("records")[kind], todays_records[kind]
    assert old.keys() <= new.keys()
    assert old["origin"].keys() <= new["origin"].keys()
    for step in ("train", "predict", "evaluate"):
        assert old["origin"][step].keys() <= new["origin"][step].keys()
        assert_holds(old["origin"][step]["settings"], new["origin"][step]["settings"], step)


@pytest.mark.parametrize("kind", ["instances", "label_maps"])
def test_steps_of_today_name_the_code_that_they_ran_through(
    kind: str, todays_records: dict[str, Any]
) -> None:
    steps, code = Result.model_validate(todays_records[kind]).origin.steps, TodaysCode()
    rooms = {}
    for name, record in steps.items():
        assert code.has_run(record)
        rooms[name] = {".".join(module.split(".")[1:3]) for module in record.code_modules or ()}
    assert {"training.loop", "data.training_splits", "data.batches"} <= rooms["train"]
    assert "predictions.instances" in rooms["predict"]
    needless = {"evaluation", "reporting", "figures", "tools", "pipeline.planning", "api"}
    for name in ("train", "predict"):
        assert not needless & (rooms[name] | {room.split(".")[0] for room in rooms[name]})
        assert "engines.detectron2" not in rooms[name]
    assert not {"modeling", "training", "engines"} & {r.split(".")[0] for r in rooms["evaluate"]}


@pytest.fixture(scope="module")
def todays_records() -> dict[str, Any]:
    return finished.records()
