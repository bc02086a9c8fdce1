"""The documentation as a site: whole, with every command and name, and without a network."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pages import Page

import pointrend_repro as pr

pytest.importorskip("zensical", reason="the site's builder is not installed (make setup)")

from website.build import REPOSITORY, build
from website.cli_pages import commands, help_of, program


class Links(HTMLParser):
    """The anchors of a page, and what its elements refer to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.found: list[tuple[str, str]] = []
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.found.append((tag, value))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "site"
    build(folder)
    return folder


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[Path, Links]:
    # The server's answer to a wrong address: its links do not start from where it lies.
    return {page: Links(page) for page in site.rglob("*.html") if page.name != "404.html"}


def test_every_link_leads_somewhere(pages: dict[Path, Links]) -> None:
    broken = []
    for page, links in pages.items():
        for _, link in links.found:
            path, _, anchor = link.partition("#")
            target = (page.parent / path.split("?")[0]).resolve() if path else page
            is_there = target.exists() and (not anchor or anchor in pages[target].anchors)
            if not is_there and not re.match("https?:|data:|javascript:", link):
                broken.append(f"{page.name}: {link}")
    assert len(pages) > 60
    assert broken == []


def test_every_document_is_a_page(site: Path) -> None:
    for document in (REPOSITORY / "docs").rglob("*.md"):
        name = document.relative_to(REPOSITORY / "docs").with_suffix(".html")
        assert (site / name).exists() or (site / name.with_name("index.html")).exists(), name
    assert "Run the papers" in (site / "index.html").read_text()


def test_every_command_has_its_help(site: Path) -> None:
    assert ("data", "check") in commands()
    assert ("segment",) in commands()
    for words in commands():
        name = "_".join(words).replace("-", "_")
        text = re.sub(r"<[^>]+>", "", (site / f"cli/{name}.html").read_text())
        assert f"Usage: pointrend-repro {' '.join(words)} [OPTIONS]" in text
        assert str(REPOSITORY) not in text
    assert "--output" in help_of(program(), ("segment",))


def test_every_public_name_is_explained(pages: dict[Path, Links], site: Path) -> None:
    for page, names in {
        "api/using.html": {*pr.__all__, "Model", "predict_many", "Instances"} - {"__version__"},
        "api/points.html": {"sample_training_points", "subdivide"},
        "api/extending.html": {"Metric", "Family", "MaskHead", "Target"},
    }.items():
        assert {name.lower() for name in names} <= pages[site / page].anchors
    text = re.sub(r"<[^>]+>", "", (site / "api/using.html").read_text())
    assert "such as cpu or cuda." in text
    assert "-&gt; dict[str, float | None]" in text


def test_no_page_loads_anything_from_a_network(pages: dict[Path, Links], site: Path) -> None:
    for page, links in pages.items():
        for tag, link in links.found:
            assert tag == "a" or not link.startswith(("http", "//")), f"{page.name}: {link}"
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", style.read_text()), style


def test_it_opens_from_disk_asks_no_network_and_can_be_searched(site: Path, page: Page) -> None:
    page.open(site / "tutorial/subdivision.html")
    page.evaluate("""new Promise((done) => {
      document.querySelector(".md-search__button").click();
      const look = () => {
        document.activeElement.shadowRoot ? done() : setTimeout(look, 50);
      };
      look();
    })""")
    page.send("Input.insertText", text="uncertain")
    found = """new Promise((done) => {
      const look = () => {
        const hosts = [...document.querySelectorAll("div")].filter((e) => e.shadowRoot);
        const links = hosts.flatMap((e) => [...e.shadowRoot.querySelectorAll("a")]);
        const there = links.map((a) => a.href).find((href) => href.includes("points.html#"));
        there ? done(there) : setTimeout(look, 50);
      };
      look();
    })"""
    assert page.evaluate(found).startswith("file:")
    assert {url.split(":")[0] for url in page.requests()} == {"file", "blob"}
    assert page.complaints() == []
