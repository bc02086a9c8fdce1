"""Figures that plot scores show the numbers of their files, and refuse files that were edited."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pointrend_repro.base.digests import result_digest
from pointrend_repro.base.errors import UserError
from pointrend_repro.commands import figures
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.experiments.nodes import Cost
from pointrend_repro.experiments.shown import scores_shown
from pointrend_repro.figures.drawing import Score
from pointrend_repro.papers.sharpmask.figures import capacity, detection, recall

COUNTS = [1, 10, 100, 1000]


def score(label: str, level: float) -> Score:
    curves = {
        "counts": COUNTS,
        "AR": [level, 2 * level, 3 * level, 4 * level],
        "AR_S": [None] * 4,
        "AR_M": [level] * 4,
        "AR_L": [0.0, level, level, level],
        "recall": {str(n): [level + n - k for k in range(10)] for n in (10, 100, 1000)},
    }
    values: dict[str, float | None] = {"AR@1000": 4 * level, "AR@1000_S": None, "AR@100": 3 * level}
    return Score(label, values | {"AUC": level}, curves)


SCORES = {"one": score("One", 5.0), "other": score("Other", 6.0)}


def lines(ax: Any) -> dict[str, tuple[list[float], list[float]]]:
    return {each.get_label(): (list(each.get_xdata()), list(each.get_ydata())) for each in ax.lines}


def test_recall_by_count_and_by_iou() -> None:
    boxes = {f"{name}_box": score(each.label, 1.0) for name, each in SCORES.items()}
    drawn = recall.draw(SCORES | boxes)
    a, b, c, _, e, f, g, _, legend = drawn.figure.axes
    assert lines(b) == {"One": (COUNTS, [5, 10, 15, 20]), "Other": (COUNTS, [6, 12, 18, 24])}
    assert lines(a)["Other"][1] == [1, 2, 3, 4]
    assert b.get_xscale() == "log"
    assert np.isnan(lines(c)["One"][1]).all()
    assert lines(e)["One"][1] == [0, 5, 5, 5]
    x, y = lines(g)["Other"]
    assert x == pytest.approx(np.arange(0.5, 0.96, 0.05))
    assert y == [106 - k for k in range(10)]
    assert lines(f)["One"][1][0] == 15
    assert [text.get_text() for text in legend.get_legend().get_texts()] == ["One", "Other"]
    assert "One 20.0, Other 24.0" in drawn.alternative_text


def test_capacity_needs_both_numbers_of_each_model() -> None:
    times: dict[str, float | None] = {"mask_ms": 400, "score_ms": 100, "total_ms": 500}
    both = {"a4": SCORES["one"], "a4_time": Score("k = 4", times, {})}
    drawn = capacity.draw(both)
    ((x, y),) = lines(drawn.figure.axes[0]).values()
    assert (x, y) == ([500], [5.0])
    assert "(a) One: 5.0 in 500 ms" in drawn.alternative_text
    with pytest.raises(UserError, match="b8 has no b8_time"):
        capacity.draw(both | {"b8": SCORES["other"]})


def test_a_file_without_curves_is_told() -> None:
    bare = {"one": Score("One", {"AR@1000": 1.0}, {})}
    with pytest.raises(UserError, match="the scores of One have no counts; score them again"):
        recall.draw(bare)


@pytest.fixture(scope="module")
def grid() -> Grid:
    return load_grid("smoke", papers=["sharpmask"])


def write_scores(grid: Grid, name: str, results_dir: Path) -> dict[str, Path]:
    found = {}
    for part, shown in scores_shown(grid, grid.drawn.figure(name)).items():
        made = score("", float(len(found) + 1))
        values: Mapping[str, Any] = {"total_ms": 100.0} if isinstance(shown, Cost) else made.values
        content = {"metric": shown.metric, "values": values, "curves": made.curves}
        record = {"evaluate": {"output_digest": result_digest(content)}}
        found[part] = results_dir / shown.path
        found[part].parent.mkdir(parents=True, exist_ok=True)
        found[part].write_text(json.dumps(content | {"origin": record}))
    return found


@pytest.mark.parametrize("name", ["figure5", "figure6"])
def test_a_figure_is_drawn_from_the_files_of_the_first_trial(
    grid: Grid, tmp_path: Path, name: str
) -> None:
    name = f"sharpmask_{name}"
    written = write_scores(grid, name, tmp_path / "results/smoke")
    places = {"results_dir": tmp_path / "results", "output": tmp_path / "x.png"}
    figures.figure(name, "smoke", **places)  # though the preset alone is of another paper
    record = json.loads((tmp_path / "x.json").read_text())
    files = [tmp_path / "results/smoke" / used["file"] for used in record["scores"]]
    assert files == list(written.values())
    assert all("trial0" in str(file) or "proposal_time" in str(file) for file in files)
    assert (record["models"], record["image_ids"]) == ([], [])
    first = next(iter(written.values()))
    content = json.loads(first.read_text())
    content["values"]["AUC"] = 99.0
    first.write_text(json.dumps(content))
    with pytest.raises(UserError, match="was edited since; remove it"):
        figures.figure(name, "smoke", **places)
    first.unlink()
    with pytest.raises(UserError, match="no such file"):
        figures.figure(name, "smoke", **places)


REFUSED = [
    ({"variant": "r50_a8"}, "plots proposal_recall of sharpmask_r50_a8 .default., which no table"),
    ({"metric": "coco_ap"}, "scores: sharpmask: recall plots no coco_ap, but proposal_re"),
    ({"metric": "coco_app"}, "no metric 'coco_app'"),
]


@pytest.mark.parametrize(("change", "told"), REFUSED)
def test_what_no_table_asks_for_is_refused(
    tmp_path: Path, change: dict[str, str], told: str
) -> None:
    config_dir = Path(shutil.copytree(CONFIG_DIR, tmp_path / "config"))
    path = config_dir / "papers/sharpmask/figures.yaml"
    content = yaml.safe_load(path.read_text())
    content["figures"]["figure6"]["scores"]["sharpmask"] |= change
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=told) as refused:
        load_grid("smoke", config_dir, papers=["sharpmask"])
    assert "\n" not in str(refused.value)


def test_models_are_not_scores(tmp_path: Path) -> None:
    config_dir = Path(shutil.copytree(CONFIG_DIR, tmp_path / "config"))
    path = config_dir / "papers/sharpmask/figures.yaml"
    content = yaml.safe_load(path.read_text())
    content["figures"]["figure6"]["draw"] = "pairs"
    content["figures"]["figure6"]["options"] = {}
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match="figure6: pairs needs models"):
        load_grid("smoke", config_dir, papers=["sharpmask"])


def test_detection_by_the_type_and_number_of_proposals() -> None:
    def ap(label: str, value: float | None) -> Score:
        return Score(label, {"AP": value, "AP50": 90.0}, {})

    scores = {
        "sharpmask_500": ap("SharpMask", 25.0),
        "sharpmask_10": ap("SharpMask", 12.0),
        "rpn_300": ap("RPN", None),
        "rpn_1000": ap("RPN", 21.5),
    }
    drawn = detection.draw(scores)
    (ax,) = drawn.figure.axes
    assert lines(ax) == {"SharpMask": ([10, 500], [12, 25]), "RPN": ([1000], [21.5])}
    assert ax.get_xscale() == "log"
    assert "SharpMask: 12.0 with 10, 25.0 with 500; RPN: 21.5 with 1000" in drawn.alternative_text
    with pytest.raises(UserError, match="rpn_all does not end in a number"):
        detection.draw({"rpn_all": ap("RPN", 1.0)})


def test_the_figure_shows_all_measured_rows_of_its_table() -> None:
    grid = load_grid("paper", papers=["sharpmask"])
    figure = grid.drawn.figures["sharpmask_figure5c"].entry
    rows = grid.tables["sharpmask_figure5c"].rows
    measured = {name: row.runs for name, row in rows.items() if row.runs is not None}
    assert {
        name: (score.variant, score.inference) for name, score in figure.scores.items()
    } == measured
