"""What a report says of models, images and schedules that are not those of the paper."""

from dataclasses import replace
from pathlib import Path

import pytest

from collected import collect_metrics
from pointrend_repro.config.papers import list_papers
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.reporting.exports import notes, to_markdown
from pointrend_repro.reporting.latex import to_latex
from pointrend_repro.reporting.scale import scale_of, widths
from pointrend_repro.reporting.tables import MeasuredTable, measure_tables

NAMES = "keep the paper's names"


@pytest.fixture(scope="module")
def mini() -> Grid:
    return load_grid("mini")


def tables_of(grid: Grid, folder: Path) -> dict[str, MeasuredTable]:
    return {t.name: t for t in measure_tables(grid, collect_metrics(grid, folder))}


def test_the_scale_names_widths_sizes_and_updates_of_all_models(mini: Grid) -> None:
    """Against config/scales/mini.yaml and the recipes of mini's data sets."""
    assert scale_of(mini, mini.trainings).lines == (
        "detectors, the paper's in brackets: trunks resnet18_narrow (resnet50), resnet50_narrow "
        "(resnet101), resnext50_narrow (resnext101_32x8d); channels of FPN 32 (256), box head 256 "
        "(1024), 4x conv 32 (256), PointRend 64 and 32 (1024 and 256), SharpMask-style 16, 64 and "
        "16 (128, 512 and 64); shorter edge of images 192 px (800 to 1024); 1200 to 4050 updates "
        "(24,000 to 270,000)",
        "semantic models, the paper's in brackets: trunks resnet18_narrow (resnet103 and "
        "resnet101); channels of DeepLabV3 32 (256), PointRend 32 (256), FPN 32 (256), SemanticFPN "
        "32 (128); shorter edge of images 256 px (1024); 1500 to 2400 updates (65,000 to 90,000)",
    )


def test_a_model_without_a_pyramid_has_no_width_of_it(mini: Grid) -> None:
    trained = [t for t in mini.trainings if t.variant.startswith("deeplabv3")]
    assert trained
    told = scale_of(mini, trained).lines
    assert any("DeepLabV3 32 (256)" in line for line in told)
    assert not any("FPN" in line for line in told)


@pytest.mark.parametrize(
    "preset", ["paper", "paper_deeplabv3", "paper_detectron2", "paper_sharpmask_code"]
)
def test_a_preset_that_changes_nothing_says_nothing(preset: str) -> None:
    grid = load_grid(preset)
    assert scale_of(grid, grid.trainings).lines == ()


@pytest.mark.parametrize("paper", ["mask_rcnn", "sharpmask", "3dfuture"])
def test_models_of_other_papers_have_a_scale_too(paper: str) -> None:
    grid = load_grid("smoke", papers=[paper])
    found = scale_of(grid, grid.trainings)
    assert found.differing == ["models", "image sizes", "schedules"]


@pytest.mark.parametrize(
    ("paper", "names"),
    [
        (
            "mask_rcnn",
            ["; channels of FPN", ", mask head on res5 32 (256)", ", MLP mask head 64 ("],
        ),
        (
            "sharpmask",
            ["DeepMask and SharpMask, the", "score head 64 (1024)", "skip features 8 (64)"],
        ),
        (
            "3dfuture",
            [
                "HTC, the",
                "mask heads 8 (256)",
                "MaskIoU head 8 and 64 (",
                "SOLOv2, the",
                "towers 32 (512), mask map 16 (128), kernels 16 (256)",
            ],
        ),
    ],
)
def test_parts_have_the_names_of_the_field(paper: str, names: list[str]) -> None:
    grid = load_grid("smoke", papers=[paper])
    told = "\n".join(scale_of(grid, grid.trainings).lines)
    assert [name for name in names if name not in told] == []
    assert "[" not in told


def test_every_family_of_this_package_has_a_name() -> None:
    for paper in list_papers():
        grid = load_grid("smoke", papers=[paper])
        found = scale_of(grid, grid.trainings)
        assert not any(name.startswith("family ") for name in found.families)


def test_widths_are_found_by_part_and_key() -> None:
    paper = {"backbone": {"fpn_channels": 8, "name": "a"}, "head": {"kind": "x", "channels": 4}}
    here = {"backbone": {"fpn_channels": 2, "name": "b"}, "head": {"kind": "x", "channels": 4}}
    assert [(w.part, w.here, w.paper) for w in widths(here, paper)] == [("fpn", 2, 8)]
    assert list(widths(paper, paper)) == []


def test_notes_say_that_the_names_are_the_papers(mini: Grid, tmp_path: Path) -> None:
    tables = tables_of(mini, tmp_path)
    for name, table in tables.items():
        told = [note for note in notes(mini, table) if NAMES in note]
        if name == "table2" or not table.published:  # counted at the paper's widths; our own
            assert told == []
            continue
        assert told == [
            "Rows, columns and caption keep the paper's names, but models, image sizes and "
            "schedules differ from the paper's: see Scale in the report's conditions."
        ]
        assert all(NAMES in text for text in (to_markdown(mini, table), to_latex(mini, table)))


def test_names_that_fit_need_no_note(tmp_path: Path) -> None:
    grid = load_grid("paper")
    for table in tables_of(grid, tmp_path).values():
        assert not any(NAMES in note for note in notes(grid, table))


def test_only_what_differs_is_named(tmp_path: Path) -> None:
    paper = load_grid("paper")
    overrides = paper.preset.overrides.model_copy(update={"schedule": {"total_iters": 200_000}})
    grid = replace(paper, preset=paper.preset.model_copy(update={"overrides": overrides}))
    (told,) = [n for n in notes(grid, tables_of(grid, tmp_path)["table1"]) if NAMES in n]
    assert "but schedules differ from" in told


def test_data_are_told_in_the_papers_place(mini: Grid, tmp_path: Path) -> None:
    told = notes(mini, tables_of(mini, tmp_path)["table1"])
    assert (
        "Data of preset mini: Generated scenes in COCO's layout, mini (in place of COCO); "
        "Generated street scenes in Cityscapes' layout, mini (in place of Cityscapes)."
    ) in told
    paper = load_grid("paper")
    assert "Data of preset paper: COCO 2017; Cityscapes, instances of gtFine." in notes(
        paper, tables_of(paper, tmp_path)["table1"]
    )
    tiny = load_grid("tiny")
    assert (
        "Data of preset tiny: COCO images from a folder of yours (in place of COCO); none for "
        "cityscapes."
    ) in notes(tiny, tables_of(tiny, tmp_path)["table1"])
