"""The training log: one line of JSON per logging step, and the same numbers for TensorBoard."""

import json
from pathlib import Path
from types import TracebackType

from torch.utils.tensorboard import SummaryWriter

from pointrend_repro.base.files import write_errors, write_text
from pointrend_repro.base.json_text import parse_json


class TrainingLog:
    """Appends to `<folder>/log.jsonl` and `<folder>/tensorboard/`.

    A training that resumes from a checkpoint first drops what was logged after it, so that every
    iteration appears in the log once.
    """

    def __init__(self, folder: Path, start_iteration: int) -> None:
        self._path = folder / "log.jsonl"
        write_text(self._path, "".join(_lines_before(self._path, start_iteration)))
        with write_errors(self._path):
            self._lines = self._path.open("a", encoding="utf-8")
            self._curves = SummaryWriter(str(folder / "tensorboard"), purge_step=start_iteration)

    def write(self, iteration: int, numbers: dict[str, float]) -> None:
        """Log the numbers of one iteration."""
        with write_errors(self._path):
            self._lines.write(json.dumps({"iteration": iteration, **numbers}) + "\n")
            self._lines.flush()
            for name, value in numbers.items():
                self._curves.add_scalar(name, value, iteration)

    def __enter__(self) -> "TrainingLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with write_errors(self._path):
            self._lines.close()
            self._curves.close()


def _lines_before(path: Path, iteration: int) -> list[str]:
    if not path.exists():
        return []
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            if parse_json(line, allow_nan=True)["iteration"] < iteration:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue  # the last line of a killed process
    return kept
