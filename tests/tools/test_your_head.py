"""A head from outside the package: docs/your_head.md, done word for word, and what goes wrong."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from config_files import config_file
from pointrend_repro import cli
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.modeling.mask_heads.plugin import build_plugin_head, find_head
from pointrend_repro.modeling.pooling import build_roi_layer
from pointrend_repro.settings.heads import (
    Conv4HeadSettings,
    MaskHeadSettings,
    PluginHeadSettings,
    PointRendHeadSettings,
    SharpMaskHeadSettings,
)
from pointrend_repro.settings.instances import RoiLayerSettings
from pointrend_repro.tools.conformance import CHECKS
from pointrend_repro.tools.head_case import Case, NonConformingError
from small_experiment import DATASET, PRESET, write_small_config

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/your_head.md"
HEAD = "heads.two_convs:TwoConvHead"
SIZES = {"in_channels": 8, "trunk_channels": (16, 32, 64, 128), "num_classes": 3}


def documented(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S)


@pytest.fixture
def head_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the document's head in it and nothing of this repository."""
    path = tmp_path / "heads/two_convs.py"
    path.parent.mkdir()
    path.write_text(documented("python")[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("heads", "heads.two_convs"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def plugin(head: str = HEAD, **settings: object) -> PluginHeadSettings:
    return PluginHeadSettings(kind="plugin", head=head, settings=settings)


BUILT_IN: dict[str, MaskHeadSettings] = {
    "4conv": Conv4HeadSettings(kind="4conv", channels=8),
    "pointrend": PointRendHeadSettings(
        kind="pointrend", coarse_channels=16, point_channels=8, train_points=49
    ),
    "pointrend_grid": PointRendHeadSettings(
        kind="pointrend",
        coarse_channels=16,
        point_channels=8,
        train_points=49,
        train_selection="regular_grid",
        point_loss="sum",
    ),
    "sharpmask": SharpMaskHeadSettings(
        kind="sharpmask", reduced_channels=8, bottleneck_channels=16, skip_channels=8
    ),
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", BUILT_IN)
def test_built_in_heads_conform(kind: str, check: Callable[[Case], None]) -> None:
    check(Case(BUILT_IN[kind]))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_documented_head_conforms(head_folder: Path, check: Callable[[Case], None]) -> None:
    check(Case(plugin(channels=12)))


class Broken(nn.Module):
    """A head that does one thing wrong, which `fault` names."""

    train_on_refined_boxes = False
    calls = 0

    def __init__(self, *, in_channels: int, trunk_channels: object, num_classes: int, fault: str):
        super().__init__()
        self.fault = fault
        self.predictor = nn.Conv2d(in_channels, num_classes, 1)
        self.unused = nn.Parameter(torch.ones(2)) if fault == "unused" else None
        self.hidden = torch.randn(1) if fault == "unsaved" else torch.zeros(1)

    def losses(self, features: dict, proposals: list, targets: list) -> dict[str, Tensor]:
        boxes = sum(len(p.boxes) for p in proposals)
        if self.fault == "no graph" and not boxes:
            return {"loss_mask": torch.zeros(())}
        logits = self.predictor(features["p2"])
        if self.fault == "constant":
            return {"loss_mask": (logits * 0 + 1).mean() * bool(boxes)}
        loss = ((logits - 3) ** 2).mean() * (1 if self.fault == "no boxes" else bool(boxes))
        return {"loss_mask": loss if self.fault != "vector" else loss.repeat(2)}

    def predict(self, features: dict, boxes: list, labels: list, settings: object) -> Tensor:
        count = max(sum(len(b) for b in boxes), int(self.fault == "never none"))
        masks = self.predictor(features["p5"])[-1:, 0, :2, :2]
        masks = masks.expand(count, 2, 2) + self.hidden
        if self.fault == "count":
            return masks[:-1]
        if self.fault == "neighbours":
            return masks * count
        if self.fault == "noise":
            return masks + torch.rand(1)
        return masks


@pytest.mark.parametrize(
    ("fault", "check", "told"),
    [
        ("count", "masks_are_square_and_finite", "for 4 boxes"),
        ("never none", "images_without_boxes_are_nothing_special", "for no boxes"),
        ("neighbours", "a_mask_depends_on_its_own_box_alone", "other boxes change"),
        ("unused", "losses_reach_every_parameter", "no gradient reaches unused"),
        ("vector", "losses_reach_every_parameter", "has shape"),
        ("no graph", "losses_without_objects_are_zero_with_a_graph", "no graph"),
        ("no boxes", "losses_without_objects_are_zero_with_a_graph", "not 0"),
        ("unsaved", "weights_survive_saving", "does not hold all"),
        ("noise", "the_same_seed_gives_the_same_numbers", "the second time"),
        ("constant", "a_few_updates_lower_the_loss", "from 1 to 1"),
        ("count", "its_cost_can_be_counted", "cost_piece"),
    ],
)
def test_checks_find_the_fault(
    fault: str, check: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "broken_head", sys.modules[__name__])
    chosen = next(c for c in CHECKS if c.__name__ == check)
    with pytest.raises(NonConformingError, match=told):
        chosen(Case(plugin("broken_head:Broken", fault=fault)))


@pytest.mark.parametrize("value", ["[" * 2000, "9" * 5000, "2020-13-45", "{a: 1, a: 2}"])
def test_a_setting_that_is_none_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["x", "check-head", HEAD, "--set", f"channels={value}"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("pointrend-repro: error: --set channels: not valid YAML: ")
    assert told.count("\n") == 1
    assert len(told) < 400


def test_the_command_says_what_holds_and_what_does_not(
    head_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["x", "check-head", HEAD, "--set", "channels=12"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    assert capsys.readouterr().out.count("ok     ") == len(CHECKS)

    text = (head_folder / "heads/two_convs.py").read_text()
    override = "    def predict(self, *args):\n        return super().predict(*args)[..., :-1]\n"
    (head_folder / "broken.py").write_text(f"{text}\n{override}")
    monkeypatch.setattr(sys, "argv", ["x", "check-head", "broken:TwoConvHead"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    said = capsys.readouterr()
    assert "FAILED One finite square mask per box." in said.out
    assert "checks failed" in said.err


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nothing:Head", "no module 'nothing'"),
        ("heads.nothing:Head", "no module 'heads.nothing'"),
        ("heads.two_convs:TwoConHead", "did you mean 'TwoConvHead'"),
        ("heads.two_convs:pool_rois", "not a subclass of torch.nn.Module"),
        ("torch.nn:Linear", "has no losses, predict"),
        ("needy:Head", "needs module 'not_installed_anywhere'"),
        ("two_convs", "not an entry point of group pointrend_repro.mask_heads"),
    ],
)
def test_a_head_that_cannot_be_found_is_one_line(head_folder: Path, name: str, told: str) -> None:
    (head_folder / "needy.py").write_text("import not_installed_anywhere\n")
    with pytest.raises(UserError, match=re.escape(told)) as error:
        find_head(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"chanels": 3}, "unexpected keyword argument 'chanels'"),
        ({"num_classes": 3}, "follow from"),
    ],
)
def test_settings_that_do_not_fit_are_one_line(
    head_folder: Path, settings: dict[str, object], told: str
) -> None:
    with pytest.raises(UserError, match=re.escape(told)):
        build_plugin_head(plugin(**settings), **SIZES)


def test_a_head_that_names_the_roi_layer_gets_the_detector_s(head_folder: Path) -> None:
    text = (head_folder / "heads/two_convs.py").read_text()
    override = (
        "    def __init__(self, *, roi_layer, **others):\n"
        "        super().__init__(**others)\n        self.roi_layer = roi_layer\n"
    )
    taking = text + "\n\nclass Taking(TwoConvHead):\n" + override
    (head_folder / "taking.py").write_text(taking)
    layer = build_roi_layer(RoiLayerSettings(kind="roi_warp"), {"p4": 16})
    head = build_plugin_head(plugin("taking:Taking", channels=4), **SIZES, roi_layer=layer)
    assert head.roi_layer is layer
    with pytest.raises(UserError, match="follow from"):
        build_plugin_head(plugin("taking:Taking", roi_layer=3), **SIZES)
    build_plugin_head(plugin(), **SIZES, roi_layer=layer)  # which does not ask for it


def test_an_installed_package_names_its_head_by_entry_point(head_folder: Path) -> None:
    metadata = head_folder / "my_heads-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-heads\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        f"[pointrend_repro.mask_heads]\ntwo_convs = {HEAD}\n"
    )
    sys.path.append(str(head_folder))
    assert find_head("two_convs").__name__ == "TwoConvHead"


@pytest.mark.slow
def test_a_row_of_table_1_by_the_document_alone(
    head_folder: Path, coco_builder: Callable[[], Path]
) -> None:
    """One file, one variant, one line of a table, and the commands of the pipeline."""
    config = write_small_config(head_folder / "config")
    variant, row = documented("yaml")
    variant = variant.replace("settings: {channels: 64}", "settings: {channels: 8}")
    (config / "variants/two_convs_r50_fpn.yaml").write_text(variant)
    table = config_file("tables/table1", config)
    table.write_text(table.read_text().replace("\nrows:\n", f"\nrows:\n{row}"))
    data = coco_builder()

    folder = f"results/{PRESET}/{DATASET}/two_convs_r50_fpn/trial0"
    what = f"--preset {PRESET} --dataset {DATASET} --variant two_convs_r50_fpn --config-dir config"
    where = f"--data-root {data} --device cpu"
    commands = [
        f"train {what} {where} --trial 0 --output {folder}/model.safetensors",
        f"predict {what} {where} --inference default --model {folder}/model.safetensors"
        f" --output {folder}/default/predictions.json",
        f"evaluate coco_ap --ground-truth {data}/annotations/instances_val2017.json"
        f" --predictions {folder}/default/predictions.json"
        f" --output {folder}/default/coco_ap.json",
        f"collect --preset {PRESET} --config-dir config",
        f"report --preset {PRESET} --config-dir config",
    ]
    program = "from pointrend_repro.cli import main; main()"
    for command in commands:  # each is a process of its own, as a rule's is
        done = subprocess.run(
            [sys.executable, "-c", program, *command.split()],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    table1 = pd.read_csv(f"reports/{PRESET}/tables/table1.csv")
    ours = table1[table1["row"] == "two convs, 28x28"]
    assert ours["trials"].max() == 1
    origin = read_json(head_folder / folder / "model.origin.json")
    assert "heads.two_convs" in origin["train"]["versions"]
