"""The figures show what they say: the right points and cells, the right objects, and files."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import PathCollection
from PIL import Image
from torch import Tensor

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import SavedModel, build_model, save_model
from pointrend_repro.commands import figures
from pointrend_repro.config.figures import load_figures
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.config.presets import Preset
from pointrend_repro.data.coco import Annotation, Category, CocoDataset, ImageRecord, read_coco
from pointrend_repro.data.examples import inference_image, read_record
from pointrend_repro.data.paths import UserData, data_paths
from pointrend_repro.data.structures import Detections
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.experiments.shown import trainings_shown
from pointrend_repro.figures.detections import by_one_rule, corresponding, corresponding_objects
from pointrend_repro.figures.drawing import (
    box_window,
    contrasting_color,
    shared_style,
    square_window,
    view_window,
)
from pointrend_repro.figures.making import make_figure
from pointrend_repro.figures.objects import CHOICE, choose_objects
from pointrend_repro.figures.regions import mask_logits
from pointrend_repro.modeling.points import point_sample
from pointrend_repro.papers.pointrend.figures import figure2, figure4, figure5, figure6, figure7
from pointrend_repro.papers.pointrend.figures.point_head import coarse_and_points
from pointrend_repro.settings.schedule import InputSettings
from small_experiment import DATASET, PRESET, small_settings, write_small_config

ENTRIES = {
    name: figure.entry
    for name, figure in load_figures(CONFIG_DIR).figures.items()
    if figure.paper == "pointrend"
}
FIGURES = sorted(name for name, entry in ENTRIES.items() if entry.role == "coco")
VARIANTS = {"baseline": "mask_rcnn_r50_fpn", "pointrend": "pointrend_r50_fpn"}
MODULES = {
    "figure2": figure2,
    "figure4": figure4,
    "figure5": figure5,
    "figure6": figure6,
    "figure7": figure7,
}
WARNING = "Preset quick: for tests."


def read_val(root: Path) -> CocoDataset:
    return read_coco(root / "val2017", root / "annotations/instances_val2017.json")


def random_model(head: str, dataset: CocoDataset) -> SavedModel:
    """Untrained, but with masks that are neither full nor empty."""
    torch.manual_seed(0)
    training = small_settings(head)
    model = build_model(training.model, num_classes=len(dataset.categories))
    for name, parameter in model.mask_head.named_parameters():
        if "predict" in name and parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=2.0)
    categories = [(c.id, c.name) for c in dataset.categories]
    return SavedModel(model.eval(), training.input, categories)


@pytest.fixture
def dataset(coco_builder) -> CocoDataset:
    return read_val(coco_builder(val_images=6))


@pytest.fixture
def models(dataset: CocoDataset) -> dict[str, SavedModel]:
    return {
        "baseline": random_model("4conv", dataset),
        "pointrend": random_model("pointrend", dataset),
    }


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    folder = write_small_config(tmp_path / "config")
    path = folder / "presets" / f"{PRESET}.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"figures": FIGURES}))
    return folder


@pytest.fixture
def results_dir(tmp_path: Path, models: Mapping[str, SavedModel]) -> Path:
    folder = tmp_path / "results" / PRESET
    for part, saved in models.items():
        path = folder / DATASET / VARIANTS[part] / "trial0" / "model.safetensors"
        save_model(path, saved)
        train = {"settings_digest": "abc", "git_commit": "0123", "code_digest": "def", "seed": 0}
        path.with_suffix(".origin.json").write_text(json.dumps({"train": train}))
    return folder


def make(name: str, config_dir: Path, results_dir: Path, root: Path, folder: Path) -> Path:
    grid = load_grid(PRESET, config_dir)
    data = data_paths(DATASET, grid.datasets[DATASET], UserData(root))
    png = folder / f"{name}.png"
    make_figure(grid, grid.drawn.figure(name), data, results_dir=results_dir, png=png)
    return png


@pytest.mark.parametrize("ending", ["json", "pdf"])
def test_what_is_called_like_a_figure_is_kept(
    ending: str,
    config_dir: Path,
    results_dir: Path,
    dataset: CocoDataset,
    tmp_path: Path,
) -> None:
    mine = tmp_path / f"{FIGURES[0]}.{ending}"
    mine.write_text('{"my": "notes"}')
    root = dataset.images[0].path.parents[1]
    with pytest.raises(UserError, match=rf"{mine.name}: exists.*; choose another output$"):
        make(FIGURES[0], config_dir, results_dir, root, tmp_path)
    assert mine.read_text() == '{"my": "notes"}'
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_a_picture_a_print_and_its_words(
    name: str,
    config_dir: Path,
    results_dir: Path,
    dataset: CocoDataset,
    coco_builder,
    tmp_path: Path,
) -> None:
    root = dataset.images[0].path.parents[1]
    png, again = (make(name, config_dir, results_dir, root, tmp_path / k) for k in "ab")
    make(name, config_dir, results_dir, root, tmp_path / "b")  # one of ours is replaced
    files = {path.name for path in png.parent.iterdir()}
    assert files == {f"{name}.{suffix}" for suffix in ("png", "pdf", "json")}
    for suffix in (".png", ".pdf"):
        assert png.with_suffix(suffix).read_bytes() == again.with_suffix(suffix).read_bytes()

    with Image.open(png) as image:
        assert image.width == 1400  # 7 inches of 200 dots
        assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
        assert len(np.unique(np.array(image.convert("L")))) > 50
    assert png.with_suffix(".pdf").read_bytes().startswith(b"%PDF")

    record = json.loads(png.with_suffix(".json").read_text())
    assert record["warning"] == WARNING
    assert record["title"].startswith(f"Figure {name[-1]}")
    assert set(record["image_ids"]) <= {image.id for image in dataset.images}
    assert [model["file"] for model in record["models"]] == [
        f"{DATASET}/{variant}/trial0/model.safetensors" for variant in ENTRIES[name].models.values()
    ]
    assert {model["git_commit"] for model in record["models"]} == {"0123"}
    if name != "figure2":
        assert "ground truth's box" in record["caption"]


@pytest.mark.parametrize(
    ("name", "panels"),
    [("figure2", 8), ("figure4", 4), ("figure5", 4), ("figure6", 8), ("figure7", 8)],
)
def test_number_of_panels(
    name: str, panels: int, models: Mapping[str, SavedModel], dataset: CocoDataset
) -> None:
    with shared_style():
        picture = MODULES[name].draw(models, dataset)
    assert len(picture.figure.axes) == panels
    assert len(picture.image_ids) == (4 if name in {"figure2", "figure6"} else 1)


def dots(picture) -> list[int]:
    return [
        len(collection.get_offsets())
        for ax in picture.figure.axes
        for collection in ax.collections
        if isinstance(collection, PathCollection)
    ]


def test_every_chosen_point_is_drawn(
    models: Mapping[str, SavedModel], dataset: CocoDataset
) -> None:
    with shared_style():
        assert dots(figure5.draw(models, dataset)) == [196] * 4
        assert dots(figure4.draw(models, dataset)) == [16]


def disc(points: Tensor) -> Tensor:
    """Logits that are positive inside a disc."""
    return 8 * (0.3 - (points - 0.45).norm(dim=1))


def test_a_subdivision_step_changes_only_the_chosen_cells() -> None:
    step = figure4.subdivide_once(disc)
    for y in range(4):
        for x in range(4):
            centre = torch.tensor([[(x + 0.5) / 4, (y + 0.5) / 4]])
            assert step.coarse[y, x] == pytest.approx(disc(centre).item())
    assert step.upsampled[0, 0] == step.coarse[0, 0]  # a corner has nothing beyond to mix with
    chosen = torch.zeros(64, dtype=torch.bool)
    chosen[step.cells] = True
    assert chosen.sum() == 16
    ambiguity = step.upsampled.flatten().abs()
    assert ambiguity[chosen].max() <= ambiguity[~chosen].min()
    assert torch.equal(step.refined.flatten()[~chosen], step.upsampled.flatten()[~chosen])
    for cell, point in zip(step.cells.tolist(), step.points, strict=True):
        assert point.tolist() == [(cell % 8 + 0.5) / 8, (cell // 8 + 0.5) / 8]
        assert step.refined.flatten()[cell] == pytest.approx(disc(point[None]).item())


def test_strategies_are_the_papers() -> None:
    asked = [(strategy.k, strategy.beta) for strategy in figure5.STRATEGIES]
    assert asked == [(None, None), (1, 0), (3, 0.75), (10, 0.75)]
    for strategy in figure5.STRATEGIES[1:]:
        assert f"k = {strategy.k:g}, β = {strategy.beta}" in strategy.title


def test_biased_points_lie_nearer_to_the_boundary() -> None:
    grid = (torch.arange(7) + 0.5) / 7
    cells = torch.stack([grid.repeat(7), grid.repeat_interleave(7)], dim=1)
    coarse = disc(cells).view(7, 7)
    chosen = [figure5.choose_points(strategy, coarse) for strategy in figure5.STRATEGIES]
    for strategy, points in zip(figure5.STRATEGIES, chosen, strict=True):
        assert points.shape == (196, 2)
        assert points.min() >= 0
        assert points.max() <= 1
        assert torch.equal(points, figure5.choose_points(strategy, coarse))
    regular, *random = chosen
    centres = [(i + 0.5) / 14 for i in range(14)]
    torch.testing.assert_close(regular, torch.tensor([[x, y] for y in centres for x in centres]))
    uniform, mild, heavy = (
        point_sample(coarse[None, None], points[None]).abs().median().item() for points in random
    )
    assert heavy < mild / 2 < uniform / 4


def test_objects_are_whole_large_and_complex(coco_builder) -> None:
    star = [22, 10, 30, 20, 42, 22, 30, 26, 22, 40, 18, 26, 6, 22, 18, 20]
    square = [10, 10, 30, 10, 30, 30, 10, 30]
    cases = {
        1001: [{"polygon": square}],
        1002: [{"polygon": star}],
        1003: [{"polygon": star, "parts": 2}],  # an occluded one
        1004: [{"polygon": star, "crowd": 1}],
        1005: [{"polygon": [v / 4 for v in star]}],  # small: comes last
        1006: [{"polygon": [v - 6 for v in star]}],  # cut by the image's edge
    }

    def mutate(document) -> None:
        if document["images"][0]["id"] != 1001:
            return
        document["annotations"] = [
            annotation(image_id, **case) for image_id, group in cases.items() for case in group
        ]

    dataset = read_val(coco_builder(val_images=6, mutate=mutate))
    chosen = choose_objects(dataset, 6)
    assert [shown.record.id for shown in chosen[:2]] == [1002, 1001]
    assert {shown.record.id for shown in chosen} == {1001, 1002, 1005, 1006}
    assert choose_objects(dataset, 1)[0].record.id == 1002
    backwards = dataclasses.replace(dataset, images=dataset.images[::-1])
    assert choose_objects(backwards, 6) == chosen
    none = dataclasses.replace(dataset, images=(dataset.images[2], dataset.images[3]))
    with pytest.raises(UserError, match="nothing to draw figures of"):
        choose_objects(none, 1)


def annotation(image_id: int, polygon: list[float], parts: int = 1, crowd: int = 0) -> dict:
    xs, ys = polygon[::2], polygon[1::2]
    polygons = [polygon] * parts
    return {
        "id": image_id,
        "image_id": image_id,
        "category_id": 3,
        "bbox": [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)],
        "segmentation": {"size": [48, 64], "counts": [0, 48 * 64]} if crowd else polygons,
        "area": 10,
        "iscrowd": crowd,
    }


def test_a_less_complex_object_of_its_image_is_not_chosen_for_its_class() -> None:
    """The captions say so: an image's most complex object comes before the spread of classes."""

    def star(label: int, x: float, depth: float) -> Annotation:
        turns = np.arange(16) * np.pi / 8
        radius = 40 * np.where(np.arange(16) % 2, 1.0, depth)
        points = np.stack([x + radius * np.cos(turns), 50 + radius * np.sin(turns)], axis=1)
        box = (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())
        return Annotation(label, box, [points.ravel().tolist()], is_crowd=False)

    images = tuple(
        ImageRecord(k, Path(f"{k}.png"), 200, 100, (star(0, 50, 0.5), star(k, 150, 0.6)))
        for k in (1, 2)
    )
    dataset = CocoDataset(tuple(Category(k, str(k)) for k in range(3)), images)
    assert [shown.annotation.label for shown in choose_objects(dataset, 2)] == [0, 0]
    assert "of each image the one with the most complex outline" in CHOICE


