"""A browser for all tests of a process, a page for each, and made-up reports to open."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from devtools import NAMES, Browser, find_chromium, run_browser
from made_up_report import shortened, write_made_up_report
from pages import Page

from pointrend_repro.experiments.loading import load_grid


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = find_chromium()
    if executable is None:
        pytest.skip(f"no browser on this machine: none of {', '.join(NAMES)} (Debian: chromium)")
    with run_browser(executable) as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = Page(browser)
    yield page.look()
    page.close()


@pytest.fixture(scope="session")
def smoke_page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of preset smoke, with every number and picture made up."""
    return write_made_up_report(tmp_path_factory.mktemp("smoke"), load_grid("smoke"))


@pytest.fixture(scope="session")
def short_page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with all kinds of elements but fewer of each: to look at all of them takes long."""
    grid = shortened(load_grid("smoke"))
    return write_made_up_report(tmp_path_factory.mktemp("short"), grid)
