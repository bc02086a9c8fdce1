"""The tables' heads and row names are those that the paper prints, and what is not the paper's."""

import pytest
from pydantic import ValidationError

from pointrend_repro.config.tables import Table
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.reporting.layout import Heading, heading_lines, stub

# From pointrend.txt and its supplement: the lines above each table's first row.
PRINTED = {
    "table1": ["mask head", "output resolution", "COCO", "Cityscapes", "AP", "AP*", "AP"],
    "table2": [
        "mask head", "output resolution", "FLOPs", "# activations",
        "# activations, counted alike", "all steps", "largest layer",  # not printed
    ],
    "table3": [
        "output resolution", "# points per subdivision step",
        "COCO", "Cityscapes", "AP", "AP*", "AP",
    ],
    "table4": ["selection strategy", "COCO", "Cityscapes", "AP", "AP*", "AP"],
    "table5": ["mask head", "backbone", "COCO", "AP", "AP*"],
    "table6": ["method", "output resolution", "mIoU"],
    "table7": ["method", "output resolution", "mIoU"],
    "trimap": ["method", "trimap mIoU", "mIoU", "8px", "20px"],
}  # fmt: skip


@pytest.mark.parametrize("name", PRINTED)
def test_headings_are_the_papers(name: str) -> None:
    table = load_grid("paper").tables[name]
    texts = [heading.text for line in heading_lines(table) for heading in line]
    assert [*table.stub_headings, *texts] == PRINTED[name]


@pytest.mark.parametrize("name", PRINTED)
def test_each_line_of_the_head_is_over_all_columns(name: str) -> None:
    table = load_grid("paper").tables[name]
    upper, *lower = heading_lines(table)
    assert sum(heading.columns for heading in upper) == len(table.columns)
    if lower:
        both = sum(heading.columns for heading in upper if heading.lines == 2)
        assert len(lower[0]) + both == len(table.columns)


def make_table(**changes: object) -> Table:
    column = {"dataset": "coco", "metric": "coco_ap", "value": "AP"}
    column |= {"tolerance": 0.2, "tolerance_source": "x"}
    values = {
        "title": "T", "caption": "C", "source": "S",
        "columns": {k: {"title": k, **column} for k in ("a", "b", "c")},
        "rows": {"r": {"title": "Row", "variant": "v", "inference": "i", "paper": {}}},
    }  # fmt: skip
    return Table.model_validate(values | changes)


def test_a_table_that_says_nothing_has_one_line_and_its_rows_titles() -> None:
    table = make_table()
    assert heading_lines(table) == [[Heading(k, "%", 1, 1) for k in "abc"]]
    assert stub(table, table.rows["r"]) == [("Row", 1)]


def test_only_neighbours_share_a_heading() -> None:
    table = make_table()
    headings = {"a": ("over", "x"), "b": (), "c": ("over", "y")}
    columns = {k: c.model_copy(update={"heading": headings[k]}) for k, c in table.columns.items()}
    upper, lower = heading_lines(table.model_copy(update={"columns": columns}))
    assert [(h.text, h.columns, h.lines) for h in upper] == [
        ("over", 1, 1), ("b", 1, 2), ("over", 1, 1),
    ]  # fmt: skip
    assert [h.text for h in lower] == ["x", "y"]


def test_a_new_row_needs_a_title_alone() -> None:
    table = make_table(stub_headings=("head", "resolution"))
    assert stub(table, table.rows["r"]) == [("Row", 2)]


def test_row_names_that_do_not_fit_their_headings_are_refused() -> None:
    row = {"title": "Row", "stub": ("a",), "variant": "v", "inference": "i", "paper": {}}
    with pytest.raises(ValidationError, match="row 'r' has 1 stub entries for 2 stub_headings"):
        make_table(stub_headings=("head", "resolution"), rows={"r": row})
