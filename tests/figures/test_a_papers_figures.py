"""A made-up paper brings figures by a few lines of data, and a drawing from outside the package."""

# ruff: noqa: F401, F811 (fixtures of test_figures are imported, and are then arguments)

import copy
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_figures import VARIANTS, change_preset, config_dir, dataset, models, results_dir

from pointrend_repro.base import provenance
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.provenance import _loaded_files
from pointrend_repro.checkpoints.saved_models import SavedModel, build_model, save_model
from pointrend_repro.commands import figures
from pointrend_repro.config.drawings import find_drawing
from pointrend_repro.config.figures import load_figures
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.config.reading import load_variant
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.reporting.figures import load_figures as load_drawn_figures
from small_experiment import DATASET, PRESET
from working_copy import make_copy

MODULE = """
from matplotlib.figure import Figure
from pointrend_repro.figures.drawing import Picture

MODELS = {"left": ["mask_head"], "right": ["mask_head.kind=pointrend"]}


def scores(models, dataset, *, bars: tuple[int, int] = (1, 2)):
    figure = Figure(figsize=(7.0, 2.0))
    figure.subplots().bar([0, 1], bars)
    kinds = [models[part].model.settings.mask_head.kind for part in MODELS]
    return Picture(figure, "Bars", f"{kinds}, {bars}", "Two bars.", [dataset.images[0].id])


def nothing(models, dataset):
    return None
"""
HEAVY = "pointrend_heavy_r50_fpn"
FIGURES: dict[str, Any] = {
    "figure3": {
        "draw": "pointrend.figure6",
        "models": {"pointrend": HEAVY},
        "role": "coco",
        "title": "Figure 3: a heavy bias",
        "caption": "Masks of 14x14 and of 56x56.",
        "options": {"resolutions": [14, 56]},
    },
    "figure6": {
        "draw": "bars.of_scores:scores",
        "models": {"left": "mask_rcnn_r50_fpn", "right": "pointrend_r50_fpn"},
        "role": "coco",
    },
}
PICTURES: dict[str, Any] = {
    "slider": {
        "draw": "pointrend.comparison",
        "template": "comparison",
        "models": {"baseline": "pointrend_r50_fpn", "pointrend": HEAVY},
        "role": "coco",
        "title": "Two ways to choose points",
        "options": {"labels": ["mild", "heavy"], "resolutions": [28, 28]},
    }
}


@pytest.fixture
def paper(config_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of data more, and a module in the current folder."""
    folder = make_paper(config_dir)
    write(folder, FIGURES, PICTURES)
    named = {
        "papers": ["pointrend", "made_up"],
        "figures": ["made_up_figure3", "made_up_figure6"],
        "pictures": ["made_up_slider"],
    }
    change_preset(config_dir, tables=["table1", "table4"], **named)
    module = tmp_path / "here/bars/of_scores.py"
    module.parent.mkdir(parents=True)
    module.write_text(MODULE)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("bars", "bars.of_scores"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield folder
    _loaded_files.clear()


def make_paper(config_dir: Path, **about: object) -> Path:
    folder = config_dir / "papers/made_up"
    folder.mkdir(exist_ok=True)
    needed = {"title": "Made up", "short_title": "MU", "authors": "Nobody", "tables": []}
    (folder / "paper.yaml").write_text(yaml.safe_dump(needed | about))
    return folder


def write(folder: Path, figures: dict[str, Any], pictures: dict[str, Any] | None = None) -> None:
    content = {"figures": figures, "pictures": pictures or {}}
    (folder / "figures.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


@pytest.fixture
def places(
    paper: Path, results_dir: Path, models: Mapping[str, SavedModel], dataset: CocoDataset
) -> dict[str, Path]:
    path = results_dir / DATASET / HEAVY / "trial0/model.safetensors"
    settings = load_grid(PRESET, paper.parents[1]).training_settings(DATASET, HEAVY)
    categories = models["pointrend"].categories
    model = build_model(settings.model, num_classes=len(categories))
    save_model(path, SavedModel(model.eval(), settings.input, categories))
    train = {"settings_digest": "abc", "git_commit": "0123", "code_digest": "def", "seed": 0}
    path.with_suffix(".origin.json").write_text(json.dumps({"train": train}))
    return {
        "results_dir": results_dir.parent,
        "data_root": dataset.images[0].path.parents[1],
        "config_dir": paper.parents[1],
    }


def test_a_figure_is_drawn_by_an_existing_drawing_of_another_model(
    places: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "_loaded_files", {})  # other tests share the process
    figures.figure("made_up_figure3", PRESET, output=tmp_path / "x.png", **places)
    record = json.loads((tmp_path / "x.json").read_text())
    assert record["figure"] == "made_up_figure3"
    assert record["title"] == FIGURES["figure3"]["title"]
    assert record["caption"] == FIGURES["figure3"]["caption"]
    assert "masks of 14 by 14 above, of 56 by 56 below" in record["alternative_text"]
    assert [used["file"] for used in record["models"]] == [
        f"{DATASET}/{HEAVY}/trial0/model.safetensors"
    ]
    assert "outside_code" not in record


def test_a_figure_is_drawn_from_outside_the_package(
    places: dict[str, Path], paper: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "figures"
    output = folder / "made_up_figure6.png"
    figures.figure("made_up_figure6", PRESET, output=output, **places)
    record = json.loads(output.with_suffix(".json").read_text())
    assert record["caption"] == "['4conv', 'pointrend'], (1, 2)"
    assert list(record["outside_code"]) == ["bars.of_scores"]
    assert re.fullmatch("sha256:[0-9a-f]{12}", record["outside_code"]["bars.of_scores"])
    shown = load_drawn_figures(load_grid(PRESET, paper.parents[1]), folder)
    assert shown["made_up_figure3"] is None
    assert shown["made_up_figure6"].record.outside_code == record["outside_code"]


def test_a_picture_compares_other_models(places: dict[str, Path], tmp_path: Path) -> None:
    figures.picture("made_up_slider", PRESET, output=tmp_path / "x.json", **places)
    record = json.loads((tmp_path / "x.json").read_text())
    assert (record["picture"], record["title"]) == ("made_up_slider", PICTURES["slider"]["title"])
    assert (record["baseline_label"], record["pointrend_label"]) == ("mild", "heavy")


STUB = """#!/bin/sh
command=$1
[ "$command" = data ] && command=$2
while [ $# -gt 0 ]; do
    case $1 in
        --output) output=$2 ;;
        --dataset) dataset=$2 ;;
    esac
    shift
