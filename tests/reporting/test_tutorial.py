"""The tutorial's numbers are those of docs/evidence: after new evidence, its pages change, too."""

import csv
import json
import re
from statistics import median

import pytest

from working_copy import REPOSITORY

EVIDENCE = REPOSITORY / "docs/evidence/mini_seeds_0_to_2"
AP_STAR = (REPOSITORY / "docs/tutorial/ap_star.md").read_text()
CLAIM = " ".join((REPOSITORY / "docs/tutorial/claim.md").read_text().split())


def claim(name: str) -> dict:
    (found,) = (c for c in json.loads((EVIDENCE / "claims.json").read_text()) if c["name"] == name)
    return found


def row(title: str, part: dict) -> str:
    numbers = [part["difference"], *part["interval"]]
    difference, low, high = (f"{number:+.2f}".replace("-", "−") for number in numbers)
    return f"| {title} | {part['paper']:+.1f} | {difference} ({low} to {high}) |"


@pytest.mark.parametrize(
    ("title", "variant", "inference"),
    [
        ("4x conv, 28x28", "mask_rcnn_r50_fpn", "default"),
        ("PointRend, 28x28", "pointrend_r50_fpn", "res28"),
        ("PointRend, 224x224", "pointrend_r50_fpn", "res224"),
    ],
)
def test_the_table_of_metrics(title: str, variant: str, inference: str) -> None:
    with (EVIDENCE / "metrics.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["dataset"] == "mini_coco" and r["key"] == "AP"]
    medians = []
    for metric in ("coco_ap", "lvis_ap_star", "boundary_ap"):
        of_cell = (variant, inference, metric)
        trials = [r for r in rows if (r["variant"], r["inference"], r["metric"]) == of_cell]
        assert len(trials) == 3
        medians.append(f"{median(float(r['value']) for r in trials):.1f}")
    assert f"| {title} | {' | '.join(medians)} |" in AP_STAR


def test_the_claim_that_holds() -> None:
    found = claim("pointrend_outperforms_4conv")
    assert (found["verdict"], found["survives_holm"]) == ("holds", False)
    assert f"**Verdict: holds**, p = {found['p_value']:.2g}; does not survive Holm" in CLAIM
    for title, part in zip(("COCO AP", r"COCO AP\*", "Cityscapes AP"), found["parts"], strict=True):
        assert row(title, part) in CLAIM
    low, high = found["parts"][0]["images"]
    assert f"between {low:+.2f} and {high:+.2f}" in CLAIM
    low, high = found["parts"][0]["trainings"]
    assert f"{low:+.2f} to {high:+.2f}" in CLAIM


def test_the_claim_that_is_not_significant() -> None:
    (found,) = (
        c
        for c in json.loads((EVIDENCE / "claims.json").read_text())
        if c["statement"].startswith("The gap is larger when the COCO categories")
    )
    assert found["verdict"] == "not-significant"
    assert found["statement"] in CLAIM
    for part in found["parts"]:
        (side,) = {s for s in ("224x224", "28x28") if f"PointRend, {s}" in part["text"]}
        assert row(side, part) in CLAIM
    page = (EVIDENCE / "README.md").read_text()
    (line,) = (x for x in page.splitlines() if x.startswith(f"| {found['statement']}"))
    (images,) = re.findall(r"[\d.]+ times as many images", line)
    assert f"no number of further trainings, but perhaps {images}" in CLAIM
