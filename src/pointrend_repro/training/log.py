"""The training log: one line of JSON per logging step, and the same numbers for TensorBoard."""

import json
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

from pointrend_repro.base.files import atomic_path, remove_leftovers, write_errors, write_text
from pointrend_repro.base.json_text import parse_json
from pointrend_repro.training.trackers import Trackers

_JPEG_QUALITY = 85


class TrainingLog:
    """Appends to `<folder>/log.jsonl`, `<folder>/samples/` and `<folder>/tensorboard/`.

    A training that resumes from a checkpoint first drops what was logged after it, so that every
    iteration appears in the log once.

    Args:
        trackers: get the same, and are finished with the log.
    """

    def __init__(
        self, folder: Path, start_iteration: int, trackers: Trackers | None = None
    ) -> None:
        self._trackers = trackers
        self._samples = folder / "samples"
        _drop_samples_after(self._samples, start_iteration)
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
        if self._trackers is not None:
            self._trackers.log(iteration, numbers)

    def show(self, updates: int, picture: NDArray[np.uint8]) -> None:
        """Keep sample predictions, RGB (H, W, 3), that were drawn after this many updates."""
        path, iteration = self._samples / f"after_{updates:08d}.jpg", updates - 1
        with atomic_path(path) as part:
            Image.fromarray(picture).save(part, format="JPEG", quality=_JPEG_QUALITY)
        with write_errors(self._path):
            self._curves.add_image("samples", picture, iteration, dataformats="HWC")
        if self._trackers is not None:
            self._trackers.show(iteration, picture, path)

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
        if self._trackers is not None:
            self._trackers.finish()


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


def _drop_samples_after(folder: Path, updates: int) -> None:
    remove_leftovers(folder, "after_*.jpg")
    for path in folder.glob("after_*.jpg"):
        number = path.stem.removeprefix("after_")
        if not number.isdecimal() or int(number) > updates:
            path.unlink()
