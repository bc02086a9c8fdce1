"""Sample predictions of trainings are on the page where there are some, and nowhere needed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_page import Page, report

from pointrend_repro.experiments.grid import Grid
from pointrend_repro.reporting.collect import write_metrics
from pointrend_repro.reporting.pictures.samples import load_samples


@pytest.fixture
def smoke(smoke: Grid) -> Grid:
    asked = smoke.preset.model_copy(update={"pictures": ["curves"], "figures": []})
    return replace(smoke, preset=asked)


def write_sample(folder: Path, updates: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    picture = np.full((30, 1200, 3), updates % 255, np.uint8)
    Image.fromarray(picture).save(folder / f"after_{updates:08d}.jpg")


@pytest.fixture
def results_dir(smoke: Grid, tmp_path: Path) -> Path:
    folder = tmp_path / "results" / smoke.name
    write_metrics(smoke, folder)
    return folder


def test_three_of_a_training_are_shown_small(smoke: Grid, results_dir: Path) -> None:
    training = next(t for t in smoke.trainings if t.variant == "pointrend_r50_fpn")
    for updates in range(1000, 11000, 1000):
        write_sample(results_dir / training.samples_folder, updates)
    (group,) = load_samples(smoke, results_dir)
    (shown,) = group.trainings
    assert (group.dataset, shown.trial) == (training.dataset, training.trial)
    assert [strip.updates for strip in shown.strips] == [3000, 6000, 10000]
    assert {(strip.width, strip.height) for strip in shown.strips} == {(960, 24)}
    page = Page(report(smoke, results_dir))
    assert [s for s in page.attribute("src", "img") if s == shown.strips[0].source]
    assert "Sample predictions during training" in page.words
    assert "after 10,000 updates" in page.words
    assert f"../../results/{smoke.name}/{shown.strips[2].file}" in page.attribute("href", "a")


def test_a_damaged_picture_is_left_out(smoke: Grid, results_dir: Path) -> None:
    folder = results_dir / smoke.trainings[0].samples_folder
    write_sample(folder, 5)
    (folder / "after_00000009.jpg").write_bytes(b"\xff\xd8 cut")
    (folder / "after_all.jpg").write_bytes(b"")
    ((shown,),) = ([t.strips for t in g.trainings] for g in load_samples(smoke, results_dir))
    assert [strip.updates for strip in shown] == [5]


def test_a_page_without_samples_says_nothing_of_them(smoke: Grid, results_dir: Path) -> None:
    assert load_samples(smoke, results_dir) == []
    assert "Sample predictions" not in Page(report(smoke, results_dir)).words
