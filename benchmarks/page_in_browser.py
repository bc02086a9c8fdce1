"""How soon the page of the paper's whole grid, filled with made-up numbers, can be used.

    python benchmarks/page_in_browser.py

Starts Chromium as tests/browser does, opens the page several times, each in a tab of its own, and
prints JSON: the page's size, and in seconds the time from the start of the navigation until the
page is loaded, and from there until the origin of a number stands open after a key press and the
next frame is painted. Medians and ranges.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS / "browser"), str(TESTS / "reporting")]

from devtools import find_chromium, run_browser  # noqa: E402
from made_up_report import write_made_up_report  # noqa: E402
from pages import Page  # noqa: E402

from pointrend_repro.base.provenance import cpu_name  # noqa: E402
from pointrend_repro.experiments.loading import load_grid  # noqa: E402

LOADED_S = "performance.getEntriesByType('navigation')[0].loadEventEnd / 1000"
# From the key press to the frame after it.
WATCH = """document.addEventListener("keydown", event => {
  requestAnimationFrame(() => setTimeout(() => {
    window.answered = (performance.now() - event.timeStamp) / 1000;
  }));
}, {once: true, capture: true})"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    executable = find_chromium()
    if executable is None:
        sys.exit("error: there is no Chromium on this machine")
    with tempfile.TemporaryDirectory() as folder, run_browser(executable) as browser:
        path = write_made_up_report(Path(folder), load_grid("paper"))
        loads, answers = [], []
        for _ in range(runs):
            page = Page(browser).look()
            page.open(path)
            loads.append(page.evaluate(LOADED_S))
            answers.append(_first_answer_s(page))
            page.close()
        print(
            json.dumps(
                {
                    "machine": cpu_name(),
                    "browser": browser.send("Browser.getVersion")["product"],
                    "page_mb": round(path.stat().st_size / 1e6, 2),
                    "load_s": _summary(loads),
                    "first_answer_s": _summary(answers),
                },
                indent=2,
            )
        )


def _first_answer_s(page: Page) -> float:
    page.focus("a.measured")
    page.evaluate(WATCH)
    page.press("Enter")
    seconds: float = page.evaluate(
        """new Promise(done => (function wait() {
          window.answered ? done(window.answered) : setTimeout(wait, 5);
        })())"""
    )
    assert page.evaluate("document.querySelector('dialog').open")
    return seconds


def _summary(seconds: list[float]) -> dict[str, float]:
    numbers = {"median": statistics.median(seconds), "least": min(seconds), "most": max(seconds)}
    return {name: round(value, 3) for name, value in numbers.items()}


if __name__ == "__main__":
    main()
