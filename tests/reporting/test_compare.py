"""Two results folders side by side: the same, different, half there, or not comparable."""

import csv
import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from made_up_claims import fill_claims
from made_up_metrics import with_digests

from pointrend_repro import cli
from pointrend_repro.base.asked import asking
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.reporting.collect import write_metrics
from pointrend_repro.reporting.comparison.comparing import STATUSES
from pointrend_repro.reporting.comparison.reading import read_sides
from pointrend_repro.reporting.comparison.writing import COLOURS


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    error: str


Run = Callable[..., Answer]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str | Path) -> Answer:
        monkeypatch.setattr(sys, "argv", ["pointrend-repro", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "160")
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Answer(int(ended.value.code or 0), *capfd.readouterr())

    return call


@dataclass(frozen=True)
class Pair:
    a: Path
    b: Path
    grid: Grid

    def edit(self, change: Callable[[dict[str, Any]], object], pattern: str) -> None:
        """Change metric files of B, and collect them again."""
        found = list(self.b.rglob(pattern))
        assert found
        for path in found:
            content = json.loads(path.read_text())
            change(content)
            path.write_text(json.dumps(content))
        write_metrics(self.grid, self.b)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """Table 1 and Table 2 of preset smoke, twice the same."""
    config = tmp_path / "config"
    shutil.copytree(CONFIG_DIR, config)
    path = config / "presets/smoke.yaml"
    content = yaml.safe_load(path.read_text())
    content |= {"tables": ["table1", "table2"], "figures": [], "pictures": []}
    content["trials"]["coco"] = 3
    path.write_text(yaml.safe_dump(content))
    grid = load_grid("smoke", config)
    fill_claims(tmp_path / "one/smoke", grid, resamples=0)
    write_metrics(grid, tmp_path / "one/smoke")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    return Pair(tmp_path / "one/smoke", tmp_path / "two/smoke", grid)


@pytest.fixture
def compare(run: Run, pair: Pair, tmp_path: Path) -> Run:
    def call(*more: str | Path) -> Answer:
        return run("compare", pair.a, pair.b, "--config-dir", tmp_path / "config", *more)

    return call


def rows(answer: Answer, output: Path) -> dict[tuple[str, str], dict[str, str]]:
    found = csv.DictReader(StringIO(output.read_text()))
    return {(row["row"], row["column"]): row for row in found}


def test_equal_folders_agree(compare: Run, pair: Pair) -> None:
    answer = compare("--output", "-")
    assert answer.code == 0, answer.error
    assert f"Cells: {len(pair.grid.cells)} same." in answer.out
    assert "different, 0 only in A" in answer.out
    assert re.search(r"All numbers: \d+ identical, 0 different", answer.out)
    assert "- Origins: 0 differences." in answer.out
    assert "> **Preset smoke: these numbers mean nothing." in answer.out
    assert "differs" not in answer.out


def test_a_cell_beyond_its_tolerance_is_told_by_code_and_word(
    compare: Run, pair: Pair, tmp_path: Path
) -> None:
    """Cityscapes AP has a tolerance of 0.3."""

    def raise_by(number: float) -> Callable[[dict[str, Any]], object]:
        return lambda content: content["values"].update(AP=content["values"]["AP"] + number)

    pair.edit(raise_by(0.3), "pointrend_r50_fpn/trial0/res224/cityscapes_ap.json")
    output = tmp_path / "c.csv"
    answer = compare("--output", output)
    row = rows(answer, output)["PointRend, 224x224", "Cityscapes AP"]
    assert (answer.code, row["status"], row["tolerance"]) == (0, "same", "0.3")
    assert float(row["difference"]) == pytest.approx(0.3)

    pair.edit(raise_by(0.01), "pointrend_r50_fpn/trial0/res224/cityscapes_ap.json")
    answer = compare("--output", output)
    row = rows(answer, output)["PointRend, 224x224", "Cityscapes AP"]
    assert (answer.code, row["status"]) == (1, "differs")
    answer = compare()
    assert answer.code == 1
    assert re.search(r"PointRend, 224x224, Cityscapes AP .* \+0\.31 .* differs", answer.out)
    assert "1 different, 0 only in A" in answer.out


def test_medians_and_not_trials_are_compared(compare: Run, pair: Pair, tmp_path: Path) -> None:
    """The largest trial of three may move as it likes."""
    files = sorted(
        pair.b.rglob("mask_rcnn_r50_fpn/trial*/default/coco_ap.json"),
        key=lambda path: json.loads(path.read_text())["values"]["AP"],
    )
    pair.edit(lambda content: content["values"].update(AP=99.0), str(files[-1].relative_to(pair.b)))
    output = tmp_path / "c.csv"
    answer = compare("--output", output)
    row = rows(answer, output)["4x conv, 28x28", "COCO AP"]
    assert (answer.code, row["status"], float(row["difference"])) == (0, "same", 0)
    assert float(row["spread_b"]) > 50 > float(row["spread_a"])
    assert row["trials_a"] == row["trials_b"] == "3"


def test_counts_must_be_equal(compare: Run, pair: Pair, tmp_path: Path) -> None:
    pair.edit(
        lambda content: content["values"].update(multiply_adds=0.51),
        "cost/mask_rcnn_r50_fpn/default.json",
    )
    output = tmp_path / "c.csv"
    answer = compare("--output", output)
    row = rows(answer, output)["4x conv, 28x28", "FLOPs"]
    assert (answer.code, row["status"], row["tolerance"]) == (1, "differs", "0.0")


def test_cells_of_one_side_are_told(compare: Run, pair: Pair) -> None:
    for path in pair.b.rglob("mask_rcnn_56_r50_fpn/*/default/*.json"):
        path.unlink()
    write_metrics(pair.grid, pair.b)
    answer = compare("--output", "-")
    assert answer.code == 1
    assert f"Cells: {len(pair.grid.cells) - 3} same, 3 only A." in answer.out
    assert re.search(
        r"\| 4x conv, 56x56, COCO AP \| 34\.\S+ \(34\.\S+–34\.\S+\) \| – \| – \|", answer.out
    )


def test_cells_without_a_tolerance_are_shown_and_not_judged(
    compare: Run, pair: Pair, tmp_path: Path
) -> None:
    path = tmp_path / "config/papers/pointrend/tables/table1.yaml"
    table = yaml.safe_load(path.read_text())
    for column in table["columns"].values():
        column |= {"tolerance": None, "tolerance_source": "nobody knows"}
    path.write_text(yaml.safe_dump(table))
    pair.edit(lambda content: content["values"].update(AP=99.0), "*/*/*/*/coco_ap.json")
    answer = compare()
    assert answer.code == 0, answer.error
    assert re.search(r"4x conv, 28x28, COCO AP .* – +no tolerance", answer.out)
    assert re.search(r"Cells: \d+ same, \d+ no tolerance\.", answer.out)


def test_each_status_has_a_colour() -> None:
    assert set(COLOURS) == set(STATUSES)


def test_no_cell_at_all_is_no_agreement(compare: Run, pair: Pair) -> None:
    """Such as of a table program that lost the column of files."""
    for side in (pair.a, pair.b):
        metrics = pd.read_csv(side / "metrics.csv", dtype=str)
        metrics.assign(file="").to_csv(side / "metrics.csv", index=False)
    answer = compare()
    assert answer.code == 2
    (line,) = answer.error.splitlines()
    assert f"{pair.a} and {pair.b}: no number of theirs is of a cell of preset smoke" in line


def test_what_made_them_is_compared(compare: Run, pair: Pair) -> None:
    def change(content: dict[str, Any]) -> None:
        train = content["origin"]["train"]
        train["settings"] = {"lr": 0.01, "input": {"crop_px": [1, 2]}}
        train["device"] = "another device"
        train["git_commit"] = "f" * 40
        train["versions"]["torch"] = "3.0.0"

    pair.edit(change, "generated_coco/mask_rcnn_r50_fpn/trial1/default/*.json")
    out = compare("--output", "-").out
    assert re.search(r"\| commit \| 0123456789ab \| 0123456789ab<br>f{12} \| differs \|", out)
    assert re.search(r"\| device \| a device \| a device<br>another device \| differs \|", out)
    assert re.search(r"\| torch \| 2\.11\.0 \| 2\.11\.0<br>3\.0\.0 \| differs \|", out)
    assert re.search(r"\| python \| 3\.11\.9 \| 3\.11\.9 \| same \|", out)
    settings = re.search(
        r"\| settings of generated\\_coco/mask\\_rcnn\\_r50\\_fpn/trial1 \|(.*)\|(.*)\| differs",
        out,
    )
    assert settings
    assert settings[1].strip() == r"lr: 0.02<br>input.crop\_px: not there"
    assert settings[2].strip() == r"lr: 0.01<br>input.crop\_px: \[1, 2\]"
    assert out.count("| settings") == 1


def test_metrics_alone_are_enough(compare: Run, pair: Pair) -> None:
    """A `metrics.csv` that somebody sent."""
    for side in (pair.a, pair.b):
        for path in side.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
    answer = compare("--output", "-")
    assert answer.code == 0
    assert "| settings digests | 123456789012 | 123456789012 | same |" in answer.out


def test_what_only_one_side_tells_is_no_difference(compare: Run, pair: Pair) -> None:
    """B is a metrics.csv alone, as somebody sends it; A has all files."""
    for path in pair.b.rglob("*.json"):
        path.unlink()
    done = compare()
    assert done.code == 0, done.error
    assert "Differences in their origins" not in done.out


def test_edited_numbers_are_named(compare: Run, pair: Pair) -> None:
    pattern = "pointrend_r50_fpn/trial0/res224/coco_ap.json"
    for path in [*pair.a.rglob(pattern), *pair.b.rglob(pattern)]:
        path.write_text(json.dumps(with_digests(json.loads(path.read_text()))))
    write_metrics(pair.grid, pair.a)
    pair.edit(lambda content: content["values"].update(AP=99.0), pattern)
    answer = compare("--output", "-")
    row = next(line for line in answer.out.splitlines() if line.startswith("| numbers"))
    assert re.search(r"\| – \| .*coco\\_ap.json: edited since it was scored \| differs \|", row)


def test_metrics_collected_before_digests_were_kept_will_do(compare: Run, pair: Pair) -> None:
    for side in (pair.a, pair.b):
        metrics = pd.read_csv(side / "metrics.csv", dtype=str).drop(columns="state")
        metrics.to_csv(side / "metrics.csv", index=False)
    answer = compare("--output", "-")
    assert answer.code == 0, answer.error
    assert "numbers not as recorded" not in answer.out


def test_metrics_that_repeat_their_commands_will_do(compare: Run, pair: Pair) -> None:
    """As they were collected before `origins.csv`."""
    for side in (pair.a, pair.b):
        metrics = pd.read_csv(side / "metrics.csv", dtype=str)
        origins = pd.read_csv(side / "origins.csv", dtype=str)
        (side / "origins.csv").unlink()
        old = metrics.merge(origins, on="file")
        assert {"train_command", "predict_command", "evaluate_command"} < set(old.columns)
        old.to_csv(side / "metrics.csv", index=False)
    answer = compare("--output", "-")
    assert answer.code == 0, answer.error


def test_what_cannot_be_compared_is_one_line(run: Run, pair: Pair, tmp_path: Path) -> None:
    def refused(a: Path, b: Path, *more: str) -> str:
        answer = run("compare", a, b, "--config-dir", tmp_path / "config", *more)
        assert answer.code == 2
        (line,) = answer.error.splitlines()
        assert line.startswith("pointrend-repro: error: ")
        return line

    assert "no such folder; give a folder results/<preset>" in refused(pair.a, tmp_path / "x")
    assert f"such as {pair.b}" in refused(pair.a, pair.b.parent)
    (tmp_path / "empty").mkdir()
    assert "has no metrics.csv" in refused(tmp_path / "empty", pair.b)
    assert "ends in none of .html, .md, .csv" in refused(pair.a, pair.b, "--output", "x.txt")
    read = pair.b / "metrics.csv"
    before = read.read_bytes()
    assert "which is compared" in refused(pair.a, pair.b, "--output", str(read))
    assert read.read_bytes() == before

    path = pair.b / "metrics.csv"
    text = path.read_text()
    path.write_text(re.sub("^smoke", "paper", text, flags=re.M))
    assert "of preset 'smoke'" in refused(pair.a, pair.b)
    for damaged, told in [
        ("", "cannot be read"),
        (text.replace(",value,", ",valeu,", 1), "has no column 'value'"),
        (text.splitlines()[0] + "\n", "holds no number"),
        (text.replace("smoke", "tiny", 1), "of several presets"),
        (text.replace(",0,", ",zero,", 1), "cannot be read"),
        ("\0" * 100, "metrics.csv: "),
    ]:
        path.write_text(damaged)
        assert told in refused(pair.a, pair.b), damaged[:80]


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append(tag)


def test_the_page_is_one_harmless_file(compare: Run, pair: Pair, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>[b]"
    pair.edit(
        lambda content: content["origin"]["train"].update(device=evil), "*/*/*/*/coco_ap.json"
    )
    output = tmp_path / "c.html"
    assert compare("--output", output).code == 0
    page = output.read_text()
    assert "alert(1)" in page
    tags = Tags(page).found
    assert "script" not in tags
    assert not {"img", "link"} & set(tags)
    assert tags.count("h1") == 1
    assert evil in compare().out.replace("\n", "")
    assert "<script>" not in compare("--output", "-").out


def test_tables_of_one_title_are_all_on_the_page(compare: Run, pair: Pair, tmp_path: Path) -> None:
    for name in ("table1", "table2"):
        path = next((tmp_path / "config").rglob(f"pointrend/**/{name}.yaml"))
        path.write_text(re.sub("^title: .*", "title: Results", path.read_text(), flags=re.M))
    answers = {ending: tmp_path / f"c.{ending}" for ending in ("html", "csv")}
    for output in answers.values():
        assert compare("--output", output).code == 0
    page = answers["html"].read_text()
    assert page.count("<h2>Results</h2>") == 2
    facts = page.index("<h2>Origins</h2>")
    cells = len(rows(Answer(0, "", ""), answers["csv"]))
    assert page[:facts].count('<th scope="row">') == cells > 6


def test_what_a_terminal_or_a_spreadsheet_would_run_is_only_shown(
    compare: Run, pair: Pair, tmp_path: Path
) -> None:
    """Records come from other machines, and with them whatever these call their devices."""
    evil, shown = "=cmd\u202e\x1b[2J", "=cmd[U+202E][U+001B][2J"

    def rename(content: dict[str, Any]) -> None:
        for record in ("train", "predict", "evaluate"):
            (content["origin"].get(record) or {}).update(device=evil)

    pair.edit(rename, "*.json")
    assert f",'{evil}," in (pair.b / "metrics.csv").read_text(encoding="utf-8")
    _, _, b = read_sides(pair.a, pair.b, tmp_path / "config")
    assert set(b.metrics["device"]) == {evil}
    pages = [tmp_path / name for name in ("c.html", "c.md")]
    for path in pages:
        compare("--output", path)
    texts = [compare().out, *(path.read_text(encoding="utf-8") for path in pages)]
    for text in texts:
        assert shown in text.replace("\\", "").replace("\n", "")
        assert not set(text) & {"\u202e", "\x1b"}


def test_trials_that_the_preset_does_not_ask_for_are_compared(
    compare: Run, pair: Pair, tmp_path: Path
) -> None:
    """Seeds 7 to 9 in one folder or both, as `--set trials.coco=7..9` makes them."""
    config = tmp_path / "config"
    with asking(["trials.coco=7..9", "trials.cityscapes=7..7"]):
        others = load_grid("smoke", config)
    for name in ("two", "one"):
        shutil.rmtree(tmp_path / name)
        fill_claims(tmp_path / name / "smoke", others, resamples=0, trial_sd=0.0)
        write_metrics(others, tmp_path / name / "smoke")
        answer = compare("--output", "-")
        assert not re.search(r"only [AB]\b.* Same means|Left out", answer.out), name
    assert f"Cells: {len(pair.grid.cells)} same." in answer.out
    output = tmp_path / "c.csv"
    replace(pair, grid=others).edit(
        lambda content: content["values"].update(AP=99.0),
        "pointrend_r50_fpn/trial[89]/res224/coco_ap.json",
    )
    answer = compare("--output", output)
    row = rows(answer, output)["PointRend, 224x224", "COCO AP"]
    assert (answer.code, row["status"], row["trials_a"]) == (1, "differs", "3")


def test_numbers_of_no_cell_are_no_agreement(compare: Run, pair: Pair) -> None:
    for side in (pair.a, pair.b):
        metrics = pd.read_csv(side / "metrics.csv", dtype=str)
        of_coco = metrics["dataset"] == "generated_coco"
        metrics.loc[of_coco, "dataset"] = "other"
        metrics["file"] = metrics["file"].str.replace("generated_coco/", "other/")
        metrics.to_csv(side / "metrics.csv", index=False)
        shutil.rmtree(side / "generated_coco")
    answer = compare("--output", "-")
    assert answer.code == 1
    assert re.search(r"- Left out: \d+ metric files of no cell .* as other/.*\.json\.", answer.out)
