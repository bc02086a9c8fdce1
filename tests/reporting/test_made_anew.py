"""What a report cannot read is moved aside, so that the next run makes it anew."""

from dataclasses import replace
from pathlib import Path

import pytest
from made_up_metrics import first_evaluation
from test_page import report

from pointrend_repro.base.damaged import damaged_moved_aside
from pointrend_repro.base.errors import DamagedError, UserError
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.reporting.collect import write_metrics


def test_a_score_that_cannot_be_read_is_moved_aside(paper: Grid, digested: Path) -> None:
    path = digested / first_evaluation(paper).path
    half = path.read_text()[:300]
    path.write_text(half)
    told = pytest.raises(UserError, match=r"not valid JSON.*kept as .*run again")
    with told, damaged_moved_aside():
        write_metrics(paper, digested)
    assert not path.exists()
    assert path.with_name(f"{path.name}.damaged").read_text() == half


@pytest.mark.parametrize(
    "what", ["metrics.csv", "origins.csv", "claims", "figure", "data_today.json"]
)
def test_what_the_report_cannot_read_is_made_anew(paper: Grid, digested: Path, what: str) -> None:
    reports = digested.parents[1] / "reports" / paper.name
    grid = replace(paper, preset=paper.preset.model_copy(update={"figures": ["figure5"]}))
    dataset = next(iter(grid.datasets))
    damaged = {
        "metrics.csv": digested / "metrics.csv",
        "origins.csv": digested / "origins.csv",
        "claims": digested / "claims",
        "figure": reports / "figures/figure5.json",
        "data_today.json": digested / dataset / "data_today.json",
    }[what]
    file = damaged / "a_claim.json" if what == "claims" else damaged
    file.parent.mkdir(parents=True, exist_ok=True)
    content = file.read_text()[:200] if file.exists() else "{"
    file.write_text(content)
    if what == "figure":
        file.with_suffix(".png").write_bytes(b"")
    with pytest.raises(DamagedError, match=file.name):
        report(grid, digested)
    told = pytest.raises(UserError, match=r"kept as .*run again to remake it")
    with told, damaged_moved_aside():
        report(grid, digested)
    assert not damaged.exists()
    assert damaged.with_name(f"{damaged.name}.damaged").exists()
