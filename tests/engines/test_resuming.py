"""detectron2 goes on only from a checkpoint of its own folder that runs nothing."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from fvcore.common.checkpoint import Checkpointer

from pointrend_repro.base.errors import UserError
from pointrend_repro.engines.detectron2.resuming import RecordInCheckpoints, require_own_checkpoint
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
