"""COCO AP of masks and boxes for a thousand predictions an image: by blocks of images, or at once.

`pycocotools` is the tool as its page says to use it, which holds all predictions and all matches.
`benchmarks/many_predictions.py` measures how each grows with the number of images.
"""

import contextlib
import io
import tempfile
from pathlib import Path

from benchmarks.many_predictions import at_once as by_tool
from benchmarks.scaling.made_up import write_many_predictions
from pointrend_repro.evaluation import score
from pointrend_repro.evaluation.bootstrap import image_counts
from pointrend_repro.evaluation.scoring import ReadOnce
from pointrend_repro.tools.bench.case import Case, Size

_SIZES = {"full": {"images": 60, "detections": 1000}, "tiny": {"images": 3, "detections": 8}}


class Files:
    """Annotations and predictions in a folder that lives as long as this object."""

    def __init__(self, images: int, detections: int) -> None:
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        write_many_predictions(folder, images, detections)
        self.truth, self.predictions = folder / "truth.json", folder / "predictions.json"


def make(size: Size, device: str) -> Case:
    files = Files(**_SIZES[size])
    return Case(
        settings=_SIZES[size],
        sides={
            "ours": lambda: lambda: ours(files),
            "pycocotools": lambda: lambda: at_once(files),
        },
        compare=compare,
    )


def ours(files: Files) -> dict[str, float | None]:
    scored = score("coco_ap", files.truth, files.predictions, ReadOnce())
    image_counts("coco_ap", scored)
    return {key: scored.values[key] for key in ("AP", "AP_box")}


def at_once(files: Files) -> dict[str, float | None]:
    with contextlib.redirect_stdout(io.StringIO()):
        return dict(
            zip(
                ("AP", "AP_box"),
                by_tool("pycocotools", files.truth, files.predictions),
                strict=True,
            )
        )


def compare(ours: dict[str, float | None], theirs: dict[str, float | None]) -> dict[str, float]:
    """Numbers that differ: none, to the last bit."""
    assert ours == theirs
    return {}
