"""Many predictions for each of many images: what writing, reading and scoring them takes.

    python -m benchmarks.many_predictions 200 5000 --output FILE
    python -m benchmarks.many_predictions 5000 --detections 100 \
        --sides coco_ap pycocotools faster_coco_eval lvis_ap_star boundary_ap

Each step runs in a process of its own, whose whole peak memory is told, libraries included. Ours
are named by their metric, and include a thousand resamples of the images; COCO AP is of masks and
boxes. The two tools get everything at once, as their pages say, and resample nothing.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.scaling.made_up import write_many_predictions
from pointrend_repro.base.files import write_json
from pointrend_repro.base.provenance import cpu_name, git_commit, peak_memory_mb, versions

RESAMPLES = 1000
METRICS = {"coco_ap": "truth.json", "lvis_ap_star": "lvis.json", "boundary_ap": "truth.json"}
TOOLS = {
    "pycocotools": (("pycocotools.coco", "COCO"), ("pycocotools.cocoeval", "COCOeval")),
    "faster_coco_eval": (("faster_coco_eval", "COCO"), ("faster_coco_eval", "COCOeval_faster")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="+", type=int)
    parser.add_argument("--detections", type=int, default=1000, help="of an image")
    parser.add_argument("--sides", nargs="+", choices=[*METRICS, *TOOLS], default=["coco_ap"])
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    rows = [row for n in options.images for row in measure(n, options.detections, options.sides)]
    if options.output:
        about = {"detections_an_image": options.detections, "resamples": RESAMPLES, "rows": rows}
        machine = {"cpu": cpu_name(), "cores": os.cpu_count(), "git_commit": git_commit()}
        write_json(options.output, about | machine | {"versions": versions()})


def growth_rows(record: dict[str, Any]) -> str:
    """Return what was measured as Markdown."""
    lines = ["| step | images | CPU seconds | peak memory, MB |", "|---|--:|--:|--:|"]
    for row in record["rows"]:
        cells = [row["step"], f"{row['images']:,}", row["cpu_seconds"], f"{row['peak_mb']:,}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def measure(images: int, detections: int, sides: list[str]) -> list[dict[str, Any]]:
    """Return what each step takes for a number of images."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        steps = [f"write {detections}", "index", *sides]
        rows = [_step(what, images, folder) for what in steps]
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
        "step": what.split()[0],
        "images": images,
        "seconds": round(time.perf_counter() - start, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "peak_mb": round(peak_memory_mb()),
        **told,
    }


def _do(what: str, images: int, folder: Path) -> dict[str, Any]:
    predictions = folder / "predictions.json"
    if what.startswith("write"):
        write_many_predictions(folder, images, int(what.split()[1]))
        return {}
    if what == "index":
        from pointrend_repro.evaluation.instance_results import index_results

        return {"predictions": len(index_results(predictions))}
    if what in TOOLS:
        masks, boxes = at_once(what, folder / "truth.json", predictions)
        return {"AP": masks, "AP_box": boxes}
    from pointrend_repro.evaluation import score
    from pointrend_repro.evaluation.bootstrap import image_counts, resample
    from pointrend_repro.evaluation.scoring import ReadOnce

    scored = score(what, folder / METRICS[what], predictions, ReadOnce())
    counts = image_counts(what, scored)
    if counts is not None:
        resample(counts, scored.values, RESAMPLES)
    return {key: scored.values[key] for key in ("AP", "AP_box") if key in scored.values}


def at_once(tool: str, truth: Path, predictions: Path) -> tuple[float, float]:
    """Return AP of masks and of boxes by one of `TOOLS`, all predictions at once."""
    read, evaluate = (getattr(import_module(module), name) for module, name in TOOLS[tool])
    annotations = read(str(truth))
    aps = []
    for kind, other in (("segm", "bbox"), ("bbox", "segmentation")):
        found = json.loads(predictions.read_text())
        for entry in found:
            del entry[other]  # so that areas are those of masks, as in the published numbers
        evaluation = evaluate(annotations, annotations.loadRes(found), kind)
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
