"""The tables of docs/performance.md and its pages are those of the committed measurements."""

import json
from pathlib import Path

from benchmarks.growth_figure import draw_figure, growth_table
from benchmarks.write_page import PAGES, filled, ratio_table

BETWEEN = {"median": 4.5, "lowest": 4.0, "highest": 5.25}
RECORD = {
    "case": "head",
    "device": "a machine",
    "threads": 2,
    "sides": {
        "ours": {
            "seconds": {"median": 1.0},
            "additional_peak_mb": 100.0,
            "share_of_gemm_rate": {"median": 0.512},
        },
        "yardstick": {"seconds": {"median": 4.5}, "additional_peak_mb": 2000.0},
        "detectron2": {"status": "not measured: detectron2 is not installed"},
    },
    "ratios": {"yardstick": {"time": BETWEEN, "cpu_time": BETWEEN, "memory": 20.0}},
}
POINT = {
    "settings": {"boxes": 10},
    "sides": {"ours": {"cpu_s": 0.5, "peak_mb": 12.3}},
    "multiply_adds": 3e9,
    "gemm_multiply_adds_a_s": 2e10,
}
GROWTH = {"axes": {"boxes": {"points": [POINT]}}}


def test_tables_of_the_page_are_those_of_the_measurements() -> None:
    pages = [page.read_text(encoding="utf-8") for page in PAGES]
    assert all("<!-- table: " in page for page in pages)
    assert [filled(page) for page in pages] == pages


def test_marks_get_the_table_of_their_name(tmp_path: Path) -> None:
    (tmp_path / "head_cpu_2.json").write_text(json.dumps(RECORD))
    (tmp_path / "head_other_cpu_2.json").write_text(json.dumps(RECORD | {"case": "head_other"}))
    (tmp_path / "mask_head_growth_cpu_1.json").write_text(json.dumps(GROWTH))
    page = "a\n<!-- table: head -->\nold\n<!-- end -->\nb\n<!-- table: mask_head_growth -->\n"
    got = filled(page + "<!-- end -->\nc\n", tmp_path)
    assert "old" not in got
    assert ratio_table([RECORD]) in got
    assert growth_table(GROWTH) in got
    assert got.startswith("a\n")
    assert got.endswith("<!-- end -->\nc\n")
    assert filled(got, tmp_path) == got


def test_ratios_have_their_range_and_what_is_missing_says_so() -> None:
    assert ratio_table([RECORD]).splitlines()[2:] == [
        "| a machine | 2 | ours | 1.00 | 1 | 1 | 51% | 100 | 1 |",
        "| a machine | 2 | yardstick | 4.50 | 4.50 (4.00 to 5.25) | 4.50 (4.00 to 5.25) |  | 2000 "
        "| 20.0 |",
        "| a machine | 2 | detectron2 | not measured: detectron2 is not installed |  |  |  |  |  |",
    ]
    assert growth_table(GROWTH).splitlines()[-1] == (
        "| boxes | 10 | 0.50 | left out | 0.15 | 12 | left out |"
    )


def test_the_figure_is_the_same_from_the_same_numbers(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        draw_figure(GROWTH, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
