"""The page of `data check --pictures` in a real browser."""

from pathlib import Path

import pytest
from axe import violations
from devtools import Browser
from pages import Page

from pointrend_repro.data.generated.making import generate_dataset
from pointrend_repro.settings.generated import GeneratedSettings
from pointrend_repro.tools.survey.inspecting import inspect_folder
from pointrend_repro.tools.survey.pictures import write_pictures


@pytest.fixture(scope="module")
def data_page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    made = GeneratedSettings(train_images=4, val_images=3, width_px=192, height_px=144)
    generate_dataset(folder, "coco", made)
    write_pictures(inspect_folder(folder), folder / "page.html")
    return folder / "page.html"


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1920, "light")])
def test_fits_and_is_readable(page: Page, data_page: Path, width: int, scheme: str) -> None:
    page.look(width=width, scheme=scheme).open(data_page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(i => i.alt && i.naturalWidth > 0)")
    assert page.evaluate("document.images.length") >= 5  # those with objects
    assert violations(page) == []
    assert page.complaints() == []
    assert page.requests() == [data_page.as_uri()]
