"""The files that are kept of a preset: judged claims in a page's marked part, and small data."""

import csv
import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_claims import fill_claims

from pointrend_repro.base.asked import asking
from pointrend_repro.base.errors import OtherRunError, UserError
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.reporting.claims.files import JudgedClaim, claims_as_data, write_claims
from pointrend_repro.reporting.claims.judging import judge_claims
from pointrend_repro.reporting.claims.schema import load_claims
from pointrend_repro.reporting.claims.shown import in_words, show_claims
from pointrend_repro.reporting.evidence.blocks import END, begin
from pointrend_repro.reporting.evidence.kept import read_kept
from pointrend_repro.reporting.evidence.tables import verdicts_of_runs
from pointrend_repro.reporting.evidence.writing import run_name, write_evidence
from pointrend_repro.reporting.results import load_results


@pytest.fixture(scope="module")
def grid() -> Grid:
    """Table 1 of the paper, alone."""
    whole = load_grid("paper")
    cells = tuple(cell for cell in whole.cells if cell.table == "table1")
    return replace(whole, tables={"table1": whole.tables["table1"]}, cells=cells)


@pytest.fixture(scope="module")
def judged(grid: Grid, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[JudgedClaim]]:
    """The paper's numbers, but with hardly a gain in AP: nobody changes this folder."""
    folder = tmp_path_factory.mktemp("results") / "paper"
    change = {("table1", "pointrend_224", "coco_ap"): -1.0}
    fill_claims(folder, grid, change=change)
    claims = judge_claims(grid, load_claims(), load_results(grid, folder))
    write_claims(claims, folder)
    return folder, claims


def test_claims_say_what_survives_and_what_would_decide(
    judged: tuple[Path, list[JudgedClaim]],
) -> None:
    claims = {claim.name: claim for claim in judged[1]}
    tested = [claim for claim in claims.values() if claim.p_value is not None]
    assert [claim.survives_holm for claim in tested] != [None] * len(tested)
    for claim in tested:
        if claim.verdict == "holds":
            assert claim.p_value is not None
            assert claim.p_value < 0.05
            assert all(p.p_value is not None and p.p_value <= claim.p_value for p in claim.parts)
    undecided = claims["pointrend_outperforms_4conv"]
    assert undecided.verdict == "not-significant"
    assert undecided.needed is not None
    assert "would decide it" in in_words(undecided) or "no number of trials" in in_words(undecided)
    shown = show_claims(judged[1])
    assert shown is not None
    lines = {s.claim.name: s.lines for s in shown.claims}
    assert any("survives Holm" in line for line in lines["pointrend_outperforms_at_28"])
    assert not any("Holm" in line for line in lines["pointrend_outperforms_4conv"])


def test_the_page_keeps_what_is_written_by_hand(
    grid: Grid, judged: tuple[Path, list[JudgedClaim]], tmp_path: Path
) -> None:
    folder, claims = judged
    page = tmp_path / "evidence.md"
    mark = begin("paper")
    page.write_text(f"# Mine\n\nBefore.\n\n{mark}\nold\n{END}\n\nBelow.\n")
    assert write_evidence(grid, folder, tmp_path) == tmp_path / "evidence/paper_seeds_0_to_4"
    text = page.read_text()
    assert text.startswith("# Mine\n\nBefore.\n\n")
    assert f"{mark}\n## Verdicts of preset paper\n" in text
    assert text.endswith(f"{END}\n\nBelow.\n")
    assert "old" not in text.splitlines()
    of_run = (tmp_path / "evidence/paper_seeds_0_to_4/README.md").read_text()
    for claim in claims:
        assert text.count(f"| {escaped(claim.statement)} |") == 1
        assert of_run.count(f"| {escaped(claim.statement)} |") == 1
        assert all(f"| {escaped(part.text)} |" in of_run for part in claim.parts)
    write_evidence(grid, folder, tmp_path)
    assert page.read_text() == text

    page.write_text(f"{END}\n{mark}\n")
    with pytest.raises(UserError, match=r"evidence.md: must have one line"):
        write_evidence(grid, folder, tmp_path)
    assert page.read_text() == f"{END}\n{mark}\n"


