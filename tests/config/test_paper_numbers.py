"""The paper's numbers, typed once in the table files, against the gains that the paper prints.

The brackets of its tables are differences of its own numbers: a slip of typing in either of two
cells breaks one.
"""

import pytest

from pointrend_repro.config.reading import load_table

# (table, row, its baseline, gains in the order of the columns), as printed.
GAINS = [
    ("table1", "pointrend_28", "4conv_28", (0.9, 1.6, 2.5)),
    ("table1", "pointrend_224", "4conv_28", (1.1, 2.1, 2.8)),
    ("table5", "pointrend_r50", "4conv_r50", (1.0, 2.0)),
    ("table5", "pointrend_r101", "4conv_r101", (1.2, 2.1)),
    ("table5", "pointrend_x101", "4conv_x101", (1.4, 2.8)),
    ("table6", "os8", "os16", (0.6,)),
    ("table6", "pointrend", "os16", (1.2,)),
    ("table7", "p2_pointrend", "p2", (0.9,)),
    ("table7", "p3_pointrend", "p3", (1.1,)),
    ("trimap", "deeplabv3_pointrend", "deeplabv3", (4.9, 3.7, 1.2)),
    ("trimap", "semantic_fpn_pointrend", "semantic_fpn", (1.6, 1.5, 0.9)),
]


@pytest.mark.parametrize(("name", "row", "baseline", "gains"), GAINS)
def test_gains_are_those_that_the_paper_prints(name, row, baseline, gains):
    table = load_table(name)
    found = [
        round(table.rows[row].paper[column] - table.rows[baseline].paper[column], 6)
        for column in table.columns
    ]
    assert found == list(gains)


def test_the_same_model_has_the_same_number_in_every_table():
    """Table 3 prints 35.4 where Table 1 prints 35.5: the one slip of the paper."""
    numbers: dict[tuple[str, str, str, str], dict[float, set[str]]] = {}
    for name in ("table1", "table3", "table4", "table6", "table7", "trimap"):
        table = load_table(name)
        for row in table.rows.values():
            for column, number in row.paper.items():
                shown = table.columns[column]
                key = (row.variant, row.inference, shown.dataset or "", shown.value)
                if shown.metric not in {"lvis_ap_star"}:
                    numbers.setdefault(key, {}).setdefault(number, set()).add(name)
    differing = {key: found for key, found in numbers.items() if len(found) > 1}
    assert differing == {
        ("pointrend_r50_fpn", "res28", "cityscapes", "AP"): {35.5: {"table1"}, 35.4: {"table3"}}
    }
