"""Measure how cost grows: a series of sizes each, until a point takes too long.

    python benchmarks/scaling/run.py coco_ap dry_run        # some series
    python benchmarks/scaling/run.py                        # all, an hour or two
    python benchmarks/scaling/run.py --draw                 # docs/images/scaling.svg only

Each series goes to `benchmarks/scaling/<series>.json`, with the machine and versions.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from benchmarks.scaling.drawing import draw  # noqa: E402
from benchmarks.scaling.points import POINTS, REPOSITORY  # noqa: E402
from benchmarks.scaling.points import measure as measure_point  # noqa: E402
from pointrend_repro.base.files import write_json  # noqa: E402
from pointrend_repro.base.provenance import cpu_name, git_commit, versions  # noqa: E402

IMAGES = (500, 1500, 5000, 15_000, 50_000)
BOXES = (10, 30, 100, 300)
STREETS = (50, 150, 500, 1500, 5000)
JOBS = (100, 300, 1000, 3000, 10_000)
SIZES: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("coco_ap", "lvis_ap_star", "boundary_ap", "read_coco"), IMAGES),
    "coco_ap_boxes": BOXES,
    **dict.fromkeys(("cityscapes_ap", "cityscapes_miou", "trimap_miou"), STREETS),
    **dict.fromkeys(("dry_run", "collect", "report"), JOBS),
}
UNITS = {
    "coco_ap_boxes": "detections an image",
    "dry_run": "jobs",
    "collect": "metric files",
    "report": "metric files",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("series", nargs="*", help=f"of {', '.join(POINTS)}; default: all")
    parser.add_argument("--limit-s", type=float, default=240, help="CPU time of the longest point")
    parser.add_argument("--draw", action="store_true", help="draw what is measured already")
    options = parser.parse_args()
    unknown = set(options.series) - set(POINTS)
    if unknown:
        parser.error(f"there is no series {', '.join(sorted(unknown))}")
    if not options.draw:
        for what in options.series or POINTS:
            write_json(HERE / f"{what}.json", measure(what, options.limit_s))
    draw(HERE, REPOSITORY / "docs/images/scaling.svg")


def measure(what: str, limit_s: float) -> dict[str, Any]:
    """Return the points of one series, up to the first that would take longer than the limit."""
    points: list[dict[str, Any]] = []
    for size in SIZES[what]:
        # Nothing here grows much faster than its size.
        if points and points[-1]["cpu_seconds"] * size / points[-1]["size"] > limit_s:
            break
        points.append(measure_point(what, size))
        print(what, points[-1], file=sys.stderr, flush=True)
    return {
        "series": what,
        "size_is": UNITS.get(what, "images"),
        "limit_s": limit_s,
        "points": points,
        "machine": cpu_name(),
        "cores": os.cpu_count(),
        "git_commit": git_commit(),
        "versions": versions(),
    }


if __name__ == "__main__":
    main()
