"""Mean IoU, also in trimaps, of 1024x2048 label images, with what the claims' resamples need.

`one by one` is two evaluations that read the images each for itself. `cityscapesscripts` is the
official evaluator alone, which gives the mean IoU, has no trimaps, and does not check the files.
Ours runs it, too, for the number that is reported.
"""

import tempfile
from pathlib import Path

from benchmarks.scaling.made_up import write_streets
from pointrend_repro.data.label_images import find_pairs
from pointrend_repro.evaluation import score
from pointrend_repro.evaluation._cityscapes_compat import pixel_level_evaluator
from pointrend_repro.evaluation.bootstrap import image_counts
from pointrend_repro.evaluation.scoring import ReadOnce
from pointrend_repro.tools.bench.case import Case, Size

_IMAGES = {"full": 10, "tiny": 1}
_METRICS = ("cityscapes_miou", "trimap_miou")

Values = dict[str, float | None]


class Files:
    """Label images in a folder that lives as long as this object."""

    def __init__(self, images: int) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.truth = Path(self._folder.name)
        write_streets(self.truth, images)
        self.predictions = self.truth / "label_predictions"


def make(size: Size, device: str) -> Case:
    files = Files(_IMAGES[size])
    return Case(
        settings={"images": _IMAGES[size]},
        sides={
            "ours": lambda: lambda: ours(files),
            "one by one": lambda: lambda: one_by_one(files),
            "cityscapesscripts": lambda: lambda: cityscapesscripts_alone(files),
        },
        compare=compare,
    )


def ours(files: Files) -> Values:
    return _scored(files, ReadOnce(_METRICS), _METRICS)


def one_by_one(files: Files) -> Values:
    found: Values = {}
    for metric in _METRICS:
        found |= _scored(files, ReadOnce([metric]), (metric,))
    return found


def _scored(files: Files, once: ReadOnce, metrics: tuple[str, ...]) -> Values:
    found: Values = {}
    for metric in metrics:
        scored = score(metric, files.truth, files.predictions, once)
        image_counts(metric, scored)
        found |= scored.values
    return found


def cityscapesscripts_alone(files: Files) -> Values:
    pairs = find_pairs(files.truth, files.predictions)
    evaluator, settings = pixel_level_evaluator()
    scores = evaluator.evaluateImgLists(
        [str(pair.prediction) for pair in pairs], [str(pair.truth) for pair in pairs], settings
    )
    return {"mIoU": 100 * float(scores["averageScoreClasses"])}


def compare(ours: Values, theirs: Values) -> dict[str, float]:
    """The largest difference of a mean IoU, in percent; those of one side do not count."""
    pairs = [(ours[key], value) for key, value in theirs.items()]
    difference = max(abs(a - b) for a, b in pairs if a is not None and b is not None)
    assert difference < 1e-9, f"mean IoUs differ by {difference}"
    return {"mIoU": difference}