def escaped(text: str) -> str:
    return text.replace("*", r"\*").replace(">", r"\>")


def test_the_data_are_those_of_the_results_and_small(
    grid: Grid, judged: tuple[Path, list[JudgedClaim]], tmp_path: Path
) -> None:
    folder = write_evidence(grid, judged[0], tmp_path)
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    results = load_results(grid, judged[0])
    assert len(rows) == sum(len(result.values) for result in results.values())
    assert {row["metric"] for row in rows} == {"coco_ap", "lvis_ap_star", "cityscapes_ap"}
    found = json.loads((folder / "claims.json").read_text())
    assert [claim["name"] for claim in found] == [claim.name for claim in judged[1]]
    assert json.loads((folder / "conditions.json").read_text())["trainings_done"] > 0


def test_the_archive_alone_gives_the_same_claims_and_the_same_bytes(
    grid: Grid, judged: tuple[Path, list[JudgedClaim]], tmp_path: Path
) -> None:
    folder = write_evidence(grid, judged[0], tmp_path)
    with tarfile.open(folder / "results.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = tmp_path / "results/paper"
    metrics = list(unpacked.rglob("*.json"))
    assert metrics
    for path in metrics:  # or their digests would say that they were edited
        assert path.read_bytes() == (judged[0] / path.relative_to(unpacked)).read_bytes()
    results = load_results(grid, unpacked)
    assert results == load_results(grid, judged[0])
    again = judge_claims(grid, load_claims(), results)
    assert claims_as_data(again) == claims_as_data(judged[1])
    write_claims(again, unpacked)
    assert write_evidence(grid, unpacked, tmp_path / "again").name == folder.name
    archives = [path.read_bytes() for path in tmp_path.glob("**/results.tar.xz")]
    assert len(archives) == 2
    assert len(set(archives)) == 1


def test_two_runs_stand_beside_each_other_and_say_what_moved(
    grid: Grid, judged: tuple[Path, list[JudgedClaim]], tmp_path: Path
) -> None:
    folder = write_evidence(grid, judged[0], tmp_path)
    page = tmp_path / "evidence.md"
    assert "more than one run" not in page.read_text()
    kept = json.loads((folder / "claims.json").read_text())
    tested = [claim for claim in kept if claim["p_value"] is not None]
    shutil.copytree(folder, tmp_path / "evidence/paper_seeds_7_to_8")
    write_evidence(grid, judged[0], tmp_path)
    assert "more than one run, none with a different verdict." in page.read_text()
    shutil.rmtree(tmp_path / "evidence/paper_seeds_7_to_8")
    opposite = {"holds": "does-not-hold", "does-not-hold": "holds", "not-significant": "holds"}
    for claim in tested[:2]:
        for one in (claim, *claim["parts"]):
            one["verdict"] = opposite.get(one["verdict"], one["verdict"])
    turned = sum(claim["verdict"] == "does-not-hold" for claim in tested[:2])
    other = tmp_path / "evidence/paper_seeds_5_to_9"
    shutil.copytree(folder, other)
    (other / "claims.json").write_text(json.dumps(kept))
    write_evidence(grid, judged[0], tmp_path)
    text = page.read_text()
    assert "| claim | seeds 0 to 4 | seeds 5 to 9 |" in text
    assert f"{len(tested)} claims about trainings judged in more than one run: " in text
    assert (
        f"{len(tested) - 2} with the same verdict, 2 with a different one, {turned} opposite."
        in text
    )
    (other / "claims.json").write_text('[{"name": "a"}]')
    with pytest.raises(UserError, match=r"seeds_5_to_9/claims.json: not what a run has kept"):
        write_evidence(grid, judged[0], tmp_path)
    assert page.read_text() == text


def test_a_verdict_names_the_difference_that_decides_it(
    grid: Grid, judged: tuple[Path, list[JudgedClaim]], tmp_path: Path
) -> None:
    """Of several, the weakest is shown; a claim of a single difference needs no name."""
    folder = write_evidence(grid, judged[0], tmp_path)
    page = tmp_path / "evidence.md"

    def rows() -> dict[str, str]:
        lines = page.read_text().splitlines()
        return {line.split(" | ")[0]: line for line in lines if line.startswith("| ")}

    claims = read_kept(folder).claims.values()
    measured = [claim for claim in claims if claim.verdict != "not-measured"]
    several = [claim for claim in measured if len(claim.parts) > 1]
    assert several
    assert len(several) < len(measured)
    for claim in measured:
        row = rows()[f"| {escaped(claim.statement)}"]
        told = [part for part in claim.parts if f" in {escaped(part.text)}; " in row]
        assert told == ([claim.weakest] if claim in several else [])

    kept = json.loads((folder / "claims.json").read_text())
    (alone,) = [claim for claim in kept if claim["name"] == "larger_4conv_is_worse"]
    exact = {"interval": None, "p_value": None, "reason": "counted: exact; 12.3 times"}
    alone["parts"] = [part | exact | {"unit": "M"} for part in alone["parts"]]
    (folder / "claims.json").write_text(json.dumps(kept))
    text = verdicts_of_runs("paper", [read_kept(folder)])
    assert "; counted: exact; 12.3 times |" in text.replace("; survives Holm", "")


def test_claims_of_other_trials_are_not_called_damaged(
    grid: Grid, judged: tuple[Path, list[JudgedClaim]], tmp_path: Path
) -> None:
    """Of a run of trials 3 to 5, without saying so."""
    fewer = replace(
        grid, cells=tuple(replace(c, evaluations=c.evaluations[:1]) for c in grid.cells)
    )
    with pytest.raises(
        OtherRunError, match=r"trial1/.*, which is not asked for here; give the same"
    ):
        write_evidence(fewer, judged[0], tmp_path)
    assert (judged[0] / "claims").is_dir()


def test_there_is_no_evidence_without_claims(grid: Grid, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no claims; judge them first"):
        write_evidence(grid, tmp_path / "results", tmp_path)
    assert not (tmp_path / "evidence").exists()


def test_counts_alone_are_no_run(tmp_path: Path) -> None:
    whole = load_grid("paper")
    cells = tuple(cell for cell in whole.cells if cell.table == "table2")
    grid = replace(whole, tables={"table2": whole.tables["table2"]}, cells=cells)
    folder = tmp_path / "paper"
    fill_claims(folder, grid)
    write_claims(judge_claims(grid, load_claims(), load_results(grid, folder)), folder)
    with pytest.raises(UserError, match="preset paper trains nothing, so there is no run to keep"):
        write_evidence(grid, folder, tmp_path / "docs")
    assert not (tmp_path / "docs").exists()


@pytest.mark.parametrize(
    ("trials", "name"),
    [
        ({"coco": "0..2", "cityscapes": "0..2"}, "seeds_0_to_2"),
        ({"coco": "3..3", "cityscapes": "3..3"}, "seed_3"),
        ({"coco": "1", "cityscapes": "5"}, "seeds_0_to_4"),
        (
            {"coco": "0..2", "cityscapes": "3..5"},
            "seeds_3_to_5_of_mini_cityscapes_and_0_to_2_of_mini_coco",
        ),
    ],
)
def test_runs_of_other_seeds_have_other_names(trials: dict[str, str], name: str) -> None:
    with asking([f"trials.{layout}={seeds}" for layout, seeds in trials.items()]):
        assert run_name(load_grid("mini")) == f"mini_{name}"
