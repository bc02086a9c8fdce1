"""The pictures of the page show what they say: the procedure's own steps, and both heads' masks."""

# ruff: noqa: F401, F811 (fixtures of test_figures are imported, and are then arguments)

import base64
import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_figures import VARIANTS, config_dir, dataset, models, results_dir

import pointrend_repro.figures.comparison as comparing
from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.commands import figures
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.experiments.shown import trainings_shown
from pointrend_repro.figures.drawing import shared_style, view_window
from pointrend_repro.figures.embedding import describe_mask, embed_view
from pointrend_repro.figures.objects import choose_objects
from pointrend_repro.figures.regions import mask_logits
from pointrend_repro.modeling.points import render_masks
from pointrend_repro.modeling.subdivision import subdivide
from pointrend_repro.papers.pointrend.figures import comparison, subdivision
from pointrend_repro.papers.pointrend.figures.point_head import coarse_and_points
from pointrend_repro.settings.instances import InferenceSettings
from small_experiment import DATASET, PRESET


def disc(points: torch.Tensor) -> torch.Tensor:
    """Logits that are positive inside a disc."""
    return 8 * (0.3 - (points - 0.45).norm(dim=1))


def test_the_steps_are_the_papers() -> None:
    steps = subdivide(torch.zeros(7, 7), disc, InferenceSettings())
    assert [len(step.after) for step in steps] == [7, 14, 28, 56, 112, 224]
    assert [len(step.points) for step in steps] == [0, 14**2, 28**2, 28**2, 28**2, 28**2]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([14, 28, 56]), st.integers(1, 300))
def test_the_last_step_is_the_rendered_mask(seed: int, side: int, points: int) -> None:
    coarse = torch.randn(7, 7, generator=torch.Generator().manual_seed(seed))
    asked = InferenceSettings(output_resolution=side, points_per_step=points)
    last = subdivide(coarse, disc, asked)[-1].after
    rendered = render_masks(
        coarse[None],
        lambda p: disc(p[0])[None],
        output_resolution=side,
        points_per_step=points,
    )
    torch.testing.assert_close(last, rendered[0])


def test_a_step_predicts_the_most_uncertain_cells_and_no_others() -> None:
    coarse = torch.randn(7, 7, generator=torch.Generator().manual_seed(0))
    step = subdivide(coarse, disc, InferenceSettings(output_resolution=56))[-1]
    cells = (step.points * 56 - 0.5).round().long()
    chosen = torch.zeros(56, 56, dtype=torch.bool)
    chosen[cells[:, 1], cells[:, 0]] = True
    assert chosen.sum() == len(step.points) == 784
    assert step.before.abs()[chosen].max() <= step.before.abs()[~chosen].min()
    assert torch.equal(step.after[~chosen], step.before[~chosen])
    torch.testing.assert_close(step.after[cells[:, 1], cells[:, 0]], disc(step.points))


def test_the_last_step_is_the_mask_that_the_model_gives(
    models: Mapping[str, SavedModel],
    dataset: CocoDataset,
) -> None:
    (shown,) = choose_objects(dataset, 1)
    last = subdivide(*coarse_and_points(models["pointrend"], shown), InferenceSettings())[-1].after
    (mask,) = mask_logits(models["pointrend"], shown, [224])
    assert ((last > 0) != (mask > 0)).float().mean() < 0.001


def pixels(embedded) -> np.ndarray:
    data = base64.b64decode(embedded.source.removeprefix("data:image/webp;base64,"))
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (embedded.width, embedded.height)
        return np.array(image.convert("RGB")).astype(int)


def test_an_embedded_view_is_the_view_with_what_is_drawn_over_it() -> None:
    image = np.full((30, 40, 3), (200, 30, 60), dtype=np.uint8)
    view = view_window(image, (0, 0, 40, 30), 400)
    with shared_style():
        plain = pixels(embed_view(view, "x", lambda ax: None))
        drawn = pixels(
            embed_view(view, "x", lambda ax: ax.fill([100, 200, 200, 100], [50, 50, 150, 150], "w"))
        )
    assert plain.shape == (300, 400, 3)
    assert np.abs(plain - (200, 30, 60)).max() <= 6
    changed = np.abs(drawn - plain).max(axis=2) > 60
    expected = np.zeros((300, 400), dtype=bool)
    expected[50:150, 100:200] = True
    assert (changed != expected).mean() < 0.01


