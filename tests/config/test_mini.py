"""Preset mini is what its text says: sizes of objects, depths of trunks, lengths of schedules."""

import re
from collections import Counter

import numpy as np
import pytest
from shapely.geometry import Polygon
from shapely.ops import unary_union

from pointrend_repro.data.generated.polygons import coarse_polygons
from pointrend_repro.data.generated.scenes import sample_scene
from pointrend_repro.data.generated.street_scenes import STREET_CLASSES, sample_street
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.modeling.resnet import TRUNKS
from pointrend_repro.settings.generated import GeneratedSettings, image_streams


@pytest.fixture(scope="module")
def grid() -> Grid:
    return load_grid("mini")


def generated(grid: Grid, role: str) -> GeneratedSettings:
    settings = grid.datasets[grid.preset.datasets[role]].generate
    assert settings is not None
    return settings


def test_it_makes_verdicts_on_three_trials_of_every_trained_table(grid: Grid) -> None:
    assert grid.preset.has_verdicts
    assert grid.preset.resamples == 1000
    assert set(load_grid("paper").tables) == set(grid.tables)
    assert set(Counter((t.dataset, t.variant) for t in grid.trainings).values()) == {3}
    assert len(grid.trainings) == 78


def test_most_objects_are_too_large_for_a_mask_of_28(grid: Grid) -> None:
    """docs/evidence/trials.md; a 28x28 mask has a cell of three pixels or more at 80 px."""
    settings = generated(grid, "coco")
    sizes = []
    for index in range(60):
        for item in sample_scene(settings, "train", index):
            left, top, right, bottom = item.outline.bounds
            if not item.in_crowd:
                sizes.append(max(right - left, bottom - top))
    assert np.mean(np.array(sizes) >= 80) > 0.75
    assert 150 < max(sizes) < 180
    streets = generated(grid, "cityscapes")
    labels = {kind.label for kind in STREET_CLASSES}
    sizes = []
    for index in range(60):
        for thing in sample_street(streets, "train", index):
            left, top, right, bottom = thing.outline.bounds
            if thing.label in labels:
                sizes.append(max(right - left, bottom - top))
    assert np.mean(np.array(sizes) >= 80) > 0.5


def test_coco_outlines_are_coarse_and_those_of_lvis_are_not(grid: Grid) -> None:
    """As far apart as docs/evidence/trials.md says, in objects of 80 px and more."""
    settings = generated(grid, "coco")
    ious, points_apart = [], []
    for index in range(30):
        rng = image_streams(settings.seed, "val", index).annotation
        for item in sample_scene(settings, "val", index):
            left, top, right, bottom = item.visible.bounds
            if max(right - left, bottom - top) < 80 or item.in_crowd:
                continue
            flat = coarse_polygons(
                item.visible, width_px=settings.width_px, height_px=settings.height_px, rng=rng
            )
            rings = [np.reshape(polygon, (-1, 2)) for polygon in flat]
            coarse = unary_union([Polygon(ring).buffer(0) for ring in rings])
            ious.append(coarse.intersection(item.visible).area / coarse.union(item.visible).area)
            length = sum(Polygon(ring).length for ring in rings)
            points_apart.append(length / sum(map(len, rings)) / item.visible.area**0.5)
    assert np.mean(ious) == pytest.approx(0.895, abs=0.03)
    assert np.median(points_apart) == pytest.approx(0.3, abs=0.04)  # COCO's own: 0.24


def test_table_5_has_trunks_of_different_depth_and_longer_schedules(grid: Grid) -> None:
    def of(variant: str) -> tuple[int, int]:
        settings = grid.training_settings("mini_coco", variant)
        shape = TRUNKS[settings.model.backbone.name]
        layers = sum(shape.blocks) * (3 if shape.groups else 2) + 2
        return layers, settings.schedule.total_iters

    short = of("mask_rcnn_r50_fpn")
    for head in ("mask_rcnn", "pointrend"):
        assert of(f"{head}_r50_fpn_3x") == (18, 1.5 * short[1])
        assert of(f"{head}_r101_fpn_3x") == of(f"{head}_x101_fpn_3x") == (50, 1.5 * short[1])


def test_pointrend_takes_as_many_points_as_stride_16_has_cells(grid: Grid) -> None:
    """The paper's N of semantic models: 8096 for 1024x2048."""
    size, variant = generated(grid, "cityscapes"), "deeplabv3_pointrend_r103"
    seen = grid.training_settings("mini_cityscapes", variant).input
    assert seen.test_short_edge_px == size.height_px
    points = grid.inference_settings(variant, "default").points_per_step
    assert points == size.height_px * size.width_px // 16**2


def test_deeplabv3_can_be_read_at_another_stride(grid: Grid) -> None:
    """Output stride 8 is exact only where no statistics are over the cells of a map."""
    model = grid.training_settings("mini_cityscapes", "deeplabv3_r103").model
    assert model.backbone.norm == model.decoder.norm == "bn"


def test_captions_call_what_it_changes_the_papers(grid: Grid) -> None:
    """Trunks and lengths of schedules: a caption stands on the page of every preset."""
    named = re.compile(r"ResNet-\d+|times as many")
    sentences = [s for t in grid.tables.values() for s in re.split(r"[.;] ", t.caption)]
    found = [sentence for sentence in sentences if named.search(sentence)]
    assert len(found) == 4
    assert all("in the paper" in sentence for sentence in found)
