"""Figures 8 and 9: the streets that they show, and what is seen of each model."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from pointrend_repro.checkpoints.saved_models import SavedModel, build_model
from pointrend_repro.data.cityscapes import prepare_instances
from pointrend_repro.data.coco import CocoDataset, read_coco
from pointrend_repro.data.semantic import TRAIN_CLASSES
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.experiments.shown import trainings_shown
from pointrend_repro.figures.busy import choose_busy
from pointrend_repro.figures.drawing import save_figure, shared_style
from pointrend_repro.figures.streets import colored, colored_over
from pointrend_repro.papers.pointrend.figures import figure8, figure9
from pointrend_repro.settings.semantic import SemanticInferenceSettings
from small_experiment import small_settings
from small_semantic_experiment import make_streets, small_semantic_settings


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> CocoDataset:
    folder = tmp_path_factory.mktemp("streets")
    root = make_streets(folder / "cityscapes")
    prepare_instances(root, "val", folder / "instances_val.json")
    return read_coco(root / "leftImg8bit" / "val", folder / "instances_val.json")


def saved(settings, categories) -> SavedModel:
    torch.manual_seed(0)
    model = build_model(settings.model, num_classes=len(categories))
    return SavedModel(model.eval(), settings.input, [(c.id, c.name) for c in categories])


@pytest.fixture(scope="module")
def models(dataset: CocoDataset) -> dict[str, SavedModel]:
    return {
        "baseline": saved(small_settings("4conv"), dataset.categories),
        "pointrend": saved(small_settings("pointrend"), dataset.categories),
        "deeplab": saved(small_semantic_settings(pointrend=False), TRAIN_CLASSES),
        "deeplab_pointrend": saved(small_semantic_settings(pointrend=True), TRAIN_CLASSES),
    }


def test_streets_with_the_most_objects_come_first(dataset: CocoDataset) -> None:
    counts = [sum(not a.is_crowd for a in record.annotations) for record in choose_busy(dataset, 9)]
    assert counts == sorted(counts, reverse=True)
    assert len(counts) == len(dataset.images)
    assert len(choose_busy(dataset, 1)) == 1


def test_colours_are_cityscapes() -> None:
    labels = np.array([[0, 13]], dtype=np.uint8)  # road, car
    assert colored(labels).tolist() == [[[128, 64, 128], [0, 0, 142]]]
    black = np.zeros((1, 2, 3), dtype=np.uint8)
    assert colored_over(black, labels)[0, 0].tolist() == pytest.approx(
        [0.6 * 128, 0.6 * 64, 0.6 * 128], abs=1
    )


def test_figure_8_shows_each_street_five_times(models, dataset: CocoDataset, tmp_path) -> None:
    with shared_style():
        picture = figure8.draw(models, dataset)
        save_figure(picture.figure, tmp_path / "figure8.png")
    assert len(picture.figure.axes) == 2 * 5
    assert len(picture.image_ids) == 2
    pixels = [np.array(ax.images[0].get_array()) for ax in picture.figure.axes]
    image, label_map = pixels[0], pixels[6]
    assert image.shape == label_map.shape
    assert not np.array_equal(image, label_map)
    with Image.open(tmp_path / "figure8.png") as drawn:
        assert len(np.unique(np.array(drawn.convert("L")))) > 50


@pytest.mark.parametrize(
    ("points_per_step", "expected"),
    [
        # Output stride 16, then doubled up to every pixel of the input.
        (40, {(4, 6): 0, (8, 12): 40, (16, 24): 40, (32, 48): 40, (64, 96): 40}),
        # 24 x 16 cells are a whole grid, which makes the step before it void.
        (400, {(4, 6): 0, (16, 24): 384, (32, 48): 400, (64, 96): 400}),
    ],
)
def test_figure_9_shows_every_step_with_its_points(
    models, dataset: CocoDataset, points_per_step, expected
) -> None:
    settings = SemanticInferenceSettings(points_per_step=points_per_step)
    asked = {part: replace(saved, inference=settings) for part, saved in models.items()}
    with shared_style():
        picture = figure9.draw(asked, dataset)
    assert f"at most {points_per_step} points" in picture.caption
    assert ("discards" in picture.caption) == ((8, 12) not in expected)
    panels = [ax for ax in picture.figure.axes if ax.images]
    sizes = [np.array(ax.images[0].get_array()).shape[:2] for ax in panels[1:]]
    dots = [sum(len(c.get_offsets()) for c in ax.collections) for ax in panels[1:]]
    assert dict(zip(sizes, dots, strict=True)) == expected
    assert "coarse" in panels[1].get_title()


def test_a_step_shows_the_most_likely_class_of_each_cell(models, dataset: CocoDataset) -> None:
    with shared_style():
        picture = figure9.draw(models, dataset)
    last = next(ax for ax in reversed(picture.figure.axes) if ax.images)
    shown = np.array(last.images[0].get_array())
    palette = {tuple(c) for c in colored(np.arange(19, dtype=np.uint8)[None])[0].tolist()}
    assert {tuple(c) for c in shown.reshape(-1, 3).tolist()} <= palette


@pytest.mark.parametrize("preset", ["smoke", "paper"])
def test_presets_train_what_the_street_figures_need(preset: str) -> None:
    grid = load_grid(preset)
    assert {"figure8", "figure9"} <= set(grid.preset.figures)
    for figure in ("figure8", "figure9"):
        shown = grid.drawn.figure(figure)
        trainings = trainings_shown(grid, shown)
        assert {part: t.variant for part, t in trainings.items()} == shown.entry.models
        assert {t.dataset for t in trainings.values()} == {grid.preset.datasets["cityscapes"]}


def test_the_same_models_give_the_same_picture(models, dataset: CocoDataset, tmp_path) -> None:
    for name in ("a", "b"):
        with shared_style():
            save_figure(figure9.draw(models, dataset).figure, tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