def test_objects_are_of_different_classes(dataset: CocoDataset) -> None:
    labels = [shown.annotation.label for shown in choose_objects(dataset, 6)]
    present = {
        a.label
        for image in dataset.images
        for a in [choose_objects(dataclasses.replace(dataset, images=(image,)), 1)[0].annotation]
    }
    assert set(labels[: len(present)]) == present
    assert len({shown.record.id for shown in choose_objects(dataset, 6)}) == 6


def test_the_box_moves_to_the_networks_input_with_the_image(
    dataset: CocoDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = random_model("pointrend", dataset)
    saved = dataclasses.replace(
        saved, input=InputSettings(test_short_edge_px=96, max_long_edge_px=96)
    )
    (shown,) = choose_objects(dataset, 1)
    whole = dataclasses.replace(shown.annotation, box=(0.0, 0.0, 64.0, 48.0))
    seen = {}

    def masks_in_boxes(images, boxes, labels, settings):
        seen.update(image=images[0], box=boxes[0].tolist(), label=labels[0].tolist())
        return torch.zeros(1, settings.output_resolution, settings.output_resolution)

    monkeypatch.setattr(saved.model, "masks_in_boxes", masks_in_boxes)
    masks = mask_logits(saved, dataclasses.replace(shown, annotation=whole), [7, 14])
    assert [tuple(mask.shape) for mask in masks] == [(7, 7), (14, 14)]
    assert seen["image"].shape == (3, 72, 96)
    assert torch.equal(seen["image"], inference_image(read_record(shown.record), saved.input))
    assert seen["box"] == [[0, 0, 96, 72]]
    assert seen["label"] == [whole.label]


def test_points_and_masks_come_from_one_prediction(
    models: Mapping[str, SavedModel], dataset: CocoDataset
) -> None:
    (shown,) = choose_objects(dataset, 1)
    coarse, predict_points = coarse_and_points(models["pointrend"], shown)
    as_mask, rendered = mask_logits(models["pointrend"], shown, [7, 28])
    torch.testing.assert_close(coarse, as_mask)
    centre = torch.tensor([[(3 + 0.5) / 28, (20 + 0.5) / 28]])
    torch.testing.assert_close(predict_points(centre)[0], rendered[20, 3])
    with pytest.raises(UserError, match="needs one of pointrend"):
        coarse_and_points(models["baseline"], shown)


def test_a_mask_is_pasted_over_its_box_in_an_enlarged_window() -> None:
    image = np.zeros((40, 60, 3), dtype=np.uint8)
    view = view_window(image, (10, 5, 50, 25), side_px=400)
    assert view.pixels.shape == (200, 400, 3)
    mask = view.mask(torch.full((28, 28), 9.0), (20.0, 10.0, 30.0, 40.0))
    expected = np.zeros((200, 400), dtype=bool)
    expected[50:, 100:200] = True  # ten pixels of the view a pixel of the image
    assert (mask != expected).mean() < 0.02


def test_beyond_the_image_a_window_is_white() -> None:
    image = np.zeros((10, 20, 3), dtype=np.uint8)
    view = view_window(image, (0, -5, 20, 15), side_px=200)
    rows = view.pixels.mean(axis=(1, 2))  # the filter reaches three pixels, thirty rows
    assert rows.shape == (200,)
    assert (rows[[*range(20), *range(180, 200)]] == 255).all()
    assert (rows[80:120] == 0).all()


@settings(max_examples=50, deadline=None)
@given(
    st.tuples(st.floats(0, 90), st.floats(0, 60), st.floats(2, 100), st.floats(2, 70)),
    st.floats(0, 1),
)
def test_windows_hold_the_box_and_stay_in_the_image(
    corner_and_size: tuple[float, float, float, float], margin: float
) -> None:
    x, y, width, height = corner_and_size
    box = (x, y, min(x + width, 100.0), min(y + height, 70.0))
    left, top, right, bottom = box_window(box, margin, (70, 100))
    assert 0 <= left <= box[0] < box[2] <= right <= 100
    assert 0 <= top <= box[1] < box[3] <= bottom <= 70
    left, top, right, bottom = square_window(box, margin, (70, 100))
    assert right - left == bottom - top
    if max(box[2] - box[0], box[3] - box[1]) <= 70:
        assert left >= 0
        assert top >= 0
        assert right <= 100
        assert bottom <= 70
        assert left - 1 <= box[0] < box[2] <= right + 1
        assert top - 1 <= box[1] < box[3] <= bottom + 1


@pytest.mark.parametrize("seed", range(3))
def test_the_enlarged_detail_is_where_masks_differ_most(seed: int) -> None:
    differs = np.random.default_rng(seed).random((15, 18)) < 0.3
    sums = {(x, y): differs[y : y + 5, x : x + 5].sum() for x in range(14) for y in range(11)}
    assert sums[figure7.densest_window(differs, 5)] == max(sums.values())
    assert figure7.densest_window(np.zeros((15, 18), dtype=bool), 5) == (6, 5)


def found(boxes: list[list[float]], scores: list[float]) -> Detections:
    count = len(boxes)
    labels, masks = torch.zeros(count, dtype=torch.int64), torch.zeros(count, 28, 28)
    return Detections(torch.tensor(boxes).reshape(-1, 4), torch.tensor(scores), labels, masks)


def test_sure_detections_are_drawn_unless_a_model_has_none() -> None:
    box = [0.0, 0.0, 9.0, 9.0]
    sure, unsure = found([box] * 4, [0.9, 0.5, 0.4, 0.3]), found([box] * 4, [0.4, 0.3, 0.2, 0.1])
    drawn, rule = by_one_rule([[sure, unsure], [unsure, sure]])
    assert [[len(d.boxes) for d in pair] for pair in drawn] == [[2, 0], [0, 2]]
    assert "a score of at least 0.5" in rule
    drawn, rule = by_one_rule([[sure, unsure], [sure, unsure]])
    assert [[len(d.boxes) for d in pair] for pair in drawn] == [[3, 3], [3, 3]]
    assert "the 3 highest-scoring" in rule


def test_one_object_has_one_colour_in_a_pair() -> None:
    left = torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]])
    right = torch.tensor([[20.0, 0.0, 30.0, 9.0], [50.0, 50.0, 60.0, 60.0], [20.0, 1.0, 30.0, 9.0]])
    assert corresponding(right, left) == [1, 3, 4]
    assert corresponding(right, left[:0]) == [0, 1, 2]


