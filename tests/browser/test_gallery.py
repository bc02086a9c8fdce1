"""The gallery of `pointrend-repro segment`, as a person uses it: mouse, keys, narrow and dark."""

from pathlib import Path

import numpy as np
import pytest
from axe import violations
from pages import Page
from PIL import Image

from pointrend_repro.api.segment.gallery import write_gallery
from pointrend_repro.api.segment.pictures import Picture

NAMES = ["<b>first</b>", "zweites Bild", "third"]
FOUND = {
    NAMES[0]: [("dog", 0.9), ("cat", 0.6)],
    NAMES[1]: [],
    NAMES[2]: [("cat", 0.75)],
}


def write_page(folder: Path, models: list[str]) -> Path:
    pictures = [
        Picture(folder / f"{name.replace('/', '')}.png", f"p {k}") for k, name in enumerate(NAMES)
    ]
    places = ("pictures", "thumbnails", "overlays", "beside/overlays")
    for number, picture in enumerate(pictures):
        for shade, place in enumerate(places):
            path = folder / place / f"{picture.name}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((60, 90, 3), 60 * shade + number, np.uint8)).save(path)
    made = [
        {
            "width": 90,
            "height": 60,
            "objects": [{"category_name": n, "score": s, "bbox": []} for n, s in FOUND[name]],
        }
        for name in NAMES
    ]
    failed = [(folder / "broken<.jpg", "not a whole image")]
    return write_gallery(folder, models, pictures, [made for _ in models], failed)


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    return write_page(tmp_path, ["pointrend_r50_fpn_coco", "mask_rcnn_r50_fpn_coco"])


def shown_titles(page: Page) -> list[str]:
    titles: list[str] = page.evaluate(
        "[...document.querySelectorAll('.grid li:not([hidden]) .title')].map(e => e.textContent)"
    )
    return titles


def text(page: Page, selector: str) -> str:
    found: str = page.evaluate(f"document.querySelector('{selector}').textContent")
    return found


def slider(page: Page) -> float:
    return float(page.evaluate("document.getElementById('left').value"))


def layers(page: Page) -> list[str]:
    """The pictures under and over the line, once they are loaded."""
    found: list[str] = page.evaluate(
        """Promise.all(["under", "over"].map(async id => {
             const image = document.getElementById(id);
             await image.decode();
             return decodeURI(image.src).split("/").slice(-3).join("/");
           }))"""
    )
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_opens_in_silence_with_nothing_serious(page: Page, gallery: Path, scheme: str) -> None:
    page.look(scheme=scheme).open(gallery)
    assert violations(page) == []
    page.click(".picture")
    assert violations(page) == []
    assert page.complaints() == []
    assert all(address.startswith("file://") for address in page.requests())


def test_narrow_screens_need_no_scrolling_sideways(page: Page, gallery: Path) -> None:
    page.look(width=360).open(gallery)
    page.click(".picture")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("document.getElementById('large').scrollWidth") <= 360


def test_titles_are_texts(page: Page, gallery: Path) -> None:
    page.open(gallery)
    assert shown_titles(page)[0] == "<b>first<b>.png"
    assert text(page, ".failed code").endswith("broken<.jpg")


def test_only_pictures_with_a_class(page: Page, gallery: Path) -> None:
    page.open(gallery)
    page.click("button[data-class=cat]")
    assert len(shown_titles(page)) == 2
    assert text(page, "#shown") == "2 of 3 pictures with cat"
    page.click(".grid li:not([hidden]) .picture")
    page.press("ArrowRight")  # past the picture without a cat
    assert text(page, "#title") == "third.png"
    page.press("ArrowRight")
    assert text(page, "#title") == "<b>first<b>.png"
    page.press("Escape")
    page.click("button[data-class='']")
    assert len(shown_titles(page)) == 3


def test_two_models_and_the_picture(page: Page, gallery: Path) -> None:
    page.open(gallery)
    page.click(".picture")
    assert layers(page) == ["beside/overlays/p 0.jpg", f"{gallery.parent.name}/overlays/p 0.jpg"]
    page.click("button[data-against=picture]")
    assert layers(page)[0] == f"{gallery.parent.name}/pictures/p 0.jpg"
    assert page.evaluate("[...document.querySelectorAll('#list li')].map(e => e.textContent)") == [
        "dog 0.900",
        "cat 0.600",
    ]


def test_one_model_beside_the_picture(page: Page, tmp_path: Path) -> None:
    page.open(write_page(tmp_path, ["pointrend_r50_fpn_coco"]))
    page.click(".picture")
    assert layers(page) == [
        f"{tmp_path.name}/{place}/p 0.jpg" for place in ("pictures", "overlays")
    ]
    assert page.evaluate("document.querySelector('.against')") is None


def test_the_line_follows_mouse_and_keys(page: Page, gallery: Path) -> None:
    page.open(gallery)
    page.click(".picture")
    layers(page)
    page.click(".stage", across=0.25)
    assert slider(page) == pytest.approx(25, abs=1)
    assert page.evaluate("document.getElementById('over').style.clipPath").endswith("25%)")
    page.evaluate("document.getElementById('left').focus()")
    page.press("End")
    assert slider(page) == 100
    page.press(" ")
    assert slider(page) == 0
    page.press("Escape")
    assert not page.evaluate("document.getElementById('large').open")
    assert page.evaluate("document.activeElement.className") == "picture"
