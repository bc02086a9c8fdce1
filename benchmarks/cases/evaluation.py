"""COCO AP, AP* and boundary AP of the same predictions, with what the claims' resamples need.

`one by one` is three evaluations that read their files each for itself. The others are the tools as
their pages say to use them, without our checks of the files and without matches of single images:
`official tools` all three in turn, `pycocotools` (masks and boxes) and `lvis` alone. We are these
tools: their numbers are ours, but for boundary AP's last bit, since faster-coco-eval alone also
matches and sums, which for ours pycocotools does.
"""

import contextlib
import io
import json
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.scaling.made_up import write_instances
from pointrend_repro.evaluation import score
from pointrend_repro.evaluation._lvis_compat import working_lvis
from pointrend_repro.evaluation.bootstrap import image_counts
from pointrend_repro.evaluation.instance_truth import Truth
from pointrend_repro.evaluation.lvis_ap import cocofy
from pointrend_repro.evaluation.scoring import ReadOnce
from pointrend_repro.tools.bench.case import Case, NotInstalled, Size

_SIZES = {"full": {"images": 150, "detections": 30}, "tiny": {"images": 4, "detections": 5}}

Values = dict[str, dict[str, float]]


class Files:
    """Annotations and predictions in a folder that lives as long as this object."""

    def __init__(self, images: int, detections: int) -> None:
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        write_instances(folder, images, detections)
        self.predictions = folder / "predictions.json"
        coco, lvis = folder / "truth.json", folder / "lvis.json"
        self.truths = {"boundary_ap": coco, "coco_ap": coco, "lvis_ap_star": lvis}
        self.cocofied = folder / "cocofied.json"
        truth = Truth(*cocofy(json.loads(lvis.read_text())))
        self.cocofied.write_text(json.dumps(truth.of_images(truth.image_ids)))


def make(size: Size, device: str) -> Case:
    files = Files(**_SIZES[size])
    return Case(
        settings=_SIZES[size],
        sides={
            "ours": lambda: lambda: ours(files),
            "one by one": lambda: lambda: one_by_one(files),
            "official tools": lambda: official_tools(files),
            "pycocotools": lambda: lambda: {"coco_ap": pycocotools_alone(files)},
            "lvis": lambda: lambda: {"lvis_ap_star": lvis_alone(files)},
        },
        compare=compare,
    )


def ours(files: Files) -> Values:
    once = ReadOnce(files.truths)
    return {metric: _scored(files, metric, once) for metric in files.truths}


def one_by_one(files: Files) -> Values:
    return {metric: _scored(files, metric, ReadOnce([metric])) for metric in files.truths}


def _scored(files: Files, metric: str, once: ReadOnce) -> dict[str, float]:
    scored = score(metric, files.truths[metric], files.predictions, once)
    image_counts(metric, scored)
    return {key: value for key, value in scored.values.items() if value is not None}


def official_tools(files: Files) -> Callable[[], Values]:
    try:
        import faster_coco_eval  # noqa: F401
    except ImportError:
        raise NotInstalled("faster-coco-eval") from None
    return lambda: {
        "boundary_ap": faster_coco_eval_alone(files),
        "coco_ap": pycocotools_alone(files),
        "lvis_ap_star": lvis_alone(files),
    }


def pycocotools_alone(files: Files) -> dict[str, float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    values = {}
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(files.truths["coco_ap"]))
        for key, iou_type in (("AP", "segm"), ("AP_box", "bbox")):
            found = json.loads(files.predictions.read_text())
            for entry in found if iou_type == "segm" else []:
                del entry["bbox"]  # so that areas are those of masks, as in the published numbers
            evaluation = COCOeval(truth, truth.loadRes(found), iou_type)
            _run(evaluation)
            values[key] = 100 * float(evaluation.stats[0])
    return values


def faster_coco_eval_alone(files: Files) -> dict[str, float]:
    from faster_coco_eval import COCO, COCOeval_faster

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(files.truths["boundary_ap"]))
        found = json.loads(files.predictions.read_text())
        for entry in found:
            del entry["bbox"]
        evaluation = COCOeval_faster(
            truth, truth.loadRes(found), iouType="boundary", boundary_cpu_count=1
        )
        _run(evaluation)
    return {"AP": 100 * float(evaluation.stats[0])}


def lvis_alone(files: Files) -> dict[str, float]:
    with working_lvis() as lvis:
        logging.getLogger("lvis").setLevel(logging.ERROR)
        truth = lvis.LVIS(str(files.cocofied))
        found = json.loads(files.predictions.read_text())
        for entry in found:
            del entry["bbox"]
        evaluation = lvis.LVISEval(truth, lvis.LVISResults(truth, found), "segm")
        evaluation.run()
    return {"AP": 100 * float(evaluation.get_results()["AP"])}


def _run(evaluation: Any) -> None:
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()


def compare(ours: Values, theirs: Values) -> dict[str, float]:
    """The largest difference of an AP, in percent; those that a side does not have do not count."""
    pairs = [
        (ours[metric][key], value)
        for metric, values in theirs.items()
        for key, value in values.items()
    ]
    difference = max(abs(a - b) for a, b in pairs)
    assert difference < 1e-9, f"APs differ by {difference}"
    return {"AP": difference}
