"""detectron2 goes on only from a checkpoint of its own folder that runs nothing."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from fvcore.common.checkpoint import Checkpointer, PeriodicCheckpointer

from pointrend_repro.base.errors import UserError
from pointrend_repro.engines.detectron2.resuming import (
    RecordInCheckpoints,
    remove_older,
    require_own_checkpoint,
)
from pointrend_repro.training.parts import Parts


class Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


def test_its_own(tmp_path: Path) -> None:
    torch.save({"model": {"a": torch.ones(2)}, "iteration": 3}, tmp_path / "model_0000003.pth")
    require_own_checkpoint(tmp_path, str(tmp_path / "model_0000003.pth"))


@pytest.mark.parametrize(
    "named", ["model.pkl", "../model.pth", "/else/model.pth", "https://example.org/model.pth", ""]
)
def test_anything_else_that_the_folder_names(tmp_path: Path, named: str) -> None:
    with pytest.raises(UserError, match="last_checkpoint: names"):
        require_own_checkpoint(tmp_path, os.path.join(tmp_path, named))  # noqa: PTH118  as it does


def test_one_that_would_run_code(tmp_path: Path) -> None:
    torch.save({"model": Touch(tmp_path / "was-here")}, tmp_path / "model.pth")
    with pytest.raises(UserError, match=r"refused.*posix\.system"):
        require_own_checkpoint(tmp_path, str(tmp_path / "model.pth"))
    assert not (tmp_path / "was-here").exists()


def test_its_checkpoints_have_the_record_of_the_training(tmp_path: Path) -> None:
    """By detectron2's own checkpointer, which is fvcore's."""

    def saving(wall_s: float) -> tuple[Checkpointer, RecordInCheckpoints, Parts]:
        def this_run() -> dict[str, Any]:
            made = {"code_digest": "0123456789ab", "code_modules": ["pointrend_repro"]}
            return made | {"wall_s": wall_s, "peak_memory_mb": 1.0, "git_commit": None}

        parts = Parts(this_run, tmp_path)
        record = RecordInCheckpoints(parts)
        checkpointer = Checkpointer(torch.nn.Linear(1, 1), str(tmp_path))
        checkpointer.add_checkpointable("record", record)
        return checkpointer, record, parts

    saving(5.0)[0].save("model_0000003", iteration=3)
    require_own_checkpoint(tmp_path, str(tmp_path / "model_0000003.pth"))
    checkpointer, record, parts = saving(2.0)
    checkpointer.resume_or_load("")
    record.go_on(4, 8)
    assert parts.record()["wall_s"] == 7.0
    (part,) = parts.record()["continued_from"]
    assert (part["iterations"], part["wall_s"]) == (4, 5.0)


def test_checkpoints_of_earlier_runs_do_not_fill_the_disk(tmp_path: Path) -> None:
    """detectron2 removes only those that it has saved since it was started."""
    for start in (0, 25, 50):
        checkpointer = Checkpointer(torch.nn.Linear(1, 1), str(tmp_path))
        if checkpointer.has_checkpoint():
            remove_older(Path(checkpointer.get_checkpoint_file()), keep=2)
        periodic = PeriodicCheckpointer(checkpointer, 10, max_iter=100, max_to_keep=2)
        for iteration in range(start, start + 25):
            periodic.step(iteration)
        checkpointer.save(f"model_{start + 24:07d}")  # as when a signal has come
    (tmp_path / "model_0000090.pth").touch()  # half-written: `last_checkpoint` names another
    remove_older(Path(checkpointer.get_checkpoint_file()), keep=2)
    left = sorted(path.name for path in tmp_path.glob("*.pth"))
    assert left == ["model_0000069.pth", "model_0000074.pth", "model_0000090.pth"]
