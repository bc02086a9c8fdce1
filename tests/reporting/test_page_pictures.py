"""The page holds the pictures of its preset, escaped, and says which are not there."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from test_page import EVIL, Page, report

from pointrend_repro.base.errors import UserError
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.reporting.collect import write_metrics

SOURCE = "data:image/webp;base64,UklGRg=="
IMAGE = {"source": SOURCE, "width": 600, "height": 500, "alternative_text": "What is seen."}


@pytest.fixture
def grid(smoke: Grid) -> Grid:
    pictures = ["comparison", "subdivision", "curves", "costs"]
    return replace(
        smoke, preset=smoke.preset.model_copy(update={"pictures": pictures, "figures": []})
    )


@pytest.fixture
def results_dir(grid: Grid, tmp_path: Path) -> Path:
    folder = tmp_path / "results" / grid.name
    write_metrics(grid, folder)
    return folder


def write_picture(results_dir: Path, which: str, /, **changes: object) -> Path:
    record = {
        "preset": results_dir.name,
        "picture": which,
        "title": "A title",
        "caption": "What it shows.",
        "warning": None,
        "dataset": "generated_coco",
        "image_ids": [17],
        "models": [],
        "command": "pointrend-repro picture",
        "git_commit": "0123456789abcdef",
        "code_digest": "abc",
        "name": "kite",
        "baseline_label": "left head",
        "pointrend_label": "right head",
        "objects": [{"name": "kite", "image_id": 17, "baseline": IMAGE, "pointrend": IMAGE}],
        "steps": [
            {"side": 7, "points": 49, "grid": IMAGE, "mask": IMAGE},
            {"side": 224, "points": 784, "grid": IMAGE, "mask": IMAGE},
        ],
    }
    path = results_dir.parents[1] / "reports" / results_dir.name / "pictures" / f"{which}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record | changes))
    return path


def test_pictures_are_shown_with_their_words_and_origin(grid: Grid, results_dir: Path) -> None:
    write_picture(results_dir, "comparison")
    write_picture(results_dir, "subdivision")
    page = Page(report(grid, results_dir))
    assert page.attribute("src", "img") == [SOURCE] * 6
    assert set(page.attribute("alt", "img")) == {"What is seen."}
    assert page.words.count("pointrend-repro picture") == 2
    assert "784 of 50,176 cells are predicted, 1.56 % of the grid" in page.words
    assert "the coarse prediction, all 49 cells." in page.words
    (label,) = page.attribute("aria-label", "input")
    assert label == "kite, image 17: share of the picture that shows left head"


def test_two_pictures_of_one_template_stand_side_by_side(grid: Grid, results_dir: Path) -> None:
    ours = grid.drawn.pictures["comparison"]
    titled = ours.entry.model_copy(update={"title": "Theirs"})
    theirs = replace(ours, public_name="made_up_slider", entry=titled)
    drawn = replace(grid.drawn, pictures=grid.drawn.pictures | {"made_up_slider": theirs})
    pictures = ["comparison", "made_up_slider"]
    grid = replace(grid, drawn=drawn, preset=grid.preset.model_copy(update={"pictures": pictures}))
    write_picture(results_dir, "comparison", outside_code={"their.module": "sha256:0123"})
    page = Page(report(grid, results_dir))
    ids = page.attribute("id")
    assert len(ids) == len(set(ids))
    assert set(pictures) <= set(ids)
    assert page.words.count("Not drawn here.") == page.words.count("Theirs") == 1
    assert "external code their.module sha256:0123" in " ".join(page.words.split())
    write_picture(results_dir, "made_up_slider", title="Theirs")
    page = Page(report(grid, results_dir))
    assert page.attribute("src", "img") == [SOURCE] * 4
    assert page.words.index("A title") < page.words.index("Theirs")


def test_what_is_not_there_is_said(grid: Grid, results_dir: Path) -> None:
    words = Page(report(grid, results_dir)).words
    assert words.count("Not drawn here.") == 2
    assert "No training has its log here." in words
    assert "Nothing is measured yet." in words


def test_a_preset_without_pictures_has_no_such_section(grid: Grid, results_dir: Path) -> None:
    grid = replace(grid, preset=grid.preset.model_copy(update={"pictures": []}))
    write_picture(results_dir, "comparison")
    assert "pictures" not in Page(report(grid, results_dir)).attribute("id")


def test_the_warning_stands_over_the_pictures(grid: Grid, results_dir: Path) -> None:
    text = report(grid, results_dir)
    section = text[text.index('id="pictures"') : text.index('id="comparison"')]
    assert grid.preset.warning in section


def test_words_of_pictures_are_escaped(grid: Grid, results_dir: Path) -> None:
    words = dict.fromkeys(["title", "caption", "name", "baseline_label", "command"], EVIL)
    image = IMAGE | {"alternative_text": EVIL}
    compared = {"name": EVIL, "image_id": 1, "baseline": image, "pointrend": image}
    write_picture(results_dir, "comparison", **words, objects=[compared])
    write_picture(results_dir, "subdivision", **words)
    page = Page(report(grid, results_dir))
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert set(page.attribute("src")) == {SOURCE}
    assert not any(key.startswith("on") for _, a in page.tags for key in a)
    assert page.text.count("<script>alert(1)") > 4


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda text: text[:50], "not valid JSON"),
        (
            lambda text: text.replace('"title"', '"titel"'),
            r"not of a picture \(title: Field required\)",
        ),
        (lambda text: text.replace(SOURCE, "https://somewhere/x.webp"), "not of a picture"),
        (lambda text: text.replace(SOURCE, SOURCE + "' onerror='x"), "not of a picture"),
        (lambda text: text.replace('"preset": "smoke"', '"preset": "paper"'), "of preset paper"),
        (lambda text: text.replace('"comparison"', '"subdivision"'), "is of subdivision"),
    ],
)
def test_a_damaged_or_wrong_picture_is_refused(
    grid: Grid, results_dir: Path, change: Callable[[str], str], problem: str
) -> None:
    path = write_picture(results_dir, "comparison")
    path.write_text(change(path.read_text()))
    with pytest.raises(UserError, match=problem) as caught:
        report(grid, results_dir)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