def test_objects_of_different_classes_have_different_colours_in_a_pair() -> None:
    box, near = [0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 9.0, 10.0]
    people = found([box], [0.9])
    both = dataclasses.replace(found([box, near], [0.9, 0.8]), labels=torch.tensor([1, 0]))
    assert corresponding_objects(both, people) == [1, 0]
    assert corresponding_objects(people, both) == [1]
    assert corresponding_objects(both, both) == [0, 1]


def test_the_tint_differs_from_what_is_under_it() -> None:
    pixels = np.full((4, 4, 3), (0, 114, 178), dtype=np.uint8)
    assert contrasting_color(pixels, np.ones((4, 4), dtype=bool)) == "#E69F00"


def test_a_missing_model_is_told_in_one_line(
    config_dir: Path, dataset: CocoDataset, tmp_path: Path
) -> None:
    root = dataset.images[0].path.parents[1]
    with pytest.raises(UserError, match=r"pointrend_r50_fpn/trial0/model\.safetensors: no such"):
        make("figure4", config_dir, tmp_path / "nothing", root, tmp_path)


def test_another_models_categories_are_refused(
    config_dir: Path, results_dir: Path, coco_builder, tmp_path: Path
) -> None:
    def rename(document) -> None:
        document["categories"][0]["name"] = "other"

    root = coco_builder(root=tmp_path / "other", mutate=rename)
    with pytest.raises(UserError, match="trained for the categories"):
        make("figure6", config_dir, results_dir, root, tmp_path)


