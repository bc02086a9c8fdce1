"""The pictures that one can move, by mouse, by keyboard, without scripts, and in print."""

from pathlib import Path

import pytest
from pages import Page

SLIDER = ".compare input"
# Left edge of what is seen of the right picture, as a share of the figure's width.
SPLIT = """(() => {
  const shown = getComputedStyle(document.querySelector(".side + .side")).clipPath;
  return Number(/inset\\(0px 0px 0px ([\\d.]+)%\\)/.exec(shown)[1]);
})()"""
SHOWN = (
    "[...document.querySelectorAll('.steps > li')].map((s, i) => s.checkVisibility() ? i : -1)"
    ".filter(i => i >= 0)"
)
SPOKEN = "document.querySelector('.stepper [aria-live]').textContent"


def test_the_slider_moves_by_keyboard(page: Page, short_page: Path) -> None:
    page.open(short_page)
    assert page.evaluate(SPLIT) == 50
    page.focus(SLIDER)
    for key, split in [("ArrowRight", 51), ("ArrowLeft", 50), ("Home", 0), ("End", 100)]:
        page.press(key)
        assert page.evaluate(SPLIT) == split
    spoken = page.evaluate(f"document.querySelector('{SLIDER}').ariaValueText")
    assert spoken == "100 % 4× conv, 0 % PointRend"
    assert page.evaluate(f"document.querySelector('{SLIDER}').ariaLabel")


@pytest.mark.parametrize("width", [360, 1280])
def test_the_divider_is_where_the_mouse_is(page: Page, short_page: Path, width: int) -> None:
    page.look(width=width).open(short_page)
    for share in (0.25, 0.8):
        page.click(".stack", across=share)
        assert page.evaluate(SPLIT) == pytest.approx(100 * share, abs=1.5)


def test_each_slider_moves_its_own_picture(page: Page, short_page: Path) -> None:
    page.open(short_page)
    page.focus(f".compare:nth-child(2) {SLIDER.split()[1]}")
    page.press("Home")
    splits = (
        "[...document.querySelectorAll('.compare')].map(f => f.style.getPropertyValue('--split'))"
    )
    assert page.evaluate(splits) == ["50%", "0%", "50%", "50%"]


def test_the_stepper_steps_by_mouse(page: Page, short_page: Path) -> None:
    page.open(short_page)
    assert page.evaluate(SHOWN) == [0]
    assert page.evaluate(SPOKEN) == ""  # nothing is read out before anybody asks
    page.click(".stepper [data-move='1']")
    assert page.evaluate(SHOWN) == [1]
    page.click(".stepper [data-go='3']")
    assert page.evaluate(SHOWN) == [3]
    words = page.evaluate(SPOKEN)
    assert words.startswith("Step 4 of 6. 56×56: 784 of 3,136 cells are predicted, 25 % of")
    page.click(".stepper [data-move='-1']")
    assert page.evaluate(SHOWN) == [2]


def test_the_stepper_steps_by_keyboard_and_stops_at_its_ends(page: Page, short_page: Path) -> None:
    page.open(short_page)
    page.focus(".stepper [data-move='1']")
    for _ in range(7):
        page.press("Enter")
    assert page.evaluate(SHOWN) == [5]
    assert page.has_focus(".stepper [data-move='1'][aria-disabled='true']")
    for key, step in [("ArrowLeft", 4), ("ArrowLeft", 3), ("ArrowRight", 4)]:
        page.press(key)
        assert page.evaluate(SHOWN) == [step]
    assert page.evaluate("document.querySelector('[aria-current]').textContent") == "112×112"


def visible_sides(page: Page) -> list[list[float]]:
    found: list[list[float]] = page.evaluate(
        """[...document.querySelector(".stack").querySelectorAll("img")].map(i => {
          const box = i.getBoundingClientRect(); return [box.left, box.right, box.width];})"""
    )
    return found


def test_without_scripts_everything_is_there_side_by_side(page: Page, short_page: Path) -> None:
    page.open(short_page, scripts=False)
    left, right = visible_sides(page)
    assert left[1] < right[0]
    assert left[2] > 100
    assert page.evaluate(SHOWN) == [0, 1, 2, 3, 4, 5]
    assert page.evaluate(
        f"[...document.querySelectorAll('{SLIDER}, .controls')].every(e => !e.checkVisibility())"
    )


def test_in_print_everything_is_there_side_by_side(page: Page, short_page: Path) -> None:
    page.open(short_page)
    page.send("Emulation.setEmulatedMedia", media="print")
    left, right = visible_sides(page)
    assert left[1] < right[0]
    assert page.evaluate(SHOWN) == [0, 1, 2, 3, 4, 5]
    assert page.evaluate(
        f"[...document.querySelectorAll('{SLIDER}, .controls')].every(e => !e.checkVisibility())"
    )
    page.send("Emulation.setEmulatedMedia", media="")
