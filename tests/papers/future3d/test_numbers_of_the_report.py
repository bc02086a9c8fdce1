"""Every number that the 3D-FUTURE report prints in its tables, against a list by somebody else."""

import csv
from pathlib import Path

import pytest

from pointrend_repro.config.reading import load_table, load_variant
from pointrend_repro.config.tables import Table
from pointrend_repro.experiments.loading import load_grid

COLUMNS = {"mAP": "map", "AP50": "ap50", "AP75": "ap75", "APs": "aps", "APm": "apm", "APl": "apl"}
TABLE_1 = {
    "HTC": "htc",
    "SOLOv2": "solov2",
    "PointRend": "pointrend",
    "Cascade Mask R-CNN X-101-64x4d 1x (organisers' baseline, val)": "organisers",
}
TABLE_2 = {
    "MaskRCNN": "mask_rcnn",
    "PointRend a": "pointrend",
    "PointRend b": "more_points_test",
    "PointRend c": "large_backbone",
    "PointRend d": "dcn",
    "PointRend e": "large_resolution",
}
# In the order of the list, where three rows have the same name.
TABLE_3 = ["res2net_bfp_enriched", "x101", "x101_bfp", "x101_bfp_enriched"]
ENSEMBLES = {"Linear-Reweight": "linear_reweight", "Linear-Interpolation": "linear_interpolation"}

Entry = tuple[str, str, float]


@pytest.fixture(scope="module")
def printed(shared_data: Path) -> list[dict[str, str]]:
    path = shared_data.parent / "reference/facts_3dfuture_tables.csv"
    if not path.is_file():
        pytest.skip(f"{path}: no such file")
    with path.open() as stream:
        return list(csv.DictReader(stream))


def ours(name: str) -> Table:
    return load_table(f"future3d_{name}")


def numbers(table: Table) -> set[Entry]:
    return {
        (key, column, value)
        for key, row in table.rows.items()
        for column, value in row.paper.items()
    }


def listed(printed: list[dict[str, str]], tables: list[str], rows: dict[str, str]) -> set[Entry]:
    return {
        (rows[entry["row"]], COLUMNS[entry["column"]], float(entry["value"]))
        for entry in printed
        if entry["table"] in tables and entry["row"] in rows and entry["column"] in COLUMNS
    }


def test_table_1(printed: list[dict[str, str]]) -> None:
    expected = listed(printed, ["T1", "B README"], TABLE_1)
    assert len(expected) == 3 * 4 + 6
    assert numbers(ours("table1")) == expected


def test_table_2(printed: list[dict[str, str]]) -> None:
    expected = listed(printed, ["T2"], TABLE_2)
    assert len(expected) == 6
    assert numbers(ours("table2")) == expected


def test_table_3(printed: list[dict[str, str]]) -> None:
    fifth = listed(printed, ["TEXT(C README)"], {"Res2Net 2xBFP largeboxalign": "res2net_bfp2"})
    values = [e for e in printed if e["table"] == "T3" and e["column"] in COLUMNS]
    assert (len(values), len(fifth)) == (4 * 6, 6)
    of_rows = zip(TABLE_3, (values[i : i + 6] for i in range(0, 24, 6)), strict=True)
    expected = {
        (row, COLUMNS[entry["column"]], float(entry["value"]))
        for row, of in of_rows
        for entry in of
    }
    assert numbers(ours("table3")) == expected | fifth


def test_table_4(printed: list[dict[str, str]]) -> None:
    (span,) = (e["value"] for e in printed if (e["table"], e["row"]) == ("T4", "candidates"))
    lowest, highest = (float(end) for end in span.split(".."))
    ends = {("lowest", "map", lowest), ("highest", "map", highest)}
    expected = listed(printed, ["T4", "C README"], ENSEMBLES)
    assert len(expected) == 2 * 6
    assert numbers(ours("table4")) == expected | ends


def test_the_one_number_of_the_text_is_table_1s() -> None:
    text = ours("text")
    ((row, column, number),) = numbers(text)
    assert number == ours("table1").rows["htc"].paper[column]
    told = text.columns[column].tolerance_source
    assert f"{number} ({text.rows[row].title})" in told
    assert ours("table1").columns[column].tolerance_source.split(";")[0] in told


