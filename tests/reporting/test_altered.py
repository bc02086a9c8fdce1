"""Numbers that are not as their step has made them: told apart, marked everywhere, never judged."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_up_claims import fill_claims
from made_up_metrics import first_evaluation, with_digests
from test_page import Page, report

from collected import collect_metrics
from pointrend_repro.base.files import read_json
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Evaluation
from pointrend_repro.reporting.altered import in_words, mark_altered
from pointrend_repro.reporting.claims.judging import judge_claims
from pointrend_repro.reporting.claims.schema import load_claims
from pointrend_repro.reporting.collect import COLUMNS, write_metrics
from pointrend_repro.reporting.results import load_results
from pointrend_repro.reporting.states import ALTERED, State
from pointrend_repro.reporting.tables import MeasuredTable, measure_tables

Content = dict[str, Any]


def edit(path: Path, change: Callable[[Content], object]) -> None:
    content = read_json(path)
    change(content)
    path.write_text(json.dumps(content))


def state(grid: Grid, folder: Path) -> State:
    return load_results(grid, folder)[first_evaluation(grid)].state


def marked(grid: Grid, folder: Path) -> MeasuredTable:
    results = load_results(grid, folder)
    (table,) = mark_altered(measure_tables(grid, collect_metrics(grid, folder)), results)
    return table


# --- told apart ------------------------------------------------------------------------------


def set_value(content: Content) -> None:
    content["values"]["AP"] = 99.0


def set_resample(content: Content) -> None:
    content["resampled"]["values"]["AP"][1] = 34.0


def drop_resamples(content: Content) -> None:
    del content["resampled"]


def set_null(content: Content) -> None:
    content["values"]["APs"] = 0.0


def set_last_digit(content: Content) -> None:
    content["values"]["AP"] += 1e-13


EDITS = [set_value, set_resample, drop_resamples, set_null, set_last_digit]


@pytest.mark.parametrize("change", EDITS)
def test_whatever_is_edited_shows(
    paper: Grid, digested: Path, change: Callable[[Content], object]
) -> None:
    assert state(paper, digested) == "as made"
    edit(digested / first_evaluation(paper).path, change)
    assert state(paper, digested) == "edited"


def test_the_same_numbers_laid_out_otherwise_are_not_edited(paper: Grid, digested: Path) -> None:
    path = digested / first_evaluation(paper).path
    path.write_text(json.dumps(read_json(path), indent=7, sort_keys=True))
    assert state(paper, digested) == "as made"


def test_an_edit_that_is_taken_back_leaves_no_mark(paper: Grid, digested: Path) -> None:
    path = digested / first_evaluation(paper).path
    before = read_json(path)["values"]["AP"]
    edit(path, set_value)
    edit(path, lambda content: content["values"].update(AP=before))
    assert state(paper, digested) == "as made"


def put_record(folder: Path, evaluation: Evaluation, name: str, step: str, digest: str) -> Path:
    prediction = evaluation.prediction
    place = prediction.training.folder if step == "train" else prediction.folder
    path = folder / place / f"{name}.origin.json"
    path.write_text(json.dumps({step: {"output_digest": digest}}))
    return path


@pytest.mark.parametrize(
    ("name", "step", "same", "found"),
    [
        ("predictions", "predict", "b", "other predictions"),
        ("model", "train", "a", "other model"),
    ],
)
def test_the_chain_is_followed_by_records_alone(
    paper: Grid, digested: Path, name: str, step: str, same: str, found: State
) -> None:
    put_record(digested, first_evaluation(paper), name, step, f"sha256:{same * 64}")
    assert state(paper, digested) == "as made"
    beside = put_record(digested, first_evaluation(paper), name, step, f"sha256:{'c' * 64}")
    assert state(paper, digested) == found
    beside.write_text("{")  # whoever needs it says that it is damaged
    assert state(paper, digested) == "as made"


@pytest.mark.parametrize(
    ("step", "found"), [("evaluate", "other predictions"), ("predict", "other model")]
)
def test_a_chain_that_is_broken_inside_of_the_file_shows(
    paper: Grid, digested: Path, step: str, found: State
) -> None:
    path = digested / first_evaluation(paper).path
    edit(path, lambda c: c["origin"][step].update(input_digest=f"sha256:{'c' * 64}"))
    assert state(paper, digested) == found


@pytest.mark.parametrize("step", ["train", "predict", "evaluate"])
def test_records_from_before_digests_are_accepted(paper: Grid, digested: Path, step: str) -> None:
    path = digested / first_evaluation(paper).path
    edit(path, lambda c: c["origin"][step].pop("output_digest"))
    results = load_results(paper, digested)
    assert results[first_evaluation(paper)].state == "no digest"
    assert in_words(results) == "as recorded by their steps; 1 made before digests were recorded"
    assert {cell.status for cell in marked(paper, digested).cells.values()} == {
        "reproduced",
        "missing",
    }


# --- marked, and not judged ------------------------------------------------------------------


def test_metrics_csv_says_so_in_its_last_column(paper: Grid, digested: Path) -> None:
    edit(digested / first_evaluation(paper).path, set_value)
    write_metrics(paper, digested)
    text = pd.read_csv(digested / "metrics.csv")
    assert list(text.columns) == [*COLUMNS]
    assert text.columns[-1] == "state"
    states = text.groupby("file")["state"].unique().map(list)
    assert states.pop(first_evaluation(paper).path) == ["edited"]
    assert set(states.map(tuple)) == {("as made",)}


def test_an_edited_number_is_shown_and_has_no_verdict(paper: Grid, digested: Path) -> None:
    before = marked(paper, digested)
    edit(digested / first_evaluation(paper).path, set_value)
    after = marked(paper, digested)
    changed = [place for place, cell in after.cells.items() if cell != before.cells[place]]
    (place,) = changed
    assert before.cells[place].status == "reproduced"
    cell = after.cells[place]
    assert (cell.status, cell.altered) == ("no-claim", ALTERED["edited"])
    assert 99.0 in [value for _, value in cell.values]


def test_every_text_marks_it(paper: Grid, digested: Path, tmp_path: Path) -> None:
    words = ALTERED["edited"]
    reports = tmp_path / "reports" / paper.name
    files = [reports / f"tables/table1.{kind}" for kind in ("md", "tex")]

    def texts() -> list[str]:
        page = Page(report(paper, digested)).text
        return [page, (reports / "summary.json").read_text(), *(f.read_text() for f in files)]

    assert not any(words in text for text in texts())
    edit(digested / first_evaluation(paper).path, set_value)
    write_metrics(paper, digested)
    assert all(words in text for text in texts())
    page = texts()[0]
    assert f"not as recorded, of {len(paper.evaluations)} results: 1 {words}" in page
    summary = read_json(reports / "summary.json")
    cells = summary["tables"]["table1"]["cells"]
    assert [cell["altered"] for cell in cells if cell["altered"]] == [words]
    assert summary["conditions"]["numbers"].startswith("not as recorded")


def test_the_page_says_that_numbers_are_as_made(paper: Grid, digested: Path) -> None:
    page = Page(report(paper, digested)).text
    assert "as recorded by their steps" in page
    assert "before digests were kept" not in page


def test_claims_on_an_edited_number_are_not_judged(paper: Grid, tmp_path: Path) -> None:
    claims, folder = load_claims(), tmp_path / "claims" / paper.name
    fill_claims(folder, paper)
    paths = sorted(folder.rglob("coco_ap.json"))
    for path in paths:
        path.write_text(json.dumps(with_digests(read_json(path))))
    before = {c.name: c for c in judge_claims(paper, claims, load_results(paper, folder))}
    name = "pointrend_outperforms_4conv"
    judged = [part.verdict for part in before[name].parts]
    assert judged[0] != "not-measured"
    edited = next(path for path in paths if "mask_rcnn" in str(path))
    edit(edited, set_value)
    after = {c.name: c for c in judge_claims(paper, claims, load_results(paper, folder))}
    part = after[name].parts[0]
    assert part.verdict == "not-measured"
    assert part.reason.endswith(ALTERED["edited"])
    assert any(99.0 in cell.trials.values() for cell in part.cells)
