"""The page holds the figures: embedded, escaped, with the warning, and none of another preset."""

import base64
import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image
from test_page import EVIL, Page, report

from pointrend_repro.base.errors import UserError
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.reporting.collect import write_metrics

MODEL = {
    "file": "somewhere/model.safetensors",
    "settings_digest": "123456789012",
    "git_commit": None,
    "code_digest": "12345e678901",
    "model_digest": f"sha256:{'0123456789abcdef' * 4}",
}


@pytest.fixture
def results_dir(smoke: Grid, tmp_path: Path) -> Path:
    """A preset's folder of results, with no number yet."""
    folder = tmp_path / "results" / smoke.name
    write_metrics(smoke, folder)
    return folder


def write_figure(results_dir: Path, name: str, **changes: object) -> Path:
    folder = results_dir.parents[1] / "reports" / results_dir.name / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    Image.effect_noise((1400, 700), 90).convert("RGB").save(folder / f"{name}.png")
    record = {
        "preset": results_dir.name,
        "figure": name,
        "title": f"Figure {name[-1]}: a title",
        "caption": "What it shows.",
        "alternative_text": "What is seen.",
        "warning": "Preset smoke: no claim.",
        "dataset": "generated_coco",
        "image_ids": [17, 18],
        "models": [MODEL],
        "command": "pointrend-repro figure",
        "git_commit": "0123456789abcdef",
        "code_digest": "abc",
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(record | changes))
    return path


def test_figures_are_embedded_with_all_that_is_said_of_them(smoke: Grid, results_dir: Path) -> None:
    for name in ("figure5", "figure7"):
        write_figure(results_dir, name)
    text = report(smoke, results_dir)
    page = Page(text)
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 2
    for image in images:
        assert image["alt"] == "What is seen."
        start, _, content = image["src"].partition(",")
        assert start == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(content))) as embedded:
            assert embedded.size == (1400, 700) == (int(image["width"]), int(image["height"]))
    for words in ("Figure 5: a title", "What it shows.", "17, 18", "somewhere/model.safetensors"):
        assert words in page.words
    assert "sha256 0123456789ab" in page.words
    assert page.words.count("Preset smoke: no claim.") == 2
    assert page.words.count("Not drawn here.") == len(smoke.preset.figures) - 2
    assert page.words.count("Figure 2") == 2  # in the contents and as a heading
    policy = page.attribute("content", "meta")
    assert any("img-src data:" in content for content in policy)
    ids = page.attribute("id")
    assert len(ids) == len(set(ids))
    assert {"figures", *(f"figure-{name}" for name in smoke.preset.figures)} <= set(ids)


def test_plots_and_only_plots_turn_dark_with_the_page(smoke: Grid, results_dir: Path) -> None:
    write_figure(results_dir, "figure5")
    write_figure(results_dir, "figure7", image_ids=[])
    page = Page(report(smoke, results_dir))
    figures = [attributes.get("class") for tag, attributes in page.tags if tag == "figure"]
    assert figures == [None, "plot"]


def test_a_page_with_every_figure_stays_small(smoke: Grid, results_dir: Path) -> None:
    for name in smoke.preset.figures:
        write_figure(results_dir, name)  # noise, which compresses worst
    assert len(report(smoke, results_dir)) < 12e6


def test_texts_of_figures_are_escaped(smoke: Grid, results_dir: Path) -> None:
    texts = ("title", "caption", "alternative_text", "warning", "dataset", "command", "git_commit")
    model = dict.fromkeys(MODEL, EVIL)
    write_figure(results_dir, "figure5", models=[model], **dict.fromkeys(texts, EVIL))
    page = Page(report(smoke, results_dir))
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert [tag for tag, _ in page.tags].count("img") == 1
    assert not any(key.startswith("on") for _, a in page.tags for key in a)
    assert page.text.count("<script>alert(1)") >= 8


@pytest.mark.parametrize("change", [{"preset": "paper"}, {"figure": "figure7"}])
def test_a_figure_of_another_place_is_refused(smoke: Grid, results_dir: Path, change: dict) -> None:
    write_figure(results_dir, "figure5", **change)
    with pytest.raises(UserError, match=r"figure5\.json: is of .*; draw the figure again"):
        report(smoke, results_dir)


def test_damaged_figures_are_told_in_one_line(smoke: Grid, results_dir: Path) -> None:
    path = write_figure(results_dir, "figure5")
    path.with_suffix(".png").write_bytes(path.with_suffix(".png").read_bytes()[:5000])
    with pytest.raises(UserError, match=r"figure5\.png: not a whole picture"):
        report(smoke, results_dir)
    path.write_text(re.sub(r'"caption": ".*?", ', "", path.read_text()))
    with pytest.raises(
        UserError, match=r"figure5\.json: not of a figure \(caption: Field required\)"
    ):
        report(smoke, results_dir)
