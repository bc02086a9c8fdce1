"""Unseen characters: none in what config/ says, and their code points in all that is shown."""

import copy
import csv
import functools
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from made_up_metrics import write_result
from pydantic import ValidationError

from config_files import CLAIMS, read_config
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.texts import visible
from pointrend_repro.config.datasets import Dataset
from pointrend_repro.config.presets import Preset
from pointrend_repro.config.tables import Table
from pointrend_repro.config.variants import Variant
from pointrend_repro.data.fetch.catalogue import Catalogue
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.reporting.claims.schema import load_claims
from pointrend_repro.reporting.collect import write_metrics
from pointrend_repro.reporting.report import write_report

# Unicode's bidirectional controls (UAX 9, table 4), separators of lines, and controls.
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
HIDDEN = [*BIDI, "\u2028", "\u2029", "\x00", "\x07", "\x1b", "\x7f", "\x85", "\x9b", "\r", "\ufeff"]
EVIL = "PR\u202e0.99\u2066\u2028\x1b[2J\u200f"
SHOWN = "PR[U+202E]0.99[U+2066][U+2028][U+001B][2J[U+200F]"

Fill = Callable[..., Path]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_visible_text_hides_nothing_and_keeps_the_rest(text: str) -> None:
    shown = visible(text)
    assert not set(shown) & set(HIDDEN)
    back = re.sub(r"\[U\+([0-9A-F]{4})\]", lambda found: chr(int(found[1], 16)), shown)
    assert "[U+" in text or back == text


def test_other_alphabets_and_joined_characters_stay() -> None:
    text = "日本語 עברית العربية naïve 👩\u200d🔬 می\u200cخواهم\n\ttab"
    assert visible(text) == text
    assert visible("\ud800") == "[U+D800]"


def read(name: str) -> Any:
    return copy.deepcopy(_parsed(name))


@functools.cache
def _parsed(name: str) -> Any:
    return read_config(name)


@pytest.mark.parametrize("hidden", HIDDEN)
def test_the_files_of_config_may_hold_none(hidden: str, tmp_path: Path) -> None:
    evil, table = f"a{hidden}b", "tables/table1"
    cases: list[tuple[Any, str, tuple[str, ...]]] = [
        (Preset, "presets/smoke", ("title",)),
        (Preset, "presets/smoke", ("warning",)),
        (Variant, "variants/pointrend_r50_fpn", ("title",)),
        (Dataset, "datasets/coco", ("title",)),
        *((Table, table, (key,)) for key in ("title", "caption", "source")),
        *((Table, table, ("rows", "4conv_28", key)) for key in ("title",)),
        *((Table, table, ("columns", "coco_ap", key)) for key in ("title", "unit", "value")),
        (Catalogue, "downloads", ("downloads", "coco", "title")),
    ]
    for schema, name, (*path, last) in cases:
        values = read(name)
        place = values
        for key in path:
            place = place[key]
        place[last] = evil
        with pytest.raises(ValidationError, match=rf"invisible character U\+{ord(hidden):04X}"):
            schema.model_validate(values)
    claims = {"points_saturate": read(CLAIMS)["points_saturate"] | {"statement": evil}}
    (tmp_path / "claims.yaml").write_text(yaml.safe_dump(claims))
    with pytest.raises(UserError, match=r"points_saturate.*invisible character") as told:
        load_claims(tmp_path)
    assert str(told.value).isprintable()


def shows(text: str) -> None:
    """A text holds the code points, and nothing hidden but the ends of its lines."""
    assert set(text) & set(HIDDEN) == set()
    assert "[U+202E]" in text.replace("\\", "")


def test_what_records_say_is_shown_on_the_page(smoke: Grid, tmp_path: Path) -> None:
    """Of a device, a command or a data set's title that no file of config/ has checked."""
    datasets = {k: d.model_copy(update={"title": EVIL}) for k, d in smoke.datasets.items()}
    grid = replace(smoke, datasets=datasets)
    for evaluation in grid.evaluations:
        write_result(tmp_path / "results", grid, evaluation, {"AP": 1.5}, device=EVIL, command=EVIL)
    write_metrics(grid, tmp_path / "results")
    write_report(grid, tmp_path / "results", tmp_path / "reports")
    page = (tmp_path / "reports/index.html").read_text(encoding="utf-8")
    shows(page)
    assert page.count(SHOWN) > 2
    shows((tmp_path / "reports/tables/table1.md").read_text(encoding="utf-8"))
    shows((tmp_path / "reports/tables/table1.tex").read_text(encoding="utf-8"))
    with (tmp_path / "results/metrics.csv").open(encoding="utf-8", newline="") as stream:
        assert {row["device"] for row in csv.DictReader(stream)} == {EVIL}, "kept, for machines"
