"""The page is whole, harmless and honest: valid, escaped, readable, each number with its origin."""

import datetime
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_up_metrics import only_table1, write_result

from pointrend_repro.base import own_code
from pointrend_repro.base.errors import DamagedError, UserError
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.reporting.collect import write_metrics
from pointrend_repro.reporting.page import _hardware
from pointrend_repro.reporting.report import write_report

Fill = Callable[..., Path]
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
VOID = {"meta", "link", "img", "br", "hr", "input"}

TODAY = "feedfacecafe"


@pytest.fixture(autouse=True)
def _code_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_code, "package_digest", lambda _: TODAY)


class Page(HTMLParser):
    """Tags with their attributes and text; complains where tags do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.text += " "
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in {"script", "style"}:
            self.text += data

    def attribute(self, name: str, tag: str | None = None) -> list[str]:
        return [a[name] for t, a in self.tags if name in a and tag in {None, t}]

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


def report(grid: Grid, results_dir: Path) -> str:
    reports_dir = results_dir.parents[1] / "reports" / grid.name
    write_report(grid, results_dir, reports_dir)
    return (reports_dir / "index.html").read_text(encoding="utf-8")


def test_report_writes_every_file(paper: Grid, fill: Fill, tmp_path: Path) -> None:
    report(paper, fill(paper))
    folder = tmp_path / "reports" / "paper"
    found = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    names = {f"tables/table1.{suffix}" for suffix in ("csv", "md", "tex")}
    assert found == names | {"index.html", "summary.json"}


@pytest.mark.parametrize("preset", ["smoke", "paper"])
def test_page_is_one_valid_file(
    preset: str, fill: Fill, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    grid = request.getfixturevalue(preset)
    text = report(grid, fill(grid))
    page = Page(text)
    assert not page.attribute("src")
    assert not page.attribute("href", "link")
    assert not re.search(r"@import|url\(|fetch\(|XMLHttp|\bon\w+=", text)
    outward = [url for url in page.attribute("href", "a") if "://" in url]
    assert outward == ["https://arxiv.org/abs/1912.08193"]
    beside = {url for url in page.attribute("href", "a") if not url.startswith(("#", "https:"))}
    assert {f"tables/table1.{suffix}" for suffix in ("csv", "md", "tex")} <= beside
    folder = tmp_path / "reports" / grid.name
    assert [url for url in beside if not (folder / url).exists()] == []
    ids = page.attribute("id")
    assert len(ids) == len(set(ids))
    inward = {url[1:] for url in page.attribute("href", "a") if url.startswith("#")}
    assert inward <= set(ids)
    assert ("html", {"lang": "en"}) in page.tags
    assert str(tmp_path) not in text


def test_table_headers_have_a_scope(paper: Grid, fill: Fill) -> None:
    page = Page(report(paper, fill(paper)))
    headers = [a.get("scope") for tag, a in page.tags if tag == "th"]
    assert set(headers) == {"col", "colgroup", "row"}
    # Table 1: two stub columns and three rows, COCO over two columns and Cityscapes over one.
    start = page.tags.index(("table", {"aria-describedby": "table1-caption"}))
    inside = [tag for tag, _ in page.tags[start:]]
    length = inside.index("section") if "section" in inside else len(inside)
    table1 = [a["scope"] for tag, a in page.tags[start : start + length] if tag == "th"]
    assert table1[: 2 + 2 + 3 + 3 * 2] == (
        ["col"] * 2 + ["colgroup"] * 2 + ["col"] * 3 + ["row"] * 6
    )
    assert inside.count("table") == inside.count("caption")


def test_every_measured_cell_leads_to_its_origin(paper: Grid, fill: Fill) -> None:
    text = report(paper, fill(paper))
    page = Page(text)
    links = [a["href"] for tag, a in page.tags if tag == "a" and a.get("class") == "measured"]
    wanted = {
        f"#origin-table1-{cell.row}-{cell.column}" for cell in paper.cells if cell.evaluations
    }
    assert set(links) == wanted
    assert len(links) == len(wanted) == 6
    for cell in paper.cells:
        for evaluation in cell.evaluations:
            assert evaluation.path in page.text
    # Two models, one of them shown at two resolutions, three trials each: a step is told once,
    # however many cells it is behind.
    assert page.text.count("pointrend-repro train --preset smoke") == len(paper.trainings) == 6


def test_an_origin_tells_everything(smoke: Grid, tmp_path: Path) -> None:
    results_dir = tmp_path / "results" / "smoke"
    evaluation = smoke.cells[0].evaluations[0]
    facts = {"peak_memory_mb": 4321.0, "wall_s": 3720.0, "settings": {"lr": 0.0125}}
    write_result(results_dir, smoke, evaluation, {"AP": 12.34567}, **facts)
    log = results_dir / evaluation.prediction.training.folder / "train.log"
    log.write_text("done")
    write_metrics(smoke, results_dir)
    words = Page(report(smoke, results_dir)).words
    for fact in (
        "12.3457",
        "median 12.3457 % of 1 of 2 trials",
        "seed 0",
        "lr 0.0125",
        "a device",
        "2024-05-01T08:00:00+00:00",
        "1 h 02 min",
        "4.3 GB",
        "0123456789ab",
        "123456789012",
        '"lr": 0.0125',
        "torch 2.11.0",
        "pointrend-repro predict",
        "pointrend-repro evaluate",
        evaluation.path,
        str(log.relative_to(results_dir)),
    ):
        assert re.sub(r"\s", "", fact.lower()) in re.sub(r"\s", "", words.lower()), fact


def test_a_number_names_the_commits_of_all_its_steps_and_the_times_of_all_its_trials(
    paper: Grid, tmp_path: Path
) -> None:
    results_dir = tmp_path / "results" / "paper"
    for evaluation in paper.cells[0].evaluations:
        trial = evaluation.prediction.training.trial
        facts = {"wall_s": 600.0 * (1 + trial), "peak_memory_mb": 700.0 + trial}
        path = write_result(results_dir, paper, evaluation, {"AP": 30.0 + trial}, **facts)
        result = json.loads(path.read_text())
        result["origin"]["predict"]["git_commit"] = "f" * 40
        path.write_text(json.dumps(result))
    write_metrics(paper, results_dir)
    words = Page(report(paper, results_dir)).words
    last = paper.cells[0].evaluations[-1].prediction.training.trial
    times, memory = f"10 min 00 s to {10 * (1 + last)} min 00 s", f"700 MB to {700 + last} MB"
    assert f"Trained on a device in {times}, {memory}." in words
    assert "Commits 0123456789ab (train, evaluate), ffffffffffff (predict)" in words


def test_models_that_a_step_read_are_links_that_work(smoke: Grid, tmp_path: Path) -> None:
    results_dir = tmp_path / "results" / "smoke"
    evaluation = smoke.cells[0].evaluations[0]
    path = write_result(results_dir, smoke, evaluation, {"AP": 12.3})
    model = results_dir / evaluation.prediction.training.model_path
    model.touch()
    content = json.loads(path.read_text())
    file = f"results/smoke/{evaluation.prediction.training.model_path}"
    content["origin"]["train"]["started_from"] = {"file": "data/R-50.pkl"}
    content["origin"]["predict"]["proposals_from"] = {"file": str(results_dir / "gone.json")}
    content["origin"]["predict"]["others"] = [{"file": file}]
    path.write_text(json.dumps(content))
    write_metrics(smoke, results_dir)
    page = Page(report(smoke, results_dir))
    for told in ("data/R-50.pkl", "gone.json", f"together with {file}"):
        assert told in page.words
    beside = [link for link in page.attribute("href", "a") if link.startswith("../../results/")]
    reports_dir = tmp_path / "reports" / "smoke"
    assert f"../../{file}" in beside
    assert [link for link in beside if not (reports_dir / link).exists()] == []


def test_smoke_never_reproduces(smoke: Grid, fill: Fill) -> None:
    text = report(smoke, fill(smoke, offset=0.2))
    page = Page(text)
    assert page.text.count(smoke.preset.warning) >= 3  # the page, the table, the origins
    assert re.findall(r'<span class="status ([\w-]+)">', text) == (
        ["no-claim", "no-claim", "missing"] * 3
    )
    assert "(+0." not in page.text  # no difference: it would be a claim
    assert "✓ reproduced 0" in page.words


def test_statuses_and_differences(paper: Grid, fill: Fill) -> None:
    page = Page(report(paper, fill(paper, offset=-0.25)))
    assert "≠ deviates 6" in page.words
    assert "– missing 3" in page.words
    assert "paper 36.3 difference −0.25" in page.words
    assert " What deviates ≠ Table 1" in page.words
    page = Page(report(paper, fill(paper, offset=0.2)))
    assert "✓ reproduced 6" in page.words
    assert "What deviates" not in page.words


def test_missing_cells_say_why(paper: Grid, fill: Fill) -> None:
    gone = frozenset(e.path for e in paper.cells[0].evaluations)
    words = Page(report(paper, fill(paper, skip=gone))).words
    assert "not run yet – missing paper 35.2" in words
    assert words.count("not part of this preset – missing") == 3


def test_a_failed_trial_is_told_with_its_log(paper: Grid, fill: Fill) -> None:
    cell = paper.cells[0]
    gone = frozenset(e.path for e in cell.evaluations[1:])
    results_dir = fill(paper, skip=gone)
    log = results_dir / cell.evaluations[2].prediction.training.folder / "train.log"
    log.write_text("started\nRuntimeError: CUDA error\n")
    page = Page(report(paper, results_dir))
    assert "1 of 3 trials measured; trial 2: train failed: RuntimeError: CUDA error" in page.words
    path = log.relative_to(results_dir)
    assert f"the last line of {path} is RuntimeError: CUDA error" in page.words
    assert "Trial 1: not run yet" in page.words


def test_a_cell_without_numbers_leads_to_the_log_that_says_why(paper: Grid, fill: Fill) -> None:
    cell = paper.cells[0]
    results_dir = fill(paper, skip=frozenset(e.path for e in cell.evaluations))
    folder = results_dir / cell.evaluations[1].prediction.training.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.log").write_text("Killed\n")
    page = Page(report(paper, results_dir))
    assert "trial 1: train failed: Killed – missing" in page.words
    links = [a["href"] for tag, a in page.tags if tag == "a" and a.get("class") == "why"]
    assert links == ["#origin-table1-4conv_28-coco_ap"]
    assert links[0][1:] in page.attribute("id")


def test_an_empty_results_folder_gives_a_page(paper: Grid, tmp_path: Path) -> None:
    results_dir = tmp_path / "results" / "paper"
    write_metrics(paper, results_dir)
    assert "– missing 9" in Page(report(paper, results_dir)).words


@pytest.mark.parametrize("key", ["train", "predict", "evaluate"])
def test_results_of_other_code_are_marked(smoke: Grid, tmp_path: Path, key: str) -> None:
    results_dir = tmp_path / "results" / "smoke"
    path = write_result(results_dir, smoke, smoke.evaluations[0], {"AP": 1.0}, code_digest=TODAY)
    write_metrics(smoke, results_dir)
    assert "Code unchanged since" in Page(report(smoke, results_dir)).words
    result = json.loads(path.read_text())
    result["origin"][key]["code_digest"] = "abcdefabcdef"
    path.write_text(json.dumps(result))
    write_metrics(smoke, results_dir)
    words = Page(report(smoke, results_dir)).words
    assert "Code changed since 1 of 1 result was made (abcdefabcdef; today's is" in words
    assert words.count("abcdefabcdef, changed since") == 1


def test_only_code_that_a_result_ran_through_marks_it(smoke: Grid, tmp_path: Path) -> None:
    results_dir = tmp_path / "results" / "smoke"
    modules = ["pointrend_repro", "pointrend_repro.base.names"]
    told = {"code_digest": own_code.modules_digest(modules), "code_modules": modules}
    path = write_result(results_dir, smoke, smoke.evaluations[0], {"AP": 1.0}, **told)
    write_metrics(smoke, results_dir)
    assert "Code unchanged since" in Page(report(smoke, results_dir)).words
    result = json.loads(path.read_text())
    result["origin"]["train"]["code_modules"] = [*modules, "pointrend_repro.base.gone"]
    path.write_text(json.dumps(result))
    write_metrics(smoke, results_dir)
    words = Page(report(smoke, results_dir)).words
    assert "Code changed since 1 of 1 result was made" in words
    assert words.count(f"{told['code_digest']}, changed since") == 1


def test_everything_from_outside_is_escaped(smoke: Grid, tmp_path: Path) -> None:
    table = smoke.tables["table1"]
    columns = {
        k: c.model_copy(update={"title": EVIL, "unit": EVIL}) for k, c in table.columns.items()
    }
    rows = {k: r.model_copy(update={"title": EVIL}) for k, r in table.rows.items()}
    changes = {"columns": columns, "rows": rows, "title": EVIL, "caption": EVIL, "source": EVIL}
    preset = smoke.preset.model_copy(update={"title": EVIL, "warning": EVIL})
    grid = replace(smoke, tables={"table1": table.model_copy(update=changes)}, preset=preset)
    # No slash: the variant is a folder's name too.
    cells = [rename(cell, EVIL.replace("/", "")) for cell in grid.cells]
    variant = "pointrend_r50_fpn"
    named = {
        key: {**getattr(grid, key), EVIL.replace("/", ""): getattr(grid, key)[variant]}
        for key in ("variants", "variant_files", "trained_by")
    }
    grid = replace(grid, cells=tuple(cells), **named)
    results_dir = tmp_path / "results" / "smoke"
    texts = dict.fromkeys(
        ["command", "settings_digest", "device", "started", "git_commit", "code_digest"], EVIL
    )
    maps = {"settings": {EVIL: EVIL}, "versions": {EVIL: EVIL}}
    for evaluation in grid.evaluations:
        write_result(results_dir, grid, evaluation, {"AP": 1.0}, **texts, **maps)
        (results_dir / evaluation.prediction.folder / "<script>.log").touch()
    gone = grid.evaluations[0]
    (results_dir / gone.path).unlink()
    for log in ("train.log", f"{gone.prediction.inference}/{gone.metric}.log"):
        (results_dir / gone.prediction.training.folder / log).write_text(f"error: {EVIL}")
    write_metrics(grid, results_dir)
    page = Page(report(grid, results_dir))
    assert f"evaluate failed: error: {EVIL}" in page.text
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not {"img"} & {tag for tag, _ in page.tags}
    assert not any(key.startswith("on") for _, a in page.tags for key in a)
    assert page.text.count("<script>alert(1)") > 50


def rename(cell, variant: str):
    evaluations = []
    for e in cell.evaluations:
        training = replace(e.prediction.training, variant=variant)
        prediction = replace(e.prediction, training=training, inference="res224")
        evaluations.append(replace(e, prediction=prediction))
    return replace(cell, evaluations=tuple(evaluations))


def test_report_refuses_stale_metrics(smoke: Grid, fill: Fill) -> None:
    results_dir = fill(smoke)
    write_result(results_dir, smoke, smoke.evaluations[0], {"AP": 99.0})
    with pytest.raises(UserError, match=r"metrics\.csv: is not what the metric files"):
        report(smoke, results_dir)
    with (results_dir / "metrics.csv").open("ab") as file:
        file.write("é".encode("cp1252"))
    with pytest.raises(UserError, match=r"metrics\.csv: is not what the metric files"):
        report(smoke, results_dir)
    (results_dir / "metrics.csv").unlink()
    with pytest.raises(UserError, match=r"metrics\.csv: no such file"):
        report(smoke, results_dir)


def test_numbers_of_other_trials_are_not_called_damaged(paper: Grid, fill: Fill) -> None:
    """Collected for three trials, asked for one of them: the file is right, and stays."""
    results_dir = fill(paper)
    collected = (results_dir / "metrics.csv").read_text()
    fewer = only_table1(load_grid("paper"), trials=1)
    with pytest.raises(
        UserError, match=r"metrics\.csv: is of other metric files than this"
    ) as told:
        report(fewer, results_dir)
    assert not isinstance(told.value, DamagedError)
    # A number that both have, and that is another, is damage all the same.
    one, *_ = [line for line in collected.splitlines() if "/trial0/" in line and ",AP," in line]
    changed = collected.replace(one, one.replace(",AP,", ",AP,1"))
    (results_dir / "metrics.csv").write_text(changed)
    with pytest.raises(DamagedError):
        report(fewer, results_dir)


def test_the_page_does_not_depend_on_when_it_is_made(smoke: Grid, fill: Fill) -> None:
    results_dir = fill(smoke)  # its records are of 2024
    first = report(smoke, results_dir)
    assert report(smoke, results_dir) == first
    assert str(datetime.datetime.now(datetime.UTC).year) not in Page(first).text


@pytest.mark.parametrize(
    ("wall_s", "told"),
    [(3.6e6, "6,000 hours on CPUs"), (6000.0, "10 hours on CPUs"), (60.0, "6 min 00 s on a CPU")],
)
def test_hours_on_cpus_are_wall_time(paper: Grid, tmp_path: Path, wall_s: float, told: str) -> None:
    """Of the last part of a training that was interrupted: its record has no more."""
    results_dir = tmp_path / "results" / "paper"
    for evaluation in paper.evaluations:
        write_result(
            results_dir, paper, evaluation, {"AP": 1.0}, device="cpu (X, 4 threads)", wall_s=wall_s
        )
    write_metrics(paper, results_dir)
    words = Page(report(paper, results_dir)).words
    assert f"6 of 6 trainings {told} (wall time; of interrupted trainings the last part)" in words


def test_one_thread_is_one_wherever_a_device_is_told(smoke: Grid, tmp_path: Path) -> None:
    results_dir = tmp_path / "results" / "smoke"
    for evaluation in smoke.evaluations:
        write_result(results_dir, smoke, evaluation, {"AP": 1.0}, device="cpu (X, 1 threads)")
    write_metrics(smoke, results_dir)
    text = report(smoke, results_dir)
    assert "1 threads" not in text
    assert text.count("cpu (X, 1 thread)") > len(smoke.evaluations)


def test_a_device_is_told_once() -> None:
    told = ["a GPU", "cpu (X 9)", "cpu (X 9, 1 threads)", "cpu (X)"]
    assert _hardware(told) == ["a GPU", "cpu (X 9, 1 thread)", "cpu (X)"]


def test_text_has_contrast_in_light_and_dark(smoke: Grid, fill: Fill) -> None:
    style = re.search(r"<style>(.*?)</style>", report(smoke, fill(smoke)), re.DOTALL)[1]
    light, dark, *_ = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    for block in (light, dark):
        colors = dict(re.findall(r"--([\w-]+): (#\w{6})", block))
        for name in ("text", "soft", "link", "good", "bad"):
            assert contrast(colors[name], colors["page"]) >= 4.5, name
        for name in ("text", "soft"):
            assert contrast(colors[name], colors["box"]) >= 4.5, name
        assert contrast(colors["warn-text"], colors["warn-box"]) >= 4.5


def contrast(a: str, b: str) -> float:
    """Ratio of relative luminances, as WCAG 2 defines it."""
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
