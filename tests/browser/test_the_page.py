"""The page in a real browser: silent, alone, usable by mouse and by keyboard, readable."""

import re
from pathlib import Path

import pytest
from axe import violations
from pages import Page
from PIL import Image

OPEN_ALL = "for (const d of document.querySelectorAll('details')) d.open = true"
LINKS = "[...document.querySelectorAll('a.measured, a.why')]"
SHOWS = """(() => {{
  const title = document.querySelector(document.querySelector('{link}').hash).dataset.title;
  const dialog = document.querySelector("dialog");
  return dialog.open && title !== "" && dialog.querySelector("h2").textContent === title;
}})()"""
COVERED = """link => {
  link.scrollIntoView({block: "center", inline: "center", behavior: "instant"});
  const box = link.getClientRects()[0];
  return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2) !== link;
}"""
BACK = "!document.querySelector('dialog').open && document.activeElement.matches('{link}')"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_opens_in_silence_and_asks_for_nothing(page: Page, smoke_page: Path, scheme: str) -> None:
    page.look(scheme=scheme).open(smoke_page)
    page.evaluate(OPEN_ALL)
    page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")
    assert page.complaints() == []
    assert page.requests() == [smoke_page.as_uri()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page: Page, short_page: Path, scheme: str) -> None:
    """Text contrast of at least 4.5 is one of its rules, alternative texts are another."""
    # What the colours are does not matter to the other rules.
    rules = '{runOnly: ["color-contrast"]}' if scheme == "dark" else "{}"
    page.look(scheme=scheme).open(short_page)
    page.click("a.measured")
    page.evaluate(OPEN_ALL.replace("document", "document.querySelector('dialog')"))
    assert is_open(page)
    assert violations(page, rules, of="document.querySelector('dialog')") == []
    page.press("Escape")
    page.evaluate(OPEN_ALL)
    assert violations(page, rules) == []


def test_axe_would_find_what_is_wrong(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    path.write_text("<!doctype html><html lang=en><title>x</title><body><main><h1>x</h1><img src>"
                    "<p style='color:#888;background:#fff'>pale</p></main>")  # fmt: skip
    found = {violation["id"] for violation in violations(page.open(path))}
    assert found == {"image-alt", "color-contrast"}


def test_every_image_has_a_text_instead(page: Page, smoke_page: Path) -> None:
    page.open(smoke_page)
    assert page.evaluate("document.images.length") >= 20
    assert page.evaluate("[...document.images].every(i => i.alt.trim() && i.naturalWidth > 0)")
    told = "s => s.ariaHidden === 'true' || (s.querySelector('title').textContent.trim() && "
    told += "s.querySelector('desc').textContent.trim())"
    assert page.evaluate(f"[...document.querySelectorAll('svg')].every({told})")


@pytest.mark.parametrize("width", [360, 1920])
def test_no_width_scrolls_the_page_sideways(page: Page, smoke_page: Path, width: int) -> None:
    page.look(width=width).open(smoke_page)
    for _ in range(2):
        # What sticks out of the page, but for what scrolls by itself or is not for the eyes.
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.evaluate(OPEN_ALL)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_table_is_shaded_at_the_side_where_it_goes_on(
    page: Page, short_page: Path, tmp_path: Path, scheme: str
) -> None:
    page.send("Emulation.setScrollbarsHidden", hidden=True)  # later, it would move what is seen
    page.look(width=390, scheme=scheme).open(short_page)
    wide = "[...document.querySelectorAll('.table .scroll')].find(e => e.scrollWidth > 450)"
    page.evaluate(f"{wide}.id = 'wide'")

    def shaded() -> tuple[bool, bool]:
        """Whether the left and the right end differ from the page, above the first heading."""
        page.screenshot(tmp_path / "wide.png", "#wide")
        image = Image.open(tmp_path / "wide.png").convert("RGB")
        plain = image.getpixel((image.width // 2, 6))
        left, right = (image.getpixel((x, 6)) for x in (0, image.width - 2))
        return left != plain, right != plain

    assert shaded() == (False, True)
    page.evaluate("document.querySelector('#wide').scrollLeft = 100")
    assert shaded() == (True, True)
    page.evaluate("document.querySelector('#wide').scrollLeft = 9999")
    assert shaded() == (True, False)
    page.look(width=1920, scheme=scheme)
    page.evaluate("document.querySelector('#wide').scrollLeft = 0")
    assert shaded() == (False, False)
    page.send("Emulation.setEmulatedMedia", media="print")
    style = "getComputedStyle(document.querySelector('#wide')).backgroundImage"
    assert page.evaluate(style) == "none"


def is_open(page: Page) -> bool:
    found: bool = page.evaluate("document.querySelector('dialog').open")
    return found


def test_every_origin_opens_and_closes_and_gives_the_focus_back(
    page: Page, smoke_page: Path
) -> None:
    page.open(smoke_page)
    page.evaluate(f"{LINKS}.forEach((link, i) => link.dataset.number = i)")
    count = page.evaluate(f"{LINKS}.length")
    assert count > 80
    for number in range(count):
        link = f'a[data-number="{number}"]'
        if number % 4:
            page.focus(link)
            page.press("Enter")
        else:
            page.click(link)
        assert page.evaluate(SHOWS.format(link=link)), link
        page.press("Escape")
        assert page.evaluate(BACK.format(link=link)), link
    assert page.complaints() == []
    assert page.requests() == [smoke_page.as_uri()]


def test_every_origin_is_within_reach_of_the_mouse(page: Page, smoke_page: Path) -> None:
    """Nothing lies over the middle of a number, at any width; what a click does is seen above."""
    for width in (360, 1280):
        page.look(width=width).open(smoke_page)
        assert page.evaluate(f"{LINKS}.filter({COVERED}).map(link => link.hash)") == []


def test_tab_reaches_the_first_number_and_the_pictures(page: Page, smoke_page: Path) -> None:
    page.open(smoke_page)
    reached = set()
    wanted = ["a.skip", "a.measured", ".compare input", ".stepper button"]
    for _ in range(300):
        page.press("Tab")
        reached |= {selector for selector in wanted if page.has_focus(selector)}
        if len(reached) == len(wanted):
            break
    assert reached == set(wanted)


def test_a_link_to_an_origin_opens_what_hides_it(page: Page, smoke_page: Path) -> None:
    page.open(smoke_page)
    anchor = page.evaluate("document.querySelector('a.measured').hash")
    page.open(smoke_page, fragment="?again" + anchor)
    assert page.evaluate(f"document.querySelector('{anchor}').checkVisibility()")


def test_prints_to_pages(page: Page, short_page: Path) -> None:
    pdf = page.open(short_page).print_pdf()
    assert pdf.startswith(b"%PDF")
    assert 5 < len(re.findall(rb"/Type\s*/Page\b", pdf)) < 100
