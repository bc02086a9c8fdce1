"""A thousand predictions for each of many images: what writing, reading and scoring them takes.

    python -m benchmarks.many_predictions 200 1000 5000 --output FILE
    python -m benchmarks.many_predictions 200 --plain    # the official tools as their pages say

Each step runs in a process of its own, whose whole peak memory is told, libraries included. Scoring
is of masks and boxes, with a thousand resamples of the images.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.scaling.made_up import write_many_predictions
from pointrend_repro.base.files import write_json
from pointrend_repro.base.provenance import cpu_name, git_commit, versions

RESAMPLES = 1000
METRICS = {"coco_ap": "truth.json", "lvis_ap_star": "lvis.json", "boundary_ap": "truth.json"}
DETECTIONS = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="+", type=int)
    parser.add_argument("--metrics", nargs="+", choices=METRICS, default=["coco_ap"])
    parser.add_argument("--plain", action="store_true", help="pycocotools alone, all at once")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    rows = [row for n in options.images for row in measure(n, options.metrics, options.plain)]
    if options.output:
        about = {"detections_an_image": DETECTIONS, "resamples": RESAMPLES, "rows": rows}
        machine = {"cpu": cpu_name(), "cores": os.cpu_count(), "git_commit": git_commit()}
        write_json(options.output, about | machine | {"versions": versions()})


def growth_rows(record: dict[str, Any]) -> str:
    """Return what was measured as Markdown."""
    lines = ["| step | images | CPU seconds | peak memory, MB |", "|---|--:|--:|--:|"]
    for row in record["rows"]:
        cells = [row["step"], f"{row['images']:,}", row["cpu_seconds"], f"{row['peak_mb']:,}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def measure(images: int, metrics: list[str], plain: bool) -> list[dict[str, Any]]:
    """Return what each step takes for a number of images."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [_step("write", images, folder), _step("index", images, folder)]
        rows += [_step("plain" if plain else metric, images, folder) for metric in metrics]
        rows[0]["file_mb"] = round((folder / "predictions.json").stat().st_size / 1e6)
    return rows


def _step(what: str, images: int, folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.many_predictions",
            "--step",
            what,
            str(images),
            str(folder),
        ],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(row, file=sys.stderr, flush=True)
    return row


def step(what: str, images: int, folder: Path) -> dict[str, Any]:
    """Do one step in this process, and tell what it took."""
    start, cpu = time.perf_counter(), time.process_time()
    told = _do(what, images, folder)
    return {
        "step": what,
        "images": images,
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6),
        **told,
    }


def _do(what: str, images: int, folder: Path) -> dict[str, Any]:
    predictions = folder / "predictions.json"
    if what == "write":
        write_many_predictions(folder, images, DETECTIONS)
        return {}
    if what == "index":
        from pointrend_repro.evaluation.instance_results import index_results

        return {"predictions": len(index_results(predictions))}
    if what == "plain":
        return {"AP": plain(folder / "truth.json", predictions)[0]}
    from pointrend_repro.evaluation import score
    from pointrend_repro.evaluation.bootstrap import image_counts, resample
    from pointrend_repro.evaluation.scoring import ReadOnce

    scored = score(what, folder / METRICS[what], predictions, ReadOnce())
    counts = image_counts(what, scored)
    if counts is not None:
        resample(counts, scored.values, RESAMPLES)
    return {"AP": scored.values["AP"]}


def plain(truth: Path, predictions: Path) -> tuple[float, float]:
    """Return AP of masks and of boxes by pycocotools, all predictions at once."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    annotations = COCO(str(truth))
    aps = []
    for kind, other in (("segm", "bbox"), ("bbox", "segmentation")):
        found = json.loads(predictions.read_text())
        for entry in found:
            del entry[other]  # so that areas are those of masks, as in the published numbers
        evaluation = COCOeval(annotations, annotations.loadRes(found), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        aps.append(100 * float(evaluation.stats[0]))
    return aps[0], aps[1]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        print(json.dumps(step(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))))
    else:
        main()
