"""What trainings leave, and whether two of them have left the same."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch


def newest_checkpoint(folder: Path) -> dict[str, Any]:
    """All of it but the record, which tells of times and machines."""
    path = max((folder / "checkpoints").glob("iter_*.pt"))
    state = torch.load(path, weights_only=True)
    return {key: value for key, value in state.items() if key != "record"}


def checkpoints(folder: Path) -> list[str]:
    """All that is in the folder, hidden files too."""
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def log_lines(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: line[key] for key in line if key != "elapsed_s"} for line in lines]


def assert_same(one: Any, other: Any) -> None:
    """Equal to the last bit, at any depth."""
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert_same(left, right)
    else:
        assert one == other


def assert_same_training(folder: Path, reference: Path) -> None:
    """The same weights and momentum at the end, and the same log, to the last bit."""
    assert_same(newest_checkpoint(folder), newest_checkpoint(reference))
    assert log_lines(folder) == log_lines(reference)


def assert_close_training(folder: Path, reference: Path, *, relative: float = 1e-5) -> None:
    """The same losses and weights but for rounding; of weights, relative to the largest."""
    lines, wanted_lines = log_lines(folder), log_lines(reference)
    assert len(lines) == len(wanted_lines) > 0
    for line, wanted in zip(lines, wanted_lines, strict=True):
        assert line == pytest.approx(wanted, rel=relative, abs=1e-7)
    weights, wanted_weights = (newest_checkpoint(f)["model"] for f in (folder, reference))
    assert weights.keys() == wanted_weights.keys()
    for name, wanted in wanted_weights.items():
        allowed = relative * float(wanted.abs().max())
        assert torch.allclose(weights[name], wanted, rtol=0, atol=allowed + 1e-8), name
