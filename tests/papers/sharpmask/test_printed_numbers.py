"""Every number that SharpMask prints in its tables stands in ours, and no other."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from pointrend_repro.config.reading import load_table, load_variant
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.settings.deepmask import DeepMaskModelSettings

# The reference's name of a table: ours.
TABLES = {
    "T1": "sharpmask_table1",
    "T2": "sharpmask_table2",
    "T3box": "sharpmask_table3_box",
    "T3seg": "sharpmask_table3_segm",
    "T4top": "sharpmask_table4",
    "T4mid_segm": "sharpmask_table4_segm",
    "T4bot_bbox": "sharpmask_table4",
    "F5c": "sharpmask_figure5c",
}
COLUMNS = {
    "AR": "ar",
    "ARS": "ar_s",
    "ARM": "ar_m",
    "ARL": "ar_l",
    "AR1": "ar1",
    "AR10": "ar10",
    "AR100": "ar100",
    "AR1K": "ar1k",
    "AUC": "auc",
    "AUCS": "auc_s",
    "AUCM": "auc_m",
    "AUCL": "auc_l",
    "AP": "ap",
    "AP50": "ap50",
    "AP75": "ap75",
    "APS": "ap_s",
    "APM": "ap_m",
    "APL": "ap_l",
    "time_s": "time",
    "mask_s": "mask_ms",
    "score_s": "score_ms",
    "total_s": "total_ms",
}
STUBS = ("W", "P", "D", "S", "kernel", "F")


@pytest.fixture(scope="module")
def printed(shared_data: Path) -> list[dict[str, str]]:
    path = shared_data.parent / "reference/facts_sharpmask_tables.csv"
    if not path.is_file():
        pytest.skip(f"{path}: no such file")
    with path.open() as stream:
        return list(csv.DictReader(stream))


def value_of(entry: dict[str, str]) -> float:
    """A number as printed, but times in ms: the page shows one decimal."""
    value = float(entry["value"])
    return round(1000 * value) if entry["column"].endswith("_s") else value


def ours() -> Iterator[tuple[str, str, str, float]]:
    for name in dict.fromkeys(TABLES.values()):
        for row in load_table(name).rows.values():
            for column, value in row.paper.items():
                yield name, row.title, column, value


def test_every_number_and_no_other(printed: list[dict[str, str]]) -> None:
    expected = {
        (TABLES[entry["table"]], entry["row"], COLUMNS[entry["column"]], value_of(entry))
        for entry in printed
        if entry["table"] in TABLES and entry["column"] in COLUMNS and entry["value"] != "-"
    }
    assert len(expected) > 190
    assert set(ours()) == expected


def test_what_names_the_rows_of_table_1(printed: list[dict[str, str]]) -> None:
    rows = {row.title: row for row in load_table("sharpmask_table1").rows.values()}
    for title, row in rows.items():
        said = {e["column"]: e["value"] for e in printed if (e["table"], e["row"]) == ("T1", title)}
        assert row.stub == (title, *(said[name].replace("x", "×") for name in STUBS))
        assert row.variant is not None
        model = load_variant(row.variant).model
        assert isinstance(model, DeepMaskModelSettings)
        assert (model.patch_px, model.backbone.pooling, model.window, model.feature_channels) == (
            int(said["W"]), int(said["P"]), int(said["S"]), int(said["F"]),
        )  # fmt: skip
        depth = {("vgg11", 4): 8, ("resnet50", 4): 39, ("resnet50", 3): 21}
        assert depth[model.backbone.name, model.backbone.pooling] == int(said["D"])


def test_rpn_is_printed_twice(printed: list[dict[str, str]]) -> None:
    """Once as the paper has it, and once beside our own detector."""
    box, own = load_table("sharpmask_table3_box"), load_table("sharpmask_table3_rpn")
    assert own.rows["rpn"].paper == box.rows["rpn"].paper
    assert own.rows["rpn"].runs == ("sharpmask_faster_rcnn_vgg", "proposals")
    assert box.rows["rpn"].runs is None


@pytest.mark.parametrize("preset", ["smoke", "paper"])
def test_the_presets_make_it_if_asked(preset: str) -> None:
    grid = load_grid(preset, papers=["sharpmask"])
    assert "sharpmask" not in load_grid(preset).papers
    datasets = {training.dataset for training in grid.trainings}
    assert datasets == {"generated_coco" if preset == "smoke" else "coco2014"}
    refined = grid.training_settings(datasets.pop(), "sharpmask_r50")
    assert refined.start_from is not None
    assert refined.start_from.variant == "sharpmask_deepmask_r50"
    assert {"backbone", "bottleneck", "coarse_mask", "score_head"} == set(refined.start_from.frozen)


def test_printed_rows_say_whose_they_are() -> None:
    grid = load_grid("paper", papers=["sharpmask"])
    rows = [row for table in grid.tables.values() for row in table.rows.values()]
    assert sum(row.runs is None for row in rows) == 17
    for row in rows:
        assert row.runs is not None or (row.numbers_of and "SharpMask" in row.numbers_of)
