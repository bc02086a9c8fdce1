"""Ways about the page: contents in sight, one panel for every number, narrow and own pages."""

from dataclasses import replace
from pathlib import Path

import pytest
from axe import violations
from made_up_claims import fill_claims
from pages import Page

from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.reporting.claims.files import write_claims
from pointrend_repro.reporting.claims.judging import judge_claims
from pointrend_repro.reporting.claims.schema import load_claims
from pointrend_repro.reporting.collect import write_metrics
from pointrend_repro.reporting.report import write_report
from pointrend_repro.reporting.results import load_results

# The parts of an element that lie outside the window, to its sides.
IN_WIDTH = """[...document.querySelectorAll('{}')].every(e => {{
  const box = e.getBoundingClientRect();
  return box.width > 0 && box.left >= 0 && box.right <= innerWidth;
}})"""
IN_SIGHT = """(() => {
  const box = document.querySelector(".contents a[href='#tables']").getBoundingClientRect();
  return box.height > 0 && box.top >= 0 && box.bottom <= innerHeight;
})()"""


def judged_page(folder: Path, *, published: bool) -> Path:
    """The page of Table 1 with made-up numbers and its judged claims.

    Args:
        published: whether the paper has numbers; if not, the page is about one's own data.
    """
    whole = load_grid("paper")
    cells = tuple(cell for cell in whole.cells if cell.table == "table1")
    preset = whole.preset.model_copy(update={"figures": [], "pictures": []})
    grid = replace(whole, tables={"table1": whole.tables["table1"]}, cells=cells, preset=preset)
    results_dir, reports_dir = folder / "results" / "paper", folder / "reports" / "paper"
    # One number that is far off, and makes claims fail.
    fill_claims(results_dir, grid, change={("table1", "pointrend_224", "coco_ap"): -4.0})
    write_metrics(grid, results_dir)
    claims = load_claims(papers=["pointrend"])
    write_claims(judge_claims(grid, claims, load_results(grid, results_dir)), results_dir)
    if not published:
        table = grid.tables["table1"]
        rows = {k: r.model_copy(update={"paper": {}}) for k, r in table.rows.items()}
        grid = replace(grid, tables={"table1": table.model_copy(update={"rows": rows})})
    write_report(grid, results_dir, reports_dir)
    return reports_dir / "index.html"


@pytest.fixture(scope="module")
def claims_page(browser: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return judged_page(tmp_path_factory.mktemp("claims"), published=True)


@pytest.fixture(scope="module")
def own_page(browser: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return judged_page(tmp_path_factory.mktemp("own"), published=False)


@pytest.mark.parametrize("width", [360, 1280, 1920])
def test_the_contents_stay_in_sight(page: Page, smoke_page: Path, width: int) -> None:
    page.look(width=width).open(smoke_page)
    page.evaluate("scrollTo({top: document.body.scrollHeight, behavior: 'instant'})")
    assert page.evaluate("scrollY") > 5000
    assert page.evaluate(IN_SIGHT)
    page.click(".contents a[href='#tables']")
    top = page.evaluate("document.querySelector('#tables').getBoundingClientRect().top")
    bar = page.evaluate("document.querySelector('.contents').getBoundingClientRect().bottom")
    assert top >= (0 if width == 1920 else bar)
    assert top < 200


def test_every_heading_is_an_address(page: Page, smoke_page: Path) -> None:
    page.open(smoke_page)
    found = "[...document.querySelectorAll('main h2, main h3')].filter(h => h.id)"
    assert page.evaluate(f"{found}.length") > 10
    assert page.evaluate(f"{found}.every(h => h.querySelector('a').hash === '#' + h.id)")


def test_a_number_of_a_claim_opens_the_panel_of_the_table(page: Page, claims_page: Path) -> None:
    page.open(claims_page)
    link = "document.querySelector('.claims a.term')"
    shown = f"document.querySelector('a.measured[href=\"' + {link}.hash + '\"]').textContent"
    assert float(page.evaluate(shown).split()[0]) == pytest.approx(
        float(page.evaluate(f"{link}.textContent").split()[0]), abs=0.051
    )
    for open_it in (lambda: page.click(".claims a.term"), lambda: page.press("Enter")):
        open_it()
        title = page.evaluate("document.querySelector('dialog[open] h2').textContent")
        assert title == page.evaluate(f"document.querySelector({link}.hash).dataset.title")
        page.press("Escape")
        assert page.has_focus(".claims a.term")


def test_claims_show_their_verdict_on_a_narrow_screen(page: Page, claims_page: Path) -> None:
    page.look(width=360).open(claims_page)
    assert page.evaluate("document.querySelectorAll('.claims .verdict').length") > 5
    assert page.evaluate(IN_WIDTH.format(".claims .verdict, .claims .sum, .claims .interval"))


def test_the_summary_names_what_deviates(page: Page, claims_page: Path) -> None:
    page.open(claims_page)
    named = "[...document.querySelectorAll('.told a')].map(a => a.hash)"
    deviating = page.evaluate("document.querySelectorAll('.table .status.deviates').length")
    failed = page.evaluate("document.querySelectorAll('.claim .does-not-hold').length")
    assert len(page.evaluate(named)) == deviating + failed > 0


def test_a_command_is_copied(page: Page, short_page: Path) -> None:
    page.open(short_page)
    page.click("a.measured")
    page.click("#origin-view button.copy")
    wanted = "document.querySelector('#origin-view .command').textContent.trim()"
    assert page.evaluate("getSelection().toString().trim()") == page.evaluate(wanted)
    button = "document.querySelector('#origin-view button.copy')"
    changed = f"done => new MutationObserver(() => done()).observe({button}, {{childList: true}})"
    asked = f"{button}.textContent === 'Copy' && new Promise({changed})"
    page.evaluate(asked)
    assert page.evaluate(f"{button}.textContent") in ("Copied", "Selected")


@pytest.mark.parametrize("width", [360, 1920])
def test_ones_own_page_fits(page: Page, own_page: Path, width: int) -> None:
    page.look(width=width).open(own_page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelector('h1').textContent").startswith("Which model")
    assert page.evaluate("document.querySelectorAll('.cell .paper').length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_serious(page: Page, own_page: Path, claims_page: Path, scheme: str) -> None:
    rules = '{runOnly: ["color-contrast"]}' if scheme == "dark" else "{}"
    for path, width in ((own_page, 1280), (claims_page, 1920)):
        assert violations(page.look(width, scheme=scheme).open(path), rules) == []
    assert page.complaints() == []
