"""`data check FOLDER --pictures`: objects lie where they are annotated, and none is left out."""

import base64
import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointrend_repro import cli
from pointrend_repro.data.generated.cityscapes_layout import generate_cityscapes
from pointrend_repro.settings.generated import GeneratedSettings
from pointrend_repro.tools.survey.inspecting import inspect_folder
from pointrend_repro.tools.survey.pictures import write_pictures
from pointrend_repro.tools.survey.sizes import plot_sizes

WIDTH, HEIGHT = 240, 160
BOX = (40, 30, 160, 120)


def write_folder(root: Path, change: Callable[[dict], None] = lambda entry: None) -> Path:
    """Grey images with a rectangle each, of class nut."""
    for split, first in (("train", 1), ("val", 101)):
        (root / split).mkdir(parents=True)
        images, annotations = [], []
        for k in range(first, first + 3):
            pixels = np.full((HEIGHT, WIDTH, 3), 120 + k % 7, np.uint8)
            Image.fromarray(pixels).save(root / split / f"{k}.png")
            images.append({"id": k, "file_name": f"{k}.png", "width": WIDTH, "height": HEIGHT})
            x0, y0, x1, y1 = BOX
            entry = {
                "id": k,
                "image_id": k,
                "category_id": 5,
                "iscrowd": 0,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": (x1 - x0) * (y1 - y0),
                "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
            }
            change(entry)
            annotations.append(entry)
        content = {"images": images, "annotations": annotations}
        content["categories"] = [{"id": 5, "name": "<b>nut</b>"}]
        (root / f"{split}.json").write_text(json.dumps(content))
    return root


def images_of(page: str) -> list[np.ndarray]:
    found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    return [np.array(Image.open(io.BytesIO(base64.b64decode(each)))).astype(int) for each in found]


def test_masks_are_drawn_where_they_are(tmp_path: Path) -> None:
    folder, output = write_folder(tmp_path / "data"), tmp_path / "page.html"
    write_pictures(inspect_folder(folder), output)
    page = output.read_text()
    images = images_of(page)
    assert len(images) == 6
    x0, _, x1, y1 = BOX
    for pixels in images:
        assert pixels.shape == (HEIGHT, WIDTH, 3)
        colour = np.ptp(pixels, axis=2)  # the images are grey
        assert colour[y1 - 60 : y1 - 1, x0 + 2 : x1 - 2].mean() > 40
        assert colour[y1 + 9 :].mean() < 12
        assert colour[:, x1 + 9 :].mean() < 12
    assert "1 &lt;b&gt;nut" in page
    assert "<b>nut" not in page
    assert "Not everything could be drawn" not in page


def test_what_masks_cannot_be_read_of_has_boxes(tmp_path: Path) -> None:
    def break_one(entry: dict) -> None:
        if entry["id"] == 2:
            entry["segmentation"] = [[1, 2, 3]]

    output = tmp_path / "page.html"
    survey = inspect_folder(write_folder(tmp_path / "data", break_one))
    assert survey.faults
    write_pictures(survey, output)
    page = output.read_text()
    assert page.count("Not everything could be drawn") == 1
    assert len(images_of(page)) == 5


def test_streets(tmp_path: Path) -> None:
    root = tmp_path / "streets"
    made = GeneratedSettings(train_images=2, val_images=2, width_px=128, height_px=64)
    generate_cityscapes(root, made)
    output = tmp_path / "page.html"
    write_pictures(inspect_folder(root), output)
    page = output.read_text()
    assert len(images_of(page)) == 4
    assert "Not everything could be drawn" not in page


def test_sizes_are_counted_once_each() -> None:
    plot = plot_sizes("train", [1, 16, 17, 1023.9, 1024, 9e6])
    assert {bar.text: bar.count for bar in plot.bars if bar.count} == {
        "<4": 1, "4–8": 2, "16–32": 1, "32–64": 1, "≥1024": 1,
    }  # fmt: skip
    assert plot_sizes("val", []).told == "no objects"


def test_the_command_says_what_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, output = write_folder(tmp_path / "data"), tmp_path / "page.html"
    command = ["pointrend-repro", "data", "check", str(folder), "--pictures", str(output)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert f"Written: {output}" in capsys.readouterr().out
    assert output.read_text().startswith("<!DOCTYPE html>")