def test_both_heads_are_compared_in_one_box(
    models: Mapping[str, SavedModel],
    dataset: CocoDataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def left_half_or_all(saved, shown, resolutions):
        asked.append((saved, shown.record.id, resolutions))
        logits = torch.full((resolutions[0], resolutions[0]), 9.0)
        if saved is models["baseline"]:
            logits[:, resolutions[0] // 2 :] = -9.0
        return [logits]

    monkeypatch.setattr(comparing, "mask_logits", left_half_or_all)
    with shared_style():
        drawn = comparison.draw(models, dataset)
    shown = [s.record.id for s in choose_objects(dataset, comparison.NUM_OBJECTS)]
    assert drawn.image_ids == shown == [o.image_id for o in drawn.content["objects"]]
    assert [(saved is models["pointrend"], k, r) for saved, k, r in asked] == [
        (is_pointrend, image_id, [224 if is_pointrend else 28])
        for image_id in shown
        for is_pointrend in (False, True)
    ]
    for compared in drawn.content["objects"]:
        differs = np.abs(pixels(compared.baseline) - pixels(compared.other)).max(axis=2) > 40
        columns = differs.mean(axis=0)
        assert columns[:250].max() < 0.05 < columns[400:].max()  # the box lies in the middle


def test_a_mask_in_words() -> None:
    mask = np.zeros((10, 10), dtype=bool)
    assert describe_mask("kite", "the mask", mask) == "Kite; the mask is empty."
    mask[:5, :5] = True
    assert describe_mask("kite", "the mask", mask).endswith("by the mask, 25% of the picture.")


@pytest.mark.parametrize("name", ["comparison", "subdivision"])
def test_the_command_writes_a_picture_with_its_origin(
    name: str,
    config_dir: Path,
    results_dir: Path,
    dataset: CocoDataset,
    tmp_path: Path,
) -> None:
    places = {
        "results_dir": results_dir.parent,
        "data_root": dataset.images[0].path.parents[1],
        "config_dir": config_dir,
    }
    first, again = tmp_path / "a.json", tmp_path / "b.json"
    for path in (first, again, again):
        figures.picture(name, PRESET, output=path, **places)
    assert first.read_bytes() == again.read_bytes()
    assert len(first.read_bytes()) < 1e6
    record = json.loads(first.read_text())
    assert (record["preset"], record["picture"]) == (PRESET, name)
    assert record["warning"] == "Preset quick: for tests."
    variants = list(VARIANTS.values())[0 if name == "comparison" else 1 :]
    assert [model["file"] for model in record["models"]] == [
        f"{DATASET}/{variant}/trial0/model.safetensors" for variant in variants
    ]
    with pytest.raises(UserError, match="there is no picture 'curves'; there are: comparison, "):
        figures.picture("curves", PRESET, output=first, **places)
    first.write_text('{"preset": "somebody\'s"}')
    with pytest.raises(UserError, match=r"a\.json: exists, and is no file of a picture"):
        figures.picture(name, PRESET, output=first, **places)
    assert first.read_text() == '{"preset": "somebody\'s"}'


def test_every_step_is_described(
    models: Mapping[str, SavedModel],
    dataset: CocoDataset,
) -> None:
    with shared_style():
        steps = subdivision.draw(models, dataset).content["steps"]
    assert [(step.side, step.points) for step in steps] == [
        (7, 49), (14, 196), (28, 784), (56, 784), (112, 784), (224, 784)
    ]  # fmt: skip
    assert "7 by 7 cells." in steps[0].grid.alternative_text
    assert "56 by 56 cells with 784 dots" in steps[3].grid.alternative_text
    assert len({step.mask.source for step in steps}) == len(steps)


@pytest.mark.parametrize("name", ["smoke", "tiny", "paper"])
def test_the_presets_show_all_pictures_of_trainings_that_they_have(name: str) -> None:
    grid = load_grid(name)
    assert grid.preset.pictures == ["comparison", "subdivision", "curves", "costs"]
    for picture in grid.drawn_pictures:
        assert set(trainings_shown(grid, grid.drawn.picture(picture)).values()) <= set(
            grid.trainings
        )