done
case $command in
    generate) mkdir -p "data/$dataset"; date >"data/$dataset/made" ;;
    check) date >"$output" ;;
    train) date >"$output"; date >"${output%.*}.origin.json" ;;
    figure) for kind in png pdf json; do date >"${output%.*}.$kind"; done ;;
esac
"""


def test_the_pipeline_draws_it_and_again_when_its_entry_changes(tmp_path: Path) -> None:
    run = make_copy(tmp_path / "run")
    folder = make_paper(run.folder / "config")
    figure = FIGURES["figure6"] | {"draw": "bars:scores"}
    write(folder, {"figure6": figure})
    (run.folder / "bars.py").write_text(MODULE)
    preset = run.folder / "config/presets/smoke.yaml"
    preset.write_text(
        preset.read_text() + "figures: [figure6, made_up_figure6]\npapers: [pointrend, made_up]\n"
    )
    stub = run.folder / "bin/pointrend-repro"
    stub.parent.mkdir()
    stub.write_text(STUB)
    stub.chmod(0o755)
    drawn = [f"reports/smoke/figures/{name}.png" for name in ("figure6", "made_up_figure6")]
    done = run.snakemake("--cores", "1", "--", *drawn)
    assert done.returncode == 0, done.stderr
    assert "pointrend-repro figure made_up_figure6 --preset smoke" in done.stdout + done.stderr
    write(folder, {"figure6": figure, "figure7": FIGURES["figure3"]})
    preset.write_text(preset.read_text().replace("figures: [figure6, ", "figures: ["))
    assert run.plan("--", *drawn) == {}
    write(folder, {"figure6": figure | {"title": "Bars of ours"}})
    assert run.plan("--", *drawn) == {"draw_figure": 1}


REFUSED = [
    ({"draw": "pointrend.figure66"}, "there is no drawing 'pointrend.figure66'; did you mean "),
    ({"draw": "figure6"}, "there is no drawing 'figure6'; there are: .*pointrend.comparison, "),
    ({"draw": "nothing:scores"}, "drawing 'nothing:scores': no module 'nothing'"),
    ({"draw": "bars.of_scores:score"}, "has no function 'score'; did you mean 'scores'"),
    ({"draw": "json:dumps"}, "has no MODELS, written out"),
    ({"draw": "pointrend.figure 6"}, "figures.figure3.draw: String should match pattern"),
    ({"drw": "figure6"}, "unknown key figures.figure3.drw; did you mean 'draw'"),
    ({"models": {"pointrnd": HEAVY}}, "draws no model 'pointrnd'; did you mean 'pointrend'"),
    ({"models": {}}, "figures.figure3: give either models or scores"),
    (
        {"draw": "bars.of_scores:scores", "models": {"left": HEAVY}, "options": {}},
        "right of .* lack",
    ),
    (
        {"models": {"pointrend": "mask_rcnn_r50_fpn"}},
        "a model with mask_head.kind=pointrend, which ",
    ),
    ({"models": {"pointrend": "nobodys"}}, "needs variant 'nobodys' trained on data set 'coco'"),
    ({"role": "cityscapes"}, "trained on data set 'cityscapes', which no table of the preset"),
    ({"options": {"resolution": [1, 2]}}, "has no option 'resolution'; did you mean 'resolutions'"),
]


@pytest.mark.parametrize(("change", "said"), REFUSED)
def test_what_cannot_be_drawn_is_refused_before_anything_runs(
    paper: Path, change: dict[str, Any], said: str
) -> None:
    changed = copy.deepcopy(FIGURES)
    changed["figure3"] |= change
    write(paper, changed, PICTURES)
    with pytest.raises(UserError, match=said) as refused:
        load_grid(PRESET, paper.parents[1])
    assert "\n" not in str(refused.value)
    assert "bars.of_scores" not in sys.modules


def test_a_drawing_that_is_not_named_by_the_preset_stops_nothing(paper: Path) -> None:
    changed = copy.deepcopy(FIGURES)
    changed["figure9"] = FIGURES["figure3"] | {"draw": "not_yet"}
    write(paper, changed, PICTURES)
    load_grid(PRESET, paper.parents[1])


def test_an_option_of_another_type_is_refused(
    places: dict[str, Path], paper: Path, tmp_path: Path
) -> None:
    changed = copy.deepcopy(FIGURES)
    changed["figure3"]["options"] = {"resolutions": [14]}
    changed["figure6"]["draw"] = "bars.of_scores:nothing"
    write(paper, changed, PICTURES)
    with pytest.raises(UserError, match=r"figure3: options: resolutions: Field required"):
        figures.figure("made_up_figure3", PRESET, output=tmp_path / "x.png", **places)
    with pytest.raises(UserError, match=r"figure6: bars\.of_scores:nothing returns no Picture"):
        figures.figure("made_up_figure6", PRESET, output=tmp_path / "x.png", **places)


def test_a_template_that_shows_something_else_is_refused(
    places: dict[str, Path], paper: Path, tmp_path: Path
) -> None:
    write(paper, FIGURES, {"slider": PICTURES["slider"] | {"template": "subdivision"}})
    with pytest.raises(
        UserError, match=r"slider: pointrend\.comparison does not draw what the temp"
    ):
        figures.picture("made_up_slider", PRESET, output=tmp_path / "x.json", **places)


def test_public_names_have_the_papers_prefix_and_are_nobody_elses(paper: Path) -> None:
    config_dir = paper.parents[1]
    assert {"figure6", "made_up_figure6"} <= set(load_figures(config_dir).figures)
    make_paper(config_dir, prefix="mine_")
    assert "mine_figure6" in load_figures(config_dir).figures
    make_paper(config_dir, prefix="")
    with pytest.raises(UserError, match=r"'figure6' is the name of .*yaml: figure6, too"):
        load_figures(config_dir)


def test_an_unknown_picture_is_refused(config_dir: Path) -> None:
    change_preset(config_dir, pictures=["curve"])
    with pytest.raises(UserError, match="there is no picture 'curve'; did you mean 'curves'"):
        load_grid(PRESET, config_dir)


def test_a_drawing_may_be_an_entry_point(paper: Path) -> None:
    metadata = Path("my_bars-1.0.dist-info")
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-bars\nVersion: 1.0\n")
    points = "[pointrend_repro.figures]\nmy_bars = bars.of_scores:scores\n"
    (metadata / "entry_points.txt").write_text(points)
    sys.path.append(str(metadata.resolve().parent))
    found = find_drawing("my_bars", "made_up")
    assert (found.file, found.options) == (Path("bars/of_scores.py").resolve(), ["bars"])
    assert found.is_outside
    assert "bars.of_scores" not in sys.modules


def test_a_paper_names_its_own_variants_without_the_prefix(paper: Path) -> None:
    config_dir = paper.parents[1]
    (paper / "models").mkdir()
    ours = config_dir / "papers/pointrend/models/pointrend_r50_fpn.yaml"
    (paper / "models/pointrend_r50_fpn.yaml").write_text(ours.read_text())
    known = load_figures(config_dir)
    assert known.figure("made_up_figure6").entry.models == {
        "left": "mask_rcnn_r50_fpn",
        "right": "made_up_pointrend_r50_fpn",
    }
    assert known.figure("figure6").entry.models == {"pointrend": "pointrend_r50_fpn"}


def test_figures_of_papers_that_are_not_made_are_left_out(paper: Path) -> None:
    config_dir = paper.parents[1]
    grid = load_grid(PRESET, config_dir, papers=["pointrend"])
    assert (grid.preset.figures, grid.preset.pictures) == ([], [])
    change_preset(config_dir, papers=["pointrend"])
    with pytest.raises(UserError, match="made_up_figure3 is of paper 'made_up', which is not"):
        load_grid(PRESET, config_dir)


def test_what_stands_beside_the_defaults_tells_a_figure_apart(paper: Path) -> None:
    """PointRend's own have nothing beside them, so that finished ones are what they were."""
    config_dir = paper.parents[1]
    ours = load_figures(CONFIG_DIR)
    for figure in [*ours.figures.values(), *ours.pictures.values()]:
        assert figure.paper != "pointrend" or figure.beside_the_defaults == {}
    figure3 = load_figures(config_dir).figure("made_up_figure3")
    assert figure3.beside_the_defaults == {
        key: value for key, value in FIGURES["figure3"].items() if key not in {"models", "role"}
    }


def test_every_figure_of_this_repository_can_be_found_and_its_variants_read() -> None:
    known = load_figures(CONFIG_DIR)
    for figure in [*known.figures.values(), *known.pictures.values()]:
        assert list(figure.drawing.models) == list(figure.entry.models)
        for variant in figure.entry.models.values():
            load_variant(variant, CONFIG_DIR)