def test_candidates_are_the_rows_of_table_3() -> None:
    members = {row.runs for row in ours("table3").rows.values()}
    rows = list(ours("table4").rows.values())
    assert {row.runs for row in rows[:5]} == members
    best = {row.variant: row.paper["map"] for row in ours("table3").rows.values()}
    for row in rows[5:]:
        assert row.variant is not None
        assert row.inference is not None
        ensemble = load_variant(row.variant).inference[row.inference].ensemble
        assert [best[name] for name in (row.variant, *ensemble.variants)] == list(ensemble.scores)
        assert len(ensemble.scores) == 5


# Columns of marks, and what each must be in the settings of a row's model.
def marks_of(row: str) -> dict[str, bool]:
    table = ours("table2")
    headings = table.stub_headings[2:]
    return {
        heading: mark == "yes"
        for heading, mark in zip(headings, table.rows[row].stub[2:], strict=True)
    }


def test_marks_of_table_2(printed: list[dict[str, str]]) -> None:
    grid = load_grid("paper", papers=["3dfuture"])
    for theirs, row in TABLE_2.items():
        (said,) = (
            e["value"]
            for e in printed
            if (e["table"], e["row"], e["column"]) == ("T2", theirs, "marks")
        )
        marks = marks_of(row)
        assert sum(marks.values()) == int(said[0])
        runs = ours("table2").rows[row].runs
        assert runs is not None
        settings = grid.training_settings("future3d_split", runs[0])
        way = grid.inference_settings(*runs)
        head = settings.model.mask_head
        points = head.kind == "pointrend"
        assert marks == {
            "large resolution": settings.input.train_short_edge_range_px == (1200, 1400),
            "P6 feature": points and "p6" in head.levels,
            "DCN": settings.model.backbone.deformable,
            "MP train": points and (head.coarse_resolution, head.train_points) == (13, 24**2),
            "MP test": points and way.points_per_step == 70**2,
            "MS test": bool(way.test.flip),
            "FP16": settings.optimizer.precision == "bf16",
        }


def test_marks_of_table_3() -> None:
    for row in ours("table3").rows.values():
        assert row.variant is not None
        model = load_variant(row.variant).model
        head = model.mask_head
        enriched = (head.point_channels, head.point_layers, head.coarse_layers)
        trunk, blocks, features, dcn, ms = row.stub
        assert trunk.startswith({"res2net101": "Res2Net"}.get(model.backbone.name, "ResNeXt"))
        assert model.backbone.balancing_blocks == {"–": 0, "yes": 1, "two": 2}[blocks]
        assert (features == "yes") == (enriched != (256, 3, 2))
        assert (dcn == "yes") == model.backbone.deformable
        assert ms == "yes"
        assert row.inference == "ms_test"


def test_marks_of_table_1() -> None:
    for row in ours("table1").rows.values():
        if row.runs is None:
            continue
        variant = load_variant(row.runs[0])
        backbone = variant.model.backbone
        way = variant.inference[row.runs[1]]
        assert [mark == "yes" for mark in row.stub[2:]] == [
            backbone.deformable,
            backbone.context_ratio is not None,
            getattr(variant.model, "mask_scoring", None) is not None,
            bool(getattr(way.test, "flip", None)),
            backbone.norm == "sync_bn",
        ]


@pytest.mark.parametrize("preset", ["smoke", "paper"])
def test_the_presets_make_it_if_asked(preset: str) -> None:
    grid = load_grid(preset, papers=["3dfuture"])
    assert "3dfuture" not in load_grid(preset).papers
    assert {"mask_rcnn", "htc", "solov2"} == {v.family for v in grid.variants.values()}
    assert len(grid.trainings) == 14
    families = {grid.variants[p.training.variant].family for p in grid.predictions}
    assert families == {"mask_rcnn", "htc", "solov2"}


def test_epochs_are_those_of_the_report() -> None:
    grid = load_grid("paper", papers=["3dfuture"])
    images = {"future3d": 12_144, "future3d_split": 12_144 - 3_000}
    for training in grid.trainings:
        settings = grid.training_settings(training.dataset, training.variant)
        batches = images[training.dataset] / settings.optimizer.images_per_batch
        assert settings.schedule.total_iters == round(44 * batches)
        assert settings.schedule.lr_drop_iters == (round(32 * batches),)
