"""detectron2 goes on only from a checkpoint of its own folder that runs nothing."""

import os
from pathlib import Path

import pytest
import torch

from pointrend_repro.base.errors import UserError
from pointrend_repro.engines.detectron2.resuming import require_own_checkpoint


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
