"""Fill the tables of docs/performance.md and its pages from the JSON in benchmarks/results/.

    python -m benchmarks.write_page

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; NAME is a case's, whose results
are `NAME_<device>_<threads>.json`, one of those of growth, `gpu_...`, whose rows are from
`gpu_check_<device>.json` (`make gpu-check`), or `in_short`, with one row each of several cases.
"""

import json
import re
from pathlib import Path
from typing import Any

from benchmarks.gpu_check.page import gpu_table
from benchmarks.growth_figure import growth_table
from benchmarks.many_predictions import growth_rows
from benchmarks.whole_data_set import rows_of

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "docs/performance.md", *sorted((ROOT / "docs/performance").glob("*.md"))]
RESULTS = ROOT / "benchmarks" / "results"
_TABLE = re.compile(r"<!-- table: (\w+) -->\n.*?<!-- end -->", re.DOTALL)

# The rows of `in_short`: what a case computes, the case, whose time is compared with ours, and the
# section that says more, in docs/performance/.
IN_SHORT = [
    (
        "PointRend's masks of 100 boxes",
        "mask_head",
        "detectron2",
        "masks.md#the-mask-head-at-inference",
    ),
    (
        "an image, from pixels to PointRend's masks",
        "whole_image",
        "detectron2",
        "images.md#a-whole-image",
    ),
    (
        "pasting and encoding 100 masks",
        "paste_encode",
        "detectron2",
        "images.md#pasting-and-encoding",
    ),
    ("a training step of PointRend", "training_step", "detectron2", "training.md#a-training-step"),
    (
        "a label map by PointRend",
        "semantic_pointrend",
        "detectron2",
        "images.md#semantic-pointrend",
    ),
    ("keypoint head", "keypoint_head", "detectron2", "images.md#keypoints"),
    ("keypoints from heat maps", "keypoint_decoding", "detectron2", "images.md#keypoints"),
    ("reading images of COCO", "loader_coco", "detectron2", "training.md#loading"),
    ("reading images of Cityscapes", "loader_cityscapes", "detectron2", "training.md#loading"),
    (
        "SharpMask on an image",
        "sharpmask_dense",
        "each location",
        "images.md#sharpmask-on-a-whole-image",
    ),
    ("scoring AP, AP\\* and boundary AP", "evaluation", "official tools", "scoring.md#scoring"),
]


def main() -> None:
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")


def filled(page: str, results: Path = RESULTS) -> str:
    """Return a page with its tables as the results say."""

    def fill(mark: re.Match[str]) -> str:
        name = mark.group(1)
        return f"<!-- table: {name} -->\n\n{table(name, results)}\n\n<!-- end -->"

    return _TABLE.sub(fill, page)


def table(name: str, results: Path = RESULTS) -> str:
    """Return the table of a case's results, or of the mask head's growth, as Markdown."""
    if name.startswith("gpu_"):
        return gpu_table(name, results)
    if name == "in_short":
        return short_table(results)
    records = _records(name, results)
    if name == "mask_head_growth":
        return growth_table(records[0])
    if name in ("many_predictions_growth", "scoring_5000", "scoring_50000"):
        return growth_rows(records[0])
    if name == "whole_data_set":
        return rows_of(records[0]) if records else "Not measured yet."
    return ratio_table([r for r in records if r.get("case") == name])


def _records(name: str, results: Path) -> list[dict[str, Any]]:
    """The results whose file's name begins so, those of few threads first."""
    paths = sorted(results.glob(f"{name}_*[0-9]*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def short_table(results: Path) -> str:
    """Return one row for each of `IN_SHORT`, of a CPU and the most threads that were measured."""
    lines = ["| | beside | CPU time, ours = 1 | memory, ours = 1 |", "|---|---|--:|--:|"]
    for what, case, side, section in IN_SHORT:
        record = [r for r in _records(f"{case}_cpu", results) if r.get("case") == case][-1]
        ratio = record["ratios"][side]
        times, memory = _range(ratio["cpu_time"]), f"{ratio['memory']:.1f}"
        lines.append(f"| [{what}](performance/{section}) | {side} | {times} | {memory} |")
    return "\n".join(lines)


def ratio_table(records: list[dict[str, Any]]) -> str:
    """Return how much more time and memory than ours the other sides of a case take."""
    lines = [
        "| device | threads | side | seconds | time, ours = 1 | CPU time, ours = 1 | of GEMM rate "
        "| memory, MB | memory, ours = 1 |",
        "|---|--:|---|--:|--:|--:|--:|--:|--:|",
    ]
    for record in records:
        for side, measured in record["sides"].items():
            where = [record["device"], str(record["threads"]), side]
            cells = where + _cells(measured, record["ratios"].get(side))
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _cells(measured: dict[str, Any], ratio: dict[str, Any] | None) -> list[str]:
    if "status" in measured:
        return [measured["status"], *[""] * 5]
    seconds = f"{measured['seconds']['median']:#.3g}"
    share = measured.get("share_of_gemm_rate")
    rate = "" if share is None else f"{share['median']:.0%}"
    memory = f"{measured['additional_peak_mb']:.0f}"
    if ratio is None:
        return [seconds, "1", "1", rate, memory, "1"]
    more = "" if ratio["memory"] is None else f"{ratio['memory']:.1f}"
    return [seconds, _range(ratio["time"]), _range(ratio["cpu_time"]), rate, memory, more]


def _range(values: dict[str, float]) -> str:
    return f"{values['median']:.2f} ({values['lowest']:.2f} to {values['highest']:.2f})"


if __name__ == "__main__":
    main()
