"""Every number that Mask R-CNN prints in its tables, against a list typed by somebody else."""

import csv
from pathlib import Path

import pytest

from pointrend_repro.config.papers import load_paper
from pointrend_repro.config.reading import load_table
from pointrend_repro.config.tables import Table

PAPER = load_paper("mask_rcnn")
# (table, row, column) of the list -> our table, row and column. The order of rows is the paper's.
BOX = {f"box_ap{t}": f"APbb{t}" for t in ("", "50", "75")}
SIX = {"ap": "AP", "ap50": "AP50", "ap75": "AP75", "aps": "APS", "apm": "APM", "apl": "APL"}
KEYPOINT = SIX | {"ap": "APkp"}
TEST = {"motorcycle": "mcycle"} | {
    name: name for name in ("person", "rider", "car", "truck", "bus", "train", "bicycle")
}
COLUMNS = {
    "table1": ("T1", SIX),
    "table2a": ("T2a", SIX),
    "table2b": ("T2b", SIX),
    "table2c": ("T2c", SIX),
    "table2d": ("T2d", SIX | BOX),
    "table2e": ("T2e", SIX),
    "table3": ("T3", {column: f"APbb{name[2:]}" for column, name in SIX.items()}),
    "table4": ("T4", KEYPOINT),
    "table5": (
        "T5",
        {"box_ap": "APbb_person", "mask_ap": "APmask_person", "keypoint_ap": "APkp"},
    ),
    "table6": ("T6", KEYPOINT),
    "table7": ("T7", TEST | {"ap_val": "APval", "ap": "AP", "ap50": "AP50"}),
}
# Printed beside those of another table; what is there is compared with the same number here.
MINIVAL = {"table1": ("table2a", ""), "table4": ("table5", "keypoint_")}

Rows = list[tuple[str, dict[str, str]]]


@pytest.fixture(scope="module")
def typed() -> dict[str, Rows]:
    """The list by table: its rows in order, with their numbers by column."""
    path = Path(__file__).parents[4] / "shared/reference/facts_mask_rcnn_tables.csv"
    if not path.is_file():
        pytest.skip("the list of the paper's numbers (shared/reference) is not on this machine")
    found: dict[str, Rows] = {}
    with path.open(newline="") as file:
        for line in csv.DictReader(file):
            rows = found.setdefault(line["table"], [])
            if not rows or rows[-1][0] != line["row"] or line["column"] in rows[-1][1]:
                rows.append((line["row"], {}))
            rows[-1][1][line["column"]] = line["value"]
    return found


def ours(name: str) -> Table:
    return load_table(PAPER.public(name))


def is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


@pytest.mark.parametrize("name", [name for name in COLUMNS if name in PAPER.about.tables])
def test_tables_print_what_the_paper_prints(name: str, typed: dict[str, Rows]) -> None:
    key, columns = COLUMNS[name]
    rows = [(row, v) for row, v in typed[key] if row != "gain"]
    table = ours(name)
    assert len(table.rows) == len(rows)
    beside = {"ap_minival", "ap50_minival", "ap75_minival", "truck_val", "bus_val", "train_val"}
    for row, (theirs, values) in zip(table.rows.values(), rows, strict=True):
        shown = {columns[c]: str(n) for c, n in row.paper.items() if c not in beside}
        assert shown == {c: v for c, v in values.items() if is_number(v)}, theirs


@pytest.mark.parametrize("name", [name for name in MINIVAL if name in PAPER.about.tables])
def test_minival_numbers_are_those_of_the_ablation(name: str) -> None:
    other, prefix = MINIVAL[name]
    of_variant = {row.variant: row.paper for row in ours(other).rows.values()}
    for row in ours(name).rows.values():
        if row.variant:
            found = {c: n for c, n in row.paper.items() if c.endswith("_minival")}
            assert found
            for column, number in found.items():
                same = prefix + column.removesuffix("_minival")
                assert of_variant[row.variant][same] == number


def test_numbers_in_the_text(typed: dict[str, Rows]) -> None:
    text = dict(typed["TEXT"])
    rows = ours("text").rows
    for key, theirs in (("agnostic", "class-agnostic"), ("specific", "class-specific")):
        assert str(rows[key].paper["ap"]) == text[f"{theirs} masks (R-50-C4)"]["AP"]
    c, d, a = (ours(name).rows for name in ("table2c", "table2d", "table2a"))
    same = {"c4_roi_pool": c["roi_pool"], "c4_roi_align": c["roi_align"]}
    same |= {"c5_roi_pool": d["roi_pool"], "c5_roi_align": d["roi_align"]}
    same["fpn_roi_align"] = a["r50_fpn"]
    for key, row in same.items():
        assert rows[key].variant == row.variant
        assert rows[key].paper.items() <= row.paper.items()
    assert rows["fpn_roi_pool"].paper == {}  # only what RoIAlign gains is printed


def test_classes_of_cityscapes_val(typed: dict[str, Rows]) -> None:
    rows = ours("table7").rows
    for key, (_, values) in zip(("fine", "fine_coco"), typed["TEXT_A"], strict=True):
        for name, both in values.items():
            val, test = (float(number) for number in both.split("/"))
            assert (rows[key].paper[f"{name}_val"], rows[key].paper[name]) == (val, test)


def test_times(typed: dict[str, Rows]) -> None:
    times = dict(typed["TIME"])
    rows = ours("timing").rows
    fpn, c4 = times["inference R-101-FPN, M40"], times["inference R-101-C4"]
    # "running at 5 fps": the caption of Figure 2.
    assert rows["r101_fpn"].paper == {
        "fps": 5,
        "total": int(fpn["ms"]),
        "pasting": int(fpn["cpu_ms"]),
    }
    assert rows["r101_c4"].paper == {"total": int(c4["ms"])}


def test_gains_are_those_that_the_paper_prints(typed: dict[str, Rows]) -> None:
    for name, (better, worse) in {
        "table2b": ("sigmoid", "softmax"),
        "table2d": ("roi_align", "roi_pool"),
    }.items():
        key, columns = COLUMNS[name]
        (gains,) = (values for row, values in typed[key] if row == "gain")
        rows = ours(name).rows
        for column, number in rows[better].paper.items():
            gain = round(number - rows[worse].paper[column], 6)
            assert gain == float(gains[columns[column]])
