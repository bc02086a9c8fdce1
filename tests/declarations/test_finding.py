"""Declarations are found by name; a name that is wrong, or stands for two, is one line."""

import importlib
import sys
from pathlib import Path

import pytest
from outside import install

from pointrend_repro.base.errors import UserError
from pointrend_repro.declarations.finding import Declared, load_function
from pointrend_repro.declarations.metric import METRICS, Metric
from pointrend_repro.declarations.prediction_kind import PREDICTION_KINDS

DECLARES = "from pointrend_repro.declarations.metric import Metric\nMETRIC = Metric(name={!r}, "
COUNTS = 'counts="instances", keys={"n": "B"}, score="counting.scoring:score")'


@pytest.mark.parametrize("declared", [METRICS, PREDICTION_KINDS], ids=["metrics", "predictions"])
def test_each_is_called_as_its_file(declared: Declared) -> None:  # type: ignore[type-arg]
    folder = Path(str(importlib.import_module(declared.folder).__file__)).parent
    assert declared.names() == sorted(p.stem for p in folder.glob("*.py") if p.stem != "__init__")
    assert [each.name for each in declared.all()] == declared.names()


def test_each_metric_reads_a_kind_that_there_is_and_names_functions_that_there_are() -> None:
    for metric in METRICS.all():
        assert PREDICTION_KINDS.find(metric.kind).name == metric.kind
        for path in (metric.score, metric.resample):
            assert path is None or callable(load_function(path))


def test_kinds_differ_in_what_they_write_and_in_the_rule_that_makes_them() -> None:
    kinds = PREDICTION_KINDS.all()
    for values in ({k.path for k in kinds}, {k.origin for k in kinds}, {k.rule for k in kinds}):
        assert len(values) == len(kinds)


def test_to_list_names_imports_none() -> None:
    names = METRICS.names()
    for name in names:
        sys.modules.pop(f"{METRICS.folder}.{name}", None)
    METRICS.names()
    METRICS.find("coco_ap")
    loaded = {name for name in names if f"{METRICS.folder}.{name}" in sys.modules}
    assert loaded == {"coco_ap"}


@pytest.mark.parametrize(
    ("point", "text", "name", "told"),
    [
        ("coco_ap = counting.own:METRIC", "", "trimap_miou", "'coco_ap' is declared twice: by en"),
        ("mine = counting.own:METRIC", "1/0", "mine", "'counting.own:METRIC': cannot be imported"),
        ("mine = counting.own:METRIC", "METRIC = 3", "mine", "is not a Metric; see docs/your_metr"),
        ("mine = counting.gone:METRIC", "", "mine", "cannot be imported: No module named"),
        ("mine = counting.own:METRIC", DECLARES.format("x") + COUNTS, "mine", "itself 'x'"),
        ("Mine = counting.own:METRIC", "", "coco_ap", "lowercase letters"),
        ("mine = counting.own:METRIC", DECLARES.format("mine") + COUNTS, "mien", "mean 'mine'?"),
    ],
)
def test_what_is_wrong_with_one_from_outside_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str, text: str, name: str, told: str
) -> None:
    install(tmp_path, monkeypatch, f"[{METRICS.group}]\n{point}\n", own=text)
    with pytest.raises(UserError) as caught:
        METRICS.find(name)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_packages_with_one_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "a", monkeypatch, f"[{METRICS.group}]\nmine = counting.a:METRIC\n")
    info = tmp_path / "b/others-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "entry_points.txt").write_text(f"[{METRICS.group}]\nmine = others:METRIC\n")
    monkeypatch.syspath_prepend(tmp_path / "b")
    with pytest.raises(UserError, match=r"'mine' is declared twice: by .*; rename one"):
        METRICS.find("coco_ap")


SCORED = {
    "name": "mine",
    "reads": "instances",
    "truth": "val_annotations",
    "layouts": ("coco",),
    "keys": {"AP": "%"},
    "score": "a:b",
}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"reads": None}, "either reads predictions or counts models"),
        ({"counts": "instances"}, "either reads predictions or counts models"),
        ({"truth": None}, "has a truth and layouts"),
        ({"layouts": ()}, "has a truth and layouts"),
        ({"truth": "val_annotation"}, "no truth 'val_annotation'; did you mean 'val_annotations'"),
        ({"layouts": ("cocoa",)}, "no layout 'cocoa'; did you mean 'coco'?"),
        ({"lower_is_better": {"Ap"}}, "no key 'Ap'"),
        ({"score": "a"}, "'a' is not of the form module:function"),
        ({"resample": ":b"}, "':b' is not of the form module:function"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(change: dict, told: str) -> None:
    Metric(**SCORED)
    with pytest.raises(UserError, match="metric 'mine': ") as caught:
        Metric(**SCORED | change)
    assert told in str(caught.value)


@pytest.mark.parametrize("path", ["gone_module:f", "json:gone"])
def test_a_function_that_is_not_there_is_one_line(path: str) -> None:
    with pytest.raises(UserError, match=f"{path}: cannot be imported"):
        load_function(path)
