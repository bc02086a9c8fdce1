"""The training log: one line of JSON per logging step, and the same numbers for TensorBoard."""

import json
from pathlib import Path
from types import TracebackType

from torch.utils.tensorboard import SummaryWriter


class TrainingLog:
    """Appends to `<folder>/log.jsonl` and `<folder>/tensorboard/`.

    A training that continues from a checkpoint first drops what was logged after it, so that
    every iteration stands in the log once.
    """

    def __init__(self, folder: Path, start_iteration: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "log.jsonl"
        kept = _lines_before(path, start_iteration)
        self._lines = path.open("w", encoding="utf-8")
        self._lines.writelines(kept)
        self._curves = SummaryWriter(str(folder / "tensorboard"), purge_step=start_iteration)

    def write(self, iteration: int, numbers: dict[str, float]) -> None:
        """Log the numbers of one iteration."""
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
        self._lines.close()
        self._curves.close()


def _lines_before(path: Path, iteration: int) -> list[str]:
    if not path.exists():
        return []
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            if json.loads(line)["iteration"] < iteration:
                kept.append(line)
        except (json.JSONDecodeError, KeyError):
            continue  # the last line of a process that was killed
    return kept
