"""One measured point: data are made up in one process and used in another, which is measured.

    python -m benchmarks.scaling.points <what> <size>

prints JSON: the size, wall and CPU seconds of the measured part, and the peak memory of its
process, with the libraries that it had loaded before.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.scaling import made_up

REPOSITORY = Path(__file__).resolve().parents[2]

# The paper's jobs for each trial: with more trials its graph grows, as with more variants.
_JOBS_OF_A_TRIAL = 104


@dataclass(frozen=True)
class Point:
    """What is made up in a folder for a size, and what is then done with it there."""

    prepare: Callable[[Path, int], object]
    run: Callable[[Path, int], dict[str, Any]]


def _scores(metric: str, truth: str, predictions: str) -> Callable[[Path, int], dict[str, Any]]:
    def run(folder: Path, _: int) -> dict[str, Any]:
        from pointrend_repro.evaluation import evaluate_predictions

        values = evaluate_predictions(metric, folder / truth, folder / predictions)
        return {"value": next(iter(values.values()))}

    return run


def _instances(metric: str, truth: str) -> Point:
    return Point(made_up.write_instances, _scores(metric, truth, "predictions.json"))


def _streets(metric: str, predictions: str) -> Point:
    return Point(made_up.write_streets, _scores(metric, "", predictions))


def _prepare_boxes(folder: Path, detections: int) -> None:
    made_up.write_instances(folder, made_up.DISTINCT_IMAGES, detections)


def _prepare_annotations(folder: Path, images: int) -> None:
    made_up.write_instances(folder, images)
    made_up.write_photographs(folder / "photographs", images)


def _read_annotations(folder: Path, _: int) -> dict[str, Any]:
    from pointrend_repro.data.coco import read_coco

    read_coco(folder / "photographs", folder / "truth.json")
    return {}


def prepare_pipeline(folder: Path, jobs: int, checkout: Path = REPOSITORY) -> None:
    """Copy a checkout's pipeline into a folder, with as many trials as make so many jobs."""
    for part in ("workflow", "config", "profiles"):
        shutil.copytree(checkout / part, folder / part)
    shutil.copy(checkout / "Snakefile", folder / "Snakefile")
    preset = folder / "config/presets/paper.yaml"
    trials = max(1, round(jobs / _JOBS_OF_A_TRIAL))
    lines = preset.read_text().splitlines()
    for index, line in enumerate(lines):
        role, _, value = line.partition(": ")
        if role in ("  coco", "  cityscapes") and value.isdigit():
            lines[index] = f"{role}: {trials}"
    preset.write_text("\n".join(lines) + "\n")


def _dry_run(folder: Path, _: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules"]
    done = subprocess.run(
        [*command, "--config", "preset=paper"],
        cwd=folder,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    (total,) = {s.split()[1] for s in done.stdout.splitlines() if s.startswith("total ")}
    return {"jobs": int(total)}


def _grid(files: int) -> Any:
    from pointrend_repro.experiments.loading import load_grid

    return made_up.with_trials(load_grid("paper"), files)


def _prepare_results(folder: Path, files: int) -> None:
    from pointrend_repro.reporting.collect import write_metrics

    grid = _grid(files)
    made_up.write_metrics(grid, folder)
    write_metrics(grid, folder)


def _collect(folder: Path, files: int) -> dict[str, Any]:
    from pointrend_repro.reporting.collect import write_metrics

    grid = _grid(files)
    write_metrics(grid, folder)
    return {"files": len(grid.evaluations)}


def _report(folder: Path, files: int) -> dict[str, Any]:
    from pointrend_repro.reporting.report import write_report

    grid = _grid(files)
    write_report(grid, folder, folder / "report")
    page = (folder / "report/index.html").stat().st_size
    return {"files": len(grid.evaluations), "page_bytes": page}


POINTS: dict[str, Point] = {
    "coco_ap": _instances("coco_ap", "truth.json"),
    "coco_ap_boxes": Point(_prepare_boxes, _scores("coco_ap", "truth.json", "predictions.json")),
    "lvis_ap_star": _instances("lvis_ap_star", "lvis.json"),
    "boundary_ap": _instances("boundary_ap", "truth.json"),
    "read_coco": Point(_prepare_annotations, _read_annotations),
    "cityscapes_ap": _streets("cityscapes_ap", "instance_predictions.json"),
    "cityscapes_miou": _streets("cityscapes_miou", "label_predictions"),
    "trimap_miou": _streets("trimap_miou", "label_predictions"),
    "dry_run": Point(prepare_pipeline, _dry_run),
    "collect": Point(_prepare_results, _collect),
    "report": Point(_prepare_results, _report),
}


def measure(what: str, size: int) -> dict[str, Any]:
    """Make data up, then use and measure them, in two processes."""
    with tempfile.TemporaryDirectory() as folder:
        _in_process("prepare", what, size, folder)
        return _in_process("run", what, size, folder)


def _in_process(step: str, what: str, size: int, folder: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scaling.points", what, str(size), step, folder],
        cwd=REPOSITORY,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _run(point: Point, folder: Path, size: int) -> dict[str, Any]:
    _import_all()
    before, start = _cpu_s(), time.perf_counter()
    told = point.run(folder, size)
    seconds, cpu_s = time.perf_counter() - start, _cpu_s() - before
    own, children = (resource.getrusage(who).ru_maxrss for who in _WHO)
    unit = 1 if sys.platform == "darwin" else 1024
    memory_mb = (children if "jobs" in told else own) * unit / 1e6
    measured = {"seconds": seconds, "cpu_seconds": cpu_s, "memory_mb": memory_mb}
    return {"size": size} | {key: round(v, 3) for key, v in measured.items()} | told


_WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def _cpu_s() -> float:
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, _WHO))


def _import_all() -> None:
    """Import what the measured part would import: everybody pays that once, at any size."""
    import pointrend_repro.data.coco
    import pointrend_repro.evaluation.boundary_ap
    import pointrend_repro.evaluation.cityscapes_ap
    import pointrend_repro.evaluation.coco_ap
    import pointrend_repro.evaluation.lvis_ap
    import pointrend_repro.evaluation.trimap
    import pointrend_repro.reporting.report  # noqa: F401


def main() -> None:
    """Measure a point, or do one of its two steps."""
    what, size, *step = sys.argv[1:]
    if not step:
        told = measure(what, int(size))
    elif step[0] == "prepare":
        POINTS[what].prepare(Path(step[1]), int(size))
        told = {}
    else:
        told = _run(POINTS[what], Path(step[1]), int(size))
    print(json.dumps(told))


if __name__ == "__main__":
    main()