def test_the_command_draws_what_it_is_asked_for(
    config_dir: Path, results_dir: Path, dataset: CocoDataset, tmp_path: Path
) -> None:
    places = {
        "results_dir": results_dir.parent,
        "data_root": dataset.images[0].path.parents[1],
        "config_dir": config_dir,
        "output": tmp_path / "reports" / "figure5.png",
    }
    figures.figure("figure5", PRESET, **places)
    assert json.loads((tmp_path / "reports/figure5.json").read_text())["figure"] == "figure5"
    with pytest.raises(UserError, match="there is no figure 'figure3'; did you mean 'figure"):
        figures.figure("figure3", PRESET, **places)


def change_preset(config_dir: Path, **values: object) -> None:
    path = config_dir / "presets" / f"{PRESET}.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | values))


def test_a_figure_without_its_trainings_is_refused(config_dir: Path) -> None:
    change_preset(config_dir, tables=["table2"])
    with pytest.raises(UserError, match="figure2 needs variant 'mask_rcnn_r50_fpn'"):
        load_grid(PRESET, config_dir)


def test_an_unknown_figure_is_refused(config_dir: Path) -> None:
    change_preset(config_dir, figures=["figure3"])
    with pytest.raises(UserError, match=r"quick\.yaml: there is no figure 'figure3'; did you mean"):
        load_grid(PRESET, config_dir)


@pytest.mark.parametrize("name", ["smoke", "tiny", "paper"])
def test_the_presets_draw_all_figures_from_trainings_that_they_have(name: str) -> None:
    grid = load_grid(name)
    assert isinstance(grid.preset, Preset)
    on_coco = [name for name in grid.preset.figures if ENTRIES[name].role == "coco"]
    assert on_coco == FIGURES
    for figure in FIGURES:
        trainings = trainings_shown(grid, grid.drawn.figure(figure)).values()
        assert {t.variant for t in trainings} == set(ENTRIES[figure].models.values())
        assert {(t.dataset, t.trial) for t in trainings} == {(grid.preset.datasets["coco"], 0)}
        assert set(trainings) <= set(grid.trainings)
