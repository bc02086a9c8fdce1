"""Claims are read, judged by their rule, written, refused when stale, and shown."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from made_up_claims import fill_claims, write_cost

from config_files import CLAIMS, config_file
from pointrend_repro import cli
from pointrend_repro.base.errors import UserError
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.reporting.claims.contrasts import contrasts
from pointrend_repro.reporting.claims.files import (
    JudgedClaim,
    claims_as_data,
    read_claims,
    write_claims,
)
from pointrend_repro.reporting.claims.judging import judge_claims
from pointrend_repro.reporting.claims.schema import Claims, load_claims
from pointrend_repro.reporting.claims.shown import HEIGHT_PX, WIDTH_PX, show_claims
from pointrend_repro.reporting.collect import write_metrics
from pointrend_repro.reporting.report import write_report
from pointrend_repro.reporting.results import load_results


@pytest.fixture(scope="module")
def paper_grid() -> Grid:
    grid = load_grid("paper")
    preset = grid.preset.model_copy(update={"figures": [], "pictures": []})
    return replace(grid, preset=preset)


@pytest.fixture(scope="module")
def claims() -> Claims:
    return load_claims()


@pytest.fixture(scope="module")
def everything(
    tmp_path_factory: pytest.TempPathFactory, claims: Claims, paper_grid: Grid
) -> tuple[Path, list[JudgedClaim]]:
    """All tables of the paper with made-up numbers, judged; nobody changes this folder."""
    folder = tmp_path_factory.mktemp("everything") / "paper"
    fill_claims(folder, paper_grid)
    write_metrics(paper_grid, folder)
    judged = judge_claims(paper_grid, claims, load_results(paper_grid, folder))
    write_claims(judged, folder)
    return folder, judged


@pytest.fixture(scope="module")
def small_grid(paper_grid: Grid) -> Grid:
    """Table 1 alone."""
    return only_table1(paper_grid)


def only_table1(grid: Grid) -> Grid:
    cells = tuple(cell for cell in grid.cells if cell.table == "table1")
    return replace(grid, tables={"table1": grid.tables["table1"]}, cells=cells)


Judge = Callable[..., dict[str, JudgedClaim]]


@pytest.fixture
def judge(tmp_path: Path, claims: Claims, small_grid: Grid) -> Judge:
    """Fill the results of Table 1, and judge by them: the claims by name."""

    def run(grid: Grid = small_grid, skip: str = "", **options: Any) -> dict[str, JudgedClaim]:
        folder = tmp_path / "results" / grid.name
        fill_claims(folder, grid, **options)
        for path in folder.rglob("*.json"):
            if skip and skip in str(path):
                path.unlink()
        return {c.name: c for c in judge_claims(grid, claims, load_results(grid, folder))}

    return run


def test_the_papers_own_numbers_bear_out_every_claim(claims: Claims) -> None:
    """Else a row or a column is the wrong way round."""
    not_printed = []
    of_papers = {name: claim for name, claim in claims.claims.items() if claim.table != "mine"}
    for name, claim in of_papers.items():
        for contrast in contrasts(claim, claims.tables[claim.table]):
            paper = contrast.in_paper(claims.tables[claim.table])
            if paper is None:
                not_printed.append((name, contrast.text.partition(":")[0]))
            else:
                assert paper > 0, (name, contrast.text)
    counts = ("# activations, all steps", "# activations, largest layer")
    # Mask R-CNN prints what RoIAlign gains with FPN, 1.5 and 0.5, and no number of RoIPool.
    gains = [("mask_rcnn_roi_align_with_fpn", title) for title in ("AP", "box AP")]
    # What the others leave out is listed in papers/{sharpmask,future3d}/test_*claims*.py.
    listed = ("sharpmask_", "future3d_")
    others = [each for each in not_printed if not each[0].startswith(listed)]
    assert others == [*gains, *(("thirty_times_less_compute", count) for count in counts)]


def test_gains_that_the_paper_prints(claims: Claims) -> None:
    """What stands in parentheses in its tables, and what its text says of differences."""

    def papers(name: str) -> list[float | None]:
        claim = claims.claims[name]
        table = claims.tables[claim.table]
        return [contrast.in_paper(table) for contrast in contrasts(claim, table)]

    assert papers("pointrend_outperforms_4conv") == [1.1, 2.1, 2.8]
    assert papers("pointrend_outperforms_at_28") == [0.9, 1.6, 2.5]
    assert papers("larger_models_and_longer_training") == [1.0, 1.2, 1.4, 2.0, 2.1, 2.8]
    assert papers("deeplabv3_improves")[0] == 1.2
    assert papers("semantic_fpn_improves") == [0.9, 1.1]
    # 4.9 - 3.7, 3.7 - 1.2, 1.6 - 1.5, 1.5 - 0.9
    assert papers("gain_larger_near_borders") == [1.2, 2.5, 0.1, 0.6]
    # 34 - 30 * 0.9, 33 - 30 * 0.7
    assert papers("thirty_times_less_compute") == [7, 12, None, None]
    assert papers("resolution_saturates")[:2] == [0.2, 0.2]


def write_config(folder: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    shutil.copytree(CONFIG_DIR, folder / "config")
    path = config_file(CLAIMS, folder / "config")
    content = yaml.safe_load(path.read_text())
    edit(content)
    path.write_text(yaml.safe_dump(content))
    return folder / "config"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pairs": [["pointrend_225", "4conv_28"]]}, "no row 'pointrend_225'; did you mean"),
        ({"columns": ["cocoap"]}, "'table1' has no column 'cocoap'; did you mean 'coco_ap'"),
        ({"table": "table11"}, "the paper has no table 'table11'; did you mean 'table1'"),
        ({"kind": "larger"}, "kind is 'larger'; there are: greater, gain_greater, saturates"),
        ({"paris": []}, "unknown key paris; did you mean 'pairs'"),
        ({"times": 0}, "times: Input should be greater than 0"),
        ({"pairs": []}, "pairs: "),
        ({"kind": "saturates"}, "pairs"),
    ],
)
def test_a_wrong_claim_is_one_line(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    config = write_config(
        tmp_path, lambda content: content["pointrend_outperforms_4conv"].update(change)
    )
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        load_claims(config)
    assert "\n" not in str(caught.value)
    if "table11" not in message:
        assert "claim 'pointrend_outperforms_4conv'" in str(caught.value)


def test_more_wrong_claims(tmp_path: Path) -> None:
    edits: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
        ("a", lambda c: c["resolution_saturates"].update(at="res224"), "between the first and"),
        ("b", lambda c: c.update(mine=3), "claim 'mine'.*kind is None"),
        (
            "c",
            lambda c: (
                c["thirty_times_less_compute"].update(kind="gain_greater")
                or c["thirty_times_less_compute"].pop("times")
            ),
            "units",
        ),
    ]
    for name, edit, message in edits:
        (tmp_path / name).mkdir()
        with pytest.raises(UserError, match=message):
            load_claims(write_config(tmp_path / name, edit))


def test_what_is_better_follows_from_the_metric(tmp_path: Path) -> None:
    """Fewer operations are better, and a higher AP is: both pairs name the better row first."""
    both = {"statement": "PointRend is better.", "source": "mine", "kind": "better"}
    cheap = {"table": "table2", "pairs": [["pointrend_224", "4conv_224"]], "columns": ["flops"]}
    good = {"table": "table1", "pairs": [["pointrend_224", "4conv_28"]], "columns": ["coco_ap"]}
    config = write_config(
        tmp_path, lambda content: content.update(cheap=both | cheap, good=both | good)
    )
    claims = load_claims(config)
    (fewer,) = contrasts(claims.claims["cheap"], claims.tables["table2"])
    assert fewer.factors == {("4conv_224", "flops"): 1, ("pointrend_224", "flops"): -1}
    assert fewer.in_paper(claims.tables["table2"]) == pytest.approx(34 - 0.9)
    (higher,) = contrasts(claims.claims["good"], claims.tables["table1"])
    assert higher.factors == {("pointrend_224", "coco_ap"): 1, ("4conv_28", "coco_ap"): -1}


def test_a_new_claim_is_a_few_lines(tmp_path: Path, paper_grid: Grid) -> None:
    mine = {
        "statement": "Uniform sampling is not worse than a regular grid.",
        "source": "mine",
        "kind": "greater",
        "table": "table4",
        "pairs": [["uniform", "regular"]],
        "columns": ["coco_ap"],
    }
    config = write_config(tmp_path, lambda content: content.update(mine=mine))
    fill_claims(tmp_path / "paper", paper_grid, trial_sd=0.01)
    results = load_results(paper_grid, tmp_path / "paper")
    judged = {c.name: c for c in judge_claims(paper_grid, load_claims(config), results)}
    assert judged["mine"].parts[0].paper == 0.2
    assert judged["mine"].parts[0].difference == pytest.approx(0.2, abs=0.05)


def test_the_papers_numbers_with_small_errors_hold_where_gains_are_large(
    everything: tuple[Path, list[JudgedClaim]],
) -> None:
    judged = {claim.name: claim for claim in everything[1]}
    assert judged["pointrend_outperforms_4conv"].verdict == "holds"
    assert judged["mild_bias_is_best"].verdict in {"holds", "not-significant"}
    # 0.1 in the paper, with an image error above that: nobody can tell.
    near_borders = judged["gain_larger_near_borders"]
    assert near_borders.verdict == "not-significant"
    (third,) = [p for p in near_borders.parts if p.paper == 0.1]
    assert third.verdict == "not-significant"
    assert third.interval is not None
    assert third.interval.low < 0 < third.interval.high


def test_a_difference_is_of_the_medians_over_the_trials(judge: Judge) -> None:
    part = judge(trial_sd=0.4)["pointrend_outperforms_4conv"].parts[0]
    better, worse = part.cells
    assert len(better.trials) == len(worse.trials) == 3
    expected = float(np.median([*better.trials.values()]) - np.median([*worse.trials.values()]))
    assert part.difference == pytest.approx(expected, abs=1e-12)


def test_a_claim_is_as_strong_as_its_weakest_part(judge: Judge) -> None:
    """PointRend is worse on Cityscapes alone."""
    change = {("table1", "pointrend_224", "cityscapes_ap"): -9.0}
    claim = judge(change=change)["pointrend_outperforms_4conv"]
    assert [part.verdict for part in claim.parts] == ["holds", "holds", "does-not-hold"]
    assert claim.verdict == "does-not-hold"
    assert claim.share == 0


def test_shares_are_of_resamples_in_which_all_parts_hold(
    everything: tuple[Path, list[JudgedClaim]],
) -> None:
    (claim,) = [c for c in everything[1] if c.name == "heavy_bias_is_worst"]
    shares = [part.share for part in claim.parts]
    assert claim.share is not None
    assert 0.5 < claim.share <= min(share for share in shares if share is not None)


def test_resampled_images_are_paired(judge: Judge) -> None:
    """What all models share (sd 0.5) cancels: the interval is of their own errors alone."""
    part = judge(resamples=2000)["larger_4conv_is_worse"].parts[0]
    assert part.images is not None
    # Medians of three independent normal errors vary by 0.67 of one's own.
    expected = 2 * 1.96 * 0.12 * 0.67 * 2**0.5
    assert part.images.high - part.images.low == pytest.approx(expected, rel=0.15)


def test_both_errors_count(judge: Judge) -> None:
    part = judge(trial_sd=0.3)["pointrend_outperforms_4conv"].parts[0]
    assert part.images is not None
    assert part.trainings is not None
    assert part.interval is not None
    assert part.interval.low < min(part.images.low, part.trainings.low)
    assert part.interval.high > max(part.images.high, part.trainings.high)


def test_without_resamples_the_trainings_alone_decide(judge: Judge) -> None:
    part = judge(resamples=0)["pointrend_outperforms_4conv"].parts[0]
    assert part.images is None
    assert part.share is None
    assert part.interval == part.trainings
    assert part.verdict == "holds"
    assert part.reason == "not resampled: the choice of images is not accounted for"


def test_one_trial_says_nothing_of_other_trainings(judge: Judge) -> None:
    grid = only_table1(load_grid("smoke"))
    grid = replace(grid, preset=grid.preset.model_copy(update={"warning": None}))
    part = judge(grid)["pointrend_outperforms_4conv"].parts[0]
    assert part.trainings is None
    assert part.interval == pytest.approx(part.images)
    assert part.interval is not None
    assert part.interval.low > 0
    assert (part.verdict, part.p_value) == ("not-significant", None)
    assert part.reason == (
        "a single training: the interval is of the images alone, and other seeds may differ"
    )
    part = judge(grid, resamples=0)["pointrend_outperforms_4conv"].parts[0]
    assert part.interval is None
    assert part.verdict == "not-significant"
    assert part.reason == "a single training, not resampled: nothing says how sure it is"


def test_two_images_say_nothing_of_others(
    judge: Judge, tmp_path: Path, small_grid: Grid, claims: Claims
) -> None:
    """An interval of that few is too narrow, and that of the trainings knows nothing of images."""
    assert judge(trial_sd=0.01)["pointrend_outperforms_4conv"].verdict == "holds"
    folder = tmp_path / "results/paper"
    for path in folder.rglob("coco_ap.json"):
        content = json.loads(path.read_text())
        content["resampled"]["images"] = 2
        path.write_text(json.dumps(content))
    judged = {c.name: c for c in judge_claims(small_grid, claims, load_results(small_grid, folder))}
    claim = judged["pointrend_outperforms_4conv"]
    assert (claim.verdict, claim.p_value) == ("not-significant", None)
    assert claim.parts[0].reason == "too few images to judge: 2, and 20 are needed"


def test_a_preset_may_judge_claims_whose_numbers_are_not_the_papers(
    judge: Judge, small_grid: Grid
) -> None:
    grid = small_grid
    preset = grid.preset.model_copy(update={"warning": "Not the paper's.", "judges_claims": True})
    claim = judge(replace(grid, preset=preset))["pointrend_outperforms_4conv"]
    assert claim.parts[0].verdict == "holds"


def test_smoke_shows_numbers_and_no_verdicts_but_of_counts(judge: Judge) -> None:
    judged = judge(load_grid("smoke"))
    verdicts = {name: claim.verdict for name, claim in judged.items()}
    assert verdicts.pop("thirty_times_less_compute") == "does-not-hold"
    assert set(verdicts.values()) == {"no-verdict"}
    assert judged["pointrend_outperforms_4conv"].parts[0].difference is not None


def test_table_2s_claim_is_judged_as_the_paper_counts_and_alike(
    tmp_path: Path, claims: Claims
) -> None:
    """The counts of tests/evaluation/test_cost.py."""
    grid = load_grid("smoke")
    counts = {
        "mask_rcnn_224_r50_fpn": (33.91, 32.92, 32.92, 16.86),
        "pointrend_r50_fpn": (0.924, 0.6833, 2.678, 0.4641),
    }
    for cost in grid.costs:
        if cost.variant in counts and cost.inference in {"default", "res224"}:
            keys = METRICS.find("mask_head_cost").keys
            values = dict(zip(keys, counts[cost.variant], strict=True))
            write_cost(tmp_path, grid, cost, values)
    judged = {c.name: c for c in judge_claims(grid, claims, load_results(grid, tmp_path))}
    claim = judged["thirty_times_less_compute"]
    assert [(part.verdict, part.reason) for part in claim.parts] == [
        ("holds", "counted: exact; 36.7 times"),
        ("holds", "counted: exact; 48.2 times"),
        ("does-not-hold", "counted: exact; 12.3 times"),
        ("holds", "counted: exact; 36.3 times"),
    ]
    assert (claim.verdict, claim.method) == ("does-not-hold", None)
    assert "compares all layers of the 4x conv head with a single step" in claim.statement


def test_resamples_to_one_side_do_not_decide(
    judge: Judge, tmp_path: Path, small_grid: Grid, claims: Claims
) -> None:
    """On small sets they are shifted: the interval is around what was measured, and says so."""
    judge(trial_sd=0.01)
    folder = tmp_path / "results/paper"
    for path in folder.rglob("res224/coco_ap.json"):
        content = json.loads(path.read_text())
        drawn = content["resampled"]["values"]["AP"]
        content["resampled"]["values"]["AP"] = [value + 5 for value in drawn]
        path.write_text(json.dumps(content))
    judged = {c.name: c for c in judge_claims(small_grid, claims, load_results(small_grid, folder))}
    claim = judged["pointrend_outperforms_4conv"]
    part = claim.parts[0]
    assert part.images is not None
    assert part.difference is not None
    assert part.shift == pytest.approx(5, abs=0.1)
    assert sum(part.images) / 2 == pytest.approx(part.difference)
    assert part.images.low < 0  # percentiles would be from 5.7 to 6.5
    assert part.verdict == "not-significant"
    assert claim.method == "symmetric"
    shown = show_claims([claim])
    assert shown is not None
    assert shown.claims[0].method == "image intervals: symmetric around the measured difference"
    plot = shown.claims[0].parts[0].plot
    assert plot is not None
    assert "the resamples are shifted by +5.0" in plot.text


def test_a_claim_that_an_older_version_judged_says_by_which_method(judge: Judge) -> None:
    content = judge()["pointrend_outperforms_4conv"].model_dump(mode="json")
    assert content["method"] == "symmetric"
    del content["method"]
    shown = show_claims([JudgedClaim.model_validate(content)])
    assert shown is not None
    assert "percentiles, from an older version; judge the claims again" in shown.claims[0].method


def test_what_is_missing_is_named(judge: Judge, claims: Claims) -> None:
    judged = judge(skip="trial2/")
    claim = judged["pointrend_outperforms_4conv"]
    assert claim.verdict == "not-measured"
    assert claim.parts[0].reason == "PointRend, 224x224, COCO AP: 2 of 3 trials measured"
    grid = load_grid("tiny")
    judged = {c.name: c for c in judge_claims(grid, claims, {})}
    reasons = {name: [part.reason for part in claim.parts] for name, claim in judged.items()}
    assert reasons["pointrend_outperforms_4conv"] == [
        "PointRend, 224x224, COCO AP: not run",
        "PointRend, 224x224, COCO AP*: no LVIS annotations given; name them by "
        "lvis_annotations=FILE",
        "PointRend, 224x224, Cityscapes AP: not part of this preset",
    ]
    assert "mild_bias_is_best" not in reasons  # its table is not of this preset


def test_nothing_to_score_is_not_measured(
    judge: Judge, tmp_path: Path, small_grid: Grid, claims: Claims
) -> None:
    judge()
    folder = tmp_path / "results/paper"
    for path in folder.rglob("trial1/res224/coco_ap.json"):
        content = json.loads(path.read_text())
        content["values"]["AP"] = None
        path.write_text(json.dumps(content))
    judged = judge_claims(small_grid, claims, load_results(small_grid, folder))
    assert "2 of 3 trials measured; nothing to score" in judged[0].parts[0].reason


def test_trials_that_were_resampled_otherwise_are_not_mixed(
    judge: Judge, tmp_path: Path, small_grid: Grid, claims: Claims
) -> None:
    judge()
    folder = tmp_path / "results/paper"
    for path in folder.rglob("trial1/res224/coco_ap.json"):
        content = json.loads(path.read_text())
        content["resampled"]["seed"] = 1
        path.write_text(json.dumps(content))
    judged = judge_claims(small_grid, claims, load_results(small_grid, folder))
    assert judged[0].parts[0].images is None
    assert judged[0].parts[1].images is not None


def test_files_keep_everything_and_refuse_other_numbers(
    judge: Judge, tmp_path: Path, small_grid: Grid, claims: Claims
) -> None:
    judged = list(judge().values())
    folder = tmp_path / "results/paper"
    (folder / "claims").mkdir()
    (folder / "claims/gone.json").write_text("{}")
    write_claims(judged, folder)
    results = load_results(small_grid, folder)
    assert read_claims(small_grid, results, folder) == judged
    about = small_grid.tables
    assert [c.name for c in judged] == [n for n, c in claims.claims.items() if c.table in about]
    with pytest.raises(UserError, match=r"is of claim .* of preset 'paper'; judge"):
        read_claims(replace(small_grid, name="smoke"), results, folder)

    path = next(folder.rglob("trial1/res224/coco_ap.json"))
    content = json.loads(path.read_text())
    content["values"]["AP"] += 0.5
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"which now says .*; judge the claims again") as caught:
        read_claims(small_grid, load_results(small_grid, folder), folder)
    assert "\n" not in str(caught.value)

    (folder / "claims/pointrend_outperforms_4conv.json").write_text("{}")
    with pytest.raises(UserError, match="not of a claim"):
        read_claims(small_grid, results, folder)


def test_claims_of_fewer_trials_are_refused(judge: Judge, tmp_path: Path, small_grid: Grid) -> None:
    """As after `--set trials.coco=5`, or while a preset runs on: values of old trials stay."""
    partly = judge(skip="trial2/res224/coco_ap.json")["pointrend_outperforms_4conv"]
    whole = judge()["pointrend_outperforms_4conv"]
    folder = tmp_path / "results/paper"
    results = load_results(small_grid, folder)
    write_claims([partly], folder)
    with pytest.raises(
        UserError, match=r"2 of \d trials measured when it was .*, \d trials now; judge"
    ) as caught:
        read_claims(small_grid, results, folder)
    assert "\n" not in str(caught.value)
    write_claims([whole], folder)
    assert read_claims(small_grid, results, folder) == [whole]
    (source, result) = next(each for each in results.items() if each[0].path in _files(whole))
    edited = results | {source: result.model_copy(update={"state": "other predictions"})}
    with pytest.raises(
        UserError, match=r"trials when .*, not scored from the current predictions now"
    ):
        read_claims(small_grid, edited, folder)


def _files(claim: JudgedClaim) -> set[str]:
    return {file for part in claim.parts for cell in part.cells for file in cell.trials}


def test_data_for_machines_is_json(everything: tuple[Path, list[JudgedClaim]]) -> None:
    data = claims_as_data(everything[1])
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    first = data[0]
    assert (first["name"], first["verdict"]) == ("pointrend_outperforms_4conv", "holds")
    assert len(first["parts"][0]["interval"]) == 2
    assert "cells" not in first["parts"][0]


def test_the_command_writes_what_the_report_shows(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    paper_grid: Grid,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "results/paper"
    fill_claims(folder, paper_grid)
    write_metrics(paper_grid, folder)
    command = ["pointrend-repro", "claims", "--preset", "paper"]
    monkeypatch.setattr("sys.argv", [*command, "--results-dir", str(folder.parent)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    out = capsys.readouterr().out
    assert re.search(r"^holds {12}pointrend_outperforms_4conv +p = [\d.]+; .*Holm$", out, re.M)
    write_report(paper_grid, folder, tmp_path / "reports")
    page = (tmp_path / "reports/index.html").read_text()
    assert '<h2 id="claims"><a class="self" href="#claims">Claims</a></h2>' in page
    assert "17 claims of the paper, judged by these numbers" in page
    assert "each of 200 resamples" in page
    assert "3 trials of each model" in page
    assert page.count('<tbody id="claim-') == 17
    # So that a reader's sum is that of the page.
    times_30 = re.findall(r'30&nbsp;×\s+<a class="term"[^>]*>(\d+\.\d+)<', page)
    assert [len(number.partition(".")[2]) for number in times_30] == [4] * 4
    assert page.count('role="img"') > 50
    # 200 resamples know of no p below 2 / 201, and the smallest of 16 must be at most 0.05 / 16.
    assert "<small>does not survive Holm</small>" in page
    assert "<small>survives Holm</small>" not in page
    assert "trials of each model would decide it</small>" in page or "no number of trials" in page
    for link in re.findall(r'href="#(origin-[^"]*)"', page):
        assert f'id="{link}"' in page
    summary = json.loads((tmp_path / "reports/summary.json").read_text())
    assert len(summary["claims"]) == 17


def test_plots_fit_and_say_in_words_what_they_show(
    everything: tuple[Path, list[JudgedClaim]],
) -> None:
    shown = show_claims(everything[1])
    assert shown is not None
    assert sum(number for *_, number in shown.counts) == 17
    plots = [part for claim in shown.claims for part in claim.parts if part.plot]
    assert len(plots) > 50
    for item in plots:
        plot = item.plot
        assert plot is not None
        places = [plot.zero, plot.measured, *plot.interval, *(plot.images or ())]
        assert all(4 <= place <= WIDTH_PX - 4 for place in places)
        assert plot.interval[0] <= plot.measured <= plot.interval[1]
        # The verdict is what the eye sees.
        assert (plot.zero < plot.interval[0]) == (item.part.verdict == "holds")
        assert plot.text.startswith("95 % interval from ")
        assert ("contains zero" in plot.text) == (item.part.verdict == "not-significant")
    assert HEIGHT_PX == 22
    assert show_claims([]) is None


def test_the_overview_says_what_it_lists(tmp_path: Path, judge: Judge, small_grid: Grid) -> None:
    loss = {("table1", row, "coco_ap"): -9.0 for row in ("pointrend_28", "pointrend_224")}
    warned = small_grid.preset.model_copy(update={"warning": "Narrow.", "judges_claims": True})
    headings = []
    for grid in (small_grid, replace(small_grid, preset=warned)):
        folder = tmp_path / "results/paper"
        judged = judge(grid, change=loss)
        assert "does-not-hold" in {claim.verdict for claim in judged.values()}
        write_claims(list(judged.values()), folder)
        write_metrics(grid, folder)
        write_report(grid, folder, tmp_path / "reports")
        page = (tmp_path / "reports/index.html").read_text()
        headings += re.findall(r"<h3>(What .*)</h3>", page)
    assert headings == ["What deviates or does not hold", "What does not hold"]


def test_a_claim_can_do_no_harm(judge: Judge, tmp_path: Path, small_grid: Grid) -> None:
    evil = "<script>alert(1)</script>\"'"
    judged = [c.model_copy(update={"statement": evil, "source": evil}) for c in judge().values()]
    folder = tmp_path / "results/paper"
    write_claims(judged, folder)
    write_metrics(small_grid, folder)
    write_report(small_grid, folder, tmp_path / "reports")
    page = (tmp_path / "reports/index.html").read_text()
    assert "alert(1)" in page
    assert "<script>alert" not in page
