"""The GPU rows of docs/performance.md and its pages, from `gpu_check_<device>.json`."""

from pathlib import Path
from typing import Any

from pointrend_repro.base.files import read_json

NONE = "not measured: no GPU"
# A table of the page -> the case, its side that is compared with ours, and the heading.
COMPARED = {
    "gpu_mask_head": ("mask_head", "detectron2", "ours / detectron2"),
    "gpu_sharpmask_dense": ("sharpmask_dense", "each location", "ours / each location"),
    "gpu_keypoint_head": ("keypoint_head", "detectron2", "ours / detectron2"),
    "gpu_training_step": ("training_step", "detectron2", "ours / detectron2, training step"),
    "gpu_semantic_pointrend": ("semantic_pointrend", "detectron2", "ours / detectron2"),
}
_PEERS = {
    "training_step": ("ours", "detectron2"),
    "whole_image": ("ours", "detectron2", "ours, 4x conv", "detectron2, 4x conv"),
    "whole_image_precision": ("bfloat16",),
}


def gpu_table(name: str, results: Path) -> str:
    """Return a table of the page; without a measurement its row says so."""
    records = [read_json(path) for path in sorted(results.glob("gpu_check_*.json"))]
    if name == "gpu_check":
        return _overview(records)
    case, side, heading = COMPARED[name]
    rows = [f"| {record['device']} | {_ratio(record, case, side)} |" for record in records]
    return "\n".join([f"| device | {heading} |", "|---|---|", *(rows or [f"| GPU | {NONE} |"])])


def _cases(record: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = record["stages"].get("speed", {}).get("cases", {})
    return found


def _ratio(record: dict[str, Any], case: str, side: str) -> str:
    """Return the time and memory of ours as shares of another side's."""
    found = _cases(record).get(case)
    if found is None:
        return "not measured: the check did not get there, or failed"
    if side not in found["sides"]:
        return f"not measured: {found['not_installed'].get(side, side)} is not installed"
    ours, other = found["sides"]["ours"], found["sides"][side]
    text = f"{1 / other['time_ours_is_1']['median']:.2f} of the time"
    memory = [each.get("additional_peak_mb") for each in (ours, other)]
    if all(memory):
        text += f", {memory[0] / memory[1]:.2f} of the memory"
    return text


def _overview(records: list[dict[str, Any]]) -> str:
    lines = ["| device | what | side | images a second | additional peak, MB |"]
    lines += ["|---|---|---|--:|--:|"]
    for record in records:
        for case, sides in _PEERS.items():
            found = _cases(record).get(case, {"sides": {}})["sides"]
            lines += [
                f"| {record['device']} | {case} | {side} | {_number(found, side)} |"
                for side in sides
            ]
        mini = record["stages"].get("mini", {})
        ap = f"AP {mini['ap']:.2f}" if "ap" in mini else "not finished"
        lines.append(f"| {record['device']} | `mini`'s first training | ours | {ap} | |")
    return "\n".join(lines if records else [*lines, f"| GPU | {NONE} | | | |"])


def _number(sides: dict[str, Any], side: str) -> str:
    if side not in sides:
        return "not measured | "
    memory = sides[side].get("additional_peak_mb")
    return f"{sides[side]['images_a_second']:.1f} | {'' if memory is None else f'{memory:.0f}'}"
