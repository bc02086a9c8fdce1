"""Cells of CSV: no spreadsheet runs one, our own readers get every text back, numbers stay."""

import csv
import io
import math

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pointrend_repro.reporting.csv_text import read_csv, to_csv, unguarded

# https://owasp.org/www-community/attacks/CSV_Injection
STARTS_A_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
FORMULA = "=cmd|'/C calc'!A0"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
nasty = st.tuples(st.sampled_from(["", "'", "''", *STARTS_A_FORMULA]), texts).map("".join)
numbers = st.floats() | st.integers()


def columns(table: list[list[object]]) -> list[str]:
    return [f"{'=@'[i % 2]}c{i}" for i in range(len(table[0]))]


def rows(table: list[list[object]]) -> list[dict[str, object]]:
    return [dict(zip(columns(table), row, strict=True)) for row in table]


tables = st.lists(st.lists(nasty | numbers, min_size=2, max_size=2), min_size=1, max_size=3)


@given(tables)
@example([[FORMULA, -1.5], ["'=x", "\rx\n"]])
def test_no_cell_is_a_formula_and_all_come_back(table: list[list[object]]) -> None:
    text = to_csv(columns(table), rows(table))
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    for cell in cells:
        try:
            float(cell)
        except ValueError:
            assert not cell.startswith(STARTS_A_FORMULA)
    found = read_csv(io.StringIO(text, newline=""))
    assert found == [{k: str(v) for k, v in row.items()} for row in rows(table)]


@given(st.lists(numbers, min_size=1))
def test_numbers_stay_numbers(values: list[float]) -> None:
    lines = to_csv(["x"], [{"x": value} for value in values]).splitlines()[1:]
    assert [float(line) for line in lines] == pytest.approx(values, rel=0, nan_ok=True)
    # As text, too: curves are written with five digits.
    finite = [f"{v:+.5g}" for v in values if math.isfinite(v)]
    assert to_csv(["x"], [{"x": value} for value in finite]).splitlines()[1:] == finite


def test_what_is_harmless_is_as_pandas_writes_it() -> None:
    values: list[dict[str, object]] = [
        {"a": "PointRend, 28x28", "b": -1.5, "c": 3},
        {"a": 'a "word"', "b": None, "c": 4},
        {"a": "'quoted'", "b": 1e-17, "c": -5},
    ]
    expected = pd.DataFrame(values).to_csv(index=False, lineterminator="\n")
    assert to_csv(["a", "b", "c"], values) == expected


def test_only_our_own_apostrophe_is_taken_off() -> None:
    kept = ["'", "''", "'a'", "'1", "1'='", ""]
    assert [unguarded(cell) for cell in kept] == kept
    assert unguarded("'=1+1") == "=1+1"
    assert unguarded("''=1+1") == "'=1+1"


def test_rows_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        read_csv(["a,b\n", "1\n"])
